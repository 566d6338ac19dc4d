# SPDX-License-Identifier: Apache-2.0
"""Where COPY, ADD and bind mounts take files from: the context, another stage, an image, an unpacked archive.

A source is an open directory, out of which no link leads (openat2(2)). What is in it is named, listed and digested here; a digest
covers what a copy would have: names, kinds, modes, owners, attributes, contents; not the times.
"""

import os
import stat
import time
from _blake2 import blake2b

from pyoci.engine.below import open_below, open_within
from pyoci.engine.build.patterns import Ignore, is_wild, translated
from pyoci.engine.errors import EngineError
from pyoci.linux.path import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pyoci.engine.build.known import Known

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
_XATTRS = ("user.", "security.capability")
_CONTEXT = "the build context"
_DEEPEST = 1000
_DIGEST_BYTES = 32
_PIECE = 1 << 20


class Found:
    """What a pattern has found: `path` without links, and the `name` that a copy in a directory gets."""

    __slots__ = ("is_directory", "name", "path")

    def __init__(self, path: str, name: str, *, is_directory: bool = False) -> None:
        self.path = path
        self.name = name
        self.is_directory = is_directory


class Entry:
    """One file of a tree, by its path below the tree's top; "" is the top itself."""

    __slots__ = ("path", "status")

    def __init__(self, path: str, status: os.stat_result) -> None:
        self.path = path
        self.status = status


class Source:
    """An open directory; `keeps_owners` unless it is the user's own, whose files become root's."""

    __slots__ = ("_digests", "excluded", "fd", "ignore", "keeps_owners", "known", "name", "path")

    def __init__(
        self, path: str, name: str = _CONTEXT, ignore: "Ignore | None" = None, *, keeps_owners: bool
    ) -> None:
        self.path = path
        self.name = name
        self.ignore = ignore or Ignore(())
        self.excluded = Ignore(())  # what of each tree, from its top on, is left out
        self.keeps_owners = keeps_owners
        self.known: Known | None = None  # the digests of the last build
        self._digests: dict[str, str] = {}  # of layers, which nobody changes
        self.fd = os.open(path, _DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Let go of the directory."""
        os.close(self.fd)

    def excluding(self, patterns: "Iterable[str]") -> "Source":
        """Return the same without what these patterns fit, too (--exclude)."""
        lines = [*patterns]
        if not lines:
            return self
        other = Source(self.path, self.name, self.ignore, keeps_owners=self.keeps_owners)
        other.excluded, other.known = Ignore(lines), self.known
        return other

    def find(self, pattern: str) -> list[Found]:
        """Return what a pattern means, in order of names. Raises EngineError where there is nothing."""
        path = clean("/" + pattern).lstrip("/")
        found = [*self._matches(path)] if is_wild(path) else [*self._plain(path)]
        if not found:
            excluded = " or excluded by .dockerignore" if self.ignore else ""
            raise EngineError(f'"/{path}": not found in {self.name}{excluded}')
        return found

    def _plain(self, path: str) -> "Iterator[Found]":
        try:
            fd = open_within(self.fd, path, os.O_PATH)
        except (FileNotFoundError, NotADirectoryError):
            return
        try:
            real = os.readlink(f"/proc/self/fd/{fd}")
            is_directory = stat.S_ISDIR(os.fstat(fd).st_mode)
        finally:
            os.close(fd)
        top = os.readlink(f"/proc/self/fd/{self.fd}").rstrip("/")
        inside = real[len(top) :].lstrip("/")
        excluded = inside and self.ignore.excludes(inside)
        name = path.rpartition("/")[2]
        if not is_directory and self.excluded.excludes(name):
            return
        if not excluded or (is_directory and self.ignore.has_exceptions):
            yield Found(inside, name, is_directory=is_directory)

    def _matches(self, pattern: str) -> "Iterator[Found]":
        """Yield what a pattern with wildcards fits: each of its components is matched by itself."""
        directories = [""]
        *parents, last = pattern.split("/")
        for part in parents:
            directories = [
                path for path in self._expand(directories, part) if self._is_directory(path)
            ]
        for path in self._expand(directories, last):
            yield from self._plain(path)

    def _expand(self, directories: list[str], part: str) -> list[str]:
        if not is_wild(part):
            return [f"{directory}/{part}".lstrip("/") for directory in directories]
        rule = translated(part, below=False)
        found = []
        for directory in directories:
            fd = open_within(self.fd, directory, _DIRECTORY)
            try:
                names = sorted(filter(rule.fullmatch, os.listdir(fd)))
            finally:
                os.close(fd)
            found += [f"{directory}/{name}".lstrip("/") for name in names]
        return found

    def _is_directory(self, path: str) -> bool:
        try:
            os.close(open_within(self.fd, path, _DIRECTORY))
        except OSError:
            return False
        return True

    def entries(self, path: str) -> list[Entry]:
        """Return a tree, or one file, each directory before what is in it; without what is excluded."""
        fd = open_below(self.fd, path, os.O_PATH)
        status = os.fstat(fd)
        os.close(fd)
        found = [Entry("", status)]
        if stat.S_ISDIR(status.st_mode):
            top = open_below(self.fd, path, _DIRECTORY)
            try:
                self._list(top, f"{path}/" if path else "", found)
            finally:
                os.close(top)
        return found

    def _list(self, top: int, above: str, found: list[Entry]) -> None:
        """Add what is in a directory and below it; without recursion: a stranger may have made it deep."""
        left = [
            ("", _listed(top, ""), -1)
        ]  # each directory: what of it is left, and where it stands if it is excluded
        while left:
            prefix, names, place = left[-1]
            if not names:
                left.pop()
                if place == len(found) - 1:
                    found.pop()  # it would be there for what is excepted only
                continue
            name, status = names.pop()
            path = prefix + name
            excluded = bool(self.ignore) and self.ignore.excludes(above + path)
            if self.excluded and self.excluded.excludes(path):
                continue
            if not stat.S_ISDIR(status.st_mode):
                if not excluded and not stat.S_ISSOCK(status.st_mode):
                    found.append(Entry(path, status))
            elif not excluded or self.ignore.has_exceptions:
                if len(left) > _DEEPEST:
                    raise EngineError(
                        f"{self.name}: directories are nested more than {_DEEPEST} deep"
                    )
                found.append(Entry(path, status))
                left.append((f"{path}/", _listed(top, path), len(found) - 1 if excluded else -1))

    def open(self, path: str) -> int:
        """Open a file for reading."""
        return open_below(self.fd, path, os.O_RDONLY)

    def link(self, path: str) -> str:
        """Return what a symbolic link says."""
        fd = open_below(self.fd, path, os.O_PATH)
        try:
            return os.readlink("", dir_fd=fd)
        finally:
            os.close(fd)

    def digest(self, path: str) -> str:
        """Return the digest of a tree or a file, as it is now."""
        if not self.keeps_owners:
            return self._digest(path)
        if path not in self._digests:
            self._digests[path] = self._digest(path)
        return self._digests[path]

    def _digest(self, path: str) -> str:
        whole = blake2b(digest_size=_DIGEST_BYTES)
        for entry in self.entries(path):
            status = entry.status
            where = f"{path}/{entry.path}".strip("/")
            owner = (status.st_uid, status.st_gid) if self.keeps_owners else (0, 0)
            content = b""
            if stat.S_ISREG(status.st_mode):
                content = self._content_digest(where, status)
            elif stat.S_ISLNK(status.st_mode):
                content = os.fsencode(self.link(where))
            fields = (oct(status.st_mode), owner, status.st_rdev if _is_device(status) else 0)
            whole.update(f"{fields} {len(os.fsencode(entry.path))} {len(content)} ".encode())
            whole.update(os.fsencode(entry.path) + content)
        return whole.hexdigest()

    def _content_digest(self, path: str, status: os.stat_result) -> bytes:
        """Return the digest of a file's content and attributes: what is known of this status, or what is read."""
        if self.known is None:
            return _read_digest(self.open(path))[0].encode()
        digest = self.known.find(status)
        if not digest:
            begun = time.time_ns()
            digest, read = _read_digest(self.open(path))
            if read is not None:
                self.known.keep(read, digest, begun)
        return digest.encode()


def _listed(top: int, path: str) -> list[tuple[str, os.stat_result]]:
    """Return the files of a directory, the last one first."""
    fd = open_below(top, path, _DIRECTORY)
    try:
        names = sorted(os.listdir(fd), reverse=True)
        return [(name, os.stat(name, dir_fd=fd, follow_symlinks=False)) for name in names]
    finally:
        os.close(fd)


def _read_digest(fd: int) -> tuple[str, os.stat_result | None]:
    """Return the digest of an open file, which is closed, and its status; None when it was changed meanwhile."""
    content = blake2b(digest_size=_DIGEST_BYTES)
    try:
        before = os.fstat(fd)
        while piece := os.read(fd, _PIECE):
            content.update(piece)
        for name, value in xattrs(fd):
            content.update(b" %s=%d:%s" % (os.fsencode(name), len(value), value))
        after = os.fstat(fd)
    finally:
        os.close(fd)
    same = (before.st_size, before.st_ctime_ns) == (after.st_size, after.st_ctime_ns)
    return content.hexdigest(), after if same else None


def xattrs(fd: int) -> list[tuple[str, bytes]]:
    """Return the attributes that a copy keeps: the user's own, and capabilities."""
    try:
        names = os.listxattr(fd)
    except OSError:
        return []  # the file system has none
    return [(name, os.getxattr(fd, name)) for name in sorted(names) if name.startswith(_XATTRS)]


def _is_device(status: os.stat_result) -> bool:
    return stat.S_ISBLK(status.st_mode) or stat.S_ISCHR(status.st_mode)
