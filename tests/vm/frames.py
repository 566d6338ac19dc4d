# SPDX-License-Identifier: Apache-2.0
"""The words between host and guest: type (1 byte), length (4 bytes, big-endian), payload.

guest to host: READY, TAKEN (the request), OUT, ERR, STATUS (JSON), FILES (a piece of a tar of /out), END
host to guest: REQUEST (JSON), INPUT (empty at its end), SIGNAL (a number, for the command)
"""

import struct

READY, TAKEN, OUT, ERR, STATUS, FILES, END = (b"R", b"A", b"O", b"E", b"X", b"F", b"Z")
REQUEST, INPUT, SIGNAL = (b"Q", b"I", b"K")
HEAD = struct.Struct(">cI")


def pack(kind: bytes, data: bytes = b"") -> bytes:
    """Return one frame."""
    return HEAD.pack(kind, len(data)) + data


class Frames:
    """Takes frames out of a stream that arrives in pieces of any size."""

    def __init__(self) -> None:
        self.buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Add what has arrived."""
        self.buffer += data

    def take(self) -> tuple[bytes, bytes] | None:
        """Return the next whole frame; None until there is one."""
        if len(self.buffer) < HEAD.size:
            return None
        kind, size = HEAD.unpack_from(self.buffer)
        end = HEAD.size + size
        if len(self.buffer) < end:
            return None
        data = bytes(self.buffer[HEAD.size : end])
        del self.buffer[:end]
        return kind, data
