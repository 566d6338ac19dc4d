# SPDX-License-Identifier: Apache-2.0
"""qemu: its arguments, the initial RAM disk, the disks of shared directories, its process.

Software emulation (TCG), because a machine for tests has no /dev/kvm. A directory goes in as a file system
of its own on a virtio disk: made in a fraction of a second, and nothing of it is read before its use.
"""

import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vm.errors import MachineError
from vm.image import GUEST
from vm.link import Link
from vm.machines import Machine

SLOTS = "bcde"  # /dev/vdb to /dev/vde, one for each shared directory; there in every machine
SLOT_SIZE = 16 << 30  # bytes; sparse
# Off: what is costly to emulate and no test needs.
CPU = "max,la57=off,smap=off,erms=off,fsrm=off,avx=off,avx2=off,fma=off,f16c=off"
BOARD = "q35,hpet=off,vmport=off,smbus=off,sata=off,usb=off,graphics=off"
APPEND = (
    "console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off tsc=reliable no_timer_check nowatchdog "
    "psi=1 rcupdate.rcu_expedited=1 cryptomgr.notests random.trust_cpu=on net.ifnames=0 "
    "systemd.unit=vm.target systemd.show_status=0 systemd.default_timeout_start_sec=600"
)
BOOT_MODULES = "virtio_pci virtio_blk virtio_console ext4 crc32c_generic virtio_rng".split()
DIRECTORIES = ("bin", "dev", "m", "r", "vm/vm", "vm/systemd/system")
IN_GUEST = ("agent", "vm-agent.service", "vm.target", "init")
STOP_SECONDS = 3


class Disk(NamedTuple):
    """A disk image as qemu is told of it."""

    path: Path
    form: str = "raw"
    throw_away: bool = False  # what is written is gone at the end

    def arguments(self, letter: str) -> list[str]:
        """Return the arguments that make it /dev/vdLETTER."""
        snapshot = "on" if self.throw_away else "off"
        drive = f"if=none,id=vd{letter},file={self.path},format={self.form},snapshot={snapshot},cache=unsafe,discard=unmap"
        return ["-drive", drive, "-device", f"virtio-blk-pci,drive=vd{letter},serial=vm-{letter}"]


def board_arguments(machine: Machine) -> list[str]:
    """Return what the saved state of a machine depends on: all but disks, channels and the kernel."""
    return [
        *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-machine", BOARD, "-accel", "tcg,thread=multi", "-cpu", CPU),
        *("-m", str(machine.memory), "-smp", str(machine.processors)),
        *("-device", "virtio-serial-pci,max_ports=2", "-device", "virtio-rng-pci"),
    ]


def command_line(machine: Machine) -> str:
    """Return the kernel's command line."""
    return f"{APPEND} {machine.append}".strip()


def version() -> str:
    """Return qemu's version: a state is restored by the one that saved it only."""
    command = ["qemu-system-x86_64", "--version"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def module_order(table: str) -> list[str]:
    """Return the files of BOOT_MODULES and of what they need, in the order of loading: modules.dep(5)."""
    rows = {}
    for line in table.splitlines():
        path, _, needs = line.partition(":")
        rows[Path(path).name.split(".ko")[0].replace("-", "_")] = [*reversed(needs.split()), path]
    order: list[str] = []
    for name in BOOT_MODULES:
        order += [path for path in rows.get(name, []) if path not in order]  # absent: built in
    return order


def make_initrd(image: Path, work: Path) -> Path:
    """Make the initial RAM disk: busybox, the modules of disk and channel, and what goes to /run."""
    tree = work / "initrd"
    for name in DIRECTORIES:
        (tree / name).mkdir(parents=True)
    shutil.copy(image / "busybox", tree / "bin/busybox")
    table = (image / "modules/modules.dep").read_text(encoding="utf-8")
    for number, path in enumerate(module_order(table)):
        shutil.copy(image / "modules" / path, tree / "m" / f"{number:02}-{Path(path).name}")
    shutil.copy(GUEST / "init", tree / "init")
    shutil.copy(GUEST / "agent", tree / "vm/vm/agent")
    shutil.copy(GUEST.parent / "frames.py", tree / "vm/vm/frames.py")
    for unit in ("vm.target", "vm-agent.service"):
        shutil.copy(GUEST / unit, tree / "vm/systemd/system" / unit)
    names = sorted(str(path.relative_to(tree)) for path in tree.rglob("*"))
    packer = ["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"]
    with open(work / "initrd.img", "wb") as file:
        subprocess.run(packer, cwd=tree, check=True, input="\n".join(names).encode(), stdout=file)
    shutil.rmtree(tree)
    return work / "initrd.img"


def make_share(directory: Path | None, target: Path) -> Disk:
    """Make a file system with a copy of the directory in it; none: an empty disk."""
    if directory is not None:
        files = sum(len(names) + len(others) for _, names, others in os.walk(directory))
        command = "mke2fs -q -F -t ext4 -O ^has_journal,^resize_inode,^metadata_csum -m 0"
        options = ["-E", "lazy_itable_init=1,nodiscard,root_owner=0:0", "-N", str(files + 50000)]
        size = f"{SLOT_SIZE >> 20}M"
        words = [*command.split(), *options, "-d", str(directory), str(target), size]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    with open(target, "ab") as file:
        file.truncate(SLOT_SIZE)
    return Disk(target)


class Emulator:
    """One qemu, which ends with this process however that ends."""

    def __init__(self, machine: Machine, image: Path, work: Path) -> None:
        """Prepare; `work` is an empty directory for its files, the console's text among them."""
        self.machine = machine
        self.image = image
        self.work = work
        self.console = work / "console"
        self.errors = work / "qemu.err"
        self.process: subprocess.Popen[bytes] | None = None
        self.initrd = make_initrd(image, work)

    def start(
        self,
        root: Disk,
        shares: Sequence[Path] = (),
        state: Path | None = None,
        monitor: socket.socket | None = None,
    ) -> Link:
        """Start it, from a saved state if there is one, and return the channel to the agent."""
        ours, theirs = socket.socketpair()
        slots = [*shares, *[None] * (len(SLOTS) - len(shares))]
        disks = [root, *(make_share(s, self.work / f"slot{n}") for n, s in enumerate(slots))]
        # The kernel is named on a restore too, for the same board must be made; it is not read then.
        words = [
            *board_arguments(self.machine),
            *(
                word
                for letter, disk in zip("a" + SLOTS, disks, strict=True)
                for word in disk.arguments(letter)
            ),
            *("-chardev", f"socket,id=link,fd={theirs.fileno()}"),
            *("-device", "virtserialport,chardev=link,name=vm", "-serial", f"file:{self.console}"),
            *("-kernel", str(self.image / "vmlinuz"), "-initrd", str(self.initrd)),
            *("-append", command_line(self.machine)),
        ]
        passed = [theirs.fileno()]
        if monitor is not None:
            words += [
                "-chardev",
                f"socket,id=mon,fd={monitor.fileno()}",
                "-mon",
                "chardev=mon,mode=control",
            ]
            passed.append(monitor.fileno())
        with theirs, open(state or os.devnull, "rb") as saved, open(self.errors, "wb") as errors:
            if state is not None:
                words += ["-incoming", f"fd:{saved.fileno()}"]
                passed.append(saved.fileno())
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *words],
                pass_fds=passed,
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                start_new_session=True,
                env=os.environ | {"TMPDIR": str(self.work)},
            )
        return Link(ours)

    def stop(self) -> None:
        """End it; a second call does nothing."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
        for number in range(len(SLOTS)):
            (self.work / f"slot{number}").unlink(missing_ok=True)

    def failure(self, what: str) -> MachineError:
        """Return an error with the last that qemu and the guest's console said."""
        parts = [what]
        for name, path in (("qemu", self.errors), ("console", self.console)):
            lines = path.read_text(errors="replace").splitlines() if path.exists() else []
            if lines:
                parts += [f"--- {name} ---", *lines[-25:]]
        return MachineError("\n".join(parts))
