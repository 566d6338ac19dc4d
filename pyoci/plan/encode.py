# SPDX-License-Identifier: Apache-2.0
"""A plan as bytes: header, operations of one size, data. native/plan.c checks and reads the same layout.

Last come the strings of one container (`Late`), so that a plan which is kept needs only these filled in again.
"""

import _struct

from pyoci.plan import ops
from pyoci.plan.program import Late

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyoci.plan.program import Argument, Program

    LateWord = tuple[int, str, int, str]  # where the word is; before, source, after of a Late

HEADER_BYTES = 64
OPERATION_BYTES = 64
ENCODING = "utf-8"
_MASK = (1 << 64) - 1
_HEADER = _struct.Struct("<IIQII40x")
_OPERATION = _struct.Struct("<HHHH6Q8x")
_WORD = _struct.Struct("<Q")
_SIZE_AT = 8  # in the header
_ARGUMENTS_AT = 8  # in an operation


class Plan:
    """An encoded plan, and what the runtime must know of it while it is carried out."""

    __slots__ = ("clones", "count", "late", "shared", "text")

    def __init__(
        self, shared: bytes, late: "list[LateWord]", clones: tuple[int, ...], count: int
    ) -> None:
        self.shared = shared  # what every container of the bundle has
        self.late = late
        self.clones = clones  # which operations make a process
        self.count = count  # of operations
        self.text = b""  # once it is filled

    def fill(self, strings: "Sequence[str]") -> "Plan":
        """Put the strings of one container behind the rest, one for each word that waits for it."""
        text = bytearray(self.shared)
        for (offset, *_), value in zip(self.late, strings, strict=True):
            _WORD.pack_into(text, offset, len(text))
            text += value.encode(ENCODING, "surrogateescape") + b"\0"
        _WORD.pack_into(text, _SIZE_AT, len(text))
        self.text = bytes(text)
        return self


class _Data:
    """The part of a plan behind its operations; equal strings are stored once."""

    __slots__ = ("bytes", "start", "strings")

    def __init__(self, start: int) -> None:
        self.start = start
        self.bytes = bytearray()
        self.strings: dict[str, int] = {}

    def string(self, value: str | None) -> int:
        if value is None:
            return 0
        offset = self.strings.get(value)
        if offset is None:
            offset = self.strings[value] = self.start + len(self.bytes)
            self.bytes += value.encode(ENCODING, "surrogateescape") + b"\0"
        return offset

    def blob(self, value: bytes) -> int:
        offset = self._align()
        self.bytes += _WORD.pack(len(value)) + value
        return offset

    def strings_list(self, values: "Sequence[str] | None") -> int:
        if values is None:
            return 0
        offsets = [ops.HOME_STRING if value == ops.HOME else self.string(value) for value in values]
        offset = self._align()
        self.bytes += _struct.pack(f"<{len(offsets) + 2}Q", len(offsets), *offsets, 0)
        return offset

    def word(self, kind: str, argument: "Argument") -> int:
        """Return the word of an argument that is no number."""
        if kind == "p":
            assert argument is None or isinstance(argument, str)
            return self.string(argument)
        if kind == "b":
            assert isinstance(argument, bytes)
            return self.blob(argument)
        assert argument is None or isinstance(argument, (list, tuple))
        return self.strings_list(argument)

    def _align(self) -> int:
        self.bytes += bytes(-len(self.bytes) % 8)
        return self.start + len(self.bytes)


def encode(program: "Program", inherited: int) -> Plan:
    """Return the plan as the executor reads it; `inherited` slots are filled by the runtime."""
    count = len(program.operations)
    if count > ops.MAX_OPERATIONS:
        raise OverflowError(f"a plan of {count} operations")
    data = _Data(HEADER_BYTES + OPERATION_BYTES * count)
    signatures, codes, pack = ops.SIGNATURES, ops.CODES, _OPERATION.pack
    records, clones = [], []
    late: list[LateWord] = []
    strings = []
    for number, operation in enumerate(program.operations):
        code = codes[operation.name]
        words = [0] * ops.MAX_ARGUMENTS
        for index, kind in enumerate(signatures[code]):
            argument = operation.arguments[index]
            # Most are numbers: the one case that is not worth a call (0.2 ms in a plan of 300).
            if type(argument) is int:
                words[index] = argument & _MASK
            elif type(argument) is Late:
                at = HEADER_BYTES + OPERATION_BYTES * number + _ARGUMENTS_AT + 8 * index
                late.append((at, argument.before, argument.source, argument.after))
                strings.append(argument)
            else:
                words[index] = data.word(kind, argument)
        if operation.name == "clone":
            clones.append(number)
        first, second, *_ = (*operation.ignore, 0, 0)
        records.append(pack(code, operation.skip, first, second, *words))
    body = b"".join(records) + data.bytes
    header = _HEADER.pack(ops.MAGIC, ops.VERSION, 0, count, inherited)
    return Plan(header + body, late, tuple(clones), count).fill(strings)
