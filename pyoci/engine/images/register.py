# SPDX-License-Identifier: Apache-2.0
"""Make an image of blobs that are in the store: extract its layers, check them, give it a name. All or nothing."""

from pyoci.engine.errors import EngineError
from pyoci.engine.images import records
from pyoci.engine.images.config import parse_config
from pyoci.engine.images.digest import digest_of
from pyoci.engine.images.manifests import MOST_LAYERS, OCI_CONFIG, Manifest, compose, describe
from pyoci.engine.reference import check_digest
from pyoci.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from pyoci.engine.images.config import ImageConfig
    from pyoci.engine.images.manifests import Descriptor
    from pyoci.engine.images.store import Session, Store


def checked_config(manifest: "Manifest", content: bytes) -> "ImageConfig":
    """Return the configuration of a manifest; refuse one that does not fit its layers, or is for another system."""
    config = parse_config(content)
    if config["os"] != "linux":
        raise EngineError(
            f"image operating system {config['os'][:64]!r} cannot be used on this platform"
        )
    if len(config["diff_ids"]) != len(manifest.layers):
        raise EngineError(
            f"manifest: {len(manifest.layers)} layers, but the configuration has {len(config['diff_ids'])}"
        )
    if len(config["diff_ids"]) > MOST_LAYERS:
        raise EngineError(f"image configuration: more than {MOST_LAYERS} layers")
    for diff_id in config["diff_ids"]:
        try:
            check_digest(diff_id)
        except EngineError as error:
            what = f"image configuration: diff_ids: {diff_id[:200]!r}"
            raise EngineError(f"{what}: {error}") from None
    return config


def extract_missing(session: "Session", manifest: "Manifest", config: "ImageConfig") -> None:
    """Extract the layers that are not there yet, one after the other."""
    session.hold(config["diff_ids"])
    for layer, diff_id in zip(manifest.layers, config["diff_ids"], strict=True):
        if not session.store.has_layer(diff_id):
            from pyoci.engine.images import layers

            layers.extract(session, layer.digest, diff_id)


def add_document(
    session: "Session",
    document: "dict[str, Any]",
    descriptors: "Sequence[Descriptor]",
    names: "Sequence[str]",
) -> str:
    """Record the image of a configuration and the descriptors of its layers, which the session holds; return its id."""
    content = dumps(document).encode()
    config = describe(digest_of(content), len(content), OCI_CONFIG)
    manifest = Manifest(compose(config, descriptors))
    if _is_there(session.store, config.digest, digest_of(manifest.content), names):
        return config.digest
    session.add_bytes(content, config.digest)
    return add_image(session, manifest, checked_config(manifest, content), names)


def add_image(
    session: "Session", manifest: "Manifest", config: "ImageConfig", names: "Iterable[str]"
) -> str:
    """Record an image whose blobs and layers the session holds, with these names; return its id."""
    store = session.store
    digest = session.add_bytes(manifest.content)
    identity = manifest.config.digest
    if _is_there(store, identity, digest, names := [*names]):
        return identity
    sizes = [layer_bytes(session, diff_id) for diff_id in config["diff_ids"]]
    session.sync()
    with store.database.writing() as database:
        database.change(
            "INSERT INTO image VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
            "manifest = excluded.manifest, manifest_type = excluded.manifest_type, "
            "manifest_bytes = excluded.manifest_bytes",
            identity,
            digest,
            manifest.media_type,
            len(manifest.content),
            config["created"],
            sum(sizes),
        )
        database.change("DELETE FROM image_layer WHERE image = ?", identity)
        rows = zip(manifest.layers, config["diff_ids"], sizes, strict=True)
        for position, (layer, diff_id, size) in enumerate(rows):
            database.change(
                "INSERT INTO image_layer VALUES (?, ?, ?, ?, ?, ?, ?)",
                identity,
                position,
                diff_id,
                layer.digest,
                layer.media_type,
                layer.size,
                size,
            )
        for name in names:
            records.set_name(database, name, identity)
        store.write_index()
    return identity


def _is_there(store: "Store", identity: str, manifest: str, names: "Iterable[str]") -> bool:
    """Tell whether all of it is there already: a build that changed nothing writes nothing."""
    row = store.database.row("SELECT manifest FROM image WHERE id = ?", identity)
    return (
        row == (manifest,)
        and {*names} <= {*records.names_of(store.database, identity)}
        and store.has_blob(identity)
        and store.has_blob(manifest)
    )


def layer_bytes(session: "Session", diff_id: str) -> int:
    """Return the bytes of the files of a layer, as another image knows them or counted anew."""
    if diff_id in session.layer_bytes:
        return session.layer_bytes[diff_id]
    store = session.store
    row = store.database.row("SELECT bytes FROM image_layer WHERE diff_id = ? LIMIT 1", diff_id)
    if row:
        return int(str(row[0]))
    from pyoci.engine.trees import measure

    return measure(store.layer_path(diff_id))
