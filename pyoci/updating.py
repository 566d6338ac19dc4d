# SPDX-License-Identifier: Apache-2.0
"""update: change the limits of a container while it runs, and remember them.

What is remembered is a file of its own, so that state.json, and with it what the launcher knows of
the container, stays as it is. One update at a time: it holds a lock that is not the container's,
for hooks may call it, too. The launcher carries out what is ordinary by itself (native/limit.c) and
adds a line to that file, of which we write the whole anew:

  JSON                   linux.resources at our last update; empty: those of config.json
  limit ...              what the launcher may do from now on (shortcut.py)
  set PART KEY VALUE     what it has done since, in this order
"""

import fcntl
import posix
import select
import time

from pyoci import log, shortcut, spec, state
from pyoci.cgroup.merge import merge
from pyoci.cgroup.update import Change
from pyoci.errors import CgroupError, StateError
from pyoci.jsontext import dumps
from pyoci.spec.reader import parse_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroup import Cgroup, Resources
    from pyoci.state import Container

REMEMBERED = "resources"
TEXTS = ("cpus", "mems")  # all other values of `set` are numbers
LOCK_SECONDS = 10
LOCK_PAUSE_MS = 5


def update(root: str, identity_: str, wanted: "Resources", schemata: list[str]) -> None:
    """Change the limits that are given, all or none; created, running and paused containers have some."""
    container = state.load(root, identity_)
    try:
        lock = take_lock(container)
        try:
            refuse_stopped(container)
            change(container, wanted, schemata)
        finally:
            posix.close(lock)
    finally:
        container.close()


def refuse_stopped(container: "Container") -> None:
    """Refuse a container without a process to limit; one that is being created will have one."""
    if container.known()["status"] == "creating":
        return
    pidfd = container.open_init()
    if pidfd is None:
        raise StateError("container not running")
    posix.close(pidfd)


def take_lock(container: "Container") -> int:
    """Return a descriptor that keeps other updates of this container out until it is closed."""
    flags = posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_CLOEXEC
    try:
        fd = posix.open(state.CONFIG, flags, dir_fd=container.directory)
    except FileNotFoundError:
        raise StateError("container does not exist") from None
    deadline, pause = time.monotonic() + LOCK_SECONDS, select.poll()
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                posix.close(fd)
                text = f"container {container.id} is busy: another update is under way"
                raise StateError(text) from None
            pause.poll(LOCK_PAUSE_MS)
        else:
            return fd


def change(container: "Container", wanted: "Resources", schemata: list[str]) -> None:
    """Carry an update out and remember it; on any failure everything is as it was."""
    cgroup = container.cgroup()
    if cgroup is None:
        raise CgroupError("the container has no cgroup")
    present = remembered(container)
    whole, changed = merge(present, wanted)
    attempt = Change(cgroup)
    groups, bandwidth = container.known()["rdt"], []
    try:
        if schemata:
            from pyoci import rdt

            bandwidth = rdt.change(groups, schemata)
        warnings = attempt.limit(changed)
        if whole["devices"] != present["devices"]:
            attempt.allow(present["devices"], whole["devices"])
        cgroup.set_properties(changed)
        remember(container, cgroup, whole)
    except BaseException:
        if groups is not None and bandwidth:
            from pyoci import rdt

            rdt.restore(groups, bandwidth)
        for lost in attempt.take_back():
            log.warning(f"update failed, and cannot be taken back: {lost}")
        raise
    finally:
        cgroup.close()
    for warning in warnings:
        log.warning(warning)


def remember(container: "Container", cgroup: "Cgroup", whole: "Resources") -> None:
    """Write the resources down, with what the launcher may do of them."""
    lines = [dumps(whole), *shortcut.limits(cgroup, whole), ""]
    container.write(REMEMBERED, "\n".join(lines).encode("utf-8", "surrogateescape"))


def remembered(container: "Container") -> "Resources":
    """Return the resources that the container has by its config.json and all updates."""
    try:
        base, *lines = container.read(REMEMBERED).split(b"\n")
    except FileNotFoundError:
        base, lines = b"", []
    if base:
        whole = spec.parse_resources(base, REMEMBERED)
    else:
        part: object = parse_object(container.read(state.CONFIG))
        for key in ("linux", "resources"):
            part = part.get(key) if isinstance(part, dict) else None
        whole = spec.parse_resources(dumps(part or {}).encode(), state.CONFIG)
    # What comes behind the last line break was cut off when it was written, and is not in force.
    since = by_launcher(lines[:-1])
    return merge(whole, spec.parse_resources(dumps(since).encode(), REMEMBERED))[0]


def by_launcher(lines: list[bytes]) -> "dict[str, dict[str, int | str]]":
    """Return what the launcher has set, as linux.resources has it."""
    found: dict[str, dict[str, int | str]] = {}
    for line in lines:
        word, *rest = line.decode("utf-8", "surrogateescape").split(" ")
        if word == "set":
            part, key, value = rest
            found.setdefault(part, {})[key] = value if key in TEXTS else int(value)
    return found
