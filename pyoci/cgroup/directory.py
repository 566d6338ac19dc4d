# SPDX-License-Identifier: Apache-2.0
"""One cgroup: a directory in one hierarchy, with its files.

What the host and config.json name is reached by its whole path: below a mount point of mountinfo
nothing leads out of the hierarchy, since a cgroup file system has no symbolic links, and nobody can
make one. What a container may have made below is reached step by step, however deep.
"""

import errno
import posix

from pyoci.errors import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    class Level(Protocol):
        """What is done at each level, with the paths of a directory and of its parent."""

        def __call__(self, parent: str, child: str, *, new: bool) -> None:
            """Do it; `new` tells whether the directory was just made."""


OPEN = posix.O_PATH | posix.O_DIRECTORY | posix.O_NOFOLLOW
READ = posix.O_RDONLY | posix.O_NOFOLLOW
WRITE = posix.O_WRONLY | posix.O_NOFOLLOW
CHUNK = 1 << 13  # more than a page, of which the kernel's pieces are
SHORT = 2048  # a list of pids comes in pieces of whole lines, each almost a page long but the last
GONE = (errno.ENOENT, errno.ENODEV)  # ENODEV: removed while it was open


class Directory:
    """The container's cgroup in one hierarchy; `name` is the hierarchy's ("" for version 2)."""

    __slots__ = ("fd", "full_path", "mount", "name", "path")

    def __init__(self, name: str, mount: str, path: str) -> None:
        self.name = name
        self.mount = mount
        self.path = path
        self.full_path = mount + path  # for people, and for those who open it themselves
        self.fd = -1

    def open(self) -> int:
        """Return a descriptor, which stays ours; FileNotFoundError without such a cgroup."""
        if self.fd < 0:
            fd = posix.open(self.full_path, OPEN)
            try:
                # A mount point where nothing is mounted now is a plain directory: leave it alone.
                posix.stat("cgroup.procs", dir_fd=fd, follow_symlinks=False)
            except BaseException:
                posix.close(fd)
                raise
            self.fd = fd
        return self.fd

    def make(self, level: "Level | None") -> bool:
        """Make the directory and the parents it lacks; return whether it is new."""
        if level is None:
            try:
                return make_one(self.full_path)
            except FileNotFoundError:
                level = only_make
        new, here = False, self.mount
        for part in self.path.split("/")[1:]:
            parent, here = here, f"{here}/{part}"
            new = make_one(here)
            try:
                level(parent, here, new=new)
            except BaseException:
                if new:
                    posix.rmdir(here)
                raise
        return new

    def close(self) -> None:
        """Close the descriptor; the directory stays."""
        if self.fd >= 0:
            posix.close(self.fd)
            self.fd = -1

    def write(self, file: str, value: str) -> None:
        """Write a value into one of the cgroup's files."""
        write(f"{self.full_path}/{file}", value.encode())

    def open_file(self, file: str, access: int) -> int:
        """Open one of the cgroup's files, to be read again and again or for many writes."""
        return posix.open(f"{self.full_path}/{file}", access | posix.O_NOFOLLOW)

    def read(self, file: str) -> bytes:
        """Return what one of the cgroup's files says."""
        return read(f"{self.full_path}/{file}")

    def value(self, file: str, key: bytes) -> int | None:
        """Return the number behind a key in a file such as cgroup.events; None without it."""
        try:
            lines = self.read(file).split(b"\n")
        except OSError as error:
            if error.errno in GONE:
                return None
            raise
        found = [line for line in lines if line.startswith(key + b" ")]
        return int(found[0][len(key) :]) if found else None

    def number(self, file: str) -> int | None:
        """Return the number in a file; None without such a file or where it says something else."""
        try:
            return int(self.read(file))
        except (OSError, ValueError):
            return None

    def has(self, file: str) -> bool:
        """Tell whether the cgroup has such a file."""
        return posix.access(f"{self.full_path}/{file}", posix.F_OK)

    def pids(self) -> list[int]:
        """Return the processes in this cgroup and all below it; none when it is gone."""
        try:
            fd = self.open()
        except OSError as error:
            if error.errno in GONE:
                return []
            raise
        found = processes(fd, "cgroup.procs")
        for parent, name in descendants(fd):
            found += processes(parent, f"{name}/cgroup.procs")
        return sorted(set(found))

    def rmdir(self) -> bool:
        """Remove the directory and those below; return whether it is gone, False while busy."""
        if not is_mounted(self.mount):
            return True
        path = self.full_path
        return remove(path) or (self.remove_descendants() and remove(path))

    def remove_descendants(self) -> bool:
        """Remove every cgroup below this one, deepest first; return whether all are gone."""
        try:
            busy = 0
            for parent, name in descendants(self.open()):
                busy += not remove(name, parent)
        except OSError as error:
            if error.errno in GONE:
                return True
            raise
        return not busy


def step(fd: int, part: str) -> int:
    """Return a descriptor of the directory `part` in `fd`, which is closed when that worked."""
    below = posix.open(part, OPEN, dir_fd=fd)
    posix.close(fd)
    return below


def is_mounted(mount: str) -> bool:
    """Tell whether a hierarchy is mounted now: if not, its mount point is a plain directory."""
    file = f"{mount}/cgroup.procs"
    try:
        return posix.access(file, posix.F_OK) or bool(posix.stat(file))  # which says why not
    except OSError as error:
        if error.errno in GONE:
            return False
        raise


def make_one(path: str) -> bool:
    """Make a directory; return whether it was not there before."""
    try:
        posix.mkdir(path, 0o755)
    except FileExistsError:
        return False
    return True


def only_make(parent: str, child: str, *, new: bool) -> None:
    """Do nothing more at a level than to make it."""
    del parent, child, new


def remove(path: str, below: int | None = None) -> bool:
    """Remove an empty cgroup; return whether it is gone, False with processes or children."""
    try:
        posix.rmdir(path, dir_fd=below)
    except OSError as error:
        if error.errno in GONE:
            return True
        if error.errno in (errno.EBUSY, errno.ENOTEMPTY):
            return False
        raise
    return True


def write(file: str, value: bytes, below: int | None = None) -> None:
    """Write a value into a file, of the cgroup `below` if any, at once: kernfs takes no second half."""
    target = posix.open(file, WRITE, dir_fd=below)
    try:
        posix.write(target, value)
    finally:
        posix.close(target)


def read(file: str, below: int | None = None) -> bytes:
    """Return all of a file, of the cgroup `below` if any."""
    source = posix.open(file, READ, dir_fd=below)
    try:
        text = piece = posix.read(source, CHUNK)
        while len(piece) > SHORT and (piece := posix.read(source, CHUNK)):
            text += piece
    finally:
        posix.close(source)
    return text


def processes(fd: int, file: str) -> list[int]:
    """Return the pids in a cgroup.procs file; those of other pid namespaces (0) are left out."""
    try:
        text = read(file, fd)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return processes_of_threads(fd, file.replace("cgroup.procs", "cgroup.threads"))
        if error.errno in GONE:
            return []
        raise
    return [pid for pid in map(int, text.split()) if pid]


def processes_of_threads(fd: int, file: str) -> list[int]:
    """Return the pids of the threads in a threaded cgroup, where cgroup.procs cannot be read (cgroups(7))."""
    found = set()
    try:
        for thread in read(file, fd).split():
            found.add(process_of(int(thread)))
    except OSError as error:
        if error.errno not in GONE:
            raise
    return [pid for pid in found if pid]


def process_of(thread: int) -> int:
    """Return the pid of the process that a thread belongs to, 0 when it has ended."""
    try:
        status = posix.open(f"/proc/{thread}/status", posix.O_RDONLY)
    except FileNotFoundError:
        return 0
    try:
        text = posix.read(status, CHUNK)
    except ProcessLookupError:
        return 0
    finally:
        posix.close(status)
    return int(text.partition(b"\nTgid:")[2].split(None, 1)[0])


def children(fd: int) -> list[str]:
    """Return the names of the cgroups in `fd`; they count as links, so most need no look."""
    if posix.fstat(fd).st_nlink <= 2:
        return []
    try:
        readable = posix.open(".", posix.O_RDONLY | posix.O_DIRECTORY, dir_fd=fd)
    except FileNotFoundError:
        return []
    try:
        with posix.scandir(readable) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    finally:
        posix.close(readable)


def descendants(top: int) -> "Iterator[tuple[int, str]]":
    """Yield (parent's descriptor, name) of each cgroup below `top`, deepest first.

    A container may nest its cgroups as deeply as it likes: one descriptor is open at a time, and no
    path is made that could be longer than PATH_MAX. In a cgroup file system `..` is safe: nothing
    moves to another parent there.
    """
    pending = [children(top)]
    if not pending[0]:
        return
    names: list[str] = []
    here = posix.open(".", OPEN, dir_fd=top)
    try:
        while pending:
            if not pending[-1]:
                pending.pop()
                if names:
                    here = step(here, "..")
                    yield here, names.pop()
                continue
            name = pending[-1].pop()
            try:
                here = step(here, name)
            except FileNotFoundError:
                continue
            names.append(name)
            pending.append(children(here))
    finally:
        posix.close(here)


def reason(error: OSError) -> str:
    """Return the kernel's reason in the lower case that engines match on (cli.md section 4)."""
    return posix.strerror(error.errno or 0).lower()


def refuse(what: str, error: OSError) -> CgroupError:
    """Return the error of an operation that the kernel refused."""
    return CgroupError(f"{what}: {reason(error)}")
