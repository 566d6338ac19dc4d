# SPDX-License-Identifier: Apache-2.0
"""What is known of images: the rows of `images`, the steps of `history`, the document of `inspect`."""

import time

from pyoci.engine.build.patterns import translated
from pyoci.engine.errors import EngineError
from pyoci.engine.images import records
from pyoci.engine.images.digest import digest_of
from pyoci.engine.reference import from_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from re import Pattern
    from typing import Any

    from pyoci.engine.images.config import ImageConfig
    from pyoci.engine.images.store import Store

NONE = "<none>"
FILTERS = ("before", "dangling", "label", "reference", "since", "until")


class Row:
    """One line of `images`: a name of an image, or an image without one."""

    __slots__ = ("bytes", "created", "digest", "id", "repository", "tag")

    def __init__(  # noqa: PLR0913, PLR0917 - a row of a table
        self, identity: str, repository: str, tag: str, digest: str, created: str, size: int
    ) -> None:
        self.id = identity
        self.repository = repository
        self.tag = tag
        self.digest = digest
        self.created = created
        self.bytes = size


class Step:
    """One line of `history`: the id is "<missing>" for all but the last."""

    __slots__ = ("bytes", "comment", "created", "created_by", "id")

    def __init__(
        self, identity: str, created: str, created_by: str, size: int, comment: str
    ) -> None:
        self.id = identity
        self.created = created
        self.created_by = created_by
        self.bytes = size
        self.comment = comment


def seconds_of(created: str) -> float:
    """Return a date of RFC 3339 as seconds since 1970, 0 for one that is none."""
    from datetime import UTC, datetime

    text = created[:19]
    zone = created[19:].lstrip(".0123456789")
    try:
        moment = datetime.fromisoformat(text + (zone if zone not in ("", "Z") else "+00:00"))
    except ValueError:
        return 0.0
    return moment.astimezone(UTC).timestamp()


def now() -> str:
    """Return this moment in RFC 3339, to the nanosecond as Docker."""
    moment = time.time_ns()
    return (
        f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(moment // 10**9))}.{moment % 10**9:09d}Z"
    )


def rows(store: "Store", filters: "Sequence[tuple[str, str]]" = ()) -> list[Row]:
    """Return all names of all images, the newest image first, of those that pass every filter."""
    found = []
    for identity, created, size in store.database.rows("SELECT id, created, bytes FROM image"):
        if all(_passes(store, str(identity), str(created), *one) for one in filters):
            names = records.names_of(store.database, str(identity))
            found += _rows_of(str(identity), names, str(created), int(str(size)))
    references = [translated(value, below=False) for key, value in filters if key == "reference"]
    if references:
        found = [row for row in found if any(_matches(row, pattern) for pattern in references)]
    found.sort(key=lambda row: (-seconds_of(row.created), row.repository, row.tag))
    return found


def _rows_of(identity: str, names: list[str], created: str, size: int) -> "list[Row]":
    """Return a row for each tag; for an image without, one with its repository by digest, or none at all."""
    references = [from_name(name) for name in names]
    digests = {reference.familiar: reference.digest for reference in references if reference.digest}
    tagged = [reference for reference in references if reference.tag]
    found = [
        Row(identity, one.familiar, one.tag, digests.get(one.familiar, NONE), created, size)
        for one in tagged
    ]
    seen = {one.familiar for one in tagged}
    found += [
        Row(identity, repository, NONE, digest, created, size)
        for repository, digest in digests.items()
        if repository not in seen
    ]
    return found or [Row(identity, NONE, NONE, NONE, created, size)]


def parse_filters(
    texts: "Sequence[str]", known: tuple[str, ...] = FILTERS
) -> list[tuple[str, str]]:
    """Return key and value of each --filter. Raises EngineError in Docker's words."""
    found = []
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            words = "bad format of filter (expected name=value)"
            raise EngineError(f'invalid argument "{text}" for "-f, --filter" flag: {words}', 125)
        if key not in known:
            raise EngineError(f"Invalid filter '{key}'")
        if key == "dangling" and value.lower() not in ("true", "false", "1", "0"):
            raise EngineError(f"Invalid filter 'dangling=[{value}]'")
        if key == "until":
            moment_of(value)
        found.append((key, value))
    return found


def _passes(store: "Store", identity: str, created: str, key: str, value: str) -> bool:
    if key == "dangling":
        is_dangling = not any("@" not in n for n in records.names_of(store.database, identity))
        return is_dangling == (value.lower() in ("true", "1"))
    if key == "label":
        name, equals, wanted = value.partition("=")
        labels = config_of(store, identity)["config"]["Labels"]
        return name in labels and (not equals or labels[name] == wanted)
    if key in ("before", "since"):
        other = store.database.row(
            "SELECT created FROM image WHERE id = ?", records.find(store.database, value)
        )
        assert other is not None
        difference = seconds_of(created) - seconds_of(str(other[0]))
        return difference < 0 if key == "before" else difference > 0
    if key == "until":
        return seconds_of(created) < moment_of(value)
    return True


def moment_of(text: str) -> float:
    """Return the moment that a date, seconds since 1970, or a duration before now means."""
    from pyoci.engine import durations

    if text.replace(".", "", 1).isdigit():
        return float(text)
    try:
        return time.time() - durations.parse(text) / durations.SECOND
    except ValueError:
        moment = seconds_of(text if "T" in text else f"{text}T00:00:00")
    if not moment:
        raise EngineError(f'failed to parse value as time or duration: "{text}"')
    return moment


def _matches(row: Row, pattern: "Pattern[str]") -> bool:
    """Tell whether a row has a name of this pattern, with the tag or without."""
    names = (row.repository, f"{row.repository}:{row.tag}")
    return row.repository != NONE and any(map(pattern.fullmatch, names))


def config_of(store: "Store", identity: str) -> "ImageConfig":
    """Return the configuration of an image."""
    return records.open_image(store.database, store.places, identity).config


def history(store: "Store", text: str) -> list[Step]:
    """Return how an image was made, the last step first."""
    identity = records.find(store.database, text)
    config = config_of(store, identity)
    sizes = [
        int(str(size))
        for (size,) in store.database.rows(
            "SELECT bytes FROM image_layer WHERE image = ? ORDER BY position", identity
        )
    ]
    # Older builders wrote no history: the lowest layers are there all the same.
    without = len(sizes) - sum(not step["empty_layer"] for step in config["history"])
    steps = [
        Step("<missing>", config["created"], "", size, "") for size in sizes[: max(without, 0)]
    ]
    left = iter(sizes[max(without, 0) :])
    steps += [
        Step(
            "<missing>",
            step["created"],
            step["created_by"],
            0 if step["empty_layer"] else next(left, 0),
            step["comment"],
        )
        for step in config["history"]
    ]
    if steps:
        steps[-1].id = identity
    return steps[::-1]


def inspect(store: "Store", text: str) -> "dict[str, Any]":
    """Return what Docker's `inspect` says of an image."""
    identity = records.find(store.database, text)
    image = records.open_image(store.database, store.places, identity)
    names = [from_name(name) for name in records.names_of(store.database, identity)]
    row = store.database.row("SELECT bytes FROM image WHERE id = ?", identity)
    assert row is not None
    size = int(str(row[0]))
    comments = [step["comment"] for step in image.config["history"]]
    directories = [store.layer_path(diff_id) for diff_id in reversed(image.layers)]
    return {
        "Id": identity,
        "RepoTags": [name.shown for name in names if name.tag],
        "RepoDigests": [name.shown for name in names if name.digest],
        "Parent": "",
        "Comment": comments[-1] if comments else "",
        "Created": image.config["created"],
        "Author": image.config["author"],
        "Config": _shown(image.config["config"]),
        "Architecture": image.config["architecture"],
        "Variant": image.config["variant"],
        "Os": image.config["os"],
        "Size": size,
        "VirtualSize": size,
        "GraphDriver": {"Data": {"LowerDir": ":".join(directories)}, "Name": "overlay2"},
        "RootFS": {"Type": "layers", "Layers": list(image.layers)},
        "Metadata": {"LastTagTime": "0001-01-01T00:00:00Z"},
    }


def _shown(config: "Mapping[str, Any]") -> "dict[str, Any]":
    """Return Config as Docker writes it: some keys only when they say something, nothing as null."""
    optional = ("ExposedPorts", "Healthcheck", "Shell", "StopSignal")
    found = {key: value for key, value in config.items() if value or key not in optional}
    return {
        key: found[key] or (found[key] if isinstance(found[key], str) else None) for key in found
    }


def chain_ids(diff_ids: "Sequence[str]") -> "Iterator[str]":
    """Yield what identifies each layer together with all below it (image-spec config.md, Layer ChainID)."""
    chain = ""
    for diff_id in diff_ids:
        chain = digest_of(f"{chain} {diff_id}".encode()) if chain else diff_id
        yield chain
