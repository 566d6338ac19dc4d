# SPDX-License-Identifier: Apache-2.0
"""`cp`: files between a container and the host, as tar archives, in a process that has changed its root to the container's.

No link in the container leads out of it: its paths are followed after chroot(2), by a child that has all it needs open by then
(CVE-2018-15664 is what happens otherwise). The host's side is ours.
"""

import os
import posix
import sys

from pyoci.engine import events
from pyoci.engine.containers import root, state
from pyoci.engine.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from pyoci.engine.containers.record import Container, Records

_STREAM = "-"
_MISSING = 3  # exit status of the child that finds no such file


class Side:
    """One side of a copy: a path of the host, of a container, or a stream."""

    __slots__ = ("container", "path")

    def __init__(self, records: "Records", text: str) -> None:
        name, colon, path = text.partition(":")
        inside = bool(colon) and "/" not in name and not name.startswith(".") and text != _STREAM
        self.container = records.find(name) if inside else None
        self.path = path if inside else text


def copy(records: "Records", source: str, target: str, *, follow: bool, owners: bool) -> None:
    """Copy between a container and the host; `follow` a link that the source is, keep `owners` on the host."""
    one, other = Side(records, source), Side(records, target)
    if one.container is not None and other.container is not None:
        raise EngineError("copying between containers is not supported")
    if one.container is not None:
        _out(records, one.container, one.path, other.path, follow=follow, owners=owners)
        events.of_container(one.container, "archive-path")
    elif other.container is not None:
        _into(records, other.container, one.path, other.path, follow=follow)
        events.of_container(other.container, "extract-to-dir")
    else:
        raise EngineError("must specify at least one container source")


def _root_of(records: "Records", container: "Container") -> "tuple[str, bool]":
    """Return where the container's root is, volumes and all where it runs; and whether we have mounted it."""
    fields = state.current(container)
    if fields["Status"] in ("running", "paused"):
        return f"/proc/{fields['Pid']}/root", False
    return root.mount(records, container), True


def _in_child(records: "Records", container: "Container", work: "Callable[[], int]") -> int:
    """Do something in a child within the container's root; returns its exit status."""
    path, mounted = _root_of(records, container)
    sys.stdout.flush()
    pid = posix.fork()
    if pid == 0:
        _confined(path, work)
    try:
        return posix.waitstatus_to_exitcode(posix.waitpid(pid, 0)[1])
    finally:
        if mounted:
            root.unmount(records, container)


def _confined(path: str, work: "Callable[[], int]") -> "NoReturn":
    import tarfile  # noqa: F401 - nothing may be imported once the root is the container's

    status = 1
    try:
        posix.chroot(path)
        posix.chdir("/")
        status = work()
    except (OSError, tarfile.TarError, ValueError, EngineError) as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.stderr.flush()
    finally:
        posix._exit(status)  # noqa: SLF001 - this process was forked from a command


def _out(  # noqa: PLR0913, PLR0917 - both sides and how
    records: "Records",
    container: "Container",
    inside: str,
    target: str,
    *,
    follow: bool,
    owners: bool,
) -> None:
    """Copy from a container to the host."""
    from pyoci.engine.containers import archives

    reading, writing = posix.pipe2(posix.O_CLOEXEC)
    child = 0
    if target != _STREAM:
        child = posix.fork()
        if child == 0:
            posix.close(writing)
            _unpack_here(reading, inside, target, owners=owners)
    destination = 1 if target == _STREAM else writing

    def work() -> int:
        if not os.path.lexists("/" + inside):
            return _MISSING
        archives.write(destination, "/" + inside, follow=follow)
        return 0

    code = _in_child(records, container, work)
    posix.close(writing)
    posix.close(reading)
    received = posix.waitstatus_to_exitcode(posix.waitpid(child, 0)[1]) if child else 0
    if code == _MISSING:
        raise EngineError(f"Could not find the file {inside} in container {container.name}")
    if code or received:
        raise EngineError(f"copying {inside} from container {container.name} failed")


def _unpack_here(fd: int, source: str, target: str, *, owners: bool) -> "NoReturn":
    from pyoci.engine.containers import archives

    status = 1
    try:
        archives.read(fd, source, target, owners=owners)
        status = 0
    except (OSError, EngineError) as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.stderr.flush()
    finally:
        posix._exit(status)  # noqa: SLF001 - a child: nothing of its parent is to be flushed


def _into(
    records: "Records", container: "Container", source: str, inside: str, *, follow: bool
) -> None:
    """Copy from the host into a container."""
    from pyoci.engine.containers import archives

    reading, writing = posix.pipe2(posix.O_CLOEXEC)
    child = 0
    if source == _STREAM:
        origin = 0
    else:
        if not os.path.lexists(source):
            raise EngineError(f"lstat {os.path.abspath(source)}: no such file or directory")
        origin = reading
        sys.stdout.flush()
        child = posix.fork()
        if child == 0:
            posix.close(reading)
            status = 1
            try:
                archives.write(writing, source, follow=follow)
                status = 0
            finally:
                posix._exit(status)  # noqa: SLF001 - a child: nothing of its parent is to be flushed
    posix.close(writing)

    def work() -> int:
        archives.read(origin, source, "/" + inside, owners=False)
        return 0

    code = _in_child(records, container, work)
    posix.close(reading)
    if child:
        posix.waitpid(child, 0)
    if code:
        raise EngineError(f"copying {source} into container {container.name} failed")
