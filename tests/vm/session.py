# SPDX-License-Identifier: Apache-2.0
"""One command in a fresh machine: what it reads, writes, leaves in /out, and how it ended."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO, NamedTuple

from vm import cache, frames, image, saved
from vm.emulator import SLOTS, Emulator
from vm.errors import MachineError
from vm.link import Link
from vm.machines import Machine

WAKE_SECONDS = 180  # for a restored machine to take its request; a second is usual
END_SECONDS = 30  # past the command's own limit
FILES_SECONDS = 300  # for what /out holds
TIMED_OUT = 124


class Share(NamedTuple):
    """A copy of a directory of the host at a path of the guest."""

    directory: Path
    path: str


class Request(NamedTuple):
    """What to run, and where."""

    argv: Sequence[str]
    shares: Sequence[Share] = ()
    out: Path | None = None  # where what the command leaves in /out comes to
    user: str = "root"
    env: Mapping[str, str] = {}
    cwd: str = ""
    seconds: float = 600
    stdin: bool = False  # pass standard input on

    def words(self) -> dict[str, Any]:
        """Return what the agent is told."""
        devices = [f"/dev/vd{letter}" for letter in SLOTS]
        paths = [share.path for share in self.shares]
        return {
            "argv": list(self.argv),
            "user": self.user,
            "env": dict(self.env),
            "cwd": self.cwd or (paths[0] if paths else "/"),
            "timeout": self.seconds,
            "stdin": self.stdin,
            "shares": list(zip(devices, paths, strict=False)),
            "time": time.time(),
            "seed": os.urandom(32).hex(),
        }


def run(machine: Machine, request: Request) -> int:
    """Run a command in a machine, made and booted first if it never was, and return its status.

    128 + N when signal N ended it, 124 when it took longer than its limit; MachineError for all that is
    not of the command. Nothing that it does is kept but what it leaves in /out.
    """
    if len(request.shares) > len(SLOTS):
        raise MachineError(f"at most {len(SLOTS)} directories can be shared")
    with image.use(machine) as root, saved.use(machine, root) as state, cache.scratch() as work:
        qemu = Emulator(machine, root, work)
        try:
            folders = [share.directory for share in request.shares]
            link = qemu.start(state.disk, folders, state.state)
            link.put(frames.REQUEST, json.dumps(request.words()).encode())
            answer = link.read(WAKE_SECONDS) if link.push_all(WAKE_SECONDS) else None
            if answer is None or answer[0] != frames.TAKEN:
                raise qemu.failure(f"{machine.name} did not come to life within {WAKE_SECONDS} s")
            return Conversation(qemu, link, request).run()
        finally:
            qemu.stop()


class Conversation:
    """Carries output, input and signals between this process and the command."""

    def __init__(self, qemu: Emulator, link: Link, request: Request) -> None:
        self.qemu = qemu
        self.link = link
        self.request = request
        self.stdin = 0 if request.stdin else None
        self.deadline = time.monotonic() + request.seconds + END_SECONDS
        self.status: dict[str, Any] = {}
        self.files: subprocess.Popen[bytes] | None = None
        self.interrupted = False
        self.outputs: dict[bytes, BinaryIO] = {
            frames.OUT: sys.stdout.buffer,
            frames.ERR: sys.stderr.buffer,
        }

    def run(self) -> int:
        """Carry until the agent has said its last word; return the command's status."""
        with self.passing_interrupts():
            while not self.step():
                pass
        if self.files is not None and self.files.stdin is not None:
            self.files.stdin.close()
            if self.files.wait() != 0:
                raise MachineError("what /out held could not be unpacked")
        code: int | None = self.status["code"]
        if code is None:
            raise MachineError(self.status["error"])
        if self.status["timed_out"]:
            image.say(f"the command took longer than {self.request.seconds:g} s")
            return TIMED_OUT
        return code if code >= 0 else 128 - code

    @contextmanager
    def passing_interrupts(self) -> Iterator[None]:
        """Let the first Ctrl-C go to the command; a second one ends the machine."""

        def interrupt(number: int, _frame: FrameType | None) -> None:
            if self.interrupted:
                raise KeyboardInterrupt
            self.interrupted = True
            self.link.put(frames.SIGNAL, b"%d" % number)

        before = signal.signal(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def step(self) -> bool:
        """Wait for something and carry it; True after the last frame."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            limit = self.request.seconds + END_SECONDS
            raise self.qemu.failure(f"no end after {limit:g} s")
        reads: list[Any] = [self.link]
        if self.stdin is not None and not self.link.queue:
            reads.append(self.stdin)
        writes = [self.link] if self.link.queue else []
        # half a second: a signal's handler may queue a frame while we wait
        readable, writable, _ = select.select(reads, writes, [], min(left, 0.5))
        if self.stdin in readable:
            self.carry_input()
        if writable:
            self.link.push()
        if self.link not in readable:
            return False
        if not self.link.feed():
            raise self.qemu.failure("the machine went away")
        return self.take_frames()

    def carry_input(self) -> None:
        """Queue what came on standard input; an empty frame is its end."""
        data = os.read(0, 32768)
        self.link.put(frames.INPUT, data)
        if not data:
            self.stdin = None

    def take_frames(self) -> bool:
        """Do what the agent says; True after its last word."""
        while frame := self.link.frames.take():
            kind, data = frame
            if kind in self.outputs:
                self.outputs[kind].write(data)
                self.outputs[kind].flush()
            elif kind == frames.STATUS:
                self.status = json.loads(data)
                self.stdin = None
                self.deadline = time.monotonic() + FILES_SECONDS
            elif kind == frames.FILES:
                self.unpack(data)
            elif kind == frames.END:
                return True
        return False

    def unpack(self, data: bytes) -> None:
        """Give a piece of the archive of /out to tar(1), if anybody wants it."""
        if self.request.out is None:
            return
        if self.files is None:
            self.request.out.mkdir(parents=True, exist_ok=True)
            command = ["tar", "-C", str(self.request.out), "-xf", "-", "--no-same-owner"]
            self.files = subprocess.Popen(command, stdin=subprocess.PIPE)
        assert self.files.stdin is not None
        self.files.stdin.write(data)
