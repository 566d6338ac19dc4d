# SPDX-License-Identifier: Apache-2.0
"""Where pypod keeps its things: the root, which survives a boot, and the run directory, which does not.

ROOT/pypod.db       names and relations           ROOT/images/      an OCI image layout
ROOT/layers/        extracted layers, by diff id  ROOT/snapshots/   writable layers, by container
ROOT/staging/       what is being made            ROOT/containers/, ROOT/volumes/
ROOT/events.jsonl   what has happened             ROOT/base/        what every container is given, below its image
ROOT/reserve        a piece of the disk, given up when that is full, so that what removes can write
"""

import posix

from pyoci.engine.errors import EngineError
from pyoci.identity import read
from pyoci.linux.environment import variable
from pyoci.linux.path import absolute

_RESERVE, _RESERVED = "reserve", 256 << 10
_EVERY_ID = [b"0", b"0", b"4294967295"]


class Places:
    """The two directories of one pypod; paths below them are the business of who owns them."""

    __slots__ = ("root", "run")

    def __init__(self, root: str, run: str) -> None:
        self.root = root
        self.run = run

    def directory(self, *names: str) -> str:
        """Return a directory below the root, made when it is missing; others cannot enter (setuid files of images)."""
        path = self.root
        make_private(path)
        for name in names:
            path = f"{path}/{name}"
            make_private(path)
        return path

    def environment(self) -> dict[bytes, bytes]:
        """Return the variables by which another pypod finds the same places."""
        pairs = (("PYPOD_ROOT", self.root), ("PYPOD_RUN", self.run))
        return {name.encode(): path.encode("utf-8", "surrogateescape") for name, path in pairs}

    def make_room(self) -> None:
        """Give the reserve up where the disk is full: the database needs some of it, to forget what is removed."""
        try:
            disk = posix.statvfs(self.root)
            if disk.f_bavail * disk.f_frsize < _RESERVED:
                posix.unlink(f"{self.root}/{_RESERVE}")
        except FileNotFoundError:
            return

    def keep_reserve(self) -> None:
        """Have a reserve, if there is room for one."""
        path = f"{self.root}/{_RESERVE}"
        try:
            fd = posix.open(path, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC)
        except OSError:  # there is one, or there is no root yet, or no room
            return
        for size in (_RESERVED, _RESERVED // 2, _RESERVED // 4):
            try:
                posix.posix_fallocate(fd, 0, size)
                break
            except OSError:
                continue
        posix.close(fd)


def find(root: str = "", run: str = "") -> Places:
    """Return the places: as given, else from PYPOD_ROOT and PYPOD_RUN, else those of root or of the user."""
    root = root or variable("PYPOD_ROOT") or _default_root()
    run = run or variable("PYPOD_RUN") or _default_run()
    return Places(absolute(root), absolute(run))


def is_rootless() -> bool:
    """Tell whether we lack the powers of the host's root: another uid, or a user namespace (user_namespaces(7))."""
    return posix.geteuid() != 0 or read("/proc/self/uid_map").split() != _EVERY_ID


def make_private(path: str) -> None:
    """Make a directory and its missing parents, the last for us alone; one that exists stays as it is."""
    try:
        posix.mkdir(path, 0o700)
    except FileExistsError:
        return
    except FileNotFoundError:
        make_private(path.rpartition("/")[0])
        make_private(path)
    except OSError as error:
        raise EngineError(f"mkdir {path}: {(error.strerror or '').lower()}") from error


def _default_root() -> str:
    if not is_rootless():
        return "/var/lib/pypod"
    return f"{variable('XDG_DATA_HOME') or _home() + '/.local/share'}/pypod"


def _default_run() -> str:
    if not is_rootless():
        return "/run/pypod"
    return f"{variable('XDG_RUNTIME_DIR') or f'/run/user/{posix.getuid()}'}/pypod"


def _home() -> str:
    home = variable("HOME")
    if not home.startswith("/"):
        raise EngineError("HOME is not set: say with --root where pypod keeps its things")
    return home
