# SPDX-License-Identifier: Apache-2.0
"""`logs`: what a container has written, from its log and the rotated ones before it; and what it writes from now on."""

import posix
import select
import time

from pyoci.engine import moments
from pyoci.engine.containers import logconfig, state
from pyoci.engine.errors import EngineError, PlainError
from pyoci.spec.reader import parse_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pyoci.engine.containers.record import Container

    # nanoseconds since 1970, stdout or stderr, text, what else is told of the line
    Entry = tuple[int, bytes, bytes, dict[str, str]]
    Told = dict[str, str]

_CHUNK = 1 << 18
_POLL_SECONDS = 0.05
_GZIP = ".gz"
_SPACE = 0x20
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")


class Wanted:
    """What of a log is asked for: moments in nanoseconds since 1970, 0 for none; `tail` lines from the end, -1 for all."""

    __slots__ = ("since", "tail", "until")

    def __init__(self, since: str, until: str, tail: str) -> None:
        self.since = _moment(since, "since")
        self.until = _moment(until, "until")
        try:
            self.tail = -1 if tail == "all" else int(tail)
        except ValueError:
            self.tail = -1

    def has(self, moment: int) -> bool:
        """Tell whether an entry of this moment is asked for."""
        return moment >= self.since and (not self.until or moment <= self.until)


def _moment(text: str, name: str) -> int:
    if not text:
        return 0
    try:
        return moments.read(text)
    except ValueError:
        raise PlainError(
            f'invalid value for "{name}": failed to parse value as time or duration: "{text}"'
        ) from None


def entries(container: "Container", wanted: Wanted) -> "Iterator[Entry]":
    """Yield what is in the log now."""
    reader = _Reader(logconfig.path(container))
    try:
        yield from _existing(container, wanted, reader)
    finally:
        reader.close()


def _existing(container: "Container", wanted: Wanted, reader: "_Reader") -> "Iterator[Entry]":
    """Return what is in the rotated files, and in the current one up to where the reader then stands."""
    parse = _parser(container)
    lines = (line for source in (_rotated(container), reader.lines()) for line in source)
    kept = (entry for entry in map(parse, lines) if wanted.has(entry[0]))
    return _tail(kept, wanted.tail) if wanted.tail >= 0 else kept


def _tail(found: "Iterable[Entry]", count: int) -> "Iterator[Entry]":
    """Return the last lines; parts of a line are one."""
    kept: list[list[Entry]] = []
    ended = True
    for entry in found:
        if ended:
            kept.append([])
        kept[-1].append(entry)
        ended = entry[2].endswith(b"\n")
        if len(kept) > count:
            del kept[0]
    return (entry for line in kept for entry in line)


def _parser(container: "Container") -> "Callable[[bytes], Entry]":
    driver = container.host_config["LogConfig"]["Type"]
    if driver not in logconfig.FILES:
        raise EngineError("configured logging driver does not support reading")
    return _parse_docker if driver == "json-file" else _parse_kubernetes


def _rotated(container: "Container") -> "Iterator[bytes]":
    path = logconfig.path(container)
    for number in range(logconfig.settings(container)["max_file"] - 1, 0, -1):
        for name in (f"{path}.{number}", f"{path}.{number}{_GZIP}"):
            try:
                fd = posix.open(name, posix.O_RDONLY | posix.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                yield from _lines(_unpacked(fd) if name.endswith(_GZIP) else _parts(fd))
            finally:
                posix.close(fd)
            break


def _parts(fd: int) -> "Iterator[bytes]":
    while part := posix.read(fd, _CHUNK):
        yield part


def _unpacked(fd: int) -> "Iterator[bytes]":
    import zlib

    form = zlib.decompressobj(wbits=31)  # gzip's
    return map(form.decompress, _parts(fd))


def _lines(parts: "Iterable[bytes]") -> "Iterator[bytes]":
    rest = b""
    for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        yield from lines


def _parse_docker(line: bytes) -> "Entry":
    fields = parse_object(line)
    text = str(fields["log"]).encode("utf-8", "surrogateescape")
    told: Told = fields.pop("attrs", {})  # type: ignore[assignment]  # a line of ours
    return moments.read(str(fields["time"])), str(fields["stream"]).encode(), text, told


def _parse_kubernetes(line: bytes) -> "Entry":
    moment, stream, tag, text = line.split(b" ", 3)
    return moments.read(moment.decode()), stream, text + (b"\n" if tag == b"F" else b""), {}


def follow(container: "Container", wanted: Wanted) -> "Iterator[Entry | None]":
    """Yield what is in the log and what comes, until the container has ended; None when there is nothing for the moment."""
    parse = _parser(container)
    reader = _Reader(logconfig.path(container))
    try:
        yield from _existing(container, wanted, reader)
        while True:
            over = state.current(container)["Status"] not in state.RUNNING
            for line in reader.lines():
                entry = parse(line)
                if wanted.has(entry[0]):
                    yield entry
            if over or (wanted.until and time.time_ns() > wanted.until):
                return
            yield None
    finally:
        reader.close()


class _Reader:
    """A log that grows, and is rotated."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.fd = -1
        self.rest = b""
        self.open()

    def open(self) -> None:
        """Open the file that is written now; there may be none yet."""
        try:
            self.fd = posix.open(self.path, posix.O_RDONLY | posix.O_CLOEXEC)
        except FileNotFoundError:
            self.fd = -1

    def close(self) -> None:
        """Let go of the file."""
        if self.fd >= 0:
            posix.close(self.fd)
            self.fd = -1

    def lines(self) -> "Iterator[bytes]":
        """Yield the lines that are new; of a rotated file first what is left."""
        if self.fd < 0:
            self.open()
        if self.fd < 0:
            return
        yield from self.new()
        try:
            same = posix.stat(self.path).st_ino == posix.fstat(self.fd).st_ino
        except FileNotFoundError:
            return
        if not same:
            yield from self.new()
            self.close()
            self.open()
            yield from self.new()

    def new(self) -> "Iterator[bytes]":
        """Yield the lines that have ended since the last time."""
        while part := posix.read(self.fd, _CHUNK):
            *lines, self.rest = (self.rest + part).split(b"\n")
            yield from lines


def pause() -> None:
    """Wait for a moment."""
    select.select([], [], [], _POLL_SECONDS)


def details(told: dict[str, str]) -> bytes:
    """Return what --details writes before a line: pairs as in the query of a URL (moby: attrsToString)."""
    pairs = [f"{_escape(name)}={_escape(value)}" for name, value in sorted(told.items())]
    return f"{','.join(pairs)} ".encode()


def _escape(text: str) -> str:
    """Escape as Go's url.QueryEscape."""
    return "".join(
        chr(byte) if chr(byte) in _PLAIN else "+" if byte == _SPACE else f"%{byte:02X}"
        for byte in text.encode("utf-8", "surrogateescape")
    )


def prefix(moment: int) -> bytes:
    """Return the time before a line: RFC3339Nano with all nine digits."""
    return f"{moments.fixed(moment)} ".encode()
