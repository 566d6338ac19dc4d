# SPDX-License-Identifier: Apache-2.0
"""Extract a layer once, for all images that have it: the blob is unpacked by a confined process and compared with its diff id."""

import os
import posix
import sys

from pyoci.engine.errors import EngineError
from pyoci.engine.images.config import parse_document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.images.store import Session

    Started = tuple[int, int, int]  # its pid, where it is told to begin, where it reports

# A bomb: nothing that people build is smaller than its content by this factor.
MOST_TIMES = 256
LEAST_LIMIT = 4 << 30
_HELD = 4  # where the child has the session's lock: its directory is not a dead one's before it has ended too
_INTERPRETER = "/usr/bin/python3"


class Extraction:
    """A process that stands ready to unpack a blob, in the session's directory; it begins when it is told to."""

    __slots__ = ("_session", "_source", "_started", "_target")

    def __init__(self, session: "Session", source: int) -> None:
        """Start the process, which will read `source` from its beginning; nothing of that is looked at yet."""
        self._session, self._source = session, source
        self._target = f"{session.path}/layer-{os.urandom(8).hex()}"
        os.mkdir(self._target, 0o755)
        directory = os.open(self._target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._started: Started | None = start_unpacker(source, directory, session.lock)
        finally:
            os.close(directory)

    def run(self, blob: str, diff_id: str = "") -> str:
        """Unpack the blob, whose digest has been compared by now, and return its diff id; compared with the given one,
        which the session holds, "" for not known.
        """
        report = self._end(limit_of(self._source))
        if "error" in report:
            raise EngineError(f"layer {blob}: {report['error']}")
        found = str(report["diff_id"])
        if diff_id and found != diff_id:
            raise EngineError(f"layer {blob}: its content is {found}, the image says {diff_id}")
        if not diff_id:
            self._session.hold([found])
        self._session.add_layer(self._target, found)
        self._session.layer_bytes[found] = int(str(report["bytes"]))
        return found

    def close(self) -> None:
        """Let a process that was never told to begin go."""
        if self._started:
            self._end(-1)

    def _end(self, limit: int) -> dict[str, object]:
        assert self._started
        started, self._started = self._started, None
        return let_go(started, limit)


def extract(session: "Session", blob: str, diff_id: str = "") -> str:
    """Extract a blob and return its diff id; compared with the given one, which the session holds, "" for not known."""
    source = os.open(session.store.blob_path(blob), os.O_RDONLY | os.O_CLOEXEC)
    try:
        extraction = Extraction(session, source)
        try:
            return extraction.run(blob, diff_id)
        finally:
            extraction.close()
    finally:
        os.close(source)


def limit_of(source: int) -> int:
    """Return how much a blob may unpack to: a multiple of its size, and less than the disk has left."""
    disk = os.fstatvfs(source)
    most = max(LEAST_LIMIT, os.fstat(source).st_size * MOST_TIMES)
    return min(most, disk.f_bavail * disk.f_frsize)


def run_unpacker(source: int, directory: int, lock: int, limit: int) -> dict[str, object]:
    """Run unpack.py in a process of its own and return its report."""
    return let_go(start_unpacker(source, directory, lock), limit)


def let_go(started: "Started", limit: int) -> dict[str, object]:
    """Tell an unpacker how much it may unpack to, and return its report; a negative limit ends it, without any."""
    pid, go, reader = started
    if limit >= 0:
        os.write(go, f"{limit}".encode())
    os.close(go)
    said = b""
    while part := os.read(reader, 65536):
        said += part
    os.close(reader)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status or not said.startswith(b"{"):
        last = said.decode("utf-8", "replace").strip().rpartition("\n")[2]
        return {"error": f"the unpacker ended with {status}: {last}"}
    return parse_document(said, "report of the unpacker")


def start_unpacker(source: int, directory: int, lock: int) -> "Started":
    """Run unpack.py in a process of its own; returns its pid, where it is told how much it may unpack, and where it reports.

    What it says on stderr is a failure.
    """
    from pyoci.engine.images.unpack import GO, TARGET

    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "from pyoci.engine.images.unpack import main; main()"
    )
    reader, writer = os.pipe()
    told, teller = os.pipe()
    program = sys.executable or _INTERPRETER
    # Out of the way first: dup2 onto 3 must not close what is to become 4.
    moved = [fcntl_dup(fd) for fd in (directory, lock, told)]
    places = ((source, 0), (writer, 1), (writer, 2), *zip(moved, (TARGET, _HELD, GO), strict=True))
    actions = [(posix.POSIX_SPAWN_DUP2, fd, number) for fd, number in places]
    try:
        pid = posix.posix_spawn(
            program, [program, "-I", "-S", "-X", "utf8", "-c", code], {}, file_actions=actions
        )
    finally:
        for fd in (writer, told, *moved):
            os.close(fd)
    return pid, teller, reader


def fcntl_dup(fd: int) -> int:
    """Return a copy of a descriptor beyond those that the child is given."""
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)
