# SPDX-License-Identifier: Apache-2.0
"""Copy from a source into the root of a stage: COPY and ADD, and the directory of WORKDIR.

Both sides are open directories; the target's links are followed as after chroot(2), down to where the copy begins, and none below
that (openat2(2)). What is there is replaced, directories are merged (BuildKit: solver/llbsolver/file, tonistiigi/fsutil/copy).
"""

import errno
import os
import stat

from pyoci.engine.build.sources import xattrs
from pyoci.engine.errors import EngineError
from pyoci.engine.mounts import BELOW, open_below

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.build.sources import Entry, Found, Source

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PIECE = 1 << 30


class Target:
    """The root that is copied into; `owner` and `mode` are what --chown and --chmod say, None for nothing."""

    __slots__ = ("mode", "owner", "root")

    def __init__(
        self, root: int, owner: tuple[int, int] | None = None, mode: int | None = None
    ) -> None:
        self.root = root
        self.owner = owner
        self.mode = mode

    def directory(self, path: str) -> int:
        """Open a directory, made with its parents where it is missing."""
        missing: list[str] = []
        fd = self._deepest(path, missing)
        while missing:
            above, name = fd, missing.pop()
            try:
                os.mkdir(name, 0o755, dir_fd=above)
                os.chown(name, *(self.owner or (0, 0)), dir_fd=above)
                fd = os.open(name, _DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
            finally:
                os.close(above)
        return fd

    def _deepest(self, path: str, missing: list[str]) -> int:
        """Open what there is of a path; `missing` are then the rest of its names, the last one first."""
        while True:
            try:
                return open_below(self.root, path, _DIRECTORY)
            except FileNotFoundError:
                path, _, name = path.rpartition("/")
                missing.append(name)

    def is_directory(self, path: str) -> bool:
        """Tell whether a path is a directory, or leads to one."""
        try:
            os.close(open_below(self.root, path, _DIRECTORY))
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def copy(self, source: "Source", found: "Found", path: str) -> None:
        """Copy a tree's content into a directory; or a file into one, when the path ends in / or is one, else to that path."""
        entries = source.entries(found.path)
        try:
            if stat.S_ISDIR(entries[0].status.st_mode):
                _Copy(self, source, found.path).tree(entries, path.rstrip("/"))
                return
            clean = path.rstrip("/")
            if path.endswith("/") or self.is_directory(clean):
                parent, name = clean, found.name
            else:
                parent, _, name = clean.rpartition("/")
            _Copy(self, source, found.path).file(entries[0], parent, name)
        except OSError as error:
            if error.errno == errno.ENOTDIR:
                raise EngineError(f"cannot copy to non-directory: {path}") from error
            raise


class _Copy:
    """One tree or file that is being copied."""

    def __init__(self, target: Target, source: "Source", path: str) -> None:
        self.target = target
        self.source = source
        self.path = path
        self.links: dict[tuple[int, int], str] = {}  # what has several names, by inode

    def file(self, entry: "Entry", parent: str, name: str) -> None:
        """Copy one file into a directory, under a name."""
        directory = self.target.directory(parent)
        try:
            self._put(entry, directory, name)
        finally:
            os.close(directory)

    def tree(self, entries: "list[Entry]", path: str) -> None:
        """Copy what is in a directory; the target keeps its own attributes where it is there already."""
        is_new = not self.target.is_directory(path)
        top = self.target.directory(path)
        directories = [(".", entries[0])] if is_new else []
        try:
            parent, opened = "", os.dup(top)
            try:
                for entry in entries[1:]:
                    above, _, name = entry.path.rpartition("/")
                    if above != parent:
                        os.close(opened)
                        parent, opened = above, open_below(top, above, _DIRECTORY, BELOW)
                    if stat.S_ISDIR(entry.status.st_mode):
                        self._make_directory(opened, name)
                        directories.append((entry.path, entry))
                    else:
                        self._put(entry, opened, name, top)
            finally:
                os.close(opened)
            for where, entry in reversed(directories):
                self._finish_directory(top, where, entry.status)
        finally:
            os.close(top)

    def _make_directory(self, directory: int, name: str) -> None:
        try:
            os.mkdir(name, 0o755, dir_fd=directory)
        except FileExistsError:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                raise EngineError(f"cannot copy to non-directory: {name}") from None

    def _finish_directory(self, top: int, path: str, status: os.stat_result) -> None:
        fd = open_below(top, path, _DIRECTORY, BELOW)
        try:
            self._describe(fd, status)
        finally:
            os.close(fd)

    def _put(self, entry: "Entry", directory: int, name: str, top: int = -1) -> None:
        """Make a file of any kind; what has the name before goes, unless it is a directory."""
        status = entry.status
        try:
            os.unlink(name, dir_fd=directory)
        except FileNotFoundError:
            pass
        except IsADirectoryError:
            raise EngineError(f"cannot replace to directory {name} with file") from None
        inode = (status.st_dev, status.st_ino)
        if top >= 0 and status.st_nlink > 1:
            first = self.links.setdefault(inode, entry.path)
            if first != entry.path:
                os.link(first, name, src_dir_fd=top, dst_dir_fd=directory, follow_symlinks=False)
                return
        where = f"{self.path}/{entry.path}".strip("/")
        if stat.S_ISREG(status.st_mode):
            self._put_regular(where, status, directory, name)
            return
        if stat.S_ISLNK(status.st_mode):
            os.symlink(self.source.link(where), name, dir_fd=directory)
        else:
            os.mknod(name, status.st_mode, status.st_rdev, dir_fd=directory)
        os.chown(name, *self._owner(status), dir_fd=directory, follow_symlinks=False)
        times = (status.st_mtime_ns, status.st_mtime_ns)
        os.utime(name, ns=times, dir_fd=directory, follow_symlinks=False)

    def _put_regular(self, path: str, status: os.stat_result, directory: int, name: str) -> None:
        fds = [self.source.open(path)]
        try:
            fds.append(os.open(name, _NEW, 0o600, dir_fd=directory))
            copy_content(fds[0], fds[1])
            self._describe(fds[1], status)
            for key, value in xattrs(fds[0]):
                os.setxattr(fds[1], key, value)
        finally:
            for fd in fds:
                os.close(fd)

    def _describe(self, fd: int, status: os.stat_result) -> None:
        """Set owner, mode and time; the owner first, for chown(2) clears set-user-ID."""
        os.fchown(fd, *self._owner(status))
        mode = self.target.mode
        os.fchmod(fd, stat.S_IMODE(status.st_mode) if mode is None else mode)
        os.utime(fd, ns=(status.st_mtime_ns, status.st_mtime_ns))

    def _owner(self, status: os.stat_result) -> tuple[int, int]:
        if self.target.owner is not None:
            return self.target.owner
        return (status.st_uid, status.st_gid) if self.source.keeps_owners else (0, 0)


def copy_content(source: int, target: int) -> None:
    """Copy a whole file; by reference where the file system can (copy_file_range(2))."""
    try:
        while os.copy_file_range(source, target, _PIECE):
            pass
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        while os.sendfile(target, source, None, _PIECE):
            pass


def write(path: str, content: bytes, mode: int) -> None:
    """Write a new file of these permissions."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(content)
        os.fchmod(fd, mode)
