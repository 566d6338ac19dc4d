# SPDX-License-Identifier: Apache-2.0
"""What `build` is given: a directory; what comes from elsewhere, a stream or an address, is for incoming.py."""

import os
import stat

from pyoci.engine.below import open_within
from pyoci.engine.build.dockerfile import Dockerfile
from pyoci.engine.build.known import Known
from pyoci.engine.build.patterns import read_ignore
from pyoci.engine.build.sources import Source
from pyoci.engine.errors import EngineError, PlainError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyoci.engine.images.store import Session

STREAM = "-"
NAME = "Dockerfile"
_LARGEST = 1 << 20  # of a Dockerfile
_ADDRESSES = ("http://", "https://", "git://", "ssh://", "git@", "github.com/")


def prepare(
    session: "Session", path: str, file: str, secrets: "Mapping[str, bytes]"
) -> tuple[Dockerfile, Source]:
    """Return the Dockerfile and the context. Raises EngineError that says what is meant where something else was given."""
    if path == STREAM and file == STREAM:
        raise PlainError("invalid argument: can't use stdin for both build context and dockerfile")
    if path == STREAM:
        from pyoci.engine.build.incoming import from_stream

        return from_stream(session, 0, file)
    if path.startswith(_ADDRESSES) and not os.path.isdir(path):
        from pyoci.engine.build.incoming import from_address

        return from_address(session, path, file, secrets)
    _check(path)
    if file == STREAM:
        return Dockerfile(read(0), NAME), _open_own(session, path, file)
    where = file or f"{path}/{NAME}"
    try:
        fd = os.open(where, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(file, error) from error
    return _dockerfile(fd, file), _open_own(session, path, where)


def prepare_within(source: Source, file: str) -> tuple[Dockerfile, Source]:
    """Return the Dockerfile that lies in a context, with the context and its rules of what to ignore."""
    where = os.path.normpath(file or NAME)
    source.ignore = read_ignore(source.fd, where, is_strange=True)
    if file == STREAM:
        return Dockerfile(read(0), NAME), source
    try:
        fd = open_within(source.fd, where, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise _unreadable(file, error) from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise EngineError(f"failed to read dockerfile: open {file or NAME}: not a regular file")
    return _dockerfile(fd, file), source


def _dockerfile(fd: int, file: str) -> Dockerfile:
    try:
        return Dockerfile(read(fd), file or NAME)
    finally:
        os.close(fd)


def _unreadable(file: str, error: OSError) -> EngineError:
    reason = (error.strerror or "").lower()
    return EngineError(f"failed to read dockerfile: open {file or NAME}: {reason}")


def _check(path: str) -> None:
    if not os.path.lexists(path):
        raise EngineError(f'unable to prepare context: path "{path}" not found')
    if not os.path.isdir(path):
        raise EngineError(
            f"unable to prepare context: {path} is no directory: a Dockerfile is given by --file, its directory as the context"
        )


def _open_own(session: "Session", path: str, dockerfile: str) -> Source:
    """Open a context that stays where it is, with its rules of what to ignore: the digests of its files serve the next build."""
    source = Source(os.path.realpath(path), keeps_owners=False)
    source.ignore = read_ignore(source.fd, dockerfile)
    source.known = Known(session.store.places, source.path)
    return source


def read(fd: int) -> bytes:
    """Return what is left of a file, up to more than a Dockerfile may have."""
    data = b""
    while len(data) <= _LARGEST and (piece := os.read(fd, _LARGEST)):
        data += piece
    return data
