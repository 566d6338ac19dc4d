# SPDX-License-Identifier: Apache-2.0
"""Read a tar stream entry by entry: ustar, pax and GNU, long names, sparse files, xattrs (docs/adr, "A tar reader by hand").

    source = Source(chunks)
    for entry in entries(source):       # what is not read of one entry is skipped before the next
        source.copy(fd)                 # the content of the entry, without holes

Every number and name is checked here; what the entries mean to a layer is for unpack.py. Raises EngineError for what is no tar.
"""

import os
import zlib

from pyoci.engine.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BLOCK = 512
LONGEST_HEADER = 1 << 20  # bytes of a pax or GNU header, as Go's archive/tar
LARGEST = 1 << 62  # bytes of one file
_ZERO = bytes(BLOCK)
_KINDS = {b"0": "file", b"\0": "file", b"7": "file", b"S": "file", b"1": "link", b"2": "symlink"}
_KINDS |= {b"3": "char", b"4": "block", b"5": "directory", b"6": "fifo"}
_HEADERS = (b"x", b"g", b"L", b"K", b"V")
_OLDEST, _LATEST = -(1 << 31), 1 << 34  # seconds that file systems can keep
_CHECKSUM_BASE = 65521  # of Adler-32, whose lower half is the sum of the bytes plus one


class Entry:
    """One member; `sparse` is None or the pieces (offset, length) of a file of `size` bytes that the content fills."""

    __slots__ = (
        "gid",
        "kind",
        "major",
        "minor",
        "mode",
        "mtime_ns",
        "name",
        "size",
        "sparse",
        "target",
        "uid",
        "xattrs",
    )

    def __init__(self, header: bytes, kind: str) -> None:
        self.kind = kind
        self.name = _text(header[:100])
        self.mode = _number(header[100:108]) & 0o7777
        self.uid = _number(header[108:116])
        self.gid = _number(header[116:124])
        self.size = 0
        self.mtime_ns = _number(header[136:148]) * 10**9
        self.target = _text(header[157:257])
        self.major = self.minor = 0
        self.xattrs: dict[bytes, bytes] = {}
        self.sparse: list[tuple[int, int]] | None = None
        if header[257:263] == b"ustar\0" and header[345]:
            self.name = _text(header[345:500]) + b"/" + self.name
        if kind in ("char", "block"):
            self.major, self.minor = _number(header[329:337]), _number(header[337:345])


class Source:
    """Chunks of a stream, read in exact amounts; `left` is what the current entry still has."""

    __slots__ = ("_chunk", "_chunks", "_offset", "_padding", "left")

    def __init__(self, chunks: "Iterable[bytes]") -> None:
        self._chunks = iter(chunks)
        self._chunk = b""
        self._offset = 0
        self._padding = 0
        self.left = 0

    def take(self, count: int) -> bytes:
        """Return exactly so many bytes."""
        end = self._offset + count
        if end <= len(self._chunk):
            data = self._chunk[self._offset : end]
            self._offset = end
            return data
        parts = []
        while count:
            part = self._some(count)
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def header(self) -> bytes:
        """Return the next block; b"" at an end of the stream that is no truncation."""
        if self._offset >= len(self._chunk):
            self._offset = 0
            self._chunk = next(self._chunks, b"")
            if not self._chunk:
                return b""
        return self.take(BLOCK)

    def begin(self, size: int) -> None:
        """Begin the content of an entry."""
        self.left = size
        self._padding = -size % BLOCK

    def content(self, count: int) -> bytes:
        """Return so many bytes of the entry's content."""
        if count > self.left:
            raise EngineError("broken tar archive: an entry is shorter than it says")
        self.left -= count
        return self.take(count)

    def copy(self, fd: int, count: int = -1) -> None:
        """Write content to a file, all that is left or so many bytes."""
        count = self.left if count < 0 else count
        if count > self.left:
            raise EngineError("broken tar archive: an entry is shorter than it says")
        self.left -= count
        while count:
            part = self._some(count)
            count -= len(part)
            while part:
                part = part[os.write(fd, part) :]

    def pieces(self) -> "Iterator[memoryview]":
        """Yield what is left of the content."""
        while self.left:
            part = self._some(self.left)
            self.left -= len(part)
            yield part

    def finish(self) -> None:
        """Skip what is left of the content, and its padding."""
        count = self.left + self._padding
        self.left = self._padding = 0
        while count:
            count -= len(self._some(count))

    def drain(self) -> None:
        """Read the stream to its end: what follows the archive is in its digest, too."""
        self._chunk = b""
        self._offset = 0
        for _ in self._chunks:
            pass

    def _some(self, most: int) -> memoryview:
        """Return at least one byte and at most so many."""
        if self._offset >= len(self._chunk):
            self._offset = 0
            self._chunk = next(self._chunks, b"")
            if not self._chunk:
                raise EngineError("broken tar archive: it ends in the middle")
        part = memoryview(self._chunk)[self._offset : self._offset + most]
        self._offset += len(part)
        return part


def entries(source: Source) -> "Iterator[Entry]":
    """Yield the entries up to the end of the archive, or of the stream."""
    pax: dict[bytes, bytes] = {}
    longer: dict[bytes, bytes] = {}
    while (header := source.header()) and header != _ZERO:
        _check(header)
        size, flag = _size(header[124:136]), header[156:157]
        if flag in _HEADERS:
            if size > LONGEST_HEADER:
                raise EngineError("broken tar archive: an extended header of more than 1 MB")
            source.begin(size)
            data = source.content(size)
            source.finish()
            if flag == b"x":
                pax = _records(data)
            elif flag in (b"L", b"K"):
                longer[flag] = _text(data)
            continue
        yield _entry(source, header, size, pax, longer)
        source.finish()
        pax, longer = {}, {}


def _entry(
    source: Source, header: bytes, size: int, pax: dict[bytes, bytes], longer: dict[bytes, bytes]
) -> Entry:
    """Make the entry of a header and of the extended headers before it."""
    flag = header[156:157]
    if flag not in _KINDS:
        raise EngineError(f"broken tar archive: an entry of the unknown type {flag!r}")
    entry = Entry(header, _KINDS[flag])
    if pax:
        size = _apply(entry, pax, size)
    entry.name = longer.get(b"L", entry.name)
    entry.target = longer.get(b"K", entry.target)
    if flag == b"\0" and entry.name.endswith(b"/"):
        entry.kind = "directory"  # before POSIX there was no type of it
    entry.mtime_ns = min(max(entry.mtime_ns, _OLDEST * 10**9), _LATEST * 10**9)
    source.begin(size if entry.kind == "file" else 0)
    entry.size = source.left
    if flag == b"S":
        _read_gnu_sparse(source, entry, header)
    elif b"GNU.sparse.major" in pax or b"GNU.sparse.map" in pax:
        _read_pax_sparse(source, entry, pax)
    if b"\0" in entry.name or b"\0" in entry.target:
        raise EngineError("broken tar archive: a name with a NUL in it")
    return entry


def _apply(entry: Entry, pax: dict[bytes, bytes], size: int) -> int:
    """Let the records of a pax header speak; return the size of the content."""
    entry.name = pax.get(b"GNU.sparse.name", pax.get(b"path", entry.name))
    entry.target = pax.get(b"linkpath", entry.target)
    try:
        entry.uid = int(pax.get(b"uid", entry.uid))
        entry.gid = int(pax.get(b"gid", entry.gid))
        size = int(pax.get(b"size", size))
        if b"mtime" in pax:
            seconds, _, fraction = pax[b"mtime"].partition(b".")
            entry.mtime_ns = int(seconds) * 10**9 + int((fraction + b"0" * 9)[:9])
    except ValueError:
        raise EngineError("broken tar archive: a number of a pax header is none") from None
    if not 0 <= size <= LARGEST:
        raise EngineError("broken tar archive: the size of an entry is out of range")
    prefix = b"SCHILY.xattr."
    entry.xattrs = {key[13:]: value for key, value in pax.items() if key.startswith(prefix)}
    return size


def _records(data: bytes) -> dict[bytes, bytes]:
    """Return the records of a pax header: "LENGTH KEY=VALUE\\n"; the pairs of a sparse map of version 0.0 as one."""
    records: dict[bytes, bytes] = {}
    pairs: list[bytes] = []
    start = 0
    while start < len(data):
        space = data.find(b" ", start, start + 20)
        digits = data[start:space] if space > 0 else b""
        end = start + int(digits) if digits.isdigit() else 0
        if not 0 < space < end <= len(data) or data[end - 1] != 0x0A:
            raise EngineError("broken tar archive: a pax header that cannot be read")
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals:
            raise EngineError("broken tar archive: a pax record without a value")
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            pairs.append(value)
        records[key] = value
        start = end
    if pairs:
        records[b"GNU.sparse.map"] = b",".join(pairs)
    return records


def _read_gnu_sparse(source: Source, entry: Entry, header: bytes) -> None:
    """Read the map of GNU tar's own type: four pieces in the header, then blocks of 21."""
    numbers = [_number(header[at : at + 12]) for at in range(386, 482, 12)]
    more = header[482]
    real = _size(header[483:495])
    while more:
        block = source.take(BLOCK)
        numbers += [_number(block[at : at + 12]) for at in range(0, 504, 12)]
        more = block[504]
        if len(numbers) > LONGEST_HEADER:
            raise EngineError("broken tar archive: the map of a sparse file is too long")
    _set_sparse(source, entry, numbers, real)


def _read_pax_sparse(source: Source, entry: Entry, pax: dict[bytes, bytes]) -> None:
    """Read the map of a pax sparse file: a record (versions 0.0, 0.1), or the first blocks of the content (1.0)."""
    try:
        if b"GNU.sparse.major" in pax and pax[b"GNU.sparse.major"] != b"0":
            real = int(pax[b"GNU.sparse.realsize"])
            numbers = _leading_numbers(source)
        else:
            real = int(pax[b"GNU.sparse.size"])
            numbers = [int(number) for number in pax[b"GNU.sparse.map"].split(b",") if number]
    except (ValueError, KeyError):
        raise EngineError("broken tar archive: the map of a sparse file cannot be read") from None
    _set_sparse(source, entry, numbers, real)


def _leading_numbers(source: Source) -> list[int]:
    """Read the lines "COUNT OFFSET LENGTH ..." that begin the content and end with their block."""
    lines = source.content(BLOCK).split(b"\n")
    total = 1 + 2 * int(lines[0])
    if not 1 <= total <= LONGEST_HEADER:
        raise ValueError
    while len(lines) <= total:
        lines[-1:] = (lines[-1] + source.content(BLOCK)).split(b"\n")
    return [int(line) for line in lines[1:total]]


def _set_sparse(source: Source, entry: Entry, numbers: list[int], real: int) -> None:
    pieces = list(zip(numbers[::2], numbers[1::2], strict=False))
    end = 0
    for offset, length in pieces:
        if (length and offset < end) or length < 0 or offset + length > real:
            raise EngineError("broken tar archive: the pieces of a sparse file overlap")
        end = max(end, offset + length)
    if not 0 <= real <= LARGEST or sum(length for _, length in pieces) != source.left:
        raise EngineError("broken tar archive: the size of a sparse file is wrong")
    entry.sparse, entry.size = pieces, real


def _check(header: bytes) -> None:
    """Compare the checksum: the sum of all bytes, the field itself taken as blanks."""
    if len(header) != BLOCK:
        raise EngineError("broken tar archive: it ends in the middle of a header")
    stored = _number(header[148:156])
    expected = stored - 256 + sum(header[148:156])
    # Adler-32 sums 512 bytes in C, modulo a number; its lower half tells a wrong header from a right one.
    if ((zlib.adler32(header) & 0xFFFF) - 1 - expected) % _CHECKSUM_BASE:
        raise EngineError("broken tar archive: the checksum of a header is wrong")


def _size(field: bytes) -> int:
    size = _number(field)
    if not 0 <= size <= LARGEST:
        raise EngineError("broken tar archive: the size of an entry is out of range")
    return size


def _number(field: bytes) -> int:
    """Return an octal number, or GNU's base 256 where the first bit is set."""
    if field[0] & 0x80:
        bits = 8 * len(field) - 1
        value = int.from_bytes(field, "big") & ((1 << bits) - 1)
        return value - (1 << bits) if field[0] & 0x40 else value
    digits = field.replace(b"\0", b" ").strip()
    try:
        return int(digits, 8) if digits else 0
    except ValueError:
        raise EngineError("broken tar archive: a number of a header is none") from None


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]
