# SPDX-License-Identifier: Apache-2.0
"""What goes in and out of a container: named pipes, or the master of its terminal.

Both ends of the output pipes are open for reading and writing in the container: it gets no SIGPIPE when its monitor is killed, and
waits at 64 KiB until there is another.
"""

import _socket
import fcntl
import posix
import select

from pyoci.engine.monitor.clients import PACKET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.engine.monitor.log import Log
    from pyoci.engine.monitor.watch import Watch

STDIN, STDOUT, STDERR = "stdin", "stdout", "stderr"
_BOTH = posix.O_RDWR | posix.O_NONBLOCK | posix.O_CLOEXEC
_WRITE = posix.O_WRONLY | posix.O_NONBLOCK | posix.O_CLOEXEC
_READ_CHUNK = 65536
_FULL = 1 << 16


class Streams:
    """Input and output of one run after the other."""

    __slots__ = ("console", "held", "input", "log", "master", "outputs", "pending", "shut", "watch")

    def __init__(self, watch: "Watch", log: "Log") -> None:
        self.watch = watch
        self.log = log
        self.outputs: dict[int, bytes] = {}  # descriptor -> stream
        self.input = self.master = self.console = -1
        self.pending = b""
        self.shut = self.held = False

    def open(self, console: int) -> None:
        """Open the pipes; or, with a terminal, wait for it on the listening socket."""
        if self.watch.settings["tty"]:
            self.console = console
            if console >= 0:
                self.watch.watch(console, self.take_terminal)
            return
        for name in (STDOUT, STDERR):
            if name.encode() not in self.outputs.values():
                fd = posix.open(f"{self.watch.run}/{name}", _BOTH)
                self.outputs[fd] = name.encode()
                self.watch_output(fd)

    def state(self) -> "dict[str, Any]":
        """Return what go_on needs: descriptors by number, and of the log what has no end of line yet."""
        partial = {
            stream.decode(): rest.decode("latin-1") for stream, rest in self.log.partial.items()
        }
        outputs = [[fd, stream.decode()] for fd, stream in self.outputs.items()]
        return {
            "outputs": outputs,
            "input": self.input,
            "master": self.master,
            "shut": self.shut,
            "partial": partial,
            "compressing": self.log.compressing,
        }

    def go_on(self, state: "dict[str, Any]") -> None:
        """Read on where the monitor rested."""
        self.input, self.master, self.shut = state["input"], state["master"], state["shut"]
        self.log.compressing = state["compressing"]
        for fd, stream in state["outputs"]:
            self.outputs[fd] = stream.encode()
            self.watch_output(fd)
        for stream, rest in state["partial"].items():
            self.log.partial[stream.encode()] = rest.encode("latin-1")

    def take_terminal(self) -> None:
        """Take the master of the terminal from the process that makes the container."""
        listener = _socket.socket(fileno=posix.dup(self.console))
        self.watch.unwatch(self.console)
        fd, _ = listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001 - _socket's own name
        listener.close()
        sender = _socket.socket(fileno=fd)
        _, ancillary, _, _ = sender.recvmsg(256, _socket.CMSG_SPACE(4))
        sender.close()
        for _, _, data in ancillary:
            self.master = int.from_bytes(data[:4], "little")
        if self.master >= 0:
            posix.set_inheritable(self.master, False)  # noqa: FBT003 - the argument has no name
            posix.set_blocking(self.master, False)  # noqa: FBT003 - the argument has no name
            master = self.master
            self.outputs[master] = STDOUT.encode()
            self.watch_output(master)
            self.input = fcntl.fcntl(master, fcntl.F_DUPFD_CLOEXEC, 3)

    def watch_output(self, fd: int) -> None:
        """Read from a descriptor whenever there is something."""

        def read() -> None:
            self.read(fd)

        self.watch.watch(fd, read)

    def open_input(self) -> None:
        """Open the pipe that is the container's standard input, which is open there."""
        if self.input >= 0 or self.watch.settings["tty"] or not self.watch.settings["open_stdin"]:
            return
        try:
            self.input = posix.open(f"{self.watch.run}/{STDIN}", _WRITE)
        except OSError:
            return  # the program has ended already
        if self.pending:
            self.wait_for_room()
        elif self.shut:
            self.close_input()

    def hold(self, *, wanted: bool) -> None:
        """Read nothing while a client cannot follow, so that the container waits as it would with any pipe."""
        if wanted == self.held:
            return
        self.held = wanted
        for fd in self.outputs:
            self.watch.poll.modify(fd, 0 if wanted else select.EPOLLIN)

    def read(self, fd: int) -> bool:
        """Pass on what the container has written; False when there is nothing."""
        try:
            data = posix.read(fd, _READ_CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""  # a terminal that nobody has open any more
        if not data:
            del self.outputs[fd]
            self.watch.unwatch(fd)
            return False
        stream = self.outputs[fd]
        self.log.write(stream, data)
        word = b"e" if stream == STDERR.encode() else b"o"
        for at in range(0, len(data), PACKET):
            self.watch.clients.output(word + data[at : at + PACKET])
        return True

    def drain(self) -> None:
        """Read what is left when the program has ended."""
        for fd in [*self.outputs]:
            while fd in self.outputs and self.read(fd):
                pass
        self.log.flush()
        if self.master >= 0 and self.master in self.outputs:
            del self.outputs[self.master]
            self.watch.unwatch(self.master)
        self.master = -1
        self.close_input()
        self.pending, self.shut = b"", False

    def give(self, data: bytes) -> None:
        """Pass input on, now or when there is room."""
        self.pending += data
        if self.input >= 0 and len(self.pending) == len(data):
            self.feed()

    def feed(self) -> None:
        """Write as much input as the container takes."""
        try:
            while self.pending:
                self.pending = self.pending[posix.write(self.input, self.pending) :]
        except BlockingIOError:
            self.wait_for_room()
            return
        except OSError:
            self.pending, self.shut = b"", True  # nobody reads it any more
        self.stop_waiting()
        if self.shut:
            self.close_input()

    def end_input(self) -> None:
        """The client's input has ended: so does the container's, once it has all of it."""
        if not self.watch.settings["stdin_once"] or self.watch.settings["tty"]:
            return
        self.shut = True
        if not self.pending:
            self.close_input()

    def wait_for_room(self) -> None:
        """Go on writing when the pipe has room."""
        try:
            self.watch.poll.register(self.input, select.EPOLLOUT)
        except FileExistsError:
            return

    def stop_waiting(self) -> None:
        """There is nothing to write."""
        try:
            self.watch.poll.unregister(self.input)
        except (FileNotFoundError, ValueError):
            return

    def close_input(self) -> None:
        """Let the container see the end of its input."""
        if self.input >= 0:
            self.stop_waiting()
            posix.close(self.input)
            self.input = -1
