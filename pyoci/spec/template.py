# SPDX-License-Identifier: Apache-2.0
"""The config.json that `spec` writes: a shell in a read-only root, behind the usual walls."""

from pyoci import SPEC_VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    _Row = tuple[str, str, str, tuple[str, ...]]

_CAPABILITIES = ("CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE")
MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

# destination, type, source, options
_MOUNTS: "tuple[_Row, ...]" = (
    ("/proc", "proc", "proc", ()),
    ("/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k")),
    (
        "/dev/pts",
        "devpts",
        "devpts",
        ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
    ),
    ("/dev/shm", "tmpfs", "shm", ("nosuid", "noexec", "nodev", "mode=1777", "size=65536k")),
    ("/dev/mqueue", "mqueue", "mqueue", ("nosuid", "noexec", "nodev")),
    ("/sys", "sysfs", "sysfs", ("nosuid", "noexec", "nodev", "ro")),
    ("/sys/fs/cgroup", "cgroup", "cgroup", ("nosuid", "noexec", "nodev", "relatime", "ro")),
)
# Without a network namespace of its own a container gets the host's sysfs. "ro" is for /sys alone;
# "rro" covers what is mounted below it: the caller's own cgroup (CVE-2023-25809).
_HOST_SYS = ("/sys", "none", "/sys", ("rbind", "nosuid", "noexec", "nodev", "ro", "rro"))


def template(*, cgroup_namespace: bool) -> dict[str, object]:
    """Return the configuration for root; the cgroup namespace is for hosts with cgroup v2."""
    kinds = ["pid", "network", "ipc", "uts", "mount"] + ["cgroup"] * cgroup_namespace
    return {
        "ociVersion": SPEC_VERSION,
        "process": _process(),
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "runc",
        "mounts": [_mount(row) for row in _MOUNTS],
        "linux": {
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [{"type": kind} for kind in kinds],
            "maskedPaths": list(MASKED_PATHS),
            "readonlyPaths": list(READONLY_PATHS),
        },
    }


def rootless_template(uid: int, gid: int, *, cgroup_namespace: bool) -> dict[str, object]:
    """Return the configuration for a user: its own ids as root, the host's network, no limits."""
    kinds = ["pid", "ipc", "uts", "mount"] + ["cgroup"] * cgroup_namespace + ["user"]
    mounts = [_without_owner(row) for row in _MOUNTS if not row[0].startswith("/sys")]
    return template(cgroup_namespace=cgroup_namespace) | {
        "mounts": [_mount(row) for row in (*mounts, _HOST_SYS)],
        "linux": {
            "uidMappings": [{"containerID": 0, "hostID": uid, "size": 1}],
            "gidMappings": [{"containerID": 0, "hostID": gid, "size": 1}],
            "namespaces": [{"type": kind} for kind in kinds],
            "maskedPaths": list(MASKED_PATHS),
            "readonlyPaths": list(READONLY_PATHS),
        },
    }


def _without_owner(row: "_Row") -> "_Row":
    """Drop uid= and gid=: the user namespace has one id of each (the kernel would say EINVAL)."""
    destination, kind, source, options = row
    kept = (option for option in options if not option.startswith(("uid=", "gid=")))
    return destination, kind, source, tuple(kept)


def _process() -> dict[str, object]:
    return {
        "terminal": True,
        "user": {"uid": 0, "gid": 0},
        "args": ["sh"],
        "env": [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "TERM=xterm",
        ],
        "cwd": "/",
        "capabilities": {
            kind: list(_CAPABILITIES) for kind in ("bounding", "effective", "permitted")
        },
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
        "noNewPrivileges": True,
    }


def _mount(row: "_Row") -> dict[str, object]:
    destination, kind, source, options = row
    mount: dict[str, object] = {"destination": destination, "type": kind, "source": source}
    return mount | {"options": list(options)} if options else mount
