# SPDX-License-Identifier: Apache-2.0
"""A plan as bytes: header, operations of one size, data. native/plan.c checks and reads the same layout."""

import _struct

from pyoci.plan import ops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyoci.plan.program import Argument, Program

HEADER_BYTES = 64
OPERATION_BYTES = 64
ENCODING = "utf-8"
_MASK = (1 << 64) - 1
_HEADER = _struct.Struct("<IIQII40x")
_OPERATION = _struct.Struct("<HHHH6Q8x")
_WORD = _struct.Struct("<Q")


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


def encode(program: "Program", inherited: int) -> bytes:
    """Return the plan as the executor reads it; `inherited` slots are filled by the runtime."""
    count = len(program.operations)
    if count > ops.MAX_OPERATIONS:
        raise OverflowError(f"a plan of {count} operations")
    data = _Data(HEADER_BYTES + OPERATION_BYTES * count)
    signatures, codes, pack = ops.SIGNATURES, ops.CODES, _OPERATION.pack
    records = []
    for operation in program.operations:
        code = codes[operation.name]
        words = [0] * ops.MAX_ARGUMENTS
        for index, kind in enumerate(signatures[code]):
            argument = operation.arguments[index]
            # Most are numbers: the one case that is not worth a call (0.2 ms in a plan of 300).
            if type(argument) is int:
                words[index] = argument & _MASK
            else:
                words[index] = data.word(kind, argument)
        first, second, *_ = (*operation.ignore, 0, 0)
        records.append(pack(code, operation.skip, first, second, *words))
    body = b"".join(records) + data.bytes
    header = _HEADER.pack(ops.MAGIC, ops.VERSION, HEADER_BYTES + len(body), count, inherited)
    return header + body
