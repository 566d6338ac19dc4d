# SPDX-License-Identifier: Apache-2.0
"""Documents of objects of any kind, as `inspect` prints them: an array, or each through a Go template."""

import sys

from pyoci.engine.errors import EngineError, NotFoundError, PlainError
from pyoci.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pyoci.engine.places import Places

    Find = Callable[[Places, str, bool], dict[str, Any]]


def _container(places: "Places", name: str, size: bool) -> "dict[str, Any]":  # noqa: FBT001 - a row of the table
    from pyoci.engine.containers import description
    from pyoci.engine.containers.record import Records

    records = Records(places)
    return description.describe(records, records.find(name), size=size)


def _image(places: "Places", name: str, size: bool) -> "dict[str, Any]":  # noqa: FBT001 - a row of the table
    del size
    from pyoci.engine.containers.record import Records
    from pyoci.engine.images.listing import inspect
    from pyoci.engine.images.store import Store

    return inspect(Store(Records(places).database, places), name)


def _volume(places: "Places", name: str, size: bool) -> "dict[str, Any]":  # noqa: FBT001 - a row of the table
    del size
    from pyoci.engine import volumes
    from pyoci.engine.containers.record import Records

    found = volumes.Volumes(places, Records(places).database).find(name)
    return volumes.describe(found, places)


def _network(places: "Places", name: str, size: bool) -> "dict[str, Any]":  # noqa: FBT001 - a row of the table
    del size
    from pyoci.engine.containers.record import Records
    from pyoci.engine.networks import creation
    from pyoci.engine.networks.records import Networks

    records = Records(places)
    networks = Networks(records.database)
    names = {container.id: container.name for container in records.all()}
    return creation.describe(networks, networks.find(name), names)


_SYNTAX = 64  # the status of a template that is none
# In the order in which a name is looked up.
FINDERS: "dict[str, Find]" = {
    "container": _container,
    "image": _image,
    "network": _network,
    "volume": _volume,
}
_WORDS = {
    "container": "No such container: {}",
    "image": "No such image: {}",
    "network": "network {} not found",
    "volume": "get {}: no such volume",
    "": "No such object: {}",
}


def print_documents(
    names: "Sequence[str]", kinds: "Sequence[str]", places: "Places", *, form: str, size: bool
) -> int:
    """Print what is known of each name; what is not known is said on stderr, status 1."""
    documents, missing = [], []
    for name in names:
        found = _find(name, kinds, places, size=size)
        if found is None:
            missing.append(name)
        else:
            documents.append(found)
    _print(documents, form)
    sys.stdout.flush()
    words = _WORDS[kinds[0] if len(kinds) == 1 else ""]
    for name in missing:
        shown = _image_name(name) if [*kinds] == ["image"] else name
        print_error(f"Error: {words.format(shown)}")
    return 1 if missing else 0


def _image_name(text: str) -> str:
    """Return a name with the tag that it stands for."""
    from pyoci.engine.reference import parse

    try:
        return parse(text).shown
    except EngineError:
        return text


def print_error(text: str) -> None:
    """Say something on stderr."""
    sys.stderr.write(f"{text}\n")


def _find(
    name: str, kinds: "Sequence[str]", places: "Places", *, size: bool
) -> "dict[str, Any] | None":
    for kind in kinds:
        try:
            return FINDERS[kind](places, name, size)
        except NotFoundError:
            continue
    return None


def _print(documents: "list[dict[str, Any]]", form: str) -> None:
    if form in ("", "json"):
        text = dumps(documents, "    " if not form else "")
        sys.stdout.write(f"{text}\n")
        return
    from pyoci.engine.templates import ExecutionError, SyntaxProblem, Template
    from pyoci.engine.templates.values import typed

    try:
        template = Template(form)
    except SyntaxProblem as error:
        raise PlainError(f"template parsing error: {error}", _SYNTAX) from None
    for document in documents:
        try:
            text = template.render(typed(document))
        except ExecutionError as error:
            sys.stdout.write("\n")
            raise PlainError(f"template parsing error: {error}") from None
        sys.stdout.write(f"{text}\n")
