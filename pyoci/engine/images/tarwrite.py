# SPDX-License-Identifier: Apache-2.0
"""Write a tar stream: ustar where it suffices, pax records where not; the same bytes for the same tree.

`tree` reads a directory that a container may be changing: each step goes from a descriptor to a name in it, never through a
symbolic link, and what is no longer what it was a moment ago is left out. Times are whole seconds, as Docker's.
"""

import errno
import os
import stat

from pyoci.engine.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

BLOCK = 512
END = bytes(2 * BLOCK)
CHUNK = 1 << 20
_LARGEST_OCTAL = {8: 0o7777777, 12: 0o77777777777}
_TYPES = {
    stat.S_IFREG: b"0",
    stat.S_IFLNK: b"2",
    stat.S_IFCHR: b"3",
    stat.S_IFBLK: b"4",
    stat.S_IFDIR: b"5",
    stat.S_IFIFO: b"6",
}
_XATTRS = ("user.", "security.capability", "trusted.", "system.posix_acl_")
_OVERLAY = ("trusted.overlay.", "user.overlay.")
_OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque")
_DEEPEST = 1024  # directories that are open at once
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class Member:
    """What a header says."""

    __slots__ = (
        "device",
        "gid",
        "kind",
        "mode",
        "mtime",
        "name",
        "size",
        "target",
        "uid",
        "xattrs",
    )

    def __init__(self, name: bytes, kind: bytes, mode: int, size: int = 0) -> None:
        self.name = name
        self.kind = kind
        self.mode = mode
        self.size = size
        self.uid = self.gid = self.mtime = self.device = 0
        self.target = b""
        self.xattrs: dict[bytes, bytes] = {}

    def header(self) -> bytes:
        """Return the header, after a pax header for what does not fit into it."""
        records = {b"SCHILY.xattr." + name: value for name, value in self.xattrs.items()}
        name, prefix = _split(self.name)
        if len(name) > 100:
            records[b"path"] = self.name
        if len(self.target) > 100:
            records[b"linkpath"] = self.target
        for key, value, width in (
            (b"size", self.size, 12),
            (b"uid", self.uid, 8),
            (b"gid", self.gid, 8),
        ):
            if value > _LARGEST_OCTAL[width]:
                records[key] = str(value).encode()
        if not 0 <= self.mtime <= _LARGEST_OCTAL[12]:
            records[b"mtime"] = str(self.mtime).encode()
        block = self._block(name[:100], prefix)
        return _pax(records) + block if records else block

    def _block(self, name: bytes, prefix: bytes) -> bytes:
        major, minor = os.major(self.device), os.minor(self.device)
        numbers = (
            _octal(self.mode, 8),
            _octal(self.uid, 8),
            _octal(self.gid, 8),
            _octal(self.size, 12),
            _octal(self.mtime, 12),
        )
        head = name.ljust(100, b"\0") + b"".join(numbers)
        tail = self.kind + self.target[:100].ljust(100, b"\0") + b"ustar\x0000" + bytes(64)
        tail += _octal(major, 8) + _octal(minor, 8) + prefix.ljust(155, b"\0") + bytes(12)
        checksum = sum(head) + sum(tail) + 8 * 0x20
        return head + b"%06o\0 " % checksum + tail


def file_entry(name: str, content: bytes | None, size: int = 0) -> bytes:
    """Return a file of an archive, whole; without content its header, for so many bytes that follow."""
    member = Member(name.encode(), b"0", 0o644, size if content is None else len(content))
    if content is None:
        return member.header()
    return member.header() + content + bytes(-len(content) % BLOCK)


def tree(
    directory: int, *, whiteouts: bool, without: "frozenset[str]" = frozenset()
) -> "Iterator[bytes]":
    """Yield an archive of a directory; with whiteouts overlayfs's marks become those of a layer (image-spec layer.md).

    `without` are the paths, from the root, of files that are left out while they are empty, and whose removal is left out.
    """
    names = frozenset(path[1:].encode() for path in without)
    yield from _Tree(names, whiteouts=whiteouts).chunks(directory)
    yield END


class _Tree:
    """One walk: the inodes that were met, for hard links."""

    __slots__ = ("inodes", "whiteouts", "without")

    def __init__(self, without: frozenset[bytes], *, whiteouts: bool) -> None:
        self.without = without
        self.whiteouts = whiteouts
        self.inodes: dict[tuple[int, int], bytes] = {}

    def chunks(self, root: int) -> "Iterator[bytes]":
        """Walk the tree in order of names, without recursion: a container may have made it deep."""
        stack = [(os.dup(root), b"", sorted(os.listdir(root), reverse=True))]
        try:
            while stack:
                directory, prefix, names = stack[-1]
                if not names:
                    os.close(directory)
                    stack.pop()
                    continue
                name = os.fsencode(names.pop())
                inner = yield from self._entry(directory, name, prefix + name)
                if inner >= 0:
                    if len(stack) >= _DEEPEST:
                        os.close(inner)
                        raise EngineError(f"directories are nested more than {_DEEPEST} deep")
                    names = sorted(os.listdir(inner), reverse=True)
                    stack.append((inner, prefix + name + b"/", names))
        finally:
            for directory, _, _ in stack:
                os.close(directory)

    def _entry(self, directory: int, name: bytes, path: bytes) -> "Generator[bytes, None, int]":
        """Yield one entry; the generator's value is a descriptor of a directory, -1 for all else."""
        try:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return -1
        kind = _TYPES.get(stat.S_IFMT(status.st_mode))
        is_whiteout = self.whiteouts and kind == b"3" and status.st_rdev == 0
        is_empty = is_whiteout or (kind == b"0" and not status.st_size)
        if kind is None or (is_empty and path in self.without):
            return -1  # a socket is nothing without its program
        if is_whiteout:
            parent, _, base = path.rpartition(b"/")
            hidden = parent + b"/.wh." + base if parent else b".wh." + base
            yield Member(hidden, b"0", 0).header()
            return -1
        member = _member(path, kind, status)
        if kind == b"2":
            member.target = os.readlink(name, dir_fd=directory)
        if kind != b"5" and status.st_nlink > 1:
            first = self.inodes.setdefault((status.st_dev, status.st_ino), path)
            if first != path:
                member.kind, member.target, member.size = b"1", first, 0
                yield member.header()
                return -1
        if kind in (b"0", b"5"):
            return (yield from self._opened(directory, name, member))
        yield member.header()
        return -1

    def _opened(self, directory: int, name: bytes, member: Member) -> "Generator[bytes, None, int]":
        """Yield a file, or a directory's own entry and its descriptor as the value."""
        flags = _OPEN | (os.O_DIRECTORY if member.kind == b"5" else 0)
        try:
            fd = os.open(name, flags, dir_fd=directory)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.ENXIO):
                return -1  # it changed under us
            raise
        if member.kind == b"5":
            opaque = _read_xattrs(fd, member)
            yield member.header()
            if self.whiteouts and opaque:
                yield Member(member.name + b".wh..wh..opq", b"0", 0).header()
            return fd
        try:
            _read_xattrs(fd, member)
            if stat.S_ISREG(os.fstat(fd).st_mode):
                yield member.header()
                yield from _content(fd, member.size)
        finally:
            os.close(fd)
        return -1


def _member(path: bytes, kind: bytes, status: os.stat_result) -> Member:
    size = status.st_size if kind == b"0" else 0
    name = path + b"/" if kind == b"5" else path
    member = Member(name, kind, stat.S_IMODE(status.st_mode), size)
    member.uid, member.gid = status.st_uid, status.st_gid
    member.mtime = status.st_mtime_ns // 10**9
    if kind in (b"3", b"4"):
        member.device = status.st_rdev
    return member


def _read_xattrs(fd: int, member: Member) -> bool:
    """Read the attributes that a layer keeps; return whether overlayfs's say that the directory is opaque."""
    opaque = False
    for name in sorted(os.listxattr(fd)):
        if name in _OPAQUE:
            opaque = os.getxattr(fd, name) == b"y"
        elif name.startswith(_XATTRS) and not name.startswith(_OVERLAY):
            member.xattrs[name.encode()] = os.getxattr(fd, name)
    return opaque


def _content(fd: int, size: int) -> "Iterator[bytes]":
    """Yield so many bytes of a file, and padding; zeros for what was cut off meanwhile."""
    left = size
    while left:
        chunk = os.read(fd, min(left, CHUNK)) or bytes(min(left, CHUNK))
        left -= len(chunk)
        yield chunk
    yield bytes(-size % BLOCK)


def _split(name: bytes) -> tuple[bytes, bytes]:
    """Return name and prefix of ustar; a name that does not fit stays as long as it is."""
    if len(name) <= 100:
        return name, b""
    at = name.find(b"/", len(name) - 101, 156)
    if 0 < at < len(name) - 1:
        return name[at + 1 :], name[:at]
    return name, b""


def _octal(value: int, width: int) -> bytes:
    """Return a number field; one that does not fit is in the pax header, and zero here."""
    return b"%0*o\0" % (width - 1, value if 0 <= value <= _LARGEST_OCTAL[width] else 0)


def _pax(records: dict[bytes, bytes]) -> bytes:
    """Return a pax header."""
    data = b""
    for key, value in sorted(records.items()):
        rest = b" " + key + b"=" + value + b"\n"
        length = len(rest) + 1
        while len(b"%d" % length) + len(rest) != length:
            length = len(b"%d" % length) + len(rest)
        data += b"%d" % length + rest
    member = Member(b"PaxHeaders.0/x", b"x", 0o644, len(data))
    return member.header() + data + bytes(-len(data) % BLOCK)
