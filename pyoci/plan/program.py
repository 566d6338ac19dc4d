# SPDX-License-Identifier: Apache-2.0
"""A plan while it is being compiled: operations in order, each with its place in config.json."""

from pyoci.plan import ops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from pyoci.plan.facts import Facts

    Argument = int | str | bytes | Sequence[str] | None


# The source of a Late that holds the container's id; else it is the number of a cgroup.
IDENTITY = -1


def late(facts: "Facts", source: int, before: str, after: str) -> str:
    """Return the string of one container: its id, or a directory of its cgroups, between two others."""
    value = facts.identity if source == IDENTITY else facts.cgroups[source][1]
    return f"{before}{value}{after}"


class Late(str):
    """A string that another container of the same bundle has otherwise: its id, or a directory of its cgroups is in it.

    A plan that is kept for the next time has these filled in again (docs/adr/0006-plan-cache.md).
    """

    __slots__ = ("after", "before", "source")

    before: str
    source: int
    after: str

    def __new__(cls, facts: "Facts", source: int, before: str = "", after: str = "") -> "Self":
        """Take the value from the facts and remember where it was."""
        made = super().__new__(cls, late(facts, source, before, after))
        made.before, made.source, made.after = before, source, after
        return made


class Operation:
    """One kernel operation: what, on what, from which place in config.json."""

    __slots__ = ("arguments", "ignore", "name", "place", "skip")

    def __init__(
        self,
        name: str,
        arguments: "tuple[Argument, ...]",
        place: str,
        ignore: tuple[int, ...],
        skip: int,
    ) -> None:
        self.name = name
        self.arguments = arguments
        self.place = place  # a JSON pointer, "" for what no property asked for
        self.ignore = ignore
        self.skip = skip


class Program:
    """A flat list of operations and the slots that they use."""

    __slots__ = ("operations", "place", "slots")

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.place = ""
        self.slots: dict[str, int] = {}

    def at(self, place: str) -> "Program":
        """Note that the operations which follow come from this place (a JSON pointer) in config.json."""
        self.place = place
        return self

    def add(
        self, name: str, *arguments: "Argument", ignore: tuple[int, ...] = (), skip: int = 0
    ) -> None:
        """Append an operation; on an errno of `ignore` it and the `skip` operations behind it are passed over."""
        signature = ops.OPERATIONS[ops.CODES[name]][1]
        assert len(signature) == len(arguments), (name, arguments)
        self.operations.append(Operation(name, arguments, self.place, ignore, skip))

    def slot(self, name: str) -> int:
        """Return the slot of this name, the same one each time."""
        number = self.slots.get(name)
        if number is None:
            number = self.slots[name] = ops.INHERITED + len(self.slots)
            if number >= ops.SLOTS:
                raise OverflowError("more descriptors than a plan can hold")
        return number
