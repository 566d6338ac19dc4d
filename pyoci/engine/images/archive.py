# SPDX-License-Identifier: Apache-2.0
"""save and load: Docker's archive and an OCI layout in one tar file, taken by docker, podman and skopeo.

    oci-layout, index.json      the OCI layout; names are annotations of the index
    manifest.json               Docker's own: which blobs are the configuration and the layers, and the names
    blobs/sha256/HEX            each blob once; gzip as it was pulled, but zstd as plain tar, for old readers

load takes either alone, compressed by gzip, bzip2, xz or zstd, and Docker's older form with a directory per layer, whose layer.tar
may be a link to another's. Nothing of an archive is trusted: blobs are named by what they are, not by what they are called.
"""

import os

from pyoci.engine.errors import EngineError, NotFoundError
from pyoci.engine.images import compression, manifests, records, register
from pyoci.engine.images.config import parse_document
from pyoci.engine.images.manifests import Manifest, compose, describe
from pyoci.engine.images.store import annotations
from pyoci.engine.images.tar import Source, entries
from pyoci.engine.images.tarwrite import END, file_entry
from pyoci.engine.images.unpack import inside
from pyoci.engine.reference import from_name, parse, parse_bare
from pyoci.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from pyoci.engine.images.manifests import Descriptor
    from pyoci.engine.images.pull import Progress
    from pyoci.engine.images.store import Session, Store

_INDEX = "index.json"
_DOCKER = "manifest.json"
_MOST_MEMBERS = 100_000
_LARGEST_DOCUMENT = 8 << 20


class _Chosen:
    """An image to be saved: its manifest, as it goes into the archive, and its names."""

    __slots__ = ("manifest", "names")

    def __init__(self, manifest: Manifest, names: list[str]) -> None:
        self.manifest = manifest
        self.names = names


def save(store: "Store", references: "Sequence[str]") -> "Iterator[bytes]":
    """Yield an archive of these images; a name saves that name, a repository all of its tags, an id no name."""
    with store.session() as session:
        chosen = [_prepare(session, *found) for found in choose(store, references).items()]
        written: set[str] = set()
        for item in chosen:
            for blob in (item.manifest.config, *item.manifest.layers):
                if blob.digest not in written:
                    written.add(blob.digest)
                    yield from _blob_member(store, blob)
            digest = session.add_bytes(item.manifest.content)
            if digest not in written:
                written.add(digest)
                yield file_entry(_member(digest), item.manifest.content)
        yield file_entry("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        yield file_entry(_INDEX, _index(session, chosen))
        yield file_entry(_DOCKER, _docker_manifest(chosen))
        yield END


def choose(store: "Store", references: "Sequence[str]") -> dict[str, list[str]]:
    """Return the ids of images with the names that were asked for. Raises NotFoundError in Docker's words."""
    chosen: dict[str, list[str]] = {}
    for text in references:
        names = _names_asked(store, text)
        try:
            identity = records.find(store.database, names[0] if names else text)
        except NotFoundError:
            raise NotFoundError(f"No such image: {text}") from None
        for name in names or [""]:
            found = records.find(store.database, name) if name else identity
            kept = chosen.setdefault(found, [])
            if name and name not in kept:
                kept.append(name)
    return chosen


def _names_asked(store: "Store", text: str) -> list[str]:
    """Return the names in the database that a user means, none for an id."""
    try:
        reference = parse_bare(text)
    except EngineError:
        return []
    if reference.digest:
        return []
    pattern = f"{reference.repository}:{reference.tag}"
    row = store.database.row("SELECT name FROM image_name WHERE name = ?", pattern)
    if reference.tag or row:
        return [pattern] if row else []
    begin = f"{reference.repository}:"
    rows = store.database.rows(
        "SELECT name FROM image_name WHERE name >= ? AND name < ? ORDER BY name",
        begin,
        f"{reference.repository};",  # the character after the colon
    )
    return [str(name) for (name,) in rows]


def _prepare(session: "Session", identity: str, names: list[str]) -> _Chosen:
    """Hold what an image needs; make its zstd layers plain."""
    store = session.store
    row = store.database.row("SELECT manifest, manifest_type FROM image WHERE id = ?", identity)
    assert row is not None
    content = records.read_blob(store.places, str(row[0]))
    manifest = Manifest(content, str(row[1]))
    session.hold([identity, *(layer.digest for layer in manifest.layers)])
    layers = [_plain_layer(session, layer) for layer in manifest.layers]
    if [layer.digest for layer in layers] == [layer.digest for layer in manifest.layers]:
        return _Chosen(manifest, names)
    config = describe(identity, manifest.config.size, manifests.OCI_CONFIG)
    return _Chosen(Manifest(compose(config, layers)), names)


def _plain_layer(session: "Session", layer: "Descriptor") -> "Descriptor":
    path = session.store.blob_path(layer.digest)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise EngineError(f"layer {layer.digest} is missing in the store: pull again") from None
    try:
        if compression.kind_of(os.pread(fd, compression.LONGEST_MAGIC, 0)) in ("", "gzip"):
            return layer
        chunks = compression.decompressed(compression.read_chunks(fd))
        digest, size = session.add_chunks(chunks)
    finally:
        os.close(fd)
    return describe(digest, size, manifests.OCI_LAYER)


def _blob_member(store: "Store", blob: "Descriptor") -> "Iterator[bytes]":
    fd = os.open(store.blob_path(blob.digest), os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        yield file_entry(_member(blob.digest), None, size)
        yield from compression.read_chunks(fd)
        yield bytes(-size % 512)
    finally:
        os.close(fd)


def _member(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _index(session: "Session", chosen: "list[_Chosen]") -> bytes:
    rows = []
    for item in chosen:
        digest = session.add_bytes(item.manifest.content)
        row = describe(digest, len(item.manifest.content), item.manifest.media_type).document()
        rows += [row | {"annotations": annotations(name)} for name in item.names] or [row]
    index = {"schemaVersion": 2, "mediaType": manifests.OCI_INDEX, "manifests": rows}
    return dumps(index).encode()


def _docker_manifest(chosen: "list[_Chosen]") -> bytes:
    return dumps(
        [
            {
                "Config": _member(item.manifest.config.digest),
                "RepoTags": [from_name(name).shown for name in item.names] or None,
                "Layers": [_member(layer.digest) for layer in item.manifest.layers],
            }
            for item in chosen
        ]
    ).encode()


class Loaded:
    """What one image of an archive became: its id, the names it was given, as Docker shows them, and which images had those."""

    __slots__ = ("id", "names", "owners")

    def __init__(self, identity: str, names: list[str], owners: dict[str, str]) -> None:
        self.id = identity
        self.names = names
        self.owners = owners


class _Members:
    """The files of an archive as blobs: name -> digest and size, and where its links lead."""

    __slots__ = ("blobs", "links", "session")

    def __init__(self, session: "Session") -> None:
        self.session = session
        self.blobs: dict[bytes, tuple[str, int]] = {}
        self.links: dict[bytes, bytes] = {}

    def read(self, fd: int, progress: "Progress") -> None:
        """Read the whole archive; of each file that may be a layer it is told how far that is."""
        source = Source(compression.decompressed(compression.read_chunks(fd)))
        for entry in entries(source):
            name = inside(entry.name)
            if entry.kind == "file" and entry.sparse is None:
                pieces = _told(
                    source.pieces(), name.decode("utf-8", "replace"), entry.size, progress
                )
                self.blobs[name] = self.session.add_chunks(pieces)
            elif entry.kind == "symlink":
                self.links[name] = inside(name.rpartition(b"/")[0] + b"/" + entry.target)
            elif entry.kind == "link":
                self.links[name] = inside(entry.target)
            if len(self.blobs) + len(self.links) > _MOST_MEMBERS:
                raise EngineError(f"the archive has more than {_MOST_MEMBERS} files")

    def find(self, name: str) -> tuple[str, int]:
        """Return the digest and size of a file; a link leads to a file of the archive, never out of it."""
        path = inside(name.encode())
        seen: set[bytes] = set()
        while path in self.links and path not in seen:
            seen.add(path)
            path = self.links[path]
        if path not in self.blobs:
            raise EngineError(f"the archive has no file {name[:200]!r}, to which it refers")
        return self.blobs[path]

    def document(self, name: str) -> bytes:
        """Return a file that is small."""
        return self._small(*self.find(name))

    def _small(self, digest: str, size: int) -> bytes:
        if size > _LARGEST_DOCUMENT:
            raise EngineError(f"{digest}: a document of more than {_LARGEST_DOCUMENT >> 20} MB")
        return records.read_blob(self.session.store.places, digest)

    def blob(self, found: "Descriptor") -> bytes:
        """Return a blob of the OCI layout that is small. Raises EngineError where the archive has another content."""
        if (found.digest, found.size) not in self.blobs.values():
            raise EngineError(f"the archive has no blob {found.digest} of {found.size} bytes")
        return self._small(found.digest, found.size)


def _told(
    pieces: "Iterator[memoryview]", name: str, size: int, progress: "Progress"
) -> "Iterator[memoryview]":
    """Yield the pieces of a file, and tell how many of its bytes have passed, by the digest that its name has."""
    if size <= _LARGEST_DOCUMENT:
        yield from pieces
        return
    done, parts = 0, name.split("/")
    label = parts[-1] if "." not in parts[-1] else parts[0]
    for piece in pieces:
        done += len(piece)
        progress(f"sha256:{label}", "Loading layer", done, size)
        yield piece


def load(store: "Store", fd: int, progress: "Progress" = lambda *_: None) -> "Iterator[Loaded]":
    """Load the images of an archive, from a file or a pipe; yield each when it is there."""
    with store.session() as session:
        members = _Members(session)
        members.read(fd, progress)
        if _DOCKER.encode() in members.blobs:
            yield from _load_docker(members)
        elif _INDEX.encode() in members.blobs:
            yield from _load_layout(members)
        else:
            raise EngineError(
                f"this is no archive of images: it has neither {_DOCKER} nor {_INDEX}"
            )
        session.release()
        store.collect(session)


def _load_docker(members: _Members) -> "Iterator[Loaded]":
    """Load by Docker's manifest.json."""
    # A JSON array; the reader takes objects only.
    document = parse_document(b'{"images":' + members.document(_DOCKER) + b"}", _DOCKER)
    found = document["images"]
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise EngineError(f"{_DOCKER}: must be an array of objects")
    for item in found:
        names = [parse(str(name)).name for name in item.get("RepoTags") or ()]
        manifest = _original(members, names) or _composed(members, item)
        yield _add(members, manifest, names)


def _composed(members: _Members, item: "dict[str, Any]") -> Manifest:
    """Make the manifest that Docker's archive has not."""
    digest, size = members.find(str(item.get("Config", "")))
    config = describe(digest, size, manifests.OCI_CONFIG)
    layers = []
    for name in item.get("Layers") or ():
        blob, length = members.find(str(name))
        kind = _kind(members.session, blob)
        layers.append(describe(blob, length, manifests.OCI_LAYER + (f"+{kind}" if kind else "")))
    return Manifest(compose(config, layers))


def _original(members: _Members, names: list[str]) -> Manifest | None:
    """Return the manifest that the OCI layout in the same archive has for these names; None for none."""
    if _INDEX.encode() not in members.blobs or not names:
        return None
    for entry in _index_entries(members):
        if entry.annotations.get("io.containerd.image.name") == names[0]:
            return _manifest_of(members, entry)
    return None


def _load_layout(members: _Members) -> "Iterator[Loaded]":
    """Load by the index of an OCI layout."""
    images: dict[str, list[str]] = {}
    found: dict[str, Manifest] = {}
    for entry in _index_entries(members):
        manifest = _manifest_of(members, entry)
        found[entry.digest] = manifest
        images.setdefault(entry.digest, []).extend(_names_in(entry))
    for digest, names in images.items():
        yield _add(members, found[digest], names)


def _index_entries(members: _Members) -> "list[Descriptor]":
    listed = parse_document(members.document(_INDEX), _INDEX).get("manifests")
    if not isinstance(listed, list):
        raise EngineError(f"{_INDEX}: manifests: must be an array")
    return [manifests.Descriptor(item, _INDEX) for item in listed]


def _manifest_of(members: _Members, entry: "Descriptor") -> Manifest:
    """Return the manifest that a row of the index leads to; of several platforms, that of this machine."""
    content = members.blob(entry)
    if entry.media_type in manifests.INDEXES:
        chosen = manifests.select(content, manifests.host_platform(), entry.digest)
        return Manifest(members.blob(chosen), chosen.media_type)
    return Manifest(content, entry.media_type)


def _names_in(entry: "Descriptor") -> list[str]:
    """Return the name that an index tells: containerd's annotation, else OCI's where it is more than a tag."""
    name = entry.annotations.get("io.containerd.image.name", "")
    if not name:
        name = entry.annotations.get("org.opencontainers.image.ref.name", "")
        if "/" not in name and ":" not in name:
            return []
    return [parse(name).name]


def _kind(session: "Session", digest: str) -> str:
    fd = os.open(session.store.blob_path(digest), os.O_RDONLY | os.O_CLOEXEC)
    try:
        return compression.kind_of(os.pread(fd, compression.LONGEST_MAGIC, 0))
    finally:
        os.close(fd)


def _add(members: _Members, manifest: Manifest, names: list[str]) -> Loaded:
    """Extract and record one image."""
    session = members.session
    config = register.checked_config(manifest, members.blob(manifest.config))
    for layer in manifest.layers:
        if (layer.digest, layer.size) not in members.blobs.values():
            raise EngineError(f"the archive has no blob {layer.digest} of {layer.size} bytes")
    register.extract_missing(session, manifest, config)
    owners = {from_name(name).shown: _owner(session, name) for name in names}
    identity = register.add_image(session, manifest, config, names)
    lost = {name: owner for name, owner in owners.items() if owner not in ("", identity)}
    return Loaded(identity, [*owners], lost)


def _owner(session: "Session", name: str) -> str:
    """Return the id of the image that has a name, "" for none."""
    row = session.store.database.row("SELECT image FROM image_name WHERE name = ?", name)
    return str(row[0]) if row else ""
