# SPDX-License-Identifier: Apache-2.0
"""Examine this host: what would keep an engine from using the runtime, and the command that mends it.

Each check is a function that yields findings; it reads what the kernel and the file system say and changes nothing.
"""

import posix

from pyoci.cgroup import layout
from pyoci.errors import Unsupported
from pyoci.idmap import HELPER_DIRECTORIES
from pyoci.linux.environment import variable
from pyoci.linux.process import CAPABILITIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    # What is wrong, what it keeps from working, the command that mends it.
    Finding = tuple[str, str, str]

EVERY = "every engine"
ROOTLESS = "podman and buildah of ordinary users"
# mount_setattr(2); what else the executor calls is older.
LEAST_KERNEL = (5, 12)
# What engines set a limit with. The same names in both versions of the cgroup file systems.
CONTROLLERS = ("cpu", "cpuset", "memory", "pids")
DELEGATE = (
    "mkdir -p /etc/systemd/system/user@.service.d && "
    r"printf '[Service]\nDelegate=cpu cpuset io memory pids\n' "
    "> /etc/systemd/system/user@.service.d/delegate.conf && systemctl daemon-reload"
)
_SEARCHABLE_BY_OTHERS = 0o001


def examine() -> "Iterator[Finding]":
    """Yield everything that is found, the worst first; nothing on a host that is fit for all engines."""
    for check in CHECKS:
        yield from check()


def kernel() -> "Iterator[Finding]":
    """The system calls that the executor cannot do without."""
    release = posix.uname().release
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2])
    if numbers < LEAST_KERNEL:
        yield f"Linux {release} lacks mount_setattr(2)", EVERY, "boot Linux 5.12 or newer"
    if _text("/proc/sys/vm/memfd_noexec") == "2":
        wrong = "no memfd may be executed, and the executor is one (vm.memfd_noexec=2)"
        yield wrong, EVERY, "sysctl -w vm.memfd_noexec=1"


def cgroups() -> "Iterator[Finding]":
    """A cgroup file system, with the controllers that limits are made of."""
    kind, hierarchies, _ = layout.find()
    if kind == "none":
        mend = "mount -t cgroup2 none /sys/fs/cgroup"
        yield "no cgroup file system is mounted", EVERY, mend
        return
    present = {name for row in hierarchies for name in row[0].split(",")}
    for row in hierarchies:
        present |= set(_text(f"{row[1]}/cgroup.controllers").split())
    missing = [name for name in CONTROLLERS if name not in present]
    if missing:
        wrong = f"cgroups ({kind}) without {', '.join(missing)}"
        flags = " ".join(f"cgroup_enable={name}" for name in missing)
        yield wrong, f"limits of {', '.join(missing)} under every engine", f"boot with {flags}"


def delegation() -> "Iterator[Finding]":
    """An ordinary user's own cgroup, with controllers (systemd's Delegate=)."""
    if posix.geteuid() == 0:
        return
    kind, hierarchies, _ = layout.find()
    limits = "limits of containers of ordinary users"
    if kind in {"v1", "hybrid"}:
        mend = "boot with systemd.unified_cgroup_hierarchy=1"
        yield f"cgroups ({kind}) cannot be delegated to users", limits, mend
    for _, mount, own in hierarchies if kind == "v2" else ():
        given = set(_text(f"{mount}{own}/cgroup.controllers").split())
        missing = [name for name in ("cpu", "memory", "pids") if name not in given]
        if missing or not posix.access(f"{mount}{own}/cgroup.procs", posix.W_OK):
            wrong = f"the user's cgroup {own} has no {', '.join(missing) or 'owner'}"
            yield wrong, limits, DELEGATE


def rights() -> "Iterator[Finding]":
    """The capabilities of root, which a container or a virtual machine may lack."""
    if posix.geteuid() != 0:
        return
    held = int(_field("/proc/self/status", "CapEff"), 16)
    names = {name: held >> bit & 1 for bit, name in enumerate(CAPABILITIES)}
    if not names["CAP_SYS_ADMIN"]:
        yield "root lacks CAP_SYS_ADMIN", EVERY, "run the engine with all capabilities"
    elif not names["CAP_SYS_RESOURCE"]:
        mend = "in containers.conf: [containers] default_ulimits = ['nofile=1024:4096', 'nproc=1024:4096']"
        yield (
            "root lacks CAP_SYS_RESOURCE",
            "podman: its default limits are higher than the host's",
            mend,
        )


def seccomp() -> "Iterator[Finding]":
    """The filters that every engine's default configuration asks for."""
    from pyoci.seccomp import features

    if not _exists("/proc/sys/kernel/seccomp/actions_avail"):
        yield (
            "this kernel has no seccomp filters",
            EVERY,
            "boot a kernel with CONFIG_SECCOMP_FILTER",
        )
    try:
        features.version()
    except Unsupported:
        yield "libseccomp is not installed", EVERY, "apt-get install libseccomp2"


def user_namespaces() -> "Iterator[Finding]":
    """What an ordinary user's engine begins with."""
    if _text("/proc/sys/user/max_user_namespaces") == "0":
        mend = "sysctl -w user.max_user_namespaces=65536"
        yield "no user namespace may be made (user.max_user_namespaces=0)", ROOTLESS, mend
    for name in (
        "kernel/unprivileged_userns_clone",
        "kernel/apparmor_restrict_unprivileged_userns",
    ):
        refused = "0" if name.endswith("clone") else "1"
        if _text(f"/proc/sys/{name}") == refused:
            setting = name.replace("/", ".")
            mend = f"sysctl -w {setting}={1 - int(refused)}"
            yield f"ordinary users may make no user namespace ({setting}={refused})", ROOTLESS, mend


def id_maps() -> "Iterator[Finding]":
    """The helpers that map more than one id, and the ids."""
    missing = [name for name in ("newuidmap", "newgidmap") if not _is_in(HELPER_DIRECTORIES, name)]
    if missing:
        wrong = f"{' and '.join(missing)} cannot be found"
        yield wrong, ROOTLESS, "apt-get install uidmap"
    user = _user_name()
    for file, option in (("subuid", "--add-subuids"), ("subgid", "--add-subgids")):
        owners = {line.split(":")[0] for line in _text(f"/etc/{file}").splitlines()}
        if user and not owners & {user, str(posix.geteuid())}:
            mend = f"usermod {option} 100000-165535 {user}"
            yield f"/etc/{file} gives {user} no ids", ROOTLESS, mend


def place() -> "Iterator[Finding]":
    """Where we are installed: a user's engine starts us as that user."""
    directory = __file__.rpartition("/")[0]
    while directory:
        if not posix.stat(directory).st_mode & _SEARCHABLE_BY_OTHERS:
            mend = "install into a place that all may read: pip install --prefix /usr/local ..."
            yield f"{directory}, where pyoci is installed, is closed to others", ROOTLESS, mend
            return
        directory = directory.rpartition("/")[0]


def helpers() -> "Iterator[Finding]":
    """Programs of others that single commands need."""
    directories = (*variable("PATH").split(":"), *HELPER_DIRECTORIES, "/usr/sbin", "/sbin")
    wanted = (
        ("criu", "checkpoint and restore", "apt-get install criu"),
        ("ps", "`ps` in a table, podman top with options of ps", "apt-get install procps"),
    )
    for name, what, mend in wanted:
        if not _is_in(directories, name):
            yield f"{name} cannot be found", what, mend
    if posix.geteuid() == 0 and _fails(directories, "criu", "check"):
        mend = "install a newer CRIU; `criu check` says what it misses"
        yield "CRIU cannot work on this kernel", "checkpoint and restore", mend


def systemd() -> "Iterator[Finding]":
    """Whom engines that are configured for systemd's cgroups ask."""
    if not _exists("/run/systemd/system"):
        mend = (
            "dockerd --exec-opt native.cgroupdriver=cgroupfs; podman --cgroup-manager=cgroupfs; "
            "kubelet: cgroupDriver: cgroupfs"
        )
        yield "systemd does not run", "engines whose cgroup driver is systemd", mend


CHECKS: "tuple[Callable[[], Iterator[Finding]], ...]" = (
    kernel,
    cgroups,
    rights,
    seccomp,
    delegation,
    user_namespaces,
    id_maps,
    place,
    systemd,
    helpers,
)


def _text(path: str) -> str:
    """Return what a file says, "" where there is none."""
    try:
        return layout.decoded(layout.read(path)).strip()
    except OSError:
        return ""


def _field(path: str, name: str) -> str:
    return _text(path).partition(f"{name}:")[2].split(None, 1)[0]


def _exists(path: str) -> bool:
    return posix.access(path, posix.F_OK)


def _is_in(directories: "tuple[str, ...]", name: str) -> bool:
    return any(posix.access(f"{directory}/{name}", posix.X_OK) for directory in directories)


def _fails(directories: "tuple[str, ...]", name: str, argument: str) -> bool:
    """Run a program, whose words nobody reads; one that is not there does not fail."""
    path = next((f"{one}/{name}" for one in directories if _is_in((one,), name)), "")
    if not path:
        return False
    quiet = [(posix.POSIX_SPAWN_OPEN, fd, "/dev/null", posix.O_RDWR, 0) for fd in (0, 1, 2)]
    child = posix.posix_spawn(path, [name, argument], posix.environ, file_actions=quiet)
    return posix.waitstatus_to_exitcode(posix.waitpid(child, 0)[1]) != 0


def _user_name() -> str:
    """Return the name of the ordinary user who asks; "" for root."""
    mine = str(posix.geteuid())
    rows = (line.split(":") for line in _text("/etc/passwd").splitlines())
    names = [row[0] for row in rows if row[2:3] == [mine]]
    return "" if mine == "0" else (names or [mine])[0]
