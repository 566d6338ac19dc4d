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

# A bomb: nothing that people build is smaller than its content by this factor.
MOST_TIMES = 256
LEAST_LIMIT = 4 << 30
_HELD = 4  # where the child has the session's lock: its directory is not a dead one's before it has ended too
_INTERPRETER = "/usr/bin/python3"


def extract(session: "Session", blob: str, diff_id: str = "") -> str:
    """Extract a blob and return its diff id; compared with the given one, which the session holds, "" for not known."""
    target = f"{session.path}/layer-{os.urandom(8).hex()}"
    os.mkdir(target, 0o755)
    source = os.open(session.store.blob_path(blob), os.O_RDONLY | os.O_CLOEXEC)
    directory = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        report = run_unpacker(source, directory, session.lock, limit_of(source))
    finally:
        os.close(source)
        os.close(directory)
    if "error" in report:
        raise EngineError(f"layer {blob}: {report['error']}")
    found = str(report["diff_id"])
    if diff_id and found != diff_id:
        raise EngineError(f"layer {blob}: its content is {found}, the image says {diff_id}")
    if not diff_id:
        session.hold([found])
    session.add_layer(target, found)
    session.layer_bytes[found] = int(str(report["bytes"]))
    return found


def limit_of(source: int) -> int:
    """Return how much a blob may unpack to: a multiple of its size, and less than the disk has left."""
    disk = os.fstatvfs(source)
    most = max(LEAST_LIMIT, os.fstat(source).st_size * MOST_TIMES)
    return min(most, disk.f_bavail * disk.f_frsize)


def run_unpacker(source: int, directory: int, lock: int, limit: int) -> dict[str, object]:
    """Run unpack.py in a process of its own and return its report; what it says on stderr is a failure."""
    from pyoci.engine.images.unpack import TARGET

    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        f"from pyoci.engine.images.unpack import main; main({limit})"
    )
    reader, writer = os.pipe()
    actions = [
        (posix.POSIX_SPAWN_DUP2, fd, number)
        for fd, number in ((source, 0), (writer, 1), (writer, 2))
    ]
    program = sys.executable or _INTERPRETER
    # Out of the way first: dup2 onto 3 must not close what is to become 4.
    moved = [fcntl_dup(fd) for fd in (directory, lock)]
    actions += [
        (posix.POSIX_SPAWN_DUP2, moved[0], TARGET),
        (posix.POSIX_SPAWN_DUP2, moved[1], _HELD),
    ]
    try:
        pid = posix.posix_spawn(
            program, [program, "-I", "-S", "-X", "utf8", "-c", code], {}, file_actions=actions
        )
    finally:
        for fd in (writer, *moved):
            os.close(fd)
    said = b""
    while part := os.read(reader, 65536):
        said += part
    os.close(reader)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status or not said.startswith(b"{"):
        last = said.decode("utf-8", "replace").strip().rpartition("\n")[2]
        return {"error": f"the unpacker ended with {status}: {last}"}
    return parse_document(said, "report of the unpacker")


def fcntl_dup(fd: int) -> int:
    """Return a copy of a descriptor beyond those that the child is given."""
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)
