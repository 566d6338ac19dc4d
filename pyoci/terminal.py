# SPDX-License-Identifier: Apache-2.0
"""The foreground: signals go to the container's process, its terminal is ours, its status our own.

One loop waits for signals (written into a pipe by the interpreter's C handler), the pidfd, and, with
a terminal, its master, stdin and stdout. No thread, no timeout. Our terminal is raw only meanwhile.
"""

import fcntl
import posix
import select

from pyoci.errors import StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from typing import Any

    from pyoci.cgroup.oom import Witness
    from pyoci.notify import Relay
else:
    import _signal

STDIN, STDOUT, STDERR = 0, 1, 2
TIOCGWINSZ, TIOCSWINSZ, TIOCGPTPEER = 0x5413, 0x5414, 0x5441
_READ = select.POLLIN | select.POLLHUP | select.POLLERR
_CHUNK = 65536
# poll(2) promises room for this much on a pipe: more could block the loop, and with it the signals.
_PIPE_BUF = 4096
_FAULTS = {_signal.SIGSEGV, _signal.SIGBUS, _signal.SIGFPE, _signal.SIGILL, _signal.SIGTRAP}
_NEVER_CAUGHT = {_signal.SIGKILL, _signal.SIGSTOP} | _FAULTS
# Job control is about us, not about the container: in the background reading must fail, not stop us.
_JOB_CONTROL = {_signal.SIGTTIN, _signal.SIGTTOU}
# Our own writes raise SIGPIPE; it says nothing to the container.
_OF_TERMINAL = _JOB_CONTROL | {_signal.SIGPIPE}
_NOT_FORWARDED = {_signal.SIGCHLD, _signal.SIGWINCH, _signal.SIGURG}


def block_signals() -> "set[int]":
    """Hold every signal back, before the process is spawned; returns the mask for restore_signals."""
    return {int(n) for n in _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())}


def restore_signals(mask: "set[int]") -> None:
    """Set the mask that block_signals returned."""
    _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)


def forward(
    pidfd: int,
    pid: int,
    master: int | None,
    *,
    notify: "Relay | None" = None,
    witness: "Witness | None" = None,
) -> int:
    """Stay in the foreground until `pid`, our child, has ended; returns its status, 128 + signal.

    Reaps every other child too. The caller keeps its descriptors; the master becomes non-blocking.
    """
    signals = Signals(terminal=master is not None)
    pump = None if master is None else Pump(master)
    try:
        loop = _Foreground(pidfd, pid, signals, pump)
        loop.notify, loop.witness = notify, witness
        return loop.run()
    finally:
        if pump is not None:
            pump.close()
        signals.close()


def adopt(master: int) -> None:
    """Fit the container's terminal to ours: to be called before its program starts and looks at it.

    Newlines pass as they are: our own terminal makes CR LF of them (runc clears ONLCR, too).
    """
    import termios

    mode = termios.tcgetattr(master)
    mode[1] &= ~termios.ONLCR
    termios.tcsetattr(master, termios.TCSANOW, mode)
    copy_size(master)


def copy_size(master: int) -> None:
    """Give the container's terminal the size of ours; without one it keeps consoleSize."""
    for fd in (STDIN, STDOUT, STDERR):
        try:
            size = fcntl.ioctl(fd, TIOCGWINSZ, bytes(8))
        except OSError:
            continue
        if size[:4] != bytes(4):
            fcntl.ioctl(master, TIOCSWINSZ, size)
            return


class Signals:
    """Signals as bytes in a pipe, so that poll(2) can wait for them together with files."""

    __slots__ = ("_write", "fd", "old")

    def __init__(self, *, terminal: bool) -> None:
        self.fd, self._write = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
        self.old = _signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        left = _NEVER_CAUGHT | _OF_TERMINAL if terminal else _NEVER_CAUGHT
        for number in _signal.valid_signals() - left:
            _signal.signal(number, _noted)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, _JOB_CONTROL if terminal else ())

    def read(self) -> bytes:
        """Return the numbers of the signals that came."""
        try:
            return posix.read(self.fd, _PIPE_BUF)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        """Stop listening; from here on signals are swallowed: the clean-up that follows is whole."""
        _signal.set_wakeup_fd(self.old)
        posix.close(self.fd)
        posix.close(self._write)


def _noted(number: int, frame: object) -> None:
    """Do nothing: the interpreter has written the number into the pipe already."""


class _Foreground:
    """The loop and what it has learnt."""

    __slots__ = ("notify", "pid", "pidfd", "pump", "signals", "status", "witness")

    def __init__(self, pidfd: int, pid: int, signals: Signals, pump: "Pump | None") -> None:
        self.pidfd = pidfd
        self.pid = pid
        self.signals = signals
        self.pump = pump
        self.notify: Relay | None = None
        self.witness: Witness | None = None
        self.status: int | None = None

    def run(self) -> int:
        """Loop until the process has ended and its last words are written."""
        while True:
            ready = self._wait()
            if self.witness is not None and not self.witness.look():
                self.witness = None
            if self.signals.fd in ready:
                self._handle(self.signals.read())
            if self.status is None and self.pidfd in ready:
                self._reap()
            if self.pump is not None:
                self.pump.move(ready)
            if self.notify is not None and self.notify.fd in ready and self.notify.relay():
                self.notify = None
            if self.status is not None and (self.pump is None or self.pump.drained()):
                return self.status

    def _wait(self) -> dict[int, int]:
        """Return what is ready: descriptor -> events."""
        poll = select.poll()
        poll.register(self.signals.fd, select.POLLIN)
        if self.status is None:
            poll.register(self.pidfd, select.POLLIN)
        if self.notify is not None:
            poll.register(self.notify.fd, select.POLLIN)
        if self.witness is not None:
            poll.register(self.witness.fd, select.POLLPRI)
        if self.pump is not None:
            for fd, events in self.pump.interest():
                poll.register(fd, events)
        return dict(poll.poll())

    def _handle(self, numbers: bytes) -> None:
        """Pass signals on; SIGCHLD and SIGWINCH are for us."""
        for number in numbers:
            if number == _signal.SIGCHLD:
                self._reap()
            elif number == _signal.SIGWINCH and self.pump is not None:
                self.pump.resize()
            elif number not in _NOT_FORWARDED:
                self._forward(number)

    def _forward(self, number: int) -> None:
        if self.pump is not None and self.status is not None:
            self.pump.give_up()  # whoever signals now is tired of a reader that does not read
        elif self.pump is not None and number == _signal.SIGCONT:
            self.pump.resume()
        try:
            _signal.pidfd_send_signal(self.pidfd, number)
        except (ProcessLookupError, PermissionError):
            return

    def _reap(self) -> None:
        """Reap all children that have ended: as a subreaper, also those that are not ours."""
        while True:
            try:
                pid, status = posix.waitpid(-1, posix.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid == self.pid:
                self._end(status)
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        if self.status is None and poll.poll(0):
            self._reap_late()

    def _reap_late(self) -> None:
        """Take the status of a process that ended after the loop above; only a child has one."""
        try:
            self._end(posix.waitpid(self.pid, 0)[1])
        except ChildProcessError:
            raise StateError(f"the process {self.pid} has ended with an unknown status") from None

    def _end(self, status: int) -> None:
        code = posix.waitstatus_to_exitcode(status)
        self.status = code if code >= 0 else 128 - code
        if self.pump is not None:
            self.pump.finish()


class Pump:
    """Bytes between the caller's stdin and stdout and the master of the container's terminal."""

    __slots__ = (
        "_finishing",
        "_master_open",
        "_peer",
        "_saved",
        "_stdin_open",
        "_stdout_open",
        "_to_master",
        "_to_stdout",
        "master",
    )

    def __init__(self, master: int) -> None:
        self.master = master
        self._to_master = b""
        self._to_stdout = b""
        self._stdin_open = True
        self._stdout_open = True
        self._master_open = True
        self._finishing = False
        posix.set_blocking(master, False)
        self._peer = _open_peer(master)
        adopt(master)
        self._saved = _enter_raw_mode()

    def interest(self) -> list[tuple[int, int]]:
        """Return what to wait for; a full buffer is emptied before its source is read again."""
        wanted = []
        master = select.POLLIN if self._master_open and not self._to_stdout else 0
        if self._to_master:
            master |= select.POLLOUT
        elif self._stdin_open:
            wanted.append((STDIN, select.POLLIN))
        if master and self._master_open:
            wanted.append((self.master, master))
        if self._to_stdout:
            wanted.append((STDOUT, select.POLLOUT))
        return wanted

    def move(self, ready: dict[int, int]) -> None:
        """Read and write what poll(2) found ready."""
        if STDOUT in ready and self._to_stdout:
            self._write_stdout()
        if self.master in ready:
            if ready[self.master] & select.POLLOUT:
                self._write_master()
            if ready[self.master] & _READ and not self._to_stdout:
                self._read_master()
        if STDIN in ready:
            self._read_stdin()

    def finish(self) -> None:
        """Stop reading stdin: only what the process has written is left to be moved."""
        self._stdin_open = False
        self._to_master = b""
        self._finishing = True
        if not self._to_stdout:
            self._read_master()

    def drained(self) -> bool:
        """Tell whether all output has been written, after finish()."""
        while self._master_open and not self._to_stdout:
            self._read_master()
        return not self._to_stdout

    def give_up(self) -> None:
        """Drop what is not written yet."""
        self._to_stdout = b""
        self._master_open = False

    def resume(self) -> None:
        """Read stdin again after SIGCONT: in the background reading it was an error."""
        self._stdin_open = not self._finishing

    def resize(self) -> None:
        """Give the container's terminal the new size of ours."""
        copy_size(self.master)

    def close(self) -> None:
        """Give the caller's terminal back as it was."""
        if self._peer >= 0:
            posix.close(self._peer)
        if self._saved is not None:
            _restore_mode(self._saved)

    def _read_master(self) -> None:
        try:
            self._to_stdout = posix.read(self.master, _CHUNK)
        except BlockingIOError:
            self._master_open = not self._finishing
            return
        except OSError:  # EIO: nobody has the terminal open any more
            self._master_open = False
            return
        if not self._stdout_open:
            self._to_stdout = (
                b""  # keep reading: the container must not block on a reader that has gone
            )

    def _write_stdout(self) -> None:
        try:
            done = posix.write(STDOUT, self._to_stdout[:_PIPE_BUF])
        except BlockingIOError:
            return
        except OSError:
            self._stdout_open = False
            self._to_stdout = b""
            return
        self._to_stdout = self._to_stdout[done:]

    def _read_stdin(self) -> None:
        """Read what is typed; its end closes nothing, as in runc."""
        try:
            self._to_master = posix.read(STDIN, _CHUNK)
        except BlockingIOError:
            return
        except OSError:  # EIO: we are in the background, or the terminal has hung up
            self._stdin_open = False
            return
        self._stdin_open = self._to_master != b""

    def _write_master(self) -> None:
        try:
            done = posix.write(self.master, self._to_master)
        except BlockingIOError:
            return
        except OSError:
            self._to_master = b""
            return
        self._to_master = self._to_master[done:]


def _open_peer(master: int) -> int:
    """Hold the other end open: systemd closes its terminal and opens it again; -1 if we can't."""
    flags = posix.O_RDWR | posix.O_NOCTTY | posix.O_CLOEXEC
    try:
        return fcntl.ioctl(master, TIOCGPTPEER, flags)
    except OSError:
        return -1


def _enter_raw_mode() -> "list[Any] | None":
    """Make our terminal raw, except for its output; returns its mode, None when stdin is none."""
    import termios

    try:
        saved = termios.tcgetattr(STDIN)
    except termios.error:
        return None
    raw = [saved[0], saved[1], saved[2], saved[3], saved[4], saved[5], list(saved[6])]
    raw[0] &= ~(
        termios.IGNBRK
        | termios.BRKINT
        | termios.PARMRK
        | termios.ISTRIP
        | termios.INLCR
        | termios.IGNCR
        | termios.ICRNL
        | termios.IXON
    )
    raw[1] |= termios.OPOST
    raw[2] = raw[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    raw[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    raw[6][termios.VMIN], raw[6][termios.VTIME] = 1, 0
    termios.tcsetattr(STDIN, termios.TCSANOW, raw)
    return saved


def _restore_mode(saved: "list[Any]") -> None:
    import termios

    try:
        termios.tcsetattr(STDIN, termios.TCSANOW, saved)
    except termios.error:  # it has hung up
        return
