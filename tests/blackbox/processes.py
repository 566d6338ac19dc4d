# SPDX-License-Identifier: Apache-2.0
"""Start processes with their output in files, wait with a deadline, know the children by pidfd."""

import ast
import contextlib
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

LIMIT = 4 << 20
SECONDS = 20.0
SLOWNESS = float(os.environ.get("PYOCI_SLOWNESS", "1"))  # of an emulated machine
T = TypeVar("T")
started: set[int] = set()  # pids that a Popen object will reap
MESSAGE = re.compile(r'level=error msg="((?:[^"\\]|\\.)*)"')


class Ran:
    """A finished process: its exit status as a shell gives it, and what it wrote."""

    def __init__(self, code: int, stdout: str, stderr: str) -> None:
        self.code = code
        self.stdout = stdout
        self.stderr = stderr

    @property
    def message(self) -> str:
        """The error's text, without the form (Go's quotes) that a log line gives it."""
        found = MESSAGE.findall(self.stderr)
        return "\n".join(ast.literal_eval(f'"{text}"') for text in found) if found else self.stderr

    def __repr__(self) -> str:
        return f"Ran({self.code}, stdout={self.stdout[-2000:]!r}, stderr={self.stderr[-2000:]!r})"


def patience(seconds: float) -> float:
    """Return how long to wait here for what takes at most `seconds` on a machine that is not emulated."""
    return seconds * SLOWNESS


def rounds(times: int) -> range:
    """Count how often to try a race: fewer times on a machine where each takes longer."""
    return range(max(3, round(times / SLOWNESS)))


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail when the body takes longer than `seconds`, or what they are on this machine."""
    begun = time.monotonic()
    yield
    took = time.monotonic() - begun
    assert took < patience(seconds), f"took {took:.1f} s, over {patience(seconds)} s"


def until(condition: Callable[[], T], what: str, seconds: float = 5.0) -> T:
    """Poll `condition` until it is true; fail after `seconds`, or what they are on this machine."""
    deadline = time.monotonic() + patience(seconds)
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"after {patience(seconds)} s still not: {what}")
        time.sleep(0.005)


def text(path: Path | str) -> str:
    """Return the beginning of a file, at most LIMIT bytes of it (a device may be endless)."""
    data = b""
    with open(path, "rb", buffering=0) as file:
        while len(data) < LIMIT and (part := file.read(65536)):
            data += part
    return data.decode("utf-8", "surrogateescape")


class Running:
    """A process in the background, in a session of its own, with its output in files."""

    def __init__(
        self,
        argv: Sequence[str],
        directory: Path,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | str | None = None,
        stdin: Path | str | int = os.devnull,
    ) -> None:
        number = len(os.listdir(directory))
        self.argv = list(argv)
        self.out = directory / f"{number:04}.out"
        self.err = directory / f"{number:04}.err"
        with contextlib.ExitStack() as files:
            source: Any = stdin
            if not isinstance(stdin, int):
                source = files.enter_context(open(stdin, "rb"))
            self.process = subprocess.Popen(
                self.argv,
                stdin=source,
                stdout=files.enter_context(open(self.out, "wb")),
                stderr=files.enter_context(open(self.err, "wb")),
                env=dict(env) if env is not None else None,
                cwd=cwd,
                start_new_session=True,
            )
        self.pid = self.process.pid
        self.pidfd = os.pidfd_open(self.pid)
        self.reaping = True
        started.add(self.pid)

    def is_running(self) -> bool:
        """Tell whether the process has not ended yet."""
        return self.process.returncode is None and not self._ended(0)

    def _ended(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(int(seconds * 1000)))

    def signal(self, number: int) -> None:
        """Send a signal to exactly this process."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def wait(self, seconds: float = SECONDS) -> Ran:
        """Wait for the end; a process that takes longer than `seconds` is killed and fails the test."""
        if self.process.returncode is None and not self._ends_within(seconds):
            self.end()
            raise AssertionError(
                f"{self.argv} took over {patience(seconds)} s: {text(self.out)!r} {text(self.err)!r}"
            )
        code = self._reap()
        return Ran(code, text(self.out), text(self.err))

    def _ends_within(self, seconds: float) -> bool:
        """Wait as a good parent: a pid namespace ends only when its last zombie was collected."""
        deadline = time.monotonic() + patience(seconds)
        while not self._ended(0.1):
            if self.reaping:
                reap()
            if time.monotonic() > deadline:
                return False
        return True

    def _reap(self) -> int:
        if self.process.returncode is None:
            self.process.wait()
            os.close(self.pidfd)
            started.discard(self.pid)
        code: int = self.process.returncode
        return code if code >= 0 else 128 - code

    def end(self) -> None:
        """Kill the process, unless it has ended."""
        if self.process.returncode is None:
            self.signal(signal.SIGKILL)
            self._reap()


def status_of(pid: int) -> tuple[str, int]:
    """Return state letter and parent of a process, ("", 0) when it is gone: proc(5), stat."""
    try:
        fields = text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "", 0
    return fields[0], int(fields[1])


def is_alive(pid: int) -> bool:
    """Tell whether a process exists and is no zombie."""
    return status_of(pid)[0] not in ("", "Z", "X")


def children() -> list[int]:
    """Return the pids of this process's children; orphans come to us, a subreaper.

    proc(5), task/TID/children: exact while nobody else reaps ours. Looking at every process instead, where
    the kernel is built without it, is half of the time of an emulated machine.
    """
    threads = os.listdir("/proc/self/task")
    with contextlib.suppress(FileNotFoundError):
        lists = [text(f"/proc/self/task/{thread}/children") for thread in threads]
        return [int(pid) for line in lists for pid in line.split()]
    mine = os.getpid()
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in pids if status_of(pid)[1] == mine]


def reap() -> list[int]:
    """Collect the dead among our adopted children and return the living ones."""
    living = []
    for pid in children():
        if pid in started:
            continue
        if is_alive(pid):
            living.append(pid)
            continue
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
    return living


def kill_child(pid: int) -> None:
    """Kill a process if it is still our child once we hold its pidfd, and reap it, soon."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if status_of(pid)[1] == os.getpid():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            if poll.poll(int(patience(2) * 1000)):  # a frozen process dies when it is thawed
                os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    finally:
        os.close(pidfd)
