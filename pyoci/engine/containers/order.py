# SPDX-License-Identifier: Apache-2.0
"""What a container finds when it starts, and how a command tells the process that makes it.

From a process to its own child, so in the interpreter's own form: it costs a tenth of what JSON does.
"""

import marshal
import posix

from pyoci.engine.containers.record import Container
from pyoci.engine.places import Places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_LENGTH = 8  # bytes that say how long an order is


class Surroundings:
    """What a container finds beside its own: its root, the namespaces of others, variables of links."""

    __slots__ = ("layers", "link_variables", "namespaces", "root")

    def __init__(self, root: str, layers: "Sequence[str]" = ()) -> None:
        self.root = root
        self.layers = layers  # to be mounted there, the uppermost first; none: it is a root already
        self.namespaces: dict[
            str, str
        ] = {}  # kind -> path of the namespace that it joins, "" for the host's
        self.link_variables: list[str] = []


def pack(container: Container, around: Surroundings) -> bytes:
    """Return the order to make a container."""
    row = (container.id, container.name, container.created, container.image)
    found = (around.root, around.layers, around.namespaces, around.link_variables)
    whole: Any = ((container.places.root, container.places.run), row, container.document, found)
    data = marshal.dumps(whole)
    return len(data).to_bytes(_LENGTH, "little") + data


def receive(fd: int) -> tuple[Container, Surroundings] | None:
    """Wait for an order; None where who would give it has ended before he had."""
    length = _read(fd, _LENGTH)
    data = _read(fd, int.from_bytes(length, "little")) if length else b""
    if not data:
        return None
    places, row, document, (root, layers, namespaces, variables) = marshal.loads(data)  # noqa: S302 - our parent's
    container = Container(Places(*places), (*row, "{}"))
    container.document = document
    around = Surroundings(root, layers)
    around.namespaces, around.link_variables = namespaces, variables
    return container, around


def _read(fd: int, length: int) -> bytes:
    """Read so many bytes; b"" where there are fewer."""
    data = b""
    while len(data) < length:
        part = posix.read(fd, length - len(data))
        if not part:
            return b""
        data += part
    return data
