# SPDX-License-Identifier: Apache-2.0
"""The host's end of the channel to the agent: frames in and out, each wait with a deadline."""

import select
import socket
import time

from vm.frames import Frames, pack

PIECE = 1 << 18  # bytes of one read


class Link:
    """The socket that qemu joins to the guest's port."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.frames = Frames()
        self.queue = b""

    def fileno(self) -> int:
        """Return the descriptor, for select(2)."""
        return self.sock.fileno()

    def feed(self) -> bool:
        """Read what has arrived; False when qemu is gone."""
        try:
            data = self.sock.recv(PIECE)
        except ConnectionError:
            return False
        self.frames.feed(data)
        return bool(data)

    def read(self, seconds: float) -> tuple[bytes, bytes] | None:
        """Wait for the next frame; None when none came in time or qemu is gone."""
        deadline = time.monotonic() + seconds
        while not (frame := self.frames.take()):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self], [], [], left)[0] or not self.feed():
                return None
        return frame

    def put(self, kind: bytes, data: bytes = b"") -> None:
        """Queue a frame for `push`: to write here, while the guest waits for us to read, would be for ever."""
        self.queue += pack(kind, data)

    def push(self) -> None:
        """Write as much of the queue as goes without waiting; ConnectionError when qemu is gone."""
        try:
            self.queue = self.queue[self.sock.send(self.queue, socket.MSG_DONTWAIT) :]
        except BlockingIOError:
            pass

    def push_all(self, seconds: float) -> bool:
        """Write the queue; False when it could not be written in time."""
        deadline = time.monotonic() + seconds
        while self.queue:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([], [self], [], left)[1]:
                return False
            try:
                self.push()
            except ConnectionError:
                return False
        return True

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()
