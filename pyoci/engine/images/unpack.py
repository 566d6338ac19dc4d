# SPDX-License-Identifier: Apache-2.0
"""Extract one layer, in a process of its own that has nothing but the layer: the program behind layers.py.

Descriptor 0 is the blob; 1 takes the report, a JSON object; 3 is the empty directory of the layer, which becomes the root directory
before the first entry is read; 5 says how much the blob may unpack to, when its digest has been verified, and not before.
So a name, a symbolic link or a hard link of a hostile archive
leads nowhere but into the layer, and no credential is in the memory of what parses it.

Three threads: one decompresses, one makes the digest, one extracts; the first two run in C without the interpreter's lock.
What is a whiteout for overlayfs, and how attributes are taken: image-spec layer.md; overlayfs.rst of the kernel.
"""

import errno
import hashlib
import os
import stat
from queue import SimpleQueue
from threading import BoundedSemaphore, Thread

from pyoci.engine.errors import EngineError
from pyoci.engine.images import compression
from pyoci.engine.images.tar import Source, entries
from pyoci.engine.places import is_rootless
from pyoci.engine.trees import remove_tree
from pyoci.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyoci.engine.images.tar import Entry

TARGET, GO = 3, 5
AHEAD = 8  # chunks of 1 MB that a thread may be ahead of another
MOST_ENTRIES = 4 << 20
_CLONE_NEWUSER = 0x10000000
_DEVICES = {"char": stat.S_IFCHR, "block": stat.S_IFBLK, "fifo": stat.S_IFIFO}
# Not ours to set: the kernel's own for overlayfs, by which a layer could point out of itself; others' policy.
_XATTRS = (b"user.", b"trusted.", b"security.capability", b"security.ima", b"system.posix_acl_")
_OVERLAY = (b"trusted.overlay.", b"user.overlay.")
_NO_XATTR = (errno.ENOTSUP, errno.EPERM, errno.EINVAL)


class Unpacker:
    """The layer that is being made below the current root directory."""

    __slots__ = ("bytes", "count", "directories", "made", "opaque", "rootless", "skipped")

    def __init__(self, *, rootless: bool) -> None:
        self.rootless = rootless
        self.opaque = b"user.overlay.opaque" if rootless else b"trusted.overlay.opaque"
        self.made = {b""}  # directories that are known to be there
        self.directories: dict[bytes, int] = {}  # path -> modification time, set at the end
        self.count = self.bytes = 0
        self.skipped: list[str] = []  # devices, which a user namespace cannot make

    def extract(self, source: Source) -> None:
        """Make all entries of an archive."""
        for entry in entries(source):
            self.count += 1
            if self.count > MOST_ENTRIES:
                raise EngineError(f"the layer has more than {MOST_ENTRIES} entries")
            path = inside(entry.name)
            try:
                self._make(entry, path, source)
            except (OSError, OverflowError, ValueError) as error:
                cause = (getattr(error, "strerror", "") or str(error)).lower()
                raise EngineError(f"{shown(entry.name)}: {cause}") from error
        for path, mtime_ns in reversed(self.directories.items()):
            if path in self.made:
                os.utime(path or b".", ns=(mtime_ns, mtime_ns))

    def _make(self, entry: "Entry", path: bytes, source: Source) -> None:
        parent, _, base = path.rpartition(b"/")
        if parent not in self.made:
            self._make_parents(parent)
        if base.startswith(b".wh."):
            self._white_out(parent, base)
        elif entry.kind == "directory":
            self._make_directory(entry, path)
        elif not path:
            raise EngineError("the root of the layer is no directory")
        elif entry.kind == "file":
            self._make_file(entry, path, source)
        elif entry.kind == "link":
            self._link(entry, path)
        else:
            self._make_special(entry, path)

    def _make_parents(self, parent: bytes) -> None:
        """Make the directories that an archive leaves out; one that is a symbolic link leads on inside the layer."""
        end = 0
        while end != len(parent):
            end = parent.find(b"/", end + 1)
            end = len(parent) if end < 0 else end
            path = parent[:end]
            if path in self.made:
                continue
            if not os.path.isdir(path):
                hides = is_whiteout(path)
                if hides:
                    os.unlink(path)
                os.mkdir(path, 0o755)
                if hides:
                    os.setxattr(path, self.opaque, b"y")
            self.made.add(path)

    def _make_directory(self, entry: "Entry", path: bytes) -> None:
        """Make a directory, or give one that is there these attributes; a whiteout beside it hides the layers below."""
        here = path or b"."
        try:
            os.mkdir(here, 0o700)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(here).st_mode):
                hides = is_whiteout(path)
                os.unlink(path)
                os.mkdir(path, 0o700)
                if hides:
                    os.setxattr(path, self.opaque, b"y")
        self.made.add(path)
        self._set_owner(here, entry)
        os.chmod(here, entry.mode)
        self._set_xattrs(here, entry)
        self.directories.pop(path, None)
        self.directories[path] = entry.mtime_ns

    def _make_file(self, entry: "Entry", path: bytes, source: Source) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            fd = os.open(path, flags, 0o600)
        except FileExistsError:
            self._remove(path)
            fd = os.open(path, flags, 0o600)
        try:
            self.bytes += entry.size
            if entry.sparse is not None:
                fill(fd, entry.sparse, entry.size, source)
            elif source.left:
                source.copy(fd)
            # chown(2) clears set-user-ID and the capabilities: owner, mode, xattrs, in this order.
            self._set_owner(fd, entry)
            os.fchmod(fd, entry.mode)
            self._set_xattrs(fd, entry)
            os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(fd)

    def _link(self, entry: "Entry", path: bytes) -> None:
        target = inside(entry.target)
        try:
            if target == path or is_whiteout(target):
                raise FileNotFoundError
            self._remove(path)
            os.link(target, path, follow_symlinks=False)
        except FileNotFoundError:
            words = f"a hard link to {shown(entry.target)}, which is not in this layer"
            raise EngineError(f"{shown(entry.name)}: {words}") from None

    def _make_special(self, entry: "Entry", path: bytes) -> None:
        self._remove(path)
        if entry.kind == "symlink":
            os.symlink(entry.target, path)
            self.bytes += len(entry.target)
        elif (entry.major, entry.minor) == (0, 0) and entry.kind == "char":
            raise EngineError(
                f"{shown(entry.name)}: device 0:0 is overlayfs's own mark of deletion"
            )
        elif self.rootless and entry.kind != "fifo":
            self.skipped.append(shown(entry.name))
            return
        else:
            device = os.makedev(entry.major, entry.minor)
            os.mknod(path, _DEVICES[entry.kind] | 0o600, device)
        self._set_owner(path, entry)
        if entry.kind != "symlink":
            os.chmod(path, entry.mode)
        self._set_xattrs(path, entry)
        os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)

    def _white_out(self, parent: bytes, base: bytes) -> None:
        """Hide a name of the layers below, or all of a directory; what this layer has itself stays, in any order."""
        if base == b".wh..wh..opq":
            os.setxattr(parent or b".", self.opaque, b"y")
            return
        if base.startswith(b".wh..wh."):
            return  # aufs's own files
        name = base[4:]
        if name in (b"", b".", b".."):
            raise EngineError(f"{shown(base)}: a whiteout of nothing")
        path = parent + b"/" + name if parent else name
        try:
            os.mknod(path, stat.S_IFCHR | 0o600, 0)
        except FileExistsError:
            if stat.S_ISDIR(os.lstat(path).st_mode):
                os.setxattr(path, self.opaque, b"y")

    def _remove(self, path: bytes) -> None:
        """Remove what an earlier entry made here: the last one counts."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            return
        except IsADirectoryError:
            remove_tree(os.fsdecode(path))
            self.made = {d for d in self.made if d != path and not d.startswith(path + b"/")}

    def _set_owner(self, where: "bytes | int", entry: "Entry") -> None:
        try:
            os.chown(where, entry.uid, entry.gid, follow_symlinks=isinstance(where, int))
        except (OSError, NotImplementedError):
            if not self.rootless:  # there, ids that the user does not have become its own
                raise

    def _set_xattrs(self, where: "bytes | int", entry: "Entry") -> None:
        for name, value in entry.xattrs.items():
            if not name.startswith(_XATTRS) or name.startswith(_OVERLAY):
                continue
            try:
                if isinstance(where, int):
                    os.setxattr(where, name, value)
                else:
                    os.setxattr(where, name, value, follow_symlinks=False)
            except OSError as error:
                if error.errno not in _NO_XATTR:  # the file system or the user namespace has none
                    raise


class Feed:
    """The stream of a blob: decompressed in one thread, counted and digested in another."""

    def __init__(self, fd: int, limit: int) -> None:
        self._limit = limit
        self._digest = hashlib.sha256()
        self._plain: SimpleQueue[bytes | Exception] = SimpleQueue()
        self._digested: SimpleQueue[bytes] = SimpleQueue()
        self._room = BoundedSemaphore(AHEAD)
        self._digest_room = BoundedSemaphore(AHEAD)
        self._digester = Thread(target=self._make_digest, daemon=True)
        self._digester.start()
        Thread(target=self._decompress, args=(fd,), daemon=True).start()

    def chunks(self) -> "Iterator[bytes]":
        """Yield the plain stream. Raises what stopped it."""
        while chunk := self._plain.get():
            self._room.release()
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    def digest(self) -> str:
        """Return the digest of the whole stream, once it has been read."""
        self._digester.join()
        return f"sha256:{self._digest.hexdigest()}"

    def _decompress(self, fd: int) -> None:
        total = 0
        try:
            for chunk in compression.decompressed(compression.read_chunks(fd)):
                if not chunk:
                    continue
                total += len(chunk)
                if total > self._limit:
                    raise EngineError(f"the layer unpacks to more than {self._limit} bytes")
                self._digest_room.acquire()
                self._digested.put(chunk)
                self._room.acquire()
                self._plain.put(chunk)
        except Exception as error:  # noqa: BLE001 - it is raised by the thread that reads
            self._room.acquire()
            self._plain.put(error)
        self._digested.put(b"")
        self._plain.put(b"")

    def _make_digest(self) -> None:
        while chunk := self._digested.get():
            self._digest.update(chunk)
            self._digest_room.release()


def inside(name: bytes) -> bytes:
    """Return a name of an archive as a path below the root, clean; refuse one that climbs out."""
    if b"./" not in name and b"//" not in name and not name.endswith(b"/."):
        path = name.strip(b"/")
        if path not in (b".", b"..") and not path.endswith(b"/.."):
            return path
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            if not parts:
                raise EngineError(f"{shown(name)}: the name leads out of the layer")
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)


def is_whiteout(path: bytes) -> bool:
    """Tell whether a path is overlayfs's mark of deletion, a character device 0:0."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return False
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def fill(fd: int, pieces: list[tuple[int, int]], size: int, source: Source) -> None:
    """Write the pieces of a sparse file where they belong; between them are holes."""
    for offset, length in pieces:
        os.lseek(fd, offset, os.SEEK_SET)
        source.copy(fd, length)
    os.ftruncate(fd, size)


def shown(name: bytes) -> str:
    """Return a name of an archive as a message shows it: one line, whatever is in it."""
    return ascii(os.fsdecode(name))[1:-1][:200]


def confine() -> bool:
    """Make the layer's directory our root, and return whether we lack the host's root for it."""
    rootless = is_rootless()
    if os.geteuid() != 0:
        enter_user_namespace()
    os.fchdir(TARGET)
    os.chroot(".")
    os.close(TARGET)
    os.umask(0)
    return rootless


def enter_user_namespace() -> None:
    """Become root of a user namespace that has our own id only: chroot(2) needs a capability."""
    from ctypes import CDLL, get_errno

    uid, gid = os.geteuid(), os.getegid()
    if CDLL(None, use_errno=True).unshare(_CLONE_NEWUSER) != 0:
        code = get_errno()
        raise OSError(code, os.strerror(code), "unshare")
    for file, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{file}", "w", encoding="ascii") as opened:
            opened.write(text)


def unpack(limit: int) -> dict[str, object]:
    """Extract the blob below our new root and return the report."""
    try:
        compression.prepare(0)
        unpacker = Unpacker(rootless=confine())
        feed = Feed(0, limit)
        source = Source(feed.chunks())
        unpacker.extract(source)
        source.drain()
    except (EngineError, OSError) as error:
        return {"error": str(error)}
    report = {"diff_id": feed.digest(), "bytes": unpacker.bytes, "entries": unpacker.count}
    return report | {"skipped": unpacker.skipped[:100]}


def main() -> None:
    """Be the program: one JSON object on descriptor 1, as soon as GO says that it may begin; nothing when it never does."""
    compression.prepare_most()
    limit = os.read(GO, 32)
    if limit:
        os.write(1, dumps(unpack(int(limit))).encode())
    os._exit(0)  # at an orderly end a thread would be stopped by libgcc, which is not in the layer
