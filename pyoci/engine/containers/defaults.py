# SPDX-License-Identifier: Apache-2.0
"""What every container gets unless told otherwise; nothing here is weaker than Docker's (docs/docker-notes.md)."""

CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
)
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SHM_BYTES = 64 << 20
STOP_SECONDS = 10
LOG_DRIVER = "json-file"
CGROUP_PARENT = "/pypod"
# The kernel's own: opened to any uid of the container, by Docker since version 20.
NETWORK_SYSCTLS = {
    "net.ipv4.ip_unprivileged_port_start": "0",
    "net.ipv4.ping_group_range": "0 2147483647",
}
# The runtime allows the devices of every container, and mknod, by itself.
DEVICE_RULES = ({"allow": False, "access": "rwm"},)


def mounts(shm_bytes: int) -> "list[dict[str, object]]":
    """Return the mounts of every container; sysfs and the cgroups are read-only."""
    return [
        _mount("/proc", "proc", "nosuid", "noexec", "nodev"),
        _mount("/dev", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _mount(
            "/dev/pts",
            "devpts",
            "nosuid",
            "noexec",
            "newinstance",
            "ptmxmode=0666",
            "mode=0620",
            "gid=5",
        ),
        _mount("/sys", "sysfs", "nosuid", "noexec", "nodev", "ro"),
        _mount("/sys/fs/cgroup", "cgroup", "ro", "nosuid", "noexec", "nodev"),
        _mount("/dev/mqueue", "mqueue", "nosuid", "noexec", "nodev"),
        _mount("/dev/shm", "tmpfs", "nosuid", "noexec", "nodev", "mode=1777", f"size={shm_bytes}"),
    ]


def _mount(destination: str, kind: str, *options: str) -> "dict[str, object]":
    return {"destination": destination, "type": kind, "source": kind, "options": [*options]}
