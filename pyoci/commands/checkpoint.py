# SPDX-License-Identifier: Apache-2.0
"""`checkpoint`: save the processes of a container in files, and end it."""

from pyoci.checkpoint import criu
from pyoci.checkpoint.dump import Options
from pyoci.errors import UsageError
from pyoci.linux.path import absolute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.commands.settings import Settings
    from pyoci.flags import Flag, Flags

BOTH: "tuple[Flag, ...]" = (
    ("image-path", "", "DIR", "directory of the images (default: ./checkpoint)"),
    (
        "work-path",
        "",
        "DIR",
        "directory of criu's log and statistics (default: that of the images)",
    ),
    ("parent-path", "", "DIR", "directory of an earlier pre-dump, relative to that of the images"),
    ("tcp-established", "", "", "allow open TCP connections"),
    ("tcp-close", "", "", "close open TCP connections"),
    ("ext-unix-sk", "", "", "allow unix sockets whose other end is outside"),
    ("shell-job", "", "", "allow a terminal that is outside"),
    ("file-locks", "", "", "allow file locks"),
    ("lazy-pages", "", "", "leave memory to be fetched when it is used (userfaultfd(2))"),
    ("manage-cgroups-mode", "", "MODE", "soft (default), full, strict or ignore"),
    ("empty-ns", "", "NAMESPACE...", "make this namespace, but restore nothing in it: network"),
    ("auto-dedup", "", "", "drop memory from earlier images that a later one replaces"),
    ("network-lock", "", "METHOD", "iptables (default), nftables or skip"),
)
FLAGS: "tuple[Flag, ...]" = (
    *BOTH,
    ("leave-running", "", "", "do not end the container"),
    ("pre-dump", "", "", "save memory only, and leave the container running"),
    ("status-fd", "", "N", "descriptor that gets a null byte once lazy pages can be served"),
    ("page-server", "", "ADDRESS:PORT", "send memory to a page server"),
    ("tcp-skip-in-flight", "", "", "leave out connections that are not accepted yet"),
    ("link-remap", "", "", "allow open files that have been unlinked"),
)
_SWITCHES = (
    "tcp-established",
    "tcp-close",
    "ext-unix-sk",
    "shell-job",
    "file-locks",
    "lazy-pages",
    "auto-dedup",
    "tcp-skip-in-flight",
    "link-remap",
)
_NETWORK = 0x40000000  # CLONE_NEWNET: what `empty_ns` takes


def check() -> None:
    """Fail where there is no criu: by `checkpoint --help` engines ask for that."""
    criu.find()


def run(arguments: list[str], flags: "Flags", settings: "Settings") -> int:
    """Save the container; it is deleted unless it is left running."""
    from pyoci import container

    leave, pre_dump = flags.is_on("leave-running"), flags.is_on("pre-dump")
    wanted = options(flags)
    container.checkpoint(settings.root(), arguments[0], wanted, pre_dump=pre_dump, leave=leave)
    return 0


def options(flags: "Flags") -> Options:
    """Return what checkpoint and restore are asked for; every path is absolute, but the parent's."""
    mode, lock = flags.text("manage-cgroups-mode"), flags.text("network-lock")
    if mode and mode not in criu.CGROUP_MODES:
        raise UsageError("Invalid manage cgroups mode")
    if lock and lock not in criu.NETWORK_LOCKS:
        raise UsageError(
            f'invalid value "{lock}" for --network-lock: not iptables, nftables or skip'
        )
    switches = {name.replace("-", "_"): True for name in _SWITCHES if flags.is_on(name)}
    work = flags.text("work-path")
    return Options(
        images=absolute(flags.text("image-path") or "checkpoint"),
        work=absolute(work) if work else "",
        parent=flags.text("parent-path"),
        flags=switches | _empty(flags.every("empty-ns")),
        page_server=_address(flags.text("page-server")),
        status_fd=flags.number("status-fd") if flags.is_given("status-fd") else -1,
        cgroup_mode=mode,
        network_lock=lock,
        lsm_profile=flags.text("lsm-profile"),
        lsm_mount_context=flags.text("lsm-mount-context"),
    )


def _empty(names: list[str]) -> dict[str, int]:
    for name in names:
        if name != "network":
            raise UsageError(f"namespace {name} is not supported")
    return {"empty_ns": _NETWORK} if names else {}


def _address(text: str) -> tuple[str, int] | None:
    if not text:
        return None
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isdigit()):
        raise UsageError("Use --page-server ADDRESS:PORT to specify page server")
    return host.strip("[]"), int(port)
