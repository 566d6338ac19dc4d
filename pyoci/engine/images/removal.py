# SPDX-License-Identifier: Apache-2.0
"""tag, rmi, prune: names come and go; an image goes with its last name, its layers with the last image that has them."""

from pyoci.engine import events
from pyoci.engine.errors import ConflictError, EngineError
from pyoci.engine.images import listing, records
from pyoci.engine.images.telling import labels_of, tell
from pyoci.engine.reference import ALGORITHMS, from_name, is_hex, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyoci.engine.images.store import Store

UNTAGGED, DELETED = "Untagged", "Deleted"


def tag(store: "Store", source: str, target: str) -> None:
    """Give an image one more name; the name means this image from now on."""
    reference = parse(target)
    if reference.digest:
        raise EngineError("refusing to create a tag with a digest reference")
    if reference.familiar in ALGORITHMS:  # "sha256:..." means an image by its id
        raise EngineError("refusing to create an ambiguous tag using digest algorithm as name")
    identity = records.find(store.database, source)
    with store.session(), store.database.writing() as database:
        records.set_name(database, reference.name, identity)
        store.write_index()
    tell(store, "tag", identity, reference.shown)


def _tell_removed(
    store: "Store", identity: str, labels: dict[str, str], done: "Sequence[tuple[str, str]]"
) -> None:
    """Tell of the names of an image that went, and of itself."""
    for what, _ in done:
        if what == UNTAGGED:
            events.of_image(store.places, "untag", identity, identity, labels)
        else:
            events.of_image(store.places, "delete", identity, identity)


def remove(
    store: "Store",
    text: str,
    *,
    force: bool = False,
    is_running: "Callable[[str], bool]" = lambda _: False,
) -> list[tuple[str, str]]:
    """Remove a name, or an image by its id; return what was untagged and deleted. Raises ConflictError in Docker's words."""
    with store.session() as session:
        with store.database.writing() as database:
            identity = records.find(database, text)
            names = records.names_of(database, identity)
            labels = labels_of(store, identity)
            if _is_id(text, names):
                going = names
                _check_stopped(store, identity, is_running)
                _check_repositories(identity, names, force=force)
                _check_unused(store, "", identity, force=force)
            else:
                going = _names_going(parse(text).name, names)
                if going == names:
                    _check_unused(store, text, identity, force=force)
            done = [(UNTAGGED, from_name(name).shown) for name in going]
            for name in going:
                database.change("DELETE FROM image_name WHERE name = ?", name)
            layers = _layers(store, identity)
            if going == names and not records.in_use_by(database, identity):
                database.change("DELETE FROM image WHERE id = ?", identity)
                done.append((DELETED, identity))
            store.write_index()
        removed, _ = store.collect(session)
    _tell_removed(store, identity, labels, done)
    return done + _deleted_layers(layers, removed)


def _is_id(text: str, names: list[str]) -> bool:
    """Tell whether a user meant an image by its id, or the beginning of one."""
    if text.startswith("sha256:") or is_hex(text, 64):
        return True
    return is_hex(text) and parse(text).name not in names


def _names_going(name: str, names: list[str]) -> list[str]:
    """Return the names that go with one: those by digest, too, when no tag of the repository, or none at all, is left."""
    tags = [from_name(one) for one in names if "@" not in one and one != name]
    if not tags:
        return names
    repository = from_name(name).repository
    kept = {tag.repository for tag in tags}
    return [
        one
        for one in names
        if one == name
        or ("@" in one and repository not in kept and one.startswith(f"{repository}@"))
    ]


def _check_repositories(identity: str, names: list[str], *, force: bool) -> None:
    if not force and len({from_name(name).repository for name in names}) > 1:
        raise ConflictError(
            f"conflict: unable to delete {short(identity)} (must be forced) - "
            "image is referenced in multiple repositories"
        )


def _check_stopped(store: "Store", identity: str, is_running: "Callable[[str], bool]") -> None:
    for user in filter(is_running, records.in_use_by(store.database, identity)):
        raise ConflictError(
            f"conflict: unable to delete {short(identity)} (cannot be forced) - "
            f"image is being used by running container {user[:12]}"
        )


def _check_unused(store: "Store", text: str, identity: str, *, force: bool) -> None:
    """Refuse to take the last name of an image that containers use; `text` is that name, "" for an id."""
    users = records.in_use_by(store.database, identity)
    if not users or force:
        return
    if text:
        raise ConflictError(
            f'conflict: unable to remove repository reference "{text}" (must force) - '
            f"container {users[0][:12]} is using its referenced image {short(identity)}"
        )
    raise ConflictError(
        f"conflict: unable to delete {short(identity)} (must be forced) - "
        f"image is being used by stopped container {users[0][:12]}"
    )


def prune(
    store: "Store", filters: "Sequence[tuple[str, str]]" = (), *, everything: bool = False
) -> tuple[list[tuple[str, str]], int]:
    """Remove the images without a tag, or all that no container uses; return what went and the bytes that were freed."""
    done: list[tuple[str, str]] = []
    layers: list[tuple[str, str]] = []
    gone: list[tuple[str, dict[str, str], list[tuple[str, str]]]] = []
    wanted = [*filters] if everything else [("dangling", "true"), *filters]
    chosen = {row.id for row in listing.rows(store, wanted)}
    with store.session() as session:
        with store.database.writing() as database:
            for identity in sorted(chosen):
                if records.in_use_by(database, identity):
                    continue
                names = records.names_of(database, identity)
                went = [(UNTAGGED, from_name(name).shown) for name in names]
                went.append((DELETED, identity))
                gone.append((identity, labels_of(store, identity), went))
                layers += _layers(store, identity)
                database.change("DELETE FROM image_name WHERE image = ?", identity)
                database.change("DELETE FROM image WHERE id = ?", identity)
                done += went
            store.write_index()
        removed, freed = store.collect(session)
    for identity, labels, went in gone:
        _tell_removed(store, identity, labels, went)
    events.of_prune(store.places, events.IMAGE, freed)
    return done + _deleted_layers(layers, removed), freed


def _layers(store: "Store", identity: str) -> list[tuple[str, str]]:
    """Return the layers of an image with their chain ids, the uppermost first."""
    rows = store.database.rows(
        "SELECT diff_id FROM image_layer WHERE image = ? ORDER BY position", identity
    )
    diff_ids = [str(diff_id) for (diff_id,) in rows]
    return list(zip(diff_ids, listing.chain_ids(diff_ids), strict=True))[::-1]


def _deleted_layers(layers: list[tuple[str, str]], removed: list[str]) -> list[tuple[str, str]]:
    gone = set(removed)
    return [(DELETED, chain) for diff_id, chain in dict(layers).items() if diff_id in gone]


def short(identity: str) -> str:
    """Return the twelve digits by which people know an image."""
    return identity.removeprefix("sha256:")[:12]
