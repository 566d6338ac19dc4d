# SPDX-License-Identifier: Apache-2.0
"""The saved state of a booted machine: every run starts from there, a second later."""

import json
import shlex
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from vm import cache, emulator, frames
from vm.emulator import Disk, Emulator
from vm.errors import MachineError
from vm.image import GUEST, say
from vm.link import Link
from vm.machines import Machine

BOOT_SECONDS = 900  # some 20 on a machine with nothing else to do
SAVE_SECONDS = 120
SETTLE_SECONDS = 30


class Saved(NamedTuple):
    """A directory with the state and the disk of a machine that waits for its command."""

    path: Path

    @property
    def state(self) -> Path:
        """The stream of memory and devices."""
        return self.path / "state"

    @property
    def disk(self) -> Disk:
        """The root disk as it was then, thrown away after a run."""
        return Disk(self.path / "disk.qcow2", "qcow2", throw_away=True)


def key_of(machine: Machine) -> str:
    """Return the name of a state: of the board, the command line, qemu and the files of the guest's end."""
    files = [GUEST / name for name in emulator.IN_GUEST]
    contents = [path.read_bytes() for path in (*files, GUEST.parent / "frames.py")]
    board = emulator.board_arguments(machine)
    sizes = (emulator.SLOTS, emulator.SLOT_SIZE)
    return cache.key(emulator.version(), board, emulator.command_line(machine), sizes, *contents)


@contextmanager
def use(machine: Machine, image: Path) -> Iterator[Saved]:
    """Return the saved state of a machine, made first if it is not there; it is kept while this lasts."""
    path = image / f"boot-{key_of(machine)}"
    with cache.use(path, lambda target: make(machine, image, target)):
        yield Saved(path)


def make(machine: Machine, image: Path, target: Path) -> None:
    """Boot to the waiting agent and save the machine; the state appears whole or not at all."""
    say(f"booting {machine.name}, once: its state is kept")
    began = time.monotonic()
    with cache.scratch(image) as work, cache.scratch() as scratch:
        (work / "out").mkdir()
        disk = Disk(work / "out/disk.qcow2", "qcow2")
        base = ["-f", "qcow2", "-F", "raw", "-b", str(image / "root.ext4")]
        subprocess.run(["qemu-img", "create", "-q", *base, str(disk.path)], check=True)
        qemu = Emulator(machine, image, scratch)
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                link = qemu.start(disk, monitor=theirs)
            wait_until_ready(qemu, link)
            save(qemu, Monitor(ours), work / "out/state")
        finally:
            qemu.stop()
            ours.close()
        (work / "out").rename(target)
    size = (target / "state").stat().st_size >> 20
    say(f"saved after {time.monotonic() - began:.0f} s, {size} MiB")


def wait_until_ready(qemu: Emulator, link: Link) -> None:
    """Wait for the agent's word; it comes when systemd has nothing left to do."""
    frame = link.read(BOOT_SECONDS)
    if frame is None or frame[0] != frames.READY:
        raise qemu.failure(f"{qemu.machine.name} did not boot within {BOOT_SECONDS} s")


def save(qemu: Emulator, monitor: "Monitor", target: Path) -> None:
    """Write the machine's state, by qemu's migration. It runs on meanwhile: saved as stopped, it would be restored so."""
    monitor.ask("migrate-set-parameters", {"max-bandwidth": 1 << 40})
    monitor.ask("migrate", {"uri": f"exec:cat >{shlex.quote(str(target))}"})
    deadline = time.monotonic() + SAVE_SECONDS
    while (status := monitor.ask("query-migrate")["status"]) != "completed":
        if status == "failed" or time.monotonic() > deadline:
            raise qemu.failure(f"the state of {qemu.machine.name} could not be saved: {status}")
        time.sleep(0.1)
    monitor.ask("quit")
    if qemu.process is not None:
        qemu.process.wait(SETTLE_SECONDS)


class Monitor:
    """As much of qemu's control protocol (QMP) as saving a machine takes."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(SAVE_SECONDS)
        self.file = sock.makefile("rw")
        self.file.readline()
        self.ask("qmp_capabilities")

    def ask(self, command: str, arguments: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a command and return its answer; events are passed over."""
        self.file.write(json.dumps({"execute": command, "arguments": arguments or {}}) + "\n")
        self.file.flush()
        while line := self.file.readline():
            answer = json.loads(line)
            if "error" in answer:
                raise MachineError(f"qemu: {command}: {answer['error']}")
            if "return" in answer:
                result: dict[str, Any] = answer["return"]
                return result
        raise MachineError(f"qemu: {command}: no answer")
