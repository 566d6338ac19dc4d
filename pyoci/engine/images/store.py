# SPDX-License-Identifier: Apache-2.0
"""Blobs and layers on disk, and what a command holds of them while it works.

    ROOT/images/oci-layout, index.json, blobs/sha256/HEX    an OCI image layout, which skopeo and umoci read
    ROOT/layers/HEX/                                        a layer, extracted, named by the hex of its diff id
    ROOT/staging/NAME/, NAME.lock                           what one command is making: a Session
    ROOT/staging/partial/HEX                                a download that was interrupted, to be resumed

What is in blobs/ and layers/ is whole and verified: it comes there by rename(2). What refers to it is in the database. A command
that needs an object holds it first (a row), then looks whether it is there; a command that removes objects does so inside a write
transaction, and only those that no image and no living session has. So neither takes away what the other relies on. That a
session's process has died is seen by its lock, which the kernel frees.
"""

import fcntl
import os

from pyoci.engine.errors import EngineError
from pyoci.engine.images import records
from pyoci.engine.images.digest import digest_of
from pyoci.engine.reference import ALGORITHMS, from_name
from pyoci.engine.trees import measure, remove_tree
from pyoci.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from pyoci.engine.database import Database
    from pyoci.engine.places import Places

_LOCK = ".lock"
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


class WriteError(EngineError):
    """A file could not be written: the disk is full, most often."""


class Store:
    """The images below one root, for commands that change them."""

    __slots__ = ("database", "places")

    def __init__(self, database: "Database", places: "Places") -> None:
        self.database = database
        self.places = places
        records.require(database)

    def session(self) -> "Session":
        """Return a session for a with block, which has begun; what dead ones left is removed first."""
        session = self.reader()
        session.begin()
        return session

    def reader(self) -> "Session":
        """Return a session that begins when something is to be made or held: most often never."""
        self._clean()
        return Session(self)

    def make_directories(self) -> None:
        """Make what is not there yet of the layout."""
        for algorithm in ALGORITHMS:
            self.places.directory("images", "blobs", algorithm)
        self.places.directory("layers")
        self.places.directory("staging", "partial")
        layout = f"{self.places.root}/images/oci-layout"
        if not os.path.exists(layout):
            write_whole(layout, _LAYOUT)

    def blob_path(self, digest: str) -> str:
        """Return where a blob lies, or will."""
        return records.blob_path(self.places, digest)

    def has_blob(self, digest: str) -> bool:
        """Tell whether a blob is there; certain for as long as a session holds it."""
        return os.path.exists(self.blob_path(digest))

    def layer_path(self, diff_id: str) -> str:
        """Return where an extracted layer lies, or will."""
        return records.layer_path(self.places, diff_id)

    def has_layer(self, diff_id: str) -> bool:
        """Tell whether a layer is there; certain for as long as a session holds it."""
        return os.path.isdir(self.layer_path(diff_id))

    def write_index(self) -> None:
        """Write index.json anew from the names; inside the transaction that changed them."""
        rows = self.database.rows(
            "SELECT name, manifest, manifest_type, manifest_bytes FROM image_name "
            "JOIN image ON image.id = image_name.image WHERE instr(name, '@') = 0 ORDER BY name"
        )
        manifests = [
            {
                "mediaType": media_type,
                "digest": digest,
                "size": size,
                "annotations": annotations(str(name)),
            }
            for name, digest, media_type, size in rows
        ]
        index = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": manifests,
        }
        write_whole(f"{self.places.root}/images/index.json", dumps(index).encode())

    def collect(self, session: "Session") -> tuple[list[str], int]:
        """Remove blobs and layers that nothing refers to; return the diff ids and the bytes that were freed."""
        freed = 0
        removed = []
        with self.database.writing():
            wanted = self._wanted()
            for algorithm in ALGORITHMS:
                directory = f"{self.places.root}/images/blobs/{algorithm}"
                for name in os.listdir(directory):
                    if f"{algorithm}:{name}" not in wanted:
                        freed += os.lstat(f"{directory}/{name}").st_size
                        os.unlink(f"{directory}/{name}")
            for name in os.listdir(f"{self.places.root}/layers"):
                if f"sha256:{name}" not in wanted:
                    os.rename(f"{self.places.root}/layers/{name}", f"{session.path}/{name}")
                    removed.append(f"sha256:{name}")
        return removed, freed + sum(measure(f"{session.path}/{name[7:]}") for name in removed)

    def _wanted(self) -> set[str]:
        return {
            str(digest)
            for (digest,) in self.database.rows(
                "SELECT id FROM image UNION SELECT manifest FROM image UNION SELECT blob FROM image_layer "
                "UNION SELECT diff_id FROM image_layer UNION SELECT object FROM staging_hold "
                "UNION SELECT blob FROM build_step UNION SELECT diff_id FROM build_step"
            )
        }

    def _clean(self) -> None:
        """Remove the sessions whose processes have died."""
        staging = f"{self.places.root}/staging"
        for file in os.listdir(staging) if os.path.isdir(staging) else ():
            if not file.endswith(_LOCK):
                continue
            fd = try_lock(f"{staging}/{file}")
            if fd is not None:
                name = file.removesuffix(_LOCK)
                self.database.change("DELETE FROM staging_hold WHERE session = ?", name)
                remove_tree(f"{staging}/{name}")
                os.unlink(f"{staging}/{file}")
                os.close(fd)


class Session:
    """What one command makes and needs: a directory of its own, and rows that keep objects from being collected.

    It begins at the latest with the first use of its directory, its name or its lock, or when something is held.
    """

    __slots__ = ("_found", "_lock", "_name", "is_synced", "layer_bytes", "store")

    def __init__(self, store: Store) -> None:
        self.store = store
        self.is_synced = False  # what it found may be of a command that was killed before it had waited for the disk
        self.layer_bytes: dict[
            str, int
        ] = {}  # diff id -> bytes of the files, of what was extracted
        self._name = ""
        self._lock = -1
        self._found: list[tuple[str, str]] = []  # layers that were seen before it began

    @property
    def name(self) -> str:
        """What it is called."""
        self.begin()
        return self._name

    @property
    def path(self) -> str:
        """Its directory."""
        return f"{self.store.places.root}/staging/{self.name}"

    @property
    def lock(self) -> int:
        """The descriptor that says that it lives."""
        self.begin()
        return self._lock

    def begin(self) -> None:
        """Make its directory and hold what was seen until now. Raises EngineError where another command has removed that."""
        if self._name:
            return
        self.store.make_directories()
        while True:
            name = os.urandom(8).hex()
            path = f"{self.store.places.root}/staging/{name}"
            fd = os.open(path + _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(fd, fcntl.LOCK_EX)
            if os.fstat(fd).st_nlink:
                break
            os.close(fd)  # another command took the file for a dead one's before we had the lock
        self._name, self._lock = name, fd
        os.mkdir(path, 0o700)
        if self._found:
            self.hold(name for layer in self._found for name in layer)
        for blob, diff_id in self._found:
            if not self._has(blob, diff_id):
                raise EngineError(f"layer {diff_id} was removed by another command: try again")

    def hold_layer(self, blob: str, diff_id: str) -> bool:
        """Hold a layer, by the digest of its blob and its diff id, and tell whether it is there.

        Before the session has begun it is looked at only, and held when it begins.
        """
        if self._name:
            self.hold([blob, diff_id])
        found = self._has(blob, diff_id)
        if found and not self._name:
            self._found.append((blob, diff_id))
        return found

    def _has(self, blob: str, diff_id: str) -> bool:
        return self.store.has_blob(blob) and self.store.has_layer(diff_id)

    def __enter__(self) -> "Session":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        if self._name:
            remove_tree(self.path)  # first: on a full disk the database needs the room
            self.release()
            os.unlink(self.path + _LOCK)
            os.close(self._lock)

    def hold(self, objects: "Iterable[str]") -> None:
        """Keep blobs and layers, by digest and diff id, from being collected while this session lives."""
        session = self.name
        with self.store.database.writing() as database:
            for name in objects:
                database.change("INSERT OR IGNORE INTO staging_hold VALUES (?, ?)", session, name)

    def release(self) -> None:
        """Hold nothing any more: what was made is in the records, the rest may go."""
        self.store.database.change("DELETE FROM staging_hold WHERE session = ?", self.name)

    def sync(self) -> None:
        """Wait until what was made is on the disk: before a record names it, or a power cut leaves the name alone."""
        if not self.is_synced:
            from pyoci.engine import mounts

            mounts.sync(self.path)
            self.is_synced = True

    def add_bytes(self, content: bytes, digest: str = "") -> str:
        """Add a blob that is in memory and return its digest."""
        digest = digest or digest_of(content)
        self.hold([digest])
        if not self.store.has_blob(digest):
            path = f"{self.path}/{digest.partition(':')[2]}"
            write_new(path, content)
            os.rename(path, self.store.blob_path(digest))
        return digest

    def add_chunks(self, chunks: "Iterable[bytes | memoryview]") -> tuple[str, int]:
        """Add a blob that is a stream; return its digest and size."""
        from hashlib import sha256

        digest, size = sha256(), 0
        path = f"{self.path}/{os.urandom(8).hex()}"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                write_all(fd, chunk)
        finally:
            os.close(fd)
        name = f"sha256:{digest.hexdigest()}"
        self.hold([name])
        self.add_file(path, name)
        return name, size

    def add_file(self, path: str, digest: str) -> None:
        """Make a file, whose digest was verified and is held, a blob."""
        os.rename(path, self.store.blob_path(digest))
        self.is_synced = False

    def add_layer(self, path: str, diff_id: str) -> None:
        """Make a directory, whose diff id was verified and is held, a layer; one that is there already wins."""
        self.is_synced = False
        try:
            os.rename(path, self.store.layer_path(diff_id))
        except OSError:
            if not self.store.has_layer(diff_id):
                raise


def annotations(name: str) -> dict[str, str]:
    """Return the annotations by which an index tells the name of an image, for containerd and for the rest."""
    reference = from_name(name)
    return {
        "io.containerd.image.name": name,
        "org.opencontainers.image.ref.name": reference.tag,
    }


def try_lock(path: str) -> int | None:
    """Return the descriptor of a file that nobody has locked, locked; None where somebody has, or it has gone."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    if os.fstat(fd).st_nlink:
        return fd
    os.close(fd)
    return None


def write_all(fd: int, data: "bytes | memoryview") -> None:
    """Write all of it. Raises WriteError that names the file."""
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(fd, rest) :]
    except OSError as error:
        path = os.readlink(f"/proc/self/fd/{fd}")
        raise WriteError(f"write {path}: {(error.strerror or '').lower()}") from error


def write_new(path: str, content: bytes) -> None:
    """Write a new file and wait until it is on the disk."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        write_all(fd, content)
        os.fsync(fd)
    finally:
        os.close(fd)


def write_whole(path: str, content: bytes) -> None:
    """Write a file that others read at any moment: they see the old one or the new one."""
    temporary = f"{path}.{os.urandom(4).hex()}"
    write_new(temporary, content)
    os.rename(temporary, path)
