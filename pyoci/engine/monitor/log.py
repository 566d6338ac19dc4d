# SPDX-License-Identifier: Apache-2.0
"""The log of a container: what it writes, line by line, in Docker's form or Kubernetes', rotated by size.

json-file: {"log":"out\\n","stream":"stdout","time":"2026-11-23T16:35:51.542645145Z"}, parts of 16 KiB of a longer line without \\n;
before "time" an object "attrs" with what --log-opt asks for.
k8s-file: 2026-11-23T16:35:51.542645145+00:00 stdout F out; P for a part.
What was read is written at once, in one write(2) for all lines of a read: a SIGKILL loses no line that is in the log. A full disk
loses lines, as with Docker: the container goes on, and so does its log when there is room again.
"""

import posix
import time
from _json import encode_basestring_ascii

from pyoci.engine.containers.status import FULL
from pyoci.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyoci.engine.monitor.datagrams import Sender

LONGEST = 16384
_GZIP = ".gz"
_BILLION = 1_000_000_000
_FLAGS = posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND | posix.O_CLOEXEC


class Log:
    """An open log with the beginnings of lines whose ends are not there yet."""

    __slots__ = (
        "compressing",
        "compressor",
        "fd",
        "files",
        "form",
        "is_kept",
        "largest",
        "partial",
        "path",
        "sender",
        "size",
        "told",
    )

    def __init__(self, settings: "dict[str, Any]") -> None:
        self.form = _FORMS.get(settings["driver"], _docker)
        self.is_kept = settings["driver"] != "none"
        told = settings["attributes"]
        shown = dumps({name: told[name] for name in sorted(told)})
        self.told = f',"attrs":{shown}' if told else ""  # beside each line, in Docker's form
        self.path: str = settings["path"]
        self.largest: int = settings["max_size"]  # bytes; 0 without limit
        self.files: int = settings["max_file"]
        self.compressor: str = settings["compressor"]  # the program for files that are full, if any
        self.compressing = 0  # the pid of it at work
        self.partial = {b"stdout": b"", b"stderr": b""}
        self.fd, self.size = -1, 0
        self.sender: Sender | None = None
        if settings["driver"] in ("journald", "syslog"):
            from pyoci.engine.monitor import datagrams

            self.sender = datagrams.Sender(settings)
        elif self.is_kept:
            self.open()

    def open(self) -> None:
        """Open the file that is written now."""
        self.fd = posix.open(self.path, _FLAGS, 0o640)
        self.size = posix.fstat(self.fd).st_size

    def write(self, stream: bytes, data: bytes) -> None:
        """Write the lines that have ended; keep the rest for the next time."""
        if not self.is_kept:
            return
        data = self.partial[stream] + data
        *lines, rest = data.split(b"\n")
        whole = [part for line in lines for part in _parts(line)]
        while len(rest) >= LONGEST:
            whole.append((rest[:LONGEST], False))
            rest = rest[LONGEST:]
        self.partial[stream] = rest
        if whole:
            self.emit(stream, whole)

    def flush(self) -> None:
        """Write what has no end of line, and will get none."""
        for stream, rest in self.partial.items():
            if rest and self.is_kept:
                self.emit(stream, [(rest, False)])
                self.partial[stream] = b""

    def emit(self, stream: bytes, lines: "list[tuple[bytes, bool]]") -> None:
        """Write lines, each with whether it has ended, under one time."""
        if self.sender is not None:
            self.sender.emit(stream, lines)
            return
        now = time.time_ns()
        second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // _BILLION))
        block = self.form(lines, stream.decode(), self.told, f"{second}.{now % _BILLION:09d}")
        if self.largest and self.size + len(block) > self.largest and len(lines) > 1:
            self.emit(stream, lines[: len(lines) // 2])  # the first of them may still fit
            self.emit(stream, lines[len(lines) // 2 :])
            return
        try:
            self.append(block)
        except OSError as error:
            if error.errno not in FULL:
                raise
            if self.fd >= 0:
                posix.ftruncate(self.fd, self.size)  # no half of a line

    def append(self, block: bytes) -> None:
        """Write a block whole, into the next file where it does not fit into this one; raises OSError."""
        if self.fd < 0:
            self.open()  # it could not be, the last time
        if self.largest and self.size and self.size + len(block) > self.largest:
            self.rotate()
        rest = block
        while rest:
            rest = rest[posix.write(self.fd, rest) :]
        self.size += len(block)

    def rotate(self) -> None:
        """Give the files their next numbers, drop the last, begin a new one; the one before it may have to be compressed."""
        self.await_compressor()
        posix.close(self.fd)
        self.fd = -1
        # Not truncated: who follows it reads the old file to its end.
        last = f"{self.path}.{self.files - 1}" if self.files > 1 else self.path
        for suffix in ("", _GZIP):
            _rename_or_remove(f"{last}{suffix}", "")
        for number in range(self.files - 1, 0, -1):
            old = f"{self.path}.{number - 1}" if number > 1 else self.path
            for suffix in ("", _GZIP):
                _rename_or_remove(f"{old}{suffix}", f"{self.path}.{number}{suffix}")
        self.open()
        if self.compressor:
            argv = [self.compressor, "_compress", f"{self.path}.1"]
            self.compressing = posix.posix_spawn(argv[0], argv, posix.environ)

    def await_compressor(self) -> None:
        """Wait until the file before is compressed: it will have another name."""
        if self.compressing:
            posix.waitpid(self.compressing, 0)
            self.compressing = 0


def _rename_or_remove(path: str, new: str) -> None:
    """Give a file another name, or remove it for none; there may be no such file."""
    try:
        if new:
            posix.rename(path, new)
        else:
            posix.unlink(path)
    except FileNotFoundError:
        return


def _parts(line: bytes) -> "list[tuple[bytes, bool]]":
    """Split a line that has ended: every part but the last is without end of line."""
    if len(line) <= LONGEST:
        return [(line, True)]
    parts = [line[at : at + LONGEST] for at in range(0, len(line), LONGEST)]
    return [*((part, False) for part in parts[:-1]), (parts[-1], True)]


def _docker(lines: "list[tuple[bytes, bool]]", stream: str, told: str, moment: str) -> bytes:
    moment = moment.rstrip("0").rstrip(".")
    tail = f',"stream":"{stream}"{told},"time":"{moment}Z"}}\n'
    encode = encode_basestring_ascii
    return "".join(
        [
            '{"log":' + encode(line.decode("utf-8", "replace") + ("\n" if ended else "")) + tail
            for line, ended in lines
        ]
    ).encode()


def _kubernetes(lines: "list[tuple[bytes, bool]]", stream: str, told: str, moment: str) -> bytes:
    del told
    head = f"{moment}+00:00 {stream} ".encode()
    return b"".join([head + (b"F " if ended else b"P ") + line + b"\n" for line, ended in lines])


_FORMS: "dict[str, Callable[[list[tuple[bytes, bool]], str, str, str], bytes]]" = {
    "json-file": _docker,
    "k8s-file": _kubernetes,
}
