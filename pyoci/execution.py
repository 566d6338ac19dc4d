# SPDX-License-Identifier: Apache-2.0
"""Exec: one more process in a running container, compiled and carried out like its init."""

import posix

from pyoci import diagnosis, executor, handover, host, labels, log, passwd, spec, terminal
from pyoci import state as store
from pyoci.dialogue import take_listener
from pyoci.errors import PyociError, StateError, StepError, UsageError
from pyoci.plan import compile as compiler
from pyoci.plan import ops
from pyoci.plan.encode import encode
from pyoci.seccomp import compile_filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable, Sequence

    from pyoci.cgroup import Cgroup
    from pyoci.plan.program import Program
    from pyoci.spec import Capabilities, Process, Spec
else:
    import _signal

_SIGKILL = 9


class ExecOptions:
    """What the command line asks of exec: a whole process object, or changes to that of config.json."""

    def __init__(  # noqa: PLR0913 - a record: every field is named at the call
        self,
        *,
        root: str,
        id: str,  # noqa: A002 - the specification's word
        process: "Process | None" = None,
        args: "Sequence[str]" = (),
        cwd: str = "",
        env: "Sequence[str]" = (),
        tty: bool = False,
        user: str = "",
        additional_gids: "Sequence[int]" = (),
        process_label: str = "",
        apparmor: str = "",
        no_new_privs: bool = False,
        caps: "Sequence[str]" = (),
        detach: bool = False,
        pid_file: str = "",
        console_socket: str = "",
        pidfd_socket: str = "",
        preserve_fds: int = 0,
        cgroup: "Sequence[str]" = (),
        ignore_paused: bool = False,
        take_terminal: "Callable[[int], None] | None" = None,
    ) -> None:
        self.root = root
        self.id = id
        self.process = process
        self.args = args
        self.cwd = cwd
        self.env = env
        self.tty = tty
        self.user = user
        self.additional_gids = additional_gids
        self.process_label = process_label
        self.apparmor = apparmor
        self.no_new_privs = no_new_privs
        self.caps = caps
        self.detach = detach
        self.pid_file = pid_file
        self.console_socket = console_socket
        self.pidfd_socket = pidfd_socket
        self.preserve_fds = preserve_fds
        self.cgroup = cgroup
        self.ignore_paused = ignore_paused
        self.take_terminal = take_terminal  # is given the master before the program begins


class Execution:
    """One more process that is being made in a container."""

    def __init__(self, options: ExecOptions) -> None:
        self.options = options
        self.container = store.load(options.root, options.id)
        self.spec = self.saved_spec()
        self.process = options.process or changed(self.spec, options)
        self.target = -1
        self.console: int | None = None
        self.pidfd_receiver: int | None = None
        self.master: int | None = None
        self.executor: executor.Executor | None = None
        self.home = b""
        self.preserved = 0
        self.program: Program

    def saved_spec(self) -> "Spec":
        """Return config.json as it was at create: later changes to the bundle must not matter (runtime.md#lifecycle)."""
        return spec.load(f"{self.container.root}/{self.container.id}/{store.CONFIG}")

    @property
    def running(self) -> executor.Executor:
        """The executor, once it is spawned."""
        assert self.executor is not None
        return self.executor

    @property
    def cgroup(self) -> "Cgroup | None":
        """The container's cgroup."""
        return self.container.cgroup()

    def report_document(self, status: str, pid: int) -> dict[str, object]:
        """Return the state as a seccomp agent reads it."""
        return {**self.container.document(status), "pid": pid}

    def undo(self) -> None:
        """Kill the process that could not be made whole."""
        if self.executor is None:
            return
        if self.executor.pid:
            posix.kill(self.executor.pid, _SIGKILL)
            posix.waitpid(self.executor.pid, 0)
        self.executor.close()

    def let_go(self) -> None:
        """Close what only the making needed."""
        for fd in (self.console, self.pidfd_receiver, self.target):
            if fd is not None and fd >= 0:
                posix.close(fd)
        self.container.close()


def exec_process(options: ExecOptions) -> int:
    """Run one more process in a container; return its exit status, 0 at once when detached."""
    if not options.detach:
        terminal.block_signals()
    execution = begin(options)
    if options.detach:
        return 0
    pid = execution.running.pid
    pidfd = posix.pidfd_open(pid)
    try:
        return terminal.forward(pidfd, pid, execution.master)
    finally:
        posix.close(pidfd)


def begin(options: ExecOptions) -> Execution:
    """Begin one more process in a container, our child; returns when its program runs."""
    execution = Execution(options)
    try:
        check(execution)
        spawn(execution)
        converse(execution)
    except BaseException:
        execution.undo()
        raise
    finally:
        execution.let_go()
    execution.running.close()
    return execution


def check(execution: Execution) -> None:
    """Refuse what cannot work: a container that does not run, a terminal that nobody takes."""
    options, container = execution.options, execution.container
    status = container.status()
    if status in {"stopped", "creating"}:
        raise StateError("cannot exec in a stopped container")
    if status == "paused" and not options.ignore_paused:
        raise StateError("cannot exec in a paused container (use --ignore-paused to override)")
    if execution.process["terminal"]:
        if options.detach and not options.console_socket and options.take_terminal is None:
            raise UsageError(
                "cannot allocate tty if runc will detach without setting console socket"
            )
    elif options.console_socket:
        raise UsageError("cannot use console socket if runc will not detach or allocate tty")
    handover.check_preserved(options.preserve_fds)
    execution.preserved = options.preserve_fds
    target = container.open_init()
    if target is None:
        raise StateError("cannot exec in a stopped container")
    execution.target = target
    check_open(execution)
    if options.console_socket:
        execution.console = handover.connect(options.console_socket)
    if options.pidfd_socket:
        execution.pidfd_receiver = handover.connect(options.pidfd_socket)


def check_open(execution: Execution) -> None:
    """Refuse an init that an ordinary user may not look into: it is not dumpable until it executes its program (ptrace(2))."""
    init = execution.container.known()["init"]
    assert init is not None
    if not posix.access(f"/proc/{init['pid']}/ns/user", posix.F_OK):
        raise StateError(
            f"cannot exec in container {execution.container.id}: its namespaces are closed to an "
            "ordinary user until its program runs: start it first"
        )


def spawn(execution: Execution) -> None:
    """Compile the plan and spawn the executor; the pidfd in it pins the container's init."""
    options, init = execution.options, execution.container.known()["init"]
    assert init is not None
    facts = host.exec_facts(
        execution.options.id,
        execution.cgroup,
        init["pid"],
        list(options.cgroup),
        preserved=execution.preserved,
    )
    profile = execution.spec["linux"]["seccomp"]
    filter_ = compile_filter(profile, f"{options.root}/.seccomp") if profile else None
    execution.program = compiler.execute(execution.spec, execution.process, facts, filter_, [])
    plan = encode(execution.program, ops.INHERITED + 1)
    null = posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)
    try:
        inherited = (null, null, execution.target)
        enter_rdt(execution)
        execution.executor = executor.Executor(plan, inherited, execution.preserved)
    finally:
        posix.close(null)


def enter_rdt(execution: Execution) -> None:
    """Enter the container's resctrl groups, which the process will inherit."""
    groups = execution.container.known()["rdt"]
    if groups is not None:
        from pyoci import rdt

        rdt.enter(groups, posix.getpid())


def converse(execution: Execution) -> None:
    """Answer the process until its program runs, which closes the socket."""
    running = execution.running
    started = False
    try:
        while True:
            report = running.receive()
            if report is None:
                break
            if report.kind == "passed":
                assert report.fd is not None
                take(execution, report.topic, report.fd)
            elif report.kind == "asked":
                started = report.topic == "start"
                if report.topic in ASKED:
                    ASKED[report.topic](execution)
                running.go(execution.home if report.topic == "home" else b"")
    except executor.Failure as failure:
        raise diagnosis.explain(failure, execution.program, execution.spec) from failure
    if not started:
        raise died(execution)
    for warning in running.warnings:
        log.warning(diagnosis.warn(warning, execution.program))


def check_labels(execution: Execution) -> None:
    """Compare the labels that were written with what the process has."""
    labels.check(execution.process, execution.running.pid)


def attach(execution: Execution) -> None:
    """Have systemd put the set-up process into the container's cgroup, where that is not for us to do."""
    cgroup = execution.cgroup
    assert cgroup is not None
    cgroup.attach(execution.running.setup, list(execution.options.cgroup))
    cgroup.close()


def died(execution: Execution) -> PyociError:
    """Say why the process ended without a word."""
    running = execution.running
    status = running.reap()
    if status == -_signal.SIGSYS:
        return StepError(
            "linux.seccomp: the profile forbids what exec itself must do", "/linux/seccomp"
        )
    how = f"signal {-status}" if status < 0 else f"exit status {status}"
    return StepError(f"the process ended before its program began ({how})")


def take(execution: Execution, topic: str, fd: int) -> None:
    """Take a descriptor that the process hands over."""
    if topic == "listener":
        profile = execution.spec["linux"]["seccomp"]
        assert profile is not None
        document = execution.report_document("running", execution.running.pid)
        take_listener(profile, fd, execution.running.pid, document)
    elif topic == "home":
        execution.home = passwd.home(fd, execution.process["user"]["uid"])
        posix.close(fd)
    elif execution.options.take_terminal is not None:
        execution.options.take_terminal(fd)
    elif execution.console is None:
        execution.master = fd
        terminal.adopt(fd)
    else:
        handover.send_fd(execution.console, fd, b"/dev/ptmx")
        posix.close(fd)


def hand_over(execution: Execution) -> None:
    """Tell the callers: the pidfd on its socket, the pid file last."""
    pid = execution.running.pid
    if execution.pidfd_receiver is not None:
        pidfd = posix.pidfd_open(pid)
        handover.send_fd(execution.pidfd_receiver, pidfd, b"setns")
        posix.close(pidfd)
    if execution.options.pid_file:
        handover.write_pid_file(execution.options.pid_file, pid)


ASKED: "dict[str, Callable[[Execution], None]]" = {
    "cgroups": attach,
    "ready": check_labels,
    "start": hand_over,
}


def changed(config: "Spec", options: ExecOptions) -> "Process":
    """Return config.json's process with the changes of the command line (cli.md, exec)."""
    base = config["process"]
    assert base is not None
    process: Process = {**base}
    process["args"] = list(options.args)
    if not options.args:
        raise UsageError("exec args cannot be empty")
    process["terminal"] = options.tty
    process["env"] = [*base["env"], *options.env]
    process["cwd"] = options.cwd or base["cwd"]
    process["user"] = {**base["user"]}
    if options.user:
        uid, _, gid = options.user.partition(":")
        process["user"]["uid"] = int(uid)
        process["user"]["gid"] = int(gid) if gid else base["user"]["gid"]
    if options.additional_gids:
        process["user"]["additionalGids"] = [
            *base["user"]["additionalGids"],
            *options.additional_gids,
        ]
    process["selinuxLabel"] = options.process_label or base["selinuxLabel"]
    process["apparmorProfile"] = options.apparmor or base["apparmorProfile"]
    process["noNewPrivileges"] = options.no_new_privs or base["noNewPrivileges"]
    if options.caps:
        process["capabilities"] = with_capabilities(process, list(options.caps))
    spec.check_process(process)
    return process


def with_capabilities(process: "Process", names: list[str]) -> "Capabilities":
    """Add capabilities to bounding, effective and permitted; never to inheritable (CVE-2022-29162)."""
    old = process["capabilities"]
    sets: Capabilities = {
        "bounding": [*(old["bounding"] if old else []), *names],
        "effective": [*(old["effective"] if old else []), *names],
        "permitted": [*(old["permitted"] if old else []), *names],
        "inheritable": list(old["inheritable"]) if old else [],
        "ambient": list(old["ambient"]) if old else [],
    }
    if sets["inheritable"]:
        sets["ambient"] = [*sets["ambient"], *names]
    return sets
