# SPDX-License-Identifier: Apache-2.0
"""Terminals: the receiver of a console socket, and a real pseudo-terminal to run under."""

import array
import fcntl
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from blackbox.processes import patience, started

SIZE = struct.Struct("=HHHH")


class Receiver:
    """A listening socket that is sent one descriptor: cli.md 3.1 and 3.2."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX)
        directory = os.open(path.parent, os.O_PATH)
        self.listener.bind(f"/proc/self/fd/{directory}/{path.name}")  # a path may exceed 107 bytes
        os.close(directory)
        self.listener.listen(1)
        self.listener.settimeout(patience(10))
        self.files: list[int] = []

    def receive(self) -> tuple[bytes, int]:
        """Return payload and descriptor of the first message."""
        connection, _ = self.listener.accept()
        with connection:
            connection.settimeout(patience(10))
            data, controls, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4 * 8))
        numbers = array.array("i")
        for level, kind, content in controls:
            assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
            numbers.frombytes(content)
        self.files += numbers
        assert len(numbers) == 1, "exactly one descriptor"
        return data, numbers[0]

    def close(self) -> None:
        """Close the socket and what was received."""
        self.listener.close()
        for number in self.files:
            os.close(number)


def size(terminal: int) -> tuple[int, int]:
    """Return rows and columns."""
    rows, columns, _, _ = SIZE.unpack(fcntl.ioctl(terminal, termios.TIOCGWINSZ, bytes(8)))
    return rows, columns


def resize(terminal: int, rows: int, columns: int) -> None:
    """Set rows and columns."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, SIZE.pack(rows, columns, 0, 0))


def resize_until(terminal: int, rows: int, columns: int, wanted: str) -> None:
    """Set rows and columns, again and again until `wanted` was seen.

    A client listens for SIGWINCH only after its first size has arrived, so the first change may be
    nobody's; one to the same size is no signal.
    """
    deadline = time.monotonic() + patience(10)
    seen = ""
    while wanted not in seen:
        assert time.monotonic() < deadline, f"{wanted!r} was not seen: {seen!r}"
        resize(terminal, rows, columns - 1)
        resize(terminal, rows, columns)
        if select.select([terminal], [], [], 0.1)[0]:
            seen += os.read(terminal, 4096).decode("utf-8", "replace")


def read_until(terminal: int, wanted: str, seconds: float = 10) -> str:
    """Read from a terminal until `wanted` was seen; fail at its end or after `seconds`."""
    deadline = time.monotonic() + patience(seconds)
    seen = ""
    while wanted not in seen:
        left = deadline - time.monotonic()
        assert left > 0, f"{wanted!r} was not seen: {seen!r}"
        if not select.select([terminal], [], [], left)[0]:
            continue
        try:
            data = os.read(terminal, 4096)
        except OSError:  # EIO: the other side has gone
            data = b""
        assert data, f"{wanted!r} was not seen before the end: {seen!r}"
        seen += data.decode("utf-8", "replace")
    return seen


class Foreground:
    """A process in the foreground of a pseudo-terminal, as a user's shell starts one."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        self.master, slave = pty.openpty()
        resize(self.master, 33, 99)
        self.modes = termios.tcgetattr(self.master)
        wrapped = ["setsid", "--ctty", "--wait", *argv]
        self.process = subprocess.Popen(wrapped, stdin=slave, stdout=slave, stderr=slave, env=env)
        started.add(self.process.pid)
        self.slave = slave

    def write(self, text: str) -> None:
        """Type something."""
        os.write(self.master, text.encode())

    def read_until(self, wanted: str) -> str:
        """Return the output up to `wanted`."""
        return read_until(self.master, wanted)

    def wait(self, seconds: float = 10) -> int:
        """Return the exit status."""
        return self.process.wait(patience(seconds))

    def close(self) -> None:
        """End it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        started.discard(self.process.pid)
        os.close(self.master)
        os.close(self.slave)
