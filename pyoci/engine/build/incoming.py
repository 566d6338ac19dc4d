# SPDX-License-Identifier: Apache-2.0
"""A context that comes from elsewhere: standard input, a git repository, an address of the web; and archives, unpacked."""

import os

from pyoci.engine.build.context import NAME, prepare_within, read
from pyoci.engine.build.dockerfile import Dockerfile
from pyoci.engine.build.known import Known
from pyoci.engine.build.patterns import read_ignore
from pyoci.engine.build.sources import Source
from pyoci.engine.errors import EngineError
from pyoci.engine.images import compression, layers, tar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyoci.engine.images.store import Session

_HEAD = 1 << 16


def from_stream(session: "Session", fd: int, file: str) -> tuple[Dockerfile, Source]:
    """Read a stream: an archive is unpacked, anything else is a Dockerfile whose context is empty."""
    head = b""
    while len(head) < _HEAD and (piece := os.read(fd, _HEAD)):
        head += piece
    directory = f"{session.path}/context"
    os.mkdir(directory, 0o755)
    if not is_archive(head):
        return Dockerfile(head + read(fd), NAME), Source(directory, keeps_owners=False)
    _unpack(session, fd, head, directory)
    return prepare_within(Source(directory, keeps_owners=False), file)


def from_address(
    session: "Session", address: str, file: str, secrets: "Mapping[str, bytes]"
) -> tuple[Dockerfile, Source]:
    """Fetch a repository, an archive or a Dockerfile. Raises EngineError that says what an address must be."""
    from pyoci.engine.build import fetching, git

    if git.is_git(address):
        return prepare_within(git.fetch(session, address, secrets)[0], file)
    if not address.startswith(fetching.WEB):
        raise EngineError(f"unable to prepare context: {address}: git or http is expected")
    source, found = fetching.fetch(session, address, "", "")
    fd = source.open(found.path)
    try:
        return from_stream(session, fd, file)
    finally:
        os.close(fd)
        source.close()


def open_named(session: "Session", name: str, place: str, secrets: "Mapping[str, bytes]") -> Source:
    """Open the files of --build-context NAME=PLACE: a directory, or a repository."""
    from pyoci.engine.build import git

    if git.is_git(place):
        return git.fetch(session, place, secrets)[0]
    if not os.path.isdir(place):
        raise EngineError(
            f"build context {name}: {place}: a directory, git or docker-image:// is expected"
        )
    source = Source(os.path.realpath(place), f"build context {name}", keeps_owners=False)
    source.ignore = read_ignore(source.fd, f"{place}/{NAME}")
    source.known = Known(session.store.places, source.path)
    return source


def is_archive(head: bytes) -> bool:
    """Tell whether a file is a tar archive, compressed or not, by what it begins with."""
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


def _unpack(session: "Session", stream: int, head: bytes, directory: str) -> None:
    """Unpack what comes on a stream, in a process that has nothing else."""
    path = f"{session.path}/context.tar"
    with open(
        os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w+b"
    ) as file:
        file.writelines(_pieces(stream, head))
        file.seek(0)
        unpack(session, file.fileno(), directory, "the build context")


def _pieces(stream: int, head: bytes) -> "Iterator[bytes]":
    yield head
    yield from compression.read_chunks(stream)


def unpack(session: "Session", archive: int, directory: str, name: str) -> None:
    """Unpack an archive into an empty directory. Raises EngineError that names it."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        report = layers.run_unpacker(archive, fd, session.lock, layers.limit_of(archive))
    finally:
        os.close(fd)
    if "error" in report:
        raise EngineError(f"{name}: {report['error']}")
