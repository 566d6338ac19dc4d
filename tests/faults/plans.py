# SPDX-License-Identifier: Apache-2.0
"""Plans made by hand, and the executor run on them: a second, independent reading of the format."""

import array
import os
import socket
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from pyoci.plan import ops

Argument = int | str | bytes | Sequence[str] | None

BASE = 100
WAIT_S = 20
BAD_PLAN = 0xFFFFFFFF
REPORT = struct.Struct("<IIiI")
WARNINGS = (
    "-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes "
    "-Wformat=2 -Wvla -Wcast-qual -Werror"
)
FLAGS = (
    "-std=gnu11 -Os -static -nostdlib -ffreestanding -fno-builtin -fno-pie -no-pie "
    "-fstack-protector-strong -mstack-protector-guard=global"
)


class Plan:
    """Operations, and the bytes that they become."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, tuple[Argument, ...], tuple[int, ...], int]] = []

    def add(
        self, name: str, *arguments: Argument, ignore: tuple[int, ...] = (), skip: int = 0
    ) -> "Plan":
        self.rows.append((name, arguments, ignore, skip))
        return self

    def encode(self, inherited: int = 3) -> bytes:
        data = bytearray()
        start = 64 + 64 * len(self.rows)
        records = b""
        for name, arguments, ignore, skip in self.rows:
            signature = ops.OPERATIONS[ops.CODES[name]][1]
            assert len(signature) == len(arguments), name
            pairs = zip(signature, arguments, strict=True)
            words = [place(kind, value, data, start) for kind, value in pairs]
            words += [0] * (6 - len(words))
            errnos = (*ignore, 0, 0)[:2]
            records += struct.pack("<HHHH6QQ", ops.CODES[name], skip, *errnos, *words, 0)
        size = start + len(data)
        head = (ops.MAGIC, ops.VERSION, size, len(self.rows), inherited)
        return struct.pack("<IIQII40x", *head) + records + bytes(data)


def place(kind: str, value: Argument, data: bytearray, start: int) -> int:
    """Turn an argument into its word; what does not fit into one goes into the data."""
    if value is None:
        return 0
    if isinstance(value, int):
        return value & 0xFFFFFFFFFFFFFFFF
    if isinstance(value, str):
        offset = start + len(data)
        data += value.encode() + b"\0"
        return offset
    strings = [] if isinstance(value, bytes) else [place("p", text, data, start) for text in value]
    data += bytes(-len(data) % 8)
    offset = start + len(data)
    if isinstance(value, bytes):
        data += struct.pack("<Q", len(value)) + value
    else:
        data += struct.pack(f"<{len(strings) + 2}Q", len(strings), *strings, 0)
    return offset


class Report:
    """One datagram of the executor."""

    def __init__(self, datagram: bytes, fds: list[int]) -> None:
        kind, self.operation, self.errno, self.value = REPORT.unpack_from(datagram)
        self.kind = ops.REPORTS[kind]
        self.detail = datagram[REPORT.size :].decode()
        self.fds = fds


class Run:
    """The executor with a plan; slots 0 to 2 are the usual ones, 3 and on `fds`."""

    def __init__(
        self,
        program: str,
        plan: Plan | bytes,
        *,
        fds: Sequence[int] = (),
        state: bytes = b"",
        stdin: int = -1,
    ) -> None:
        self.output = tempfile.TemporaryFile()  # noqa: SIM115 - closed with its owner
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with its owner
        self.init = 0
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(WAIT_S)
        self.fifo = open_fifo()
        inherited = 3 + len(fds)
        encoded = plan if isinstance(plan, bytes) else plan.encode(inherited)
        memory = [memory_file(state), memory_file(encoded)]
        mine = [theirs.fileno(), self.fifo, memory[0], *fds, memory[1]]
        null = os.open("/dev/null", os.O_RDONLY)
        stdio = [stdin if stdin >= 0 else null, self.output.fileno(), self.errors.fileno()]
        actions = [(os.POSIX_SPAWN_DUP2, fd, BASE + i) for i, fd in enumerate(mine)]
        actions += [(os.POSIX_SPAWN_DUP2, fd, i) for i, fd in enumerate(stdio)]
        self.pid = os.posix_spawn(
            program, ["pyoci", str(BASE), str(inherited)], {}, file_actions=actions
        )
        theirs.close()
        for fd in (*memory, null):
            os.close(fd)

    def report(self) -> Report | None:
        """Return the next report, None when the other side is closed."""
        datagram, control, _, _ = self.socket.recvmsg(8192, socket.CMSG_SPACE(4))
        if not datagram:
            return None
        fds = array.array("i")
        for _, _, data in control:
            fds.frombytes(data[:4])
        found = Report(datagram, list(fds))
        if found.kind == "cloned":
            self.init = found.value
        return found

    def reports(self) -> Iterator[Report]:
        while (found := self.report()) is not None:
            yield found

    def answer(self, word: bytes = b"g") -> None:
        self.socket.send(word)

    def start(self) -> None:
        os.write(self.fifo, b"0")

    def late_report(self) -> Report:
        """Return the report that went into the exec fifo."""
        os.set_blocking(self.fifo, False)
        return Report(os.read(self.fifo, 8192), [])

    def wait(self) -> int:
        """Return the exit status of the last process, negative for a signal."""
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        if self.init and status == 0:
            status = os.waitstatus_to_exitcode(os.waitpid(self.init, 0)[1])
        return status

    def finish(self) -> tuple[int, list[Report]]:
        """Return the exit status and the reports that are left."""
        reports = list(self.reports())
        return self.wait(), reports

    def text(self) -> str:
        self.output.seek(0)
        return self.output.read().decode()

    def error_text(self) -> str:
        self.errors.seek(0)
        return self.errors.read().decode()

    def close(self) -> None:
        self.socket.close()
        os.close(self.fifo)
        self.output.close()
        self.errors.close()


def open_fifo() -> int:
    """Open a new fifo for both directions; nobody else can find it."""
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/fifo"
        os.mkfifo(path)
        return os.open(path, os.O_RDWR)


def memory_file(content: bytes) -> int:
    fd = os.memfd_create("test")
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def build(directory: Path) -> str:
    """Compile the executor of this tree."""
    source = Path(__file__).resolve().parents[2] / "pyoci/native"
    (directory / "ops.h").write_text(ops.header())
    program = directory / "executor"
    launcher = "freeze launcher limit monitor record request runtime shortcut weight".split()
    files = sorted(str(path) for path in source.glob("*.c") if path.stem not in launcher)
    command = ["gcc", *FLAGS.split(), *WARNINGS.split(), f"-I{directory}", *files]
    subprocess.run([*command, "-o", str(program)], check=True, timeout=300)
    return str(program)
