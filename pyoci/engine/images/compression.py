# SPDX-License-Identifier: Apache-2.0
"""Compressed streams: known by their first bytes, read in pieces of a bounded size, whatever they unpack to."""

import posix
import sys

from pyoci.engine.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Protocol

    class Decompressor(Protocol):
        """What bz2, lzma, zstd and isal agree on."""

        @property
        def eof(self) -> bool:
            """Whether the end of the stream was reached."""

        @property
        def needs_input(self) -> bool:
            """Whether it cannot go on without more."""

        @property
        def unused_data(self) -> bytes:
            """What followed the end of the stream."""

        def decompress(self, data: bytes, max_length: int = -1, /) -> bytes:
            """Return at most so many bytes of what the stream holds."""


CHUNK = 1 << 20
LONGEST_MAGIC = 6
LZMA_MEMORY = 256 << 20
_MAGIC = ((b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz"))
_ZSTD = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE = range(0x184D2A50, 0x184D2A60)  # RFC 8878, 3.1.2
_ZSTD_WINDOW_LOG = 27  # 128 MB, what the zstd program takes without --long


def kind_of(head: bytes) -> str:
    """Return what the first bytes of a stream say: gzip, bzip2, xz, zstd, or "" for none of these."""
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head.startswith(_ZSTD) or int.from_bytes(head[:4], "little") in _ZSTD_SKIPPABLE:
        return "zstd"
    return ""


def prepare(fd: int) -> None:
    """Import what this file will need: after chroot(2) nothing can be."""
    kind = kind_of(posix.pread(fd, LONGEST_MAGIC, 0))
    if kind:
        _format(kind)


def prepare_most() -> None:
    """Import what most files need, before one is there."""
    _format("gzip")


def read_chunks(fd: int) -> "Iterator[bytes]":
    """Yield what is left of a file, from where it stands."""
    while chunk := posix.read(fd, CHUNK):
        yield chunk


def decompressed(chunks: "Iterable[bytes]") -> "Iterator[bytes]":
    """Yield the plain content of a stream, compressed or not, in pieces of at most CHUNK bytes."""
    source = iter(chunks)
    head = b""
    while len(head) < LONGEST_MAGIC and (chunk := next(source, b"")):
        head += chunk
    kind = kind_of(head)
    if not kind:
        yield head
        yield from source
        return
    yield from _members(kind, head, source)


def _members(kind: str, data: bytes, source: "Iterator[bytes]") -> "Iterator[bytes]":
    """Yield the content of one compressed stream after the other, as gzip(1) and zstd(1) do."""
    make, failed = _format(kind)
    try:
        while data:
            unit = make()
            while not unit.eof:
                if unit.needs_input and not data:
                    data = next(source, b"")
                    if not data:
                        raise EngineError(f"the {kind} stream ends early: the archive is truncated")
                piece = unit.decompress(data, CHUNK)
                data = b""
                if piece:
                    yield piece
            data = unit.unused_data.lstrip(b"\0") or next(source, b"").lstrip(b"\0")
    except (OSError, ValueError, EOFError, failed) as error:
        raise EngineError(f"the {kind} stream is damaged: {error}") from error


def _format(kind: str) -> "tuple[Callable[[], Decompressor], type[Exception]]":
    """Return what makes a decompressor, and what it raises beside OSError, ValueError and EOFError."""
    if kind == "gzip":
        from isal import igzip_lib

        # the stub calls the class an instance
        error: type[Exception] = igzip_lib.error  # type: ignore[assignment]  # the other library's is zlib.error
        return lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP), error
    if kind == "bzip2":
        import bz2

        return lambda: bz2.BZ2Decompressor(), OSError  # noqa: PLW0108 - the stub's name of the first argument differs
    if kind == "xz":
        import lzma

        return lambda: lzma.LZMADecompressor(memlimit=LZMA_MEMORY), lzma.LZMAError
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    options: Mapping[int, int] = {int(zstd.DecompressionParameter.window_log_max): _ZSTD_WINDOW_LOG}
    return lambda: zstd.ZstdDecompressor(options=options), zstd.ZstdError


def gzipped(chunks: "Iterable[bytes]") -> "Iterator[bytes]":
    """Yield a stream compressed by gzip: the same bytes for the same content, without time or name."""
    from isal import isal_zlib

    compressor = isal_zlib.compressobj(level=2, wbits=31)
    for chunk in chunks:
        piece = compressor.compress(chunk)
        if piece:
            yield piece
    yield compressor.flush()
