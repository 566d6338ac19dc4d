# SPDX-License-Identifier: Apache-2.0
"""pull: manifest, configuration, and the layers that are missing, three at a time; each verified before it is unpacked."""

import fcntl
import os
from functools import partial

from pyoci.engine.errors import EngineError, NotFoundError
from pyoci.engine.images import layers, manifests, records, register
from pyoci.engine.images.manifests import Manifest
from pyoci.engine.images.registry import Refused, connect, in_parallel
from pyoci.engine.images.telling import tell_moved
from pyoci.engine.reference import Reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyoci.engine.images.config import ImageConfig
    from pyoci.engine.images.manifests import Descriptor, Platform
    from pyoci.engine.images.registry import Registry
    from pyoci.engine.images.store import Session, Store

    # digest of a layer, what happens to it, bytes so far, bytes in all
    Progress = Callable[[str, str, int, int], None]

AT_ONCE = 3
STATES = (
    "Already exists",
    "Pulling fs layer",
    "Downloading",
    "Download complete",
    "Extracting",
    "Pull complete",
)
EXISTS, WAITING, DOWNLOADING, DOWNLOADED, EXTRACTING, COMPLETE = STATES


class Pulled:
    """What a pull brought: the image's id, the digest of what the reference named, and whether it is new."""

    __slots__ = ("digest", "id", "is_new")

    def __init__(self, identity: str, digest: str, *, is_new: bool) -> None:
        self.id = identity
        self.digest = digest
        self.is_new = is_new


def pull(
    store: "Store",
    reference: Reference,
    platform: "Platform | None" = None,
    progress: "Progress" = lambda *_: None,
    found: "Callable[[], None]" = lambda: None,
) -> Pulled:
    """Bring an image of a registry into the store, under its name. Raises EngineError in Docker's words.

    `found` is called when the registry has it.
    """
    failure: EngineError | None = None
    for registry in connect(reference.domain):
        try:
            known = find_manifest(registry, reference, platform)
            found()
            pulled = _pull_from(registry, store, reference, known, progress)
        except (EngineError, OSError) as error:
            registry.stopped.set()
            # The last word is the registry's own, not that of a mirror.
            failure = explain(error, reference)
        else:
            tell_moved(store, "pull", pulled.id, reference)
            return pulled
    assert failure is not None
    raise failure


def tags(reference: Reference) -> list[Reference]:
    """Return all that a registry has under the name of a reference (`pull --all-tags`)."""
    registry = connect(reference.domain)[-1]
    try:
        found = registry.tags(reference.path)
    except EngineError as error:
        raise explain(error, reference) from error
    return [Reference(reference.domain, reference.path, tag, "") for tag in found]


def explain(error: Exception, reference: Reference) -> EngineError:
    """Put a registry's refusal into the words in which Docker says it."""
    if isinstance(error, NotFoundError) and "manifest unknown" in str(error):
        return NotFoundError(f"manifest for {reference.shown} not found: {error}")
    if isinstance(error, NotFoundError) and "name unknown" in str(error):
        return NotFoundError(f"repository {reference.familiar} not found: {error}")
    if isinstance(error, Refused) and error.http_status in (401, 403):
        if error.code == "UNAUTHORIZED" and "authentication required" not in str(error):
            return EngineError(str(error))
        return EngineError(
            f"pull access denied for {reference.familiar}, repository does not exist or may require "
            f"'docker login': {error}"
        )
    if isinstance(error, EngineError):
        return error
    assert isinstance(error, OSError)
    return EngineError(f"{reference.shown}: {(error.strerror or str(error)).lower()}")


def _pull_from(
    registry: "Registry",
    store: "Store",
    reference: Reference,
    known: tuple[str, Manifest],
    progress: "Progress",
) -> Pulled:
    digest, manifest = known
    names = [reference.name]
    if not reference.digest:
        names.append(f"{reference.repository}@{digest}")
    with store.session() as session:
        session.hold([manifest.config.digest, *(layer.digest for layer in manifest.layers)])
        config = _fetch_config(registry, session, reference, manifest)
        session.hold(config["diff_ids"])
        before = store.database.row("SELECT image FROM image_name WHERE name = ?", names[0])
        is_new = before != (manifest.config.digest,)
        if store.database.row("SELECT 1 FROM image WHERE id = ?", manifest.config.digest):
            progress = _silent  # another name of an image that is there
        _Layers(registry, session, reference.path, progress).fetch(manifest, config)
        identity = register.add_image(session, manifest, config, names)
    return Pulled(identity, digest, is_new=is_new)


def _silent(*_: object) -> None:
    """Tell nobody."""


def find_manifest(
    registry: "Registry", reference: Reference, platform: "Platform | None"
) -> tuple[str, Manifest]:
    """Return the digest that a reference means, and the manifest for a platform, the host's for none."""
    content, kind, digest = registry.manifest(reference.path, reference.digest or reference.tag)
    if kind not in manifests.INDEXES:
        return digest, Manifest(content, kind)
    wanted = platform or manifests.host_platform()
    chosen = manifests.select(content, wanted, reference.shown)
    content, kind, _ = registry.manifest(reference.path, chosen.digest)
    return digest, Manifest(content, kind or chosen.media_type)


def _fetch_config(
    registry: "Registry", session: "Session", reference: Reference, manifest: Manifest
) -> "ImageConfig":
    store = session.store
    if store.has_blob(manifest.config.digest):
        content = records.read_blob(store.places, manifest.config.digest)
    else:
        content = registry.blob(reference.path, manifest.config, manifests.LARGEST_CONFIG)
    config = register.checked_config(manifest, content)
    session.add_bytes(content, manifest.config.digest)
    return config


class _Layers:
    """The layers of one pull."""

    __slots__ = ("progress", "registry", "repository", "session")

    def __init__(
        self, registry: "Registry", session: "Session", repository: str, progress: "Progress"
    ) -> None:
        self.registry = registry
        self.session = session
        self.repository = repository
        self.progress = progress

    def fetch(self, manifest: Manifest, config: "ImageConfig") -> None:
        """Bring all layers that are missing; the first failure stops the others."""
        missing = {}
        for layer, diff_id in zip(manifest.layers, config["diff_ids"], strict=True):
            if self._is_there(layer, diff_id):
                self.progress(layer.digest, EXISTS, 0, 0)
            elif (layer.digest, diff_id) not in missing:
                self.progress(layer.digest, WAITING, 0, layer.size)
                missing[layer.digest, diff_id] = layer
        calls = [partial(self._bring, layer, key[1]) for key, layer in missing.items()]
        in_parallel(self.registry, calls, AT_ONCE)

    def _is_there(self, layer: "Descriptor", diff_id: str) -> bool:
        store = self.session.store
        return store.has_blob(layer.digest) and store.has_layer(diff_id)

    def _bring(self, layer: "Descriptor", diff_id: str) -> None:
        """Download and extract one layer; another command that does the same is waited for."""
        store = self.session.store
        path = f"{store.places.root}/staging/partial/{layer.digest[7:]}"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if not store.has_blob(layer.digest):
                self._download(layer, fd, path, diff_id)
            if not store.has_layer(diff_id):
                self.progress(layer.digest, EXTRACTING, 0, layer.size)
                layers.extract(self.session, layer.digest, diff_id)
        finally:
            os.close(fd)
        self.progress(layer.digest, COMPLETE, layer.size, layer.size)

    def _download(self, layer: "Descriptor", fd: int, path: str, diff_id: str) -> None:
        """Download a layer, and extract it, by a process that is ready when the last byte is there."""

        def count(have: int) -> None:
            self.progress(layer.digest, DOWNLOADING, have, layer.size)

        source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        extraction = layers.Extraction(self.session, source)
        try:
            self.registry.download(self.repository, layer, fd, count)
            self.progress(layer.digest, DOWNLOADED, layer.size, layer.size)
            self.session.add_file(path, layer.digest)
            if not self.session.store.has_layer(diff_id):
                self.progress(layer.digest, EXTRACTING, 0, layer.size)
                extraction.run(layer.digest, diff_id)
        finally:
            extraction.close()
            os.close(source)
