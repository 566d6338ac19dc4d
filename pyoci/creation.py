# SPDX-License-Identifier: Apache-2.0
"""Create: from a bundle to an init that waits for `start`. The order of the steps is the design; undo is total."""

import posix

from pyoci import executor, host, identity, log, spec, state
from pyoci.cgroup import locate
from pyoci.errors import PyociError, SpecError, StepError, UsageError
from pyoci.jsontext import dumps
from pyoci.linux.environment import variable
from pyoci.linux.path import clean
from pyoci.linux.process import CAPABILITY_BITS
from pyoci.plan import ops
from pyoci.plan.encode import encode
from pyoci.spec.reader import read_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable

    from pyoci.cgroup import Cgroup
    from pyoci.netdevices import Devices
    from pyoci.plan.encode import Plan
    from pyoci.plan.facts import Facts
    from pyoci.plan.program import Program
    from pyoci.plancache import Entry
    from pyoci.spec import Seccomp, Spec
    from pyoci.state import Record
else:
    import _signal

PLANS = ".plans"
FILTERS = ".seccomp"
_SIGKILL = 9
_CGROUPS = "/sys/fs/cgroup/"
_FIFO_MODE = 0o600
_AFTER_HOOKS = 2  # close_fds and execute end every plan


class CreateOptions:
    """What the command line asks of create and run. Paths are absolute or ""."""

    def __init__(  # noqa: PLR0913 - a record: every field is named at the call
        self,
        *,
        root: str,
        id: str,  # noqa: A002 - the specification's word
        bundle: str,
        console_socket: str = "",
        pidfd_socket: str = "",
        pid_file: str = "",
        no_pivot: bool = False,
        no_new_keyring: bool = False,
        preserve_fds: int = 0,
        systemd_cgroup: bool = False,
        rootless: bool = False,
    ) -> None:
        self.root = root
        self.id = id
        self.bundle = bundle
        self.console_socket = console_socket
        self.pidfd_socket = pidfd_socket
        self.pid_file = pid_file
        self.no_pivot = no_pivot
        self.no_new_keyring = no_new_keyring
        self.preserve_fds = preserve_fds
        self.systemd_cgroup = systemd_cgroup
        self.rootless = rootless


class Creation:
    """A container that is being made, and everything that must be undone if it cannot be."""

    def __init__(self, options: CreateOptions, *, detached: bool, keeps_plan: bool = False) -> None:
        self.options = options
        self.detached = detached
        self.config = read_config(f"{options.bundle}/config.json", regular=True)
        self.has_warned = False
        self.plan_name: str | None = None  # under which the plan is kept, for `run` alone
        self.kept = self.find_plan() if keeps_plan else None
        self.spec: Spec = self.kept.spec if self.kept else spec.parse(self.config, self.warn)
        self.container: state.Container | None = None
        self.cgroup: Cgroup | None = None
        self.has_cgroup = False  # from when it is being made: before, what is there is not ours
        self.executor: executor.Executor | None = None
        self.master: int | None = None  # of the terminal, when nobody took it over a socket
        self.console: int | None = None
        self.pidfd_receiver: int | None = None
        self.devices: Devices | None = None  # of the host's network
        self.state_fd = -1
        self.fifo = -1
        self.home = b""
        self.preserved = 0
        self.environment: list[str] = []
        self.steps = STEPS
        self.facts: Facts
        self.plan: Plan

    def find_plan(self) -> "Entry | None":
        """Return the plan of the last time, and note under which name there shall be one."""
        from pyoci import plancache

        name = self.plan_name = plancache.key(self.config, self.options.bundle)
        return None if name is None else plancache.load(f"{self.options.root}/{PLANS}", name)

    def keep_plan(self) -> None:
        """Keep a plan that was compiled for the next time; for when the container works and nobody waits."""
        if self.plan_name is not None and not self.has_warned:
            from pyoci import plancache

            place = f"{self.options.root}/{PLANS}"
            plancache.save(place, self.plan_name, self.spec, self.facts, self.plan)

    def warn(self, text: str) -> None:
        """Pass a warning of the spec on; it is to be heard each time, so nothing is kept."""
        self.has_warned = True
        log.warning(text)

    def make(self) -> None:
        """Carry out every step; on any failure leave the host as it was and raise."""
        try:
            for step in self.steps:
                log.debug(f"create {self.options.id}: {step.__name__}")
                step(self)
        except BaseException:
            self.undo()
            raise
        finally:
            self.let_go()

    @property
    def made(self) -> state.Container:
        """The container, once its id is claimed."""
        assert self.container is not None
        return self.container

    def document(self, status: str, pid: int) -> dict[str, object]:
        """Return the state as hooks and agents read it, with this pid (runtime.md#state)."""
        return {**self.made.document(status), "pid": pid}

    def undo(self) -> None:
        """Kill, remove and forget what was made so far; nothing here may be interrupted."""
        _signal.pthread_sigmask(_signal.SIG_BLOCK, range(1, 32))
        if self.devices is not None:
            self.devices.take_back()
        self.let_go()  # what failed may be for want of descriptors, and undoing needs a few
        if self.executor is not None:
            if self.executor.pid:
                posix.kill(self.executor.pid, _SIGKILL)
                posix.waitpid(self.executor.pid, 0)
            self.executor.close()
        if self.container is None:
            return
        if self.executor is not None and self.container.record is not None:
            # The container existed: its end is an end like any other (runtime.md#lifecycle, step 12).
            self.container.run_poststop()
        if self.cgroup is not None and self.has_cgroup:
            self.cgroup.kill(_SIGKILL)
            self.cgroup.remove()
        self.container.leave_rdt()
        self.container.remove()

    def let_go(self) -> None:
        """Close what only the making needed."""
        for fd in (self.console, self.pidfd_receiver, self.state_fd, self.fifo):
            if fd is not None and fd >= 0:
                posix.close(fd)
        self.console = self.pidfd_receiver = None
        self.state_fd = self.fifo = -1
        if self.devices is not None:
            self.devices.close()
            self.devices = None
        if self.cgroup is not None:
            self.cgroup.close()


def check_request(creation: Creation) -> None:
    """Refuse what cannot work before anything is made: no process, no terminal to hand over, no descriptor."""
    options = creation.options
    posix.chdir(options.bundle)  # where hooks find themselves
    body = creation.spec["process"]
    if body is None:
        raise SpecError("/process", "process property must not be empty")
    if body["terminal"]:
        if creation.detached and not options.console_socket:
            raise UsageError(
                "cannot allocate tty if runc will detach without setting console socket"
            )
    elif options.console_socket:
        raise UsageError("cannot use console socket if runc will not detach or allocate tty")
    refuse_host_network(creation)
    if options.preserve_fds or variable("LISTEN_FDS"):
        take_descriptors(creation)
    if options.console_socket:
        from pyoci import handover

        creation.console = handover.connect(options.console_socket)
    if options.pidfd_socket:
        from pyoci import handover

        creation.pidfd_receiver = handover.connect(options.pidfd_socket)


def take_descriptors(creation: Creation) -> None:
    """Count the descriptors that pass through to the program: systemd's sockets first, then those asked for."""
    from pyoci import handover

    listening, creation.environment = handover.listen_fds()
    creation.preserved = listening + creation.options.preserve_fds
    handover.check_preserved(creation.preserved)


def refuse_host_network(creation: Creation) -> None:
    """Refuse net.* parameters where the network namespace joined by path is our own: they would be the host's."""
    linux = creation.spec["linux"]
    joined = [row["path"] for row in linux["namespaces"] if row["type"] == "network"]
    if not (joined and joined[0] and linux["sysctl"]):
        return
    from pyoci.plan import namespaces

    try:
        own, other = posix.stat("/proc/self/ns/net"), posix.stat(joined[0])
    except OSError:
        return  # the plan opens it and says what is wrong, with its place
    for key in linux["sysctl"]:
        if namespaces.sysctl_path(key).startswith("net/") and own.st_ino == other.st_ino:
            raise SpecError(
                "/linux/sysctl", f'sysctl "{key}" not allowed in host network namespace'
            )


def compile_plan(creation: Creation) -> None:
    """Compile everything that can be refused; of the host only our own directory is touched so far."""
    options = creation.options
    if variable("NOTIFY_SOCKET"):
        from pyoci import notify

        mount, entry = notify.prepare(f"{options.root}/{options.id}")
        creation.spec["mounts"].append(mount)
        creation.environment.append(entry)
    creation.facts = host.facts(
        creation.spec,
        options.bundle,
        options.id,
        creation.cgroup,
        no_pivot=options.no_pivot,
        no_new_keyring=options.no_new_keyring,
        preserved=creation.preserved,
    )
    warn_of_capabilities(creation)
    if creation.environment:
        creation.plan_name = None  # what our caller wants passed on is for this container only
    elif creation.kept is not None:
        plan = creation.kept.plan(creation.facts)
        if plan is not None:
            log.debug(f"create {options.id}: its plan is the one of the last time")
            creation.plan, creation.plan_name = plan, None
            return
    creation.plan = encode(compiled(creation), ops.INHERITED)


def compiled(creation: Creation) -> "Program":
    """Compile the filter, from its own cache where it can, and the plan: the same one each time."""
    from pyoci.plan import compile as compiler

    filter_, profile = None, creation.spec["linux"]["seccomp"]
    if profile is not None:
        from pyoci.seccomp import compile_filter

        filter_ = compile_filter(profile, f"{creation.options.root}/{FILTERS}")
    return compiler.create(creation.spec, creation.facts, filter_, creation.environment)


def find_cgroup(creation: Creation) -> "Cgroup":
    """Return where the container's cgroup will be, by the driver that was asked for."""
    options, path = creation.options, creation.spec["linux"]["cgroupsPath"]
    if not options.systemd_cgroup:
        return locate(path, options.id, options.rootless)
    from pyoci.cgroup.systemd import scope

    annotations = creation.spec["annotations"]
    return scope.locate(path, options.id, annotations, rootless=options.rootless)


def claim(creation: Creation) -> None:
    """Claim the id and write the journal, before anything of it exists elsewhere."""
    options, config = creation.options, creation.spec
    root = config["root"]
    assert root is not None
    path = root["path"]
    creation.cgroup = find_cgroup(creation)
    creation.cgroup.check()
    made = creation.container = state.make(options.root, options.id)
    record: Record = {
        "ociVersion": config["ociVersion"],
        "id": options.id,
        "status": "creating",
        "bundle": options.bundle,
        "rootfs": path if path.startswith("/") else f"{options.bundle}/{path}",
        "created": state.timestamp(),
        "annotations": config["annotations"],
        "boot": identity.boot_id(),
        "holder": identity.record(posix.getpid()),
        "init": None,
        "cgroup": creation.cgroup.record(),
        "rdt": None,
        "hook": None,
        "sharesPids": all(
            row["type"] != "pid" or row["path"] for row in config["linux"]["namespaces"]
        ),
        "startHooksAt": 0,
        "startHookSeconds": [hook["timeout"] for hook in config["hooks"]["startContainer"]],
        "poststart": config["hooks"]["poststart"],
        "poststop": config["hooks"]["poststop"],
    }
    made.record = record
    made.begin_journal()
    made.write(state.CONFIG, creation.config)


def warn_of_capabilities(creation: Creation) -> None:
    """Name the capabilities that were asked for and that we cannot give (config.md#process: SHOULD NOT fail)."""
    body = creation.spec["process"]
    sets = body["capabilities"] if body else None
    if sets is None:
        return
    for name in {*sets["bounding"], *sets["permitted"], *sets["effective"]}:
        bit = CAPABILITY_BITS.get(name.upper(), 0)
        if bit and not creation.facts.capabilities & bit:
            log.warning(f"capability {name} cannot be given: the runtime does not have it")


def settle_cgroup(creation: Creation) -> None:
    """Make the cgroup early where the plan must know what there is.

    An ordinary user may have to go without some, and a bind mount may have one for its source.
    """
    mounts = creation.spec["mounts"]
    if creation.options.rootless or any(f"{row['source']}/".startswith(_CGROUPS) for row in mounts):
        make_cgroup(creation)


def make_cgroup(creation: Creation) -> None:
    """Make and limit the cgroup before init exists: not even its first page is charged elsewhere."""
    if creation.cgroup is not None and not (creation.has_cgroup or creation.cgroup.unit):
        make_and_limit(creation, creation.cgroup)


def make_and_limit(creation: Creation, cgroup: "Cgroup") -> None:
    """Make the cgroup and write its limits; the record is that of what there is."""
    resources = creation.spec["linux"]["resources"]
    creation.has_cgroup = True
    cgroup.make(resources)
    made = cgroup.record()
    if made != creation.made.known()["cgroup"]:  # an ordinary user may have to go without some
        creation.made.known()["cgroup"] = made
        creation.made.save()
    for warning in cgroup.apply(resources):
        log.warning(warning)
    if cgroup.version == 2 and cgroup.parts and may_manage_cgroup(creation.spec):
        delegate_cgroup(creation)


def may_manage_cgroup(config: "Spec") -> bool:
    """Tell whether the container is to have cgroups of its own: its own namespace, and a mount to write to."""
    kinds = [(row["type"], row["path"]) for row in config["linux"]["namespaces"]]
    return ("cgroup", None) in kinds and any(
        mount["type"] in {"cgroup", "cgroup2"}
        and f"{clean(mount['destination'])}/" == _CGROUPS
        and "ro" not in mount["options"]
        for mount in config["mounts"]
    )


def delegate_cgroup(creation: Creation) -> None:
    """Give the cgroup to the container's user, as runc does with systemd's; an unmapped user has none."""
    from pyoci.cgroup import v2
    from pyoci.idmap import host_id

    assert creation.cgroup is not None
    linux, body = creation.spec["linux"], creation.spec["process"]
    inside = body["user"]["uid"] if body else 0
    in_user = any(row["type"] == "user" for row in linux["namespaces"])
    uid = host_id(linux["uidMappings"], inside) if in_user else inside
    if uid is not None and uid != posix.geteuid():
        refused = v2.delegate(creation.cgroup.parts[0], uid)
        if refused is not None:
            log.warning(f"the container cannot manage its cgroup: {refused}")


def enter_rdt(creation: Creation) -> None:
    """Put the set-up process, and with it init, into the container's resctrl groups."""
    wanted = creation.spec["linux"]["intelRdt"]
    if wanted is None:
        return
    from pyoci import rdt

    assert creation.executor is not None
    record = creation.made.known()
    groups = record["rdt"] = rdt.plan(wanted, creation.options.id)
    creation.made.save()
    rdt.make(wanted, groups, creation.executor.setup)


def make_fifo(creation: Creation) -> None:
    """Make the exec fifo; init holds both its ends, so that `start` finds a reader and init no end of file."""
    directory = creation.made.directory
    posix.mkfifo(state.FIFO, _FIFO_MODE, dir_fd=directory)
    flags = posix.O_RDWR | posix.O_CLOEXEC | posix.O_NOFOLLOW
    creation.fifo = posix.open(state.FIFO, flags, dir_fd=directory)
    creation.state_fd = posix.memfd_create("state", 1)


def start_set_up(creation: Creation) -> None:
    """Spawn the executor with its plan. From here on a failure must kill it."""
    inherited = (creation.fifo, creation.state_fd)
    creation.executor = executor.Executor(creation.plan, inherited, creation.preserved)
    if not creation.detached:
        # Needed soon; while the executor works, finding it costs nothing.
        import pyoci.terminal  # noqa: F401


def converse(creation: Creation) -> None:
    """Answer init until nothing but the program is left."""
    assert creation.executor is not None
    try:
        while True:
            report = creation.executor.receive()
            if report is None:
                raise died(creation)
            if report.kind == "passed":
                assert report.fd is not None
                PASSED[report.topic](creation, report.fd)
            elif report.kind == "asked":
                creation.executor.go(ASKED[report.topic](creation))
            else:
                break
    except executor.Failure as failure:
        from pyoci import diagnosis

        raise diagnosis.explain(failure, compiled(creation), creation.spec) from failure
    for warning in creation.executor.warnings:
        from pyoci import diagnosis

        log.warning(diagnosis.warn(warning, compiled(creation)))


def died(creation: Creation) -> PyociError:
    """Say why init, or the process that was to make it, ended without a word."""
    running = creation.executor
    assert running is not None
    status = running.reap()
    if creation.cgroup is not None and creation.cgroup.oom_kills():
        from pyoci.cgroup import oom

        why = oom.explain(creation.cgroup)
        return StepError(f"container init was OOM-killed (memory limit too low?): {why}")
    filtered = creation.made.known()["status"] == "created" and creation.spec["linux"]["seccomp"]
    if status == -_signal.SIGSYS or filtered:
        return StepError(
            "linux.seccomp: init ended once the filter was loaded: the profile must allow at least "
            "read, write, execve and exit_group",
            "/linux/seccomp",
        )
    how = f"signal {-status}" if status < 0 else f"exit status {status}"
    return StepError(f"container init ended unexpectedly ({how})")


def write_id_maps(creation: Creation) -> bytes:
    """Map the ids of the new user namespace."""
    from pyoci import idmap

    assert creation.executor is not None
    linux = creation.spec["linux"]
    idmap.write(creation.executor.pid, linux["uidMappings"], linux["gidMappings"])
    return b""


def move_net_devices(creation: Creation) -> bytes:
    """Move devices of the host into the container's network namespace."""
    assert creation.executor is not None
    from pyoci import netdevices

    creation.devices = netdevices.Devices(creation.executor.pid)
    creation.devices.move(creation.spec["linux"]["netDevices"])
    return b""


def run_runtime_hooks(creation: Creation) -> bytes:
    """Run prestart and createRuntime hooks, and leave the state for those that init runs itself."""
    assert creation.executor is not None
    entries = creation.spec["hooks"]
    pid = creation.executor.pid
    document = dumps(creation.document("creating", pid)).encode()
    from pyoci import hooks

    for kind, of_kind in (
        ("prestart", entries["prestart"]),
        ("createRuntime", entries["createRuntime"]),
    ):
        hooks.run(kind, of_kind, document, creation.made.journal_hook)
    creation.made.known()["hook"] = None
    put_state(creation, "creating")
    return b""


def put_state(creation: Creation, status: str) -> None:
    """Fill the memfd that is stdin of the hooks in the container, with the pid as they see it."""
    assert creation.executor is not None
    document = creation.document(status, identity.inner_pid(creation.executor.pid))
    posix.ftruncate(creation.state_fd, 0)
    posix.pwrite(creation.state_fd, dumps(document).encode(), 0)


def write_record(creation: Creation) -> bytes:
    """Make the container whole on disk: its init, its status."""
    assert creation.executor is not None
    body = creation.spec["process"]
    if body and body["selinuxLabel"]:
        from pyoci import labels

        labels.check(body, creation.executor.pid)
    if creation.spec["hooks"]["startContainer"]:
        put_state(creation, "created")
    if creation.cgroup is not None:
        creation.cgroup.tighten()
    record = creation.made.known()
    record["init"] = identity.record(creation.executor.pid)
    record["status"] = "created"
    behind = len(record["startHookSeconds"]) + _AFTER_HOOKS
    record["startHooksAt"] = creation.plan.count - behind
    creation.made.save()
    if creation.detached and creation.cgroup is not None:
        from pyoci import shortcut

        shortcut.write(creation.made, creation.cgroup, creation.spec["linux"]["resources"])
    return b""


def read_home(creation: Creation, fd: int) -> None:
    """Look the user up in the container's passwd file: through a descriptor, no path of the image is ours to follow."""
    from pyoci import passwd

    body = creation.spec["process"]
    assert body is not None
    creation.home = passwd.home(fd, body["user"]["uid"])
    posix.close(fd)


def tell_home(creation: Creation) -> bytes:
    """Answer with the user's home directory."""
    return creation.home


def take_console(creation: Creation, master: int) -> None:
    """Hand the terminal to who asked for it, or keep it for the foreground."""
    if creation.console is None:
        from pyoci import terminal

        creation.master = master
        terminal.adopt(master)
        return
    from pyoci import handover

    handover.send_fd(creation.console, master, b"/dev/ptmx")
    posix.close(master)


def take_listener(profile: "Seccomp", listener: int, pid: int, document: dict[str, object]) -> None:
    """Hand the seccomp listener to its agent."""
    from pyoci.seccomp import agent

    try:
        path, metadata = profile["listenerPath"] or "", profile["listenerMetadata"] or ""
        agent.send(path, listener, pid, metadata, document)
    finally:
        posix.close(listener)


def pass_listener(creation: Creation, listener: int) -> None:
    """Hand the listener of this container's filter to its agent."""
    assert creation.executor is not None
    profile = creation.spec["linux"]["seccomp"]
    assert profile is not None
    pid = creation.executor.pid
    take_listener(profile, listener, pid, creation.document("creating", pid))


def hand_over(creation: Creation) -> None:
    """Tell the callers: the pidfd on its socket, the pid file last."""
    assert creation.executor is not None
    pid = creation.executor.pid
    if creation.pidfd_receiver is not None:
        from pyoci import handover

        pidfd = posix.pidfd_open(pid)
        handover.send_fd(creation.pidfd_receiver, pidfd, b"standard")
        posix.close(pidfd)
    if creation.options.pid_file:
        from pyoci import handover

        handover.write_pid_file(creation.options.pid_file, pid)
    creation.executor.close()


def have_cgroups(creation: Creation) -> bytes:
    """Let the set-up process go on to its cgroups, which systemd, when it is the one, makes around it.

    Not before it waits for them: one that fails earlier must be there to say so.
    """
    if creation.cgroup is not None and creation.cgroup.unit:
        assert creation.executor is not None
        creation.cgroup.adopt(creation.executor.setup)
        make_and_limit(creation, creation.cgroup)
    return b""


ASKED: "dict[str, Callable[[Creation], bytes]]" = {
    "cgroups": have_cgroups,
    "home": tell_home,
    "id_maps": write_id_maps,
    "net_devices": move_net_devices,
    "runtime_hooks": run_runtime_hooks,
    "ready": write_record,
}
PASSED: "dict[str, Callable[[Creation, int], None]]" = {
    "console": take_console,
    "home": read_home,
    "listener": pass_listener,
}
assert {*ASKED, *PASSED} <= set(ops.TOPICS)

STEPS: "tuple[Callable[[Creation], None], ...]" = (
    check_request,  # sockets first: a caller that is not there is told so before anything is made
    claim,  # mkdir is the lock on the id; the journal names the cgroup before it exists
    settle_cgroup,  # before the plan, where that depends on what can be made
    compile_plan,  # pure, and the last of what config.json gets wrong is refused here
    make_fifo,  # before init, which holds it
    start_set_up,  # opens the sources of mounts and waits
    make_cgroup,  # meanwhile; before init, which is born in it
    enter_rdt,  # likewise
    converse,  # mounts, hooks, identity; ends with init ready and the record written
    hand_over,  # the pid file last: only a container that is whole can be found
)
