# SPDX-License-Identifier: Apache-2.0
"""A process of `exec` with a terminal, or which nobody waits for: begun as our child, seen to its end.

To the loop of the foreground it is what a monitor is otherwise: packets in and out (monitor/clients.py).
"""

import fcntl
import posix
import select

from pyoci import runtime
from pyoci.engine import events
from pyoci.engine.containers import launch
from pyoci.engine.containers.ahead import PYPOD
from pyoci.engine.containers.session import Session
from pyoci.engine.errors import EngineError
from pyoci.engine.monitor.clients import PACKET
from pyoci.errors import PyociError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyoci.engine.containers.record import Container
    from pyoci.spec import Process

_TIOCSWINSZ, _TIOCGPTPEER = 0x5414, 0x5441
_PEER = posix.O_RDWR | posix.O_NOCTTY | posix.O_CLOEXEC
_BEGUN, _NOTHING = b"begun", b"-"


class Executed(Session):
    """A process and the master of its terminal, -1 for none."""

    __slots__ = ("container", "identity", "master", "pending", "pidfd", "ready")

    def __init__(self, container: "Container", identity: str) -> None:
        super().__init__()
        self.container = container
        self.identity = identity
        self.ready = select.epoll()
        self.pending = b""  # input that the terminal has no room for yet
        self.master = self.pidfd = -1

    def fileno(self) -> int:  # type: ignore[explicit-override]  # typing.override would have to be imported
        """Return what is ready when the terminal is, and when the process has ended."""
        return self.ready.fileno()

    def run(self, process: "Process") -> None:
        """Begin; returns when the program runs."""
        root = launch.runtime_root(self.container)
        self.pid = runtime.begin_process(root, self.container.id, process, self._take)
        self.pidfd = posix.pidfd_open(self.pid)
        self.ready.register(self.pidfd, select.EPOLLIN)

    def _take(self, master: int) -> None:
        """Take the terminal; its other end stays open, so that a program may close it and open it again."""
        self.master = master
        fcntl.ioctl(master, _TIOCGPTPEER, _PEER)
        posix.set_blocking(master, False)
        self.ready.register(master, select.EPOLLIN)
        if self.prepare is not None:
            self.prepare()

    def send(self, packet: bytes) -> None:  # type: ignore[explicit-override]  # typing.override would have to be imported
        """Pass input on, or the size of a terminal."""
        if packet[:1] == b"i":
            self.pending += packet[1:]
            self._flush()
        elif packet[:1] == b"w" and self.master >= 0:
            fcntl.ioctl(self.master, _TIOCSWINSZ, packet[1:])

    def _flush(self) -> None:
        """Write what there is room for."""
        try:
            self.pending = self.pending[posix.write(self.master, self.pending) :]
        except BlockingIOError:
            pass
        wanted = select.EPOLLIN | (select.EPOLLOUT if self.pending else 0)
        self.ready.modify(self.master, wanted)

    def receive(self) -> bytes:  # type: ignore[explicit-override]  # typing.override would have to be imported
        """Return what the program has written; when it has ended and all of that is read, its exit status."""
        if self.pending:
            self._flush()
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        has_ended = bool(poll.poll(0))
        try:
            data = posix.read(self.master, PACKET) if self.master >= 0 else b""
        except BlockingIOError:
            data = b""
        if data:
            return b"o" + data
        return b"x%d" % self._exit_status() if has_ended else _NOTHING

    def _exit_status(self) -> int:
        from pyoci.engine.monitor.ended import exit_status

        return exit_status(self.pidfd, self.pid)

    def see_to_its_end(self) -> None:
        """Read what nobody looks at until the process has ended, and tell of it."""
        if self.master < 0:
            self._rest()
        packet = _NOTHING
        while packet[:1] != b"x":
            self.ready.poll()
            packet = self.receive()
        self.tell_of_end(int(packet[1:]))

    def _rest(self) -> None:
        """Become the launcher, which waits in a hundredth of the memory, then `_exec_die` (monitor.c); returns if it cannot."""
        environment = {**posix.environ, **self.container.places.environment()}
        posix.set_inheritable(self.pidfd, True)  # noqa: FBT003 - the argument has no name
        words = [self.container.id, "rest", str(self.pidfd), "-1", f"{self.pid}:{self.identity}"]
        try:
            posix.execve(PYPOD, ["pypod", "_exec_die", *words], environment)
        except OSError:
            return  # it was removed

    def tell_of_end(self, code: int) -> None:
        """Tell with which status it has ended."""
        tell_of_end(self.container, self.identity, code)

    def begin_detached(self, process: "Process") -> None:
        """Have another process begin it and see to its end; returns when the program runs."""
        said = self._apart(lambda: self._attempt(process))
        if said != _BEGUN:
            raise EngineError(said.decode() or "who was to begin the process was killed")

    def let_go(self) -> None:
        """Leave a process that runs: another of ours reads its terminal, and sees to its end."""
        events.of_container(self.container, "exec_detach", execID=self.identity)
        self._apart(lambda: _BEGUN)

    def _apart(self, begin: "Callable[[], bytes]") -> bytes:
        """Have another process, in a session of its own, begin and see to the end; returns what it says of the first."""
        reading, writing = posix.pipe2(posix.O_CLOEXEC)
        if posix.fork() == 0:
            try:
                _be_nobodys()
                said = begin()
                posix.write(writing, said)
                posix.close(writing)
                if said == _BEGUN:
                    self.see_to_its_end()
            finally:
                posix._exit(0)  # noqa: SLF001 - a child: nothing of its parent is to be flushed
        posix.close(writing)
        said = posix.read(reading, PACKET)
        posix.close(reading)
        return said

    def _attempt(self, process: "Process") -> bytes:
        """Begin; returns what kept us from it."""
        try:
            self.run(process)
        except PyociError as error:
            return str(error).encode()
        return _BEGUN


def tell_of_end(container: "Container", identity: str, code: int) -> None:
    """Tell with which status a process has ended."""
    events.of_container(container, "exec_die", execID=identity, exitCode=str(code))


def _be_nobodys() -> None:
    """Have no terminal, and nothing of our caller's open: a lock, a pipe would be held as long as the process runs."""
    posix.setsid()
    for fd in map(int, posix.listdir("/proc/self/fd")):
        try:
            if fd > 2 and posix.get_inheritable(fd):  # no descriptor of ours is
                posix.close(fd)
        except OSError:
            continue  # that of the listing itself
    null = posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)
    for number in (0, 1, 2):
        posix.dup2(null, number)
