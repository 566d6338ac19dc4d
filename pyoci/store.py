# SPDX-License-Identifier: Apache-2.0
"""Keep on disk what was compiled, each thing named by everything that it was made from.

The directory is ours alone (owner, mode 0700, never a symlink) and every file carries a checksum
that covers its own name: what is damaged or misplaced is as good as missing. Nothing that goes
wrong here stops a container; the price is one more compilation.
"""

import _blake2
import posix
import sys

from pyoci import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

FILES = 64
LONGEST = 1 << 20
SONAME = "libseccomp.so.2"

# A file: magic, checksum, what is kept.
_MAGIC = b"pyoci\0\0\1"
_CONTENT = len(_MAGIC) + 32
_READ = posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_CLOEXEC | posix.O_NONBLOCK
_MAKE = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC


class Store:
    """The open directory, with `make` made where it is missing. A context manager; raises OSError when it is not ours alone."""

    __slots__ = ("_fd",)

    def __init__(self, directory: str, *, make: bool) -> None:
        try:
            self._fd = _open_private(directory)
        except FileNotFoundError:
            if not make:
                raise
            _make_directory(directory)
            self._fd = _open_private(directory)

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        posix.close(self._fd)

    def load(self, key: str) -> bytes | None:
        """Return what is kept under a key; None when there is no such file or it is not whole."""
        try:
            fd = posix.open(key, _READ, dir_fd=self._fd)
        except OSError:
            return None
        try:
            data = posix.read(fd, _size(fd))
        except OSError:
            return None
        finally:
            posix.close(fd)
        content = data[_CONTENT:]
        whole = data[:_CONTENT] == _MAGIC + _checksum(key, content)
        return content if whole else None

    def save(self, key: str, content: bytes) -> None:
        """Keep this under its key, in place of what is there; drop the oldest beyond FILES."""
        if len(content) > LONGEST - _CONTENT:
            return
        temporary = f".{key[:16]}.{posix.urandom(8).hex()}"
        try:
            fd = posix.open(temporary, _MAKE, 0o600, dir_fd=self._fd)
            _write(fd, _MAGIC + _checksum(key, content) + content)
            posix.rename(temporary, key, src_dir_fd=self._fd, dst_dir_fd=self._fd)
            self._drop_oldest()
        except OSError:
            self._remove(temporary)

    def _drop_oldest(self) -> None:
        names = posix.listdir(self._fd)
        if len(names) > FILES:
            for _, name in sorted((self._age(name), name) for name in names)[: len(names) - FILES]:
                self._remove(name)

    def _age(self, name: str) -> int:
        try:
            return posix.stat(name, dir_fd=self._fd, follow_symlinks=False).st_mtime_ns
        except FileNotFoundError:  # another pyoci was faster
            return 0

    def _remove(self, name: str) -> None:
        try:
            posix.unlink(name, dir_fd=self._fd)
        except OSError:
            return


def name(*made_from: object) -> str:
    """Return the name of a thing: a hash of its source, of us, of the kernel and of libseccomp."""
    host = posix.uname()
    everything = (__version__, host.release, host.machine, _library(), made_from)
    return _blake2.blake2b(ascii(everything).encode(), digest_size=32).hexdigest()


def library_file() -> str | None:
    """Return the path of libseccomp; None where it is in no usual place: the linker must look."""
    machine = getattr(sys.implementation, "_multiarch", "")
    for directory in (f"/usr/lib/{machine}", f"/lib/{machine}", "/usr/lib64", "/usr/lib", "/lib"):
        path = f"{directory}/{SONAME}"
        if posix.access(path, posix.R_OK):
            return path
    return None


def _library() -> tuple[str, int, int] | None:
    path = library_file()
    if path is None:
        return None
    status = posix.stat(path)
    return path, status.st_mtime_ns, status.st_size


def _make_directory(path: str) -> None:
    try:
        posix.mkdir(path, 0o700)
    except FileExistsError:
        return


def _open_private(path: str) -> int:
    fd = posix.open(path, _READ | posix.O_DIRECTORY)
    status = posix.fstat(fd)
    if status.st_uid == posix.geteuid() and not status.st_mode & 0o077:
        return fd
    posix.close(fd)
    raise PermissionError(1, "it is open to others", path)


def _size(fd: int) -> int:
    """Return how much of a file to read: nothing of one that is not a file of ours alone."""
    status = posix.fstat(fd)
    # 0o170177: the type, any right of others, and execution; 0o100000: a regular file.
    private = status.st_uid == posix.geteuid() and status.st_mode & 0o170177 == 0o100000
    return status.st_size if private and status.st_size <= LONGEST else 0


def _write(fd: int, data: bytes) -> None:
    try:
        if posix.write(fd, data) != len(data):
            raise OSError(28, "no space left on device")
    finally:
        posix.close(fd)


def _checksum(key: str, content: bytes) -> bytes:
    return _blake2.blake2b(key.encode() + content, digest_size=32).digest()
