# SPDX-License-Identifier: Apache-2.0
"""System calls that this Python lacks, for the tests only."""

import ctypes
import os

PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
MS_RDONLY = 1
MS_NOSUID = 2
MS_BIND = 4096
MS_REC = 16384
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def version() -> tuple[int, int]:
    """Return major and minor version of the kernel."""
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int(minor)


def become_subreaper() -> None:
    """Make every orphan below this process its child: prctl(2)."""
    _check(_libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")


def unshare(namespaces: int) -> None:
    """Leave the namespaces of these kinds for new ones: unshare(2)."""
    _check(_libc.unshare(namespaces), "unshare")


def unshare_mounts() -> None:
    """Enter a mount namespace of our own, from which nothing propagates to the host."""
    unshare(CLONE_NEWNS)
    mount("none", "/", "", MS_REC | MS_PRIVATE)


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    """Call mount(2)."""
    arguments = (source.encode(), target.encode(), kind.encode(), flags, data.encode())
    _check(_libc.mount(*arguments), f"mount {target}")


def umount(target: str, flags: int = 0) -> None:
    """Call umount2(2)."""
    _check(_libc.umount2(target.encode(), flags), f"umount {target}")


def join_network(pid: int) -> None:
    """Move the calling thread, and no other, into the network namespace of a process."""
    descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(descriptor, CLONE_NEWNET), "setns")
    finally:
        os.close(descriptor)
