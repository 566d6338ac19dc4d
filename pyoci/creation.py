# SPDX-License-Identifier: Apache-2.0
"""Create: from a bundle to an init that waits for `start`. The order of the steps is the design; undo is total."""

import posix

from pyoci import executor, host, identity, log, spec, state
from pyoci.dialogue import converse
from pyoci.errors import CgroupError, SpecError, StateError, UsageError
from pyoci.linux.environment import variable
from pyoci.linux.process import CAPABILITY_BITS
from pyoci.placement import enter_rdt, find_cgroup, make_cgroup, settle_cgroup
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
    from pyoci.spec import Spec
    from pyoci.state import Record
else:
    import _signal

PLANS = ".plans"
FILTERS = ".seccomp"
_SIGKILL = 9
_FIFO_MODE = 0o600


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
        self.keeper: executor.Executor | None = None
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

    def compiled(self) -> "Program":
        """Compile the filter, from its own cache where it can, and the plan: the same one each time."""
        from pyoci.plan import compile as compiler

        filter_, profile = None, self.spec["linux"]["seccomp"]
        if profile is not None:
            from pyoci.seccomp import compile_filter

            filter_ = compile_filter(profile, f"{self.options.root}/{FILTERS}")
        return compiler.create(self.spec, self.facts, filter_, self.environment)

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
        if self.keeper is not None:
            self.keeper.close()
            self.keeper = None
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
    creation.plan = encode(creation.compiled(), ops.INHERITED)
    warn_of_mount_data(creation)


def claim(creation: Creation) -> None:
    """Claim the id and write the journal, before anything of it exists elsewhere."""
    options, config = creation.options, creation.spec
    root = config["root"]
    assert root is not None
    path = root["path"]
    creation.cgroup = find_cgroup(creation)
    try:
        creation.cgroup.check()
    except CgroupError:
        if posix.access(f"{options.root}/{options.id}", posix.F_OK):
            raise StateError(state.TAKEN) from None  # most likely that is whose cgroup it is
        raise
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


def warn_of_mount_data(creation: Creation) -> None:
    """Name the options of bind mounts that are for file systems: mount(2) ignores them (docs/adr/0013)."""
    from pyoci.plan.mounts import Entry

    for index, mount in enumerate(creation.spec["mounts"]):
        if mount["type"] == "bind" or {"bind", "rbind"} & set(mount["options"]):
            for number, key, _ in Entry(index, mount, creation.facts).options.data:
                creation.warn(
                    f"config.json: mounts[{index}].options[{number}]: a bind mount takes no {key}: "
                    "it has the options of the file system that it shows"
                )


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
        import pyoci.terminal  # noqa: F401 - loaded now, used soon


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
