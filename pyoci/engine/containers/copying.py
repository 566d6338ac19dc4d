# SPDX-License-Identifier: Apache-2.0
"""`cp`: files between a container and the host, as tar archives, in a process that has changed its root to the container's.

No link in the container leads out of it: its paths are followed after chroot(2), by a child that has all it needs open by then
(CVE-2018-15664 is what happens otherwise). The host's side is ours.
"""

import os
import posix
import sys

from pyoci.engine import events, sizes
from pyoci.engine.containers import root, state
from pyoci.engine.errors import EngineError, PlainError
from pyoci.errors import in_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from pyoci.engine.containers.record import Container, Records

_STREAM = "-"


class Report:
    """Whether to tell of what was copied, which Docker's client does on a terminal, and of which place."""

    __slots__ = ("place", "wanted")

    def __init__(self, place: str, *, wanted: bool) -> None:
        self.place = place
        self.wanted = wanted

    def tell(self, size: int) -> None:
        """Tell how much has come."""
        if self.wanted:
            sys.stderr.write(f"Successfully copied {sizes.tell_short(size)} to {self.place}\n")
            sys.stderr.flush()


class Side:
    """One side of a copy: a path of the host, of a container, or a stream."""

    __slots__ = ("container", "path")

    def __init__(self, records: "Records", text: str) -> None:
        name, colon, path = text.partition(":")
        inside = bool(colon) and "/" not in name and not name.startswith(".") and text != _STREAM
        self.container = records.find(name) if inside else None
        self.path = path if inside else text


def copy(  # noqa: PLR0913 - both sides and how
    records: "Records", source: str, target: str, *, follow: bool, owners: bool, quiet: bool
) -> int:
    """Copy between a container and the host; `follow` a link that the source is, keep `owners` on the host.

    Returns the exit status: 1 when somebody has said why already.
    """
    one, other = Side(records, source), Side(records, target)
    wanted = not quiet and posix.isatty(1)
    if one.container is not None and other.container is not None:
        raise PlainError("copying between containers is not supported")
    for side in (one, other):
        if side.container is not None and not side.path:
            raise EngineError("bad parameter: path cannot be empty")
    if one.container is not None:
        report = Report(os.path.abspath(other.path), wanted=wanted)
        code = _out(
            records, one.container, one.path, other.path, report, follow=follow, owners=owners
        )
        events.of_container(one.container, "archive-path")
        return code
    if other.container is not None:
        report = Report(f"{other.container.name}:{other.path}", wanted=wanted)
        code = _into(records, other.container, one.path, other.path, report, follow=follow)
        events.of_container(other.container, "extract-to-dir")
        return code
    raise PlainError("must specify at least one container source")


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
    except PlainError as error:
        _say(str(error))
    except (OSError, tarfile.TarError, ValueError, EngineError) as error:
        _say(f"Error: {in_words(error) if isinstance(error, OSError) else error}")
    finally:
        posix._exit(status)  # noqa: SLF001 - this process was forked from a command


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _out(  # noqa: PLR0913, PLR0917 - both sides and how
    records: "Records",
    container: "Container",
    inside: str,
    target: str,
    report: Report,
    *,
    follow: bool,
    owners: bool,
) -> int:
    """Copy from a container to the host."""
    from pyoci.engine.containers import archives

    reading, writing = posix.pipe2(posix.O_CLOEXEC)
    child = 0
    if target != _STREAM:
        child = posix.fork()
        if child == 0:
            posix.close(writing)
            _unpack_here(reading, inside, target, report, owners=owners)
    destination = 1 if target == _STREAM else writing

    def work() -> int:
        sought = os.path.realpath(f"/{inside}") if follow else f"/{inside}"
        if not os.path.lexists(sought):
            shown = sought if follow else inside
            raise EngineError(f"Could not find the file {shown} in container {container.name}")
        archives.write(destination, f"/{inside}", follow=follow)
        return 0

    code = _in_child(records, container, work)
    posix.close(writing)
    posix.close(reading)
    received = posix.waitstatus_to_exitcode(posix.waitpid(child, 0)[1]) if child else 0
    return code or received


def _unpack_here(fd: int, source: str, target: str, report: Report, *, owners: bool) -> "NoReturn":
    import tarfile

    from pyoci.engine.containers import archives

    status = 1
    try:
        report.tell(archives.read(fd, source, target, owners=owners))
        status = 0
    except FileNotFoundError as error:
        _say(f'invalid output path: directory "{error}" does not exist')
    except PlainError as error:
        _say(str(error))
    except tarfile.ReadError:
        status = 0  # nothing has come: who should have sent it says why
    except (OSError, EngineError) as error:
        _say(f"Error: {in_words(error) if isinstance(error, OSError) else error}")
    finally:
        posix._exit(status)  # noqa: SLF001 - a child: nothing of its parent is to be flushed


def _into(  # noqa: PLR0913, PLR0917 - both sides and how
    records: "Records",
    container: "Container",
    source: str,
    inside: str,
    report: Report,
    *,
    follow: bool,
) -> int:
    """Copy from the host into a container."""
    from pyoci.engine.containers import archives

    reading, writing = posix.pipe2(posix.O_CLOEXEC)
    child = 0
    if source == _STREAM:
        origin = 0
    else:
        if not os.path.lexists(source):
            raise PlainError(f"lstat {os.path.abspath(source)}: no such file or directory")
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
        try:
            size = archives.read(origin, source, f"/{inside.lstrip('/')}", owners=False)
        except NotADirectoryError:
            place = f"{container.name}:{inside}"
            raise PlainError(f'destination "{place}" must be a directory') from None
        except FileNotFoundError as error:
            words = f"Could not find the file {error} in container {container.name}"
            raise EngineError(words) from None
        report.tell(size)
        return 0

    code = _in_child(records, container, work)
    posix.close(reading)
    if child:
        posix.waitpid(child, 0)
    return code
