# SPDX-License-Identifier: Apache-2.0
"""What `build` is given: a directory, or on standard input a Dockerfile or an archive of both."""

import os

from pyoci.engine.below import open_within
from pyoci.engine.build.dockerfile import Dockerfile
from pyoci.engine.build.known import Known
from pyoci.engine.build.patterns import Ignore, read_ignore
from pyoci.engine.build.sources import Source
from pyoci.engine.errors import EngineError, PlainError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyoci.engine.images.store import Session

STREAM = "-"
_NAME = "Dockerfile"
_HEAD = 1 << 16
_LARGEST = 1 << 20  # of a Dockerfile
_ADDRESSES = ("http://", "https://", "git://", "git@")


def prepare(session: "Session", path: str, file: str) -> tuple[Dockerfile, Source]:
    """Return the Dockerfile and the context. Raises EngineError that says what is meant where something else was given."""
    if path == STREAM and file == STREAM:
        raise PlainError("invalid argument: can't use stdin for both build context and dockerfile")
    if path == STREAM:
        return _from_stream(session, file)
    if path.startswith(_ADDRESSES):
        raise EngineError(
            f"unable to prepare context: {path}: fetch it yourself, and give the directory or `-`"
        )
    _check(path)
    if file == STREAM:
        return Dockerfile(_read(0), _NAME), _open_own(session, path, file)
    where = file or f"{path}/{_NAME}"
    try:
        fd = os.open(where, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise EngineError(f"failed to read dockerfile: open {file or _NAME}: {reason}") from error
    try:
        return Dockerfile(_read(fd), file or _NAME), _open_own(session, path, where)
    finally:
        os.close(fd)


def _check(path: str) -> None:
    if not os.path.lexists(path):
        raise EngineError(f'unable to prepare context: path "{path}" not found')
    if not os.path.isdir(path):
        raise EngineError(
            f"unable to prepare context: {path} is no directory: a Dockerfile is given by --file, its directory as the context"
        )


def _open(path: str, dockerfile: str) -> Source:
    """Open a context with its rules of what to ignore."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        ignore = read_ignore(fd, dockerfile)
    finally:
        os.close(fd)
    return Source(os.path.realpath(path), ignore=ignore, keeps_owners=False)


def _open_own(session: "Session", path: str, dockerfile: str) -> Source:
    """Open a context that stays where it is: the digests of its files serve the next build."""
    source = _open(path, dockerfile)
    source.known = Known(session.store.places, source.path)
    return source


def _read(fd: int) -> bytes:
    data = b""
    while len(data) <= _LARGEST and (piece := os.read(fd, _LARGEST)):
        data += piece
    return data


def _from_stream(session: "Session", file: str) -> tuple[Dockerfile, Source]:
    """Read standard input: an archive is unpacked, anything else is a Dockerfile whose context is empty."""
    head = b""
    while len(head) < _HEAD and (piece := os.read(0, _HEAD)):
        head += piece
    directory = f"{session.path}/context"
    os.mkdir(directory, 0o755)
    if not is_archive(head):
        return Dockerfile(head + _read(0), _NAME), Source(
            directory, ignore=Ignore(()), keeps_owners=False
        )
    _unpack(session, head, directory)
    source = _open(directory, f"{directory}/{file or _NAME}")
    try:
        fd = open_within(source.fd, file or _NAME, os.O_RDONLY)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise EngineError(f"failed to read dockerfile: open {file or _NAME}: {reason}") from error
    try:
        return Dockerfile(_read(fd), file or _NAME), source
    finally:
        os.close(fd)


def is_archive(head: bytes) -> bool:
    """Tell whether a file is a tar archive, compressed or not, by what it begins with."""
    from pyoci.engine.images import compression, tar

    try:
        start = next((piece for piece in compression.decompressed([head]) if piece), b"")
    except EngineError:
        return False
    if len(start) < tar.BLOCK:
        return False
    try:
        next(tar.entries(tar.Source([start])), None)
    except EngineError as error:
        return "ends in the middle" in str(error)
    return True


def _unpack(session: "Session", head: bytes, directory: str) -> None:
    """Unpack what comes on standard input, in a process that has nothing else."""
    path = f"{session.path}/context.tar"
    with open(
        os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w+b"
    ) as file:
        file.writelines(_pieces(head))
        file.seek(0)
        unpack(session, file.fileno(), directory, "the build context")


def _pieces(head: bytes) -> "Iterator[bytes]":
    from pyoci.engine.images import compression

    yield head
    yield from compression.read_chunks(0)


def unpack(session: "Session", archive: int, directory: str, name: str) -> None:
    """Unpack an archive into an empty directory. Raises EngineError that names it."""
    from pyoci.engine.images import layers

    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        report = layers.run_unpacker(archive, fd, session.lock, layers.limit_of(archive))
    finally:
        os.close(fd)
    if "error" in report:
        raise EngineError(f"{name}: {report['error']}")
