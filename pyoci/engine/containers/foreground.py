# SPDX-License-Identifier: Apache-2.0
"""A container in the foreground: its output is ours, our input and our signals are its, until its end or until we let go of it.

One loop waits for the monitor, for our standard input, and for signals, which the interpreter writes into a pipe. With a terminal
on both sides ours is raw meanwhile: Ctrl-C is a byte for the container's line discipline.
"""

import fcntl
import posix
import select

from pyoci.engine.containers.session import Session, write_all
from pyoci.engine.errors import EngineError
from pyoci.engine.monitor.clients import PACKET

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal

DETACHED = -1
_DETACH_KEYS = "ctrl-p,ctrl-q"
_STDIN, _STDOUT, _STDERR = 0, 1, 2
_TIOCGWINSZ = 0x5413
_NOT_FORWARDED = {
    _signal.SIGCHLD,
    _signal.SIGKILL,
    _signal.SIGSTOP,
    _signal.SIGURG,
    _signal.SIGPIPE,
    _signal.SIGWINCH,
    _signal.SIGTTIN,
    _signal.SIGTTOU,
    _signal.SIGTSTP,
    _signal.SIGSEGV,
    _signal.SIGBUS,
    _signal.SIGFPE,
    _signal.SIGILL,
}


class Foreground:
    """What is connected: `stdin`: our input goes there; `tty`: it has a terminal; `proxy`: so do our signals."""

    __slots__ = (
        "detach_keys",
        "is_over",
        "keys",
        "mode",
        "output",
        "proxy",
        "session",
        "signals",
        "stdin",
        "tty",
    )

    def __init__(
        self,
        session: Session,
        *,
        stdin: bool,
        tty: bool,
        proxy: bool,
        detach_keys: bytes = b"",
    ) -> None:
        self.session = session
        self.stdin = stdin
        self.tty = tty
        self.proxy = proxy
        self.detach_keys = detach_keys  # none: those of Docker's configuration, else the usual ones
        self.is_over = False  # it has ended, and does not begin again
        self.keys = b""  # the beginning of the detach keys, kept back
        self.output = {b"o": _STDOUT, b"e": _STDERR}
        self.mode: list[object] | None = None
        self.signals = -1
        session.prepare = self.ready

    def ready(self) -> None:
        """Take signals from now on, and ask for the output; before the program begins."""
        if self.tty and self.stdin and not self.detach_keys:
            from pyoci.engine import clientconfig

            self.detach_keys = read_keys(clientconfig.read().get("detachKeys") or _DETACH_KEYS)
        self.signals, writing = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
        _signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in _signal.valid_signals():
            if number == _signal.SIGWINCH or (
                self.proxy and number not in _NOT_FORWARDED and number < 32
            ):
                _signal.signal(number, _noted)
        self.session.send(b"a")
        self.send_size()

    def keep(self, *, stdout: bool, stderr: bool) -> None:
        """Write only those streams that are asked for; a terminal is stdout."""
        self.output = {b"o": _STDOUT} if stdout else {}
        if stderr:
            self.output[b"e"] = _STDERR

    def send_size(self) -> None:
        """Give the container's terminal the size of ours."""
        if not self.tty:
            return
        for fd in (_STDIN, _STDOUT, _STDERR):
            try:
                size = fcntl.ioctl(fd, _TIOCGWINSZ, bytes(8))
            except OSError:
                continue
            if size[:4] != bytes(4):
                self.session.send(b"w" + size)
                return

    def run(self) -> int:
        """Stay until the program ends; returns its exit status, DETACHED when we were asked to let go."""
        if self.tty and self.stdin:
            self.make_raw()
        poll = select.poll()
        poll.register(self.session.fileno(), select.POLLIN)
        poll.register(self.signals, select.POLLIN)
        if self.stdin:
            poll.register(_STDIN, select.POLLIN)
        try:
            code = self.loop(poll)
        finally:
            self.restore()
        if code == DETACHED:  # said once the terminal ends lines again
            write_all(_STDERR, b"read escape sequence\n")
        return code

    def loop(self, poll: "select.poll") -> int:
        """Wait and pass on."""
        while True:
            ready = [] if self.session.early else [fd for fd, _ in poll.poll()]
            if self.signals in ready:
                self.pass_signals()
            if self.stdin and _STDIN in ready and not self.pass_input():
                if self.tty and self.keys == self.detach_keys:
                    return DETACHED
                self.stdin = False
                poll.unregister(_STDIN)
            if self.session.early or self.session.fileno() in ready:
                code = self.take()
                if code is not None:
                    return code

    def take(self) -> int | None:
        """Take a packet; returns the exit status when it is that."""
        packet = self.session.receive()
        word = packet[:1]
        if not packet:
            raise EngineError("the container's monitor was killed", 125)
        if word in (b"x", b"g"):
            self.is_over = word == b"x"
            return int(packet[1:])
        if word == b"r":
            self.send_size()
        elif word in self.output:
            write_all(self.output[word], packet[1:])
        return None

    def pass_input(self) -> bool:
        """Pass input on; False at its end, or when the detach keys came."""
        data = posix.read(_STDIN, PACKET)
        if not data:
            self.session.send(b"z")
            return False
        if self.tty:
            data = self.look_for_keys(data)
            if self.keys == self.detach_keys:
                return False
        if data:
            self.session.send(b"i" + data)
        return True

    def look_for_keys(self, data: bytes) -> bytes:
        """Keep back what may be the detach keys; returns what is not."""
        passed = b""
        for byte in data:
            self.keys += bytes((byte,))
            if self.keys == self.detach_keys:
                return passed
            while not self.detach_keys.startswith(self.keys):
                passed += self.keys[:1]
                self.keys = self.keys[1:]
        return passed

    def pass_signals(self) -> None:
        """Pass signals on to the container's program."""
        for number in posix.read(self.signals, 4096):
            if number == _signal.SIGWINCH:
                self.send_size()
            elif self.proxy and self.session.pid:
                try:
                    posix.kill(self.session.pid, number)
                except ProcessLookupError:
                    continue

    def make_raw(self) -> None:
        """Have our terminal pass every byte (cfmakeraw(3))."""
        import termios

        self.mode = termios.tcgetattr(_STDIN)
        raw = termios.tcgetattr(_STDIN)
        raw[0] &= ~(termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP)
        raw[0] &= ~(termios.INLCR | termios.IGNCR | termios.ICRNL | termios.IXON)
        raw[1] &= ~termios.OPOST
        raw[2] = raw[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        raw[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
        termios.tcsetattr(_STDIN, termios.TCSANOW, raw)

    def restore(self) -> None:
        """Give our terminal its mode back."""
        if self.mode is not None:
            import termios

            termios.tcsetattr(_STDIN, termios.TCSADRAIN, self.mode)  # type: ignore[arg-type]  # the list that tcgetattr gave
            self.mode = None


def _noted(number: int, frame: object) -> None:
    """Do nothing: the interpreter has written the number into the pipe already."""


def read_keys(text: str) -> bytes:
    """Read a sequence of keys: letters and ctrl-LETTER, with commas between."""
    found = b""
    for key in text.split(",") if text else ():
        name = key.removeprefix("ctrl-")
        if len(name) != 1 or (name != key and not (name.isalpha() or name in "@[\\]^_")):
            raise EngineError(f"Invalid escape keys ({text}) provided")
        found += bytes((ord(name.upper()) & 0x1F,)) if name != key else name.encode()
    return found
