# SPDX-License-Identifier: Apache-2.0
"""The foreground with real terminals, real children and real signals (cli.md sections 2 and 3.1)."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import pyoci

LIBRARY = str(Path(pyoci.__file__).resolve().parent.parent)
SECONDS = 20
STARTED: list[subprocess.Popen[bytes]] = []

# Runs argv[2:] in the foreground as the runtime does: argv[1] says whether with a terminal of its own.
DRIVER = f"""
import fcntl, os, sys
sys.path.append({LIBRARY!r})
from pyoci import terminal
terminal.block_signals()
master = None
if sys.argv[1] == "terminal":
    master, slave = os.openpty()
    terminal.adopt(master)
pid = os.fork()
if pid == 0:
    import signal
    if master is not None:
        os.setsid()
        fcntl.ioctl(slave, 0x540E, 0)
        for fd in range(3):
            os.dup2(slave, fd)
        os.close(slave)
    for number in range(1, 32):
        if number not in (9, 19):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.execvp(sys.argv[2], sys.argv[2:])
if master is not None:
    os.close(slave)
status = terminal.forward(os.pidfd_open(pid), pid, master)
sys.stdout.flush()
sys.exit(status)
"""


def start(*argv: str, terminal: bool = False, stdin: int, stdout: int) -> subprocess.Popen[bytes]:
    kind = "terminal" if terminal else "plain"
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", DRIVER, kind, *argv],
        stdin=stdin,
        stdout=stdout,
        start_new_session=True,
    )
    STARTED.append(process)
    return process


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    while STARTED:
        process = STARTED.pop()
        process.kill()
        process.wait()


class Host:
    """The user's side: a terminal with the runtime in it."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        self.seen = b""

    def run(self, *argv: str) -> subprocess.Popen[bytes]:
        return start(*argv, terminal=True, stdin=self.slave, stdout=self.slave)

    def sh(self, script: str) -> subprocess.Popen[bytes]:
        return self.run("sh", "-c", script)

    def expect(self, text: bytes) -> None:
        deadline = time.monotonic() + SECONDS
        while text not in self.seen:
            ready, _, _ = select.select([self.master], [], [], deadline - time.monotonic())
            assert ready, self.seen
            self.seen += os.read(self.master, 65536)

    def type(self, text: bytes) -> None:
        os.write(self.master, text)

    def close(self) -> None:
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def host() -> Iterator[Host]:
    made = Host()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("script", "status"),
    [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143), ("exit 255", 255)],
)
@pytest.mark.parametrize("terminal", [False, True])
def test_the_status_is_that_of_the_process(script: str, status: int, *, terminal: bool) -> None:
    """cli.md 1.3: its code, 128 + signal if signalled."""
    process = start(
        "sh",
        "-c",
        script,
        terminal=terminal,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    assert process.wait(SECONDS) == status


@pytest.mark.parametrize("number", [1, 2, 3, 10, 12, 14, 15, 34, 64])
def test_signals_reach_the_process(number: int) -> None:
    """cli.md 2, run: all signals are forwarded but SIGCHLD, SIGWINCH and SIGURG."""
    script = (
        "import signal, sys\n"
        f"signal.pthread_sigmask(signal.SIG_BLOCK, [{number}])\n"
        "sys.stdout.write('ready') and sys.stdout.flush()\n"
        f"sys.exit(100 + signal.sigwait([{number}]) % 50)\n"
    )
    read, write = os.pipe()
    process = start(sys.executable, "-c", script, stdin=subprocess.DEVNULL, stdout=write)
    assert os.read(read, 100) == b"ready"
    process.send_signal(number)
    assert process.wait(SECONDS) == 100 + number % 50
    os.close(read)
    os.close(write)


def test_a_signal_sent_before_the_loop_is_not_lost() -> None:
    """The mask is set before the process exists."""
    script = (
        "import os, sys\n"
        f"sys.path.append({LIBRARY!r})\n"
        "from pyoci import terminal\n"
        "terminal.block_signals()\n"
        "pid = os.posix_spawn('/bin/sleep', ['sleep', '60'], {}, setsigmask=())\n"
        "os.kill(os.getpid(), 15)\n"
        "sys.exit(terminal.forward(os.pidfd_open(pid), pid, None))\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], timeout=SECONDS, check=False)
    assert ran.returncode == 143


def test_orphans_are_reaped() -> None:
    """As a subreaper we are the parent of what the container leaves behind."""
    script = (
        "import ctypes, os, sys\n"
        f"sys.path.append({LIBRARY!r})\n"
        "from pyoci import terminal\n"
        "ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)\n"
        "terminal.block_signals()\n"
        "argv = ['sh', '-c', '(sleep 0.1; exit 3) & exec sleep 0.5']\n"
        "pid = os.posix_spawn('/bin/sh', argv, os.environ, setsigmask=())\n"
        "code = terminal.forward(os.pidfd_open(pid), pid, None)\n"
        "try: os.waitpid(-1, os.WNOHANG)\n"
        "except ChildProcessError: sys.exit(40 + code)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], timeout=SECONDS, check=False)
    assert ran.returncode == 40


def test_what_is_typed_arrives_and_what_is_printed_comes_back(host: Host) -> None:
    process = host.sh("stty -echo; echo ready; read word; echo got $word; exit 5")
    host.expect(b"ready\r\n")
    host.type(b"hello\n")
    host.expect(b"got hello\r\n")
    assert process.wait(SECONDS) == 5


def test_a_control_character_is_for_the_container(host: Host) -> None:
    process = host.sh(
        "trap 'echo interrupted; exit 3' INT; echo ready; while :; do sleep 0.05; done"
    )
    host.expect(b"ready")
    host.type(b"\x03")
    host.expect(b"interrupted")
    assert process.wait(SECONDS) == 3


def test_the_terminal_is_raw_meanwhile_and_then_as_before(host: Host) -> None:
    before = termios.tcgetattr(host.slave)
    process = host.sh("echo ready; read _")
    host.expect(b"ready")
    during = termios.tcgetattr(host.slave)
    assert not during[3] & (termios.ICANON | termios.ECHO | termios.ISIG)
    assert during[1] & termios.OPOST
    host.type(b"\n")
    process.wait(SECONDS)
    assert termios.tcgetattr(host.slave) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_the_terminal_is_restored_when_a_signal_ends_it_all(host: Host, number: int) -> None:
    before = termios.tcgetattr(host.slave)
    process = host.sh("echo ready; exec sleep 60")
    host.expect(b"ready")
    process.send_signal(number)
    assert process.wait(SECONDS) == 128 + number
    assert termios.tcgetattr(host.slave) == before


def size_of(fd: int) -> tuple[int, ...]:
    return struct.unpack("HHHH", fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(8)))[:2]


def set_size(fd: int, rows: int, columns: int) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def test_the_size_is_ours_at_the_start_and_after_a_change(host: Host) -> None:
    set_size(host.slave, 33, 101)
    process = host.sh(
        "stty size; trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.05; done"
    )
    host.expect(b"33 101\r\nready")
    set_size(host.slave, 44, 122)
    process.send_signal(signal.SIGWINCH)
    host.expect(b"44 122")
    assert process.wait(SECONDS) == 0


def test_large_output_is_whole(host: Host) -> None:
    process = host.sh("seq 1 100000; echo end")
    host.expect(b"end\r\n")
    assert process.wait(SECONDS) == 0
    assert host.seen.split() == [b"%d" % n for n in range(1, 100001)] + [b"end"]


def test_a_program_may_close_its_terminal_and_open_it_again(host: Host) -> None:
    """As systemd does: it opens /dev/console for each message; between two nobody has it open."""
    process = host.sh(
        "t=$(tty); echo first; exec <&- >&- 2>&-; sleep 0.3; exec <$t >$t 2>&1; echo second"
    )
    host.expect(b"second")
    assert process.wait(SECONDS) == 0


def read_all(fd: int) -> bytes:
    text = b""
    while chunk := os.read(fd, 65536):
        text += chunk
    return text


def test_output_into_a_pipe_keeps_its_newlines() -> None:
    """As in runc, which clears ONLCR: nobody turns them into CR LF where no terminal shows them."""
    read, write = os.pipe()
    process = start(
        "sh", "-c", "seq 1 20000", terminal=True, stdin=subprocess.DEVNULL, stdout=write
    )
    os.close(write)
    text = read_all(read)
    os.close(read)
    assert process.wait(SECONDS) == 0
    assert text == b"".join(b"%d\n" % n for n in range(1, 20001))


def test_a_slow_reader_loses_nothing_and_holds_no_signal_up() -> None:
    read, write = os.pipe()
    script = "trap 'echo term; exit 4' TERM; seq 1 30000 & wait $!; sleep 60 & wait"
    process = start("sh", "-c", script, terminal=True, stdin=subprocess.DEVNULL, stdout=write)
    os.close(write)
    text = b""
    while b"\n30000\n" not in text:
        text += os.read(read, 512)
    process.send_signal(signal.SIGTERM)
    text += read_all(read)
    os.close(read)
    assert process.wait(SECONDS) == 4
    assert text == b"".join(b"%d\n" % n for n in range(1, 30001)) + b"term\n"


def test_a_reader_that_goes_does_not_stop_the_process() -> None:
    read, write = os.pipe()
    process = start(
        "sh", "-c", "seq 1 50000; exit 6", terminal=True, stdin=subprocess.DEVNULL, stdout=write
    )
    os.close(write)
    os.read(read, 10)
    os.close(read)
    assert process.wait(SECONDS) == 6


def test_a_reader_that_never_reads_can_be_given_up(tmp_path: Path) -> None:
    read, write = os.pipe()
    mark = tmp_path / "mark"
    script = f"head -c 6000 /dev/zero; touch {mark}"
    process = start("sh", "-c", script, terminal=True, stdin=subprocess.DEVNULL, stdout=write)
    os.close(write)
    fcntl.fcntl(read, 1031, 4096)
    deadline = time.monotonic() + SECONDS
    ended = False
    while not ended and time.monotonic() < deadline:
        process.send_signal(signal.SIGURG)
        try:
            process.wait(0.2)
        except subprocess.TimeoutExpired:
            if mark.exists():
                process.send_signal(signal.SIGINT)
        ended = process.poll() is not None
    os.close(read)
    assert ended


def test_input_from_a_file_is_typed_and_its_end_closes_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"one\ntwo\n")
    read, write = os.pipe()
    with open(tmp_path / "in", "rb") as stdin:
        process = start(
            "sh",
            "-c",
            "stty -echo; read a; read b; sleep 0.2; echo $a $b",
            terminal=True,
            stdin=stdin.fileno(),
            stdout=write,
        )
    os.close(write)
    text = read_all(read)
    os.close(read)
    assert process.wait(SECONDS) == 0
    assert text.endswith(b"one two\n")


def test_much_input_arrives_whole(host: Host, tmp_path: Path) -> None:
    """Partial writes: the terminal takes 4 KiB at a time."""
    read, write = os.pipe()
    process = start(
        "sh",
        "-c",
        f"stty raw -echo; echo ready; head -c 300000 > {tmp_path}/got",
        terminal=True,
        stdin=read,
        stdout=host.slave,
    )
    os.close(read)
    host.expect(b"ready")
    text = b"".join(b"%07d\n" % n for n in range(37500))
    while text:
        text = text[os.write(write, text) :]
    assert process.wait(SECONDS) == 0
    os.close(write)
    assert (tmp_path / "got").read_bytes() == b"".join(b"%07d\n" % n for n in range(37500))


def test_no_descriptor_is_left() -> None:
    script = (
        "import os, sys\n"
        f"sys.path.append({LIBRARY!r})\n"
        "from pyoci import terminal\n"
        "def once(terminal_):\n"
        "    master = os.openpty()[0] if terminal_ else None\n"
        "    mask = terminal.block_signals()\n"
        "    pid = os.posix_spawn('/bin/true', ['true'], {})\n"
        "    fd = os.pidfd_open(pid)\n"
        "    assert terminal.forward(fd, pid, master) == 0\n"
        "    os.close(fd)\n"
        "    terminal.restore_signals(mask)\n"
        "once(False)\n"
        "before = os.listdir('/proc/self/fd')\n"
        "once(False)\n"
        "once(False)\n"
        "assert before == os.listdir('/proc/self/fd')\n"
        "once(True)\n"
        "assert len(os.listdir('/proc/self/fd')) == len(before) + 2\n"
    )
    subprocess.run([sys.executable, "-c", script], timeout=SECONDS, check=True)
