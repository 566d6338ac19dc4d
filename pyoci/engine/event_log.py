# SPDX-License-Identifier: Apache-2.0
"""`events`: what was told, from the file and the one before it, and what is told from now on (inotify(7))."""

import ctypes
import os
import select
import time

from pyoci.engine import events, moments
from pyoci.engine.errors import EngineError, PlainError
from pyoci.errors import SpecError
from pyoci.spec.reader import parse_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from pyoci.engine.places import Places

    Event = dict[str, Any]
    Read = tuple[bytes, Event]  # the line, and what it says

_BILLION = 1_000_000_000
_CHUNK = 1 << 16
_IN_MODIFY, _IN_MOVE_SELF, _IN_DELETE_SELF = 0x2, 0x800, 0x400
_EVENTS = 4096  # bytes: what inotify tells is never looked at
_FUZZY = ("exec_create", "exec_start", "health_status")  # what stands before a colon


class Wanted:
    """What is asked for, by moby's rules (daemon/events/filter.go); moments in nanoseconds since 1970, 0 for none."""

    __slots__ = ("filters", "since", "until")

    def __init__(self, since: str, until: str, filters: "Sequence[str]") -> None:
        self.since, self.until = _moment(since), _moment(until)
        if self.since and self.until and self.since > self.until:
            raise EngineError(
                f"`since` time ({_shown(self.since)}) cannot be after `until` time ({_shown(self.until)})"
            )
        self.filters: dict[str, list[str]] = {}
        for text in filters:
            name, _, value = text.partition("=")
            self.filters.setdefault(name.strip().lower(), []).append(value.strip())

    def has(self, event: "Event") -> bool:
        """Tell whether an event passes every filter; values of one filter are alternatives, but of labels all must be there."""
        moment = int(event["timeNano"])
        if moment < self.since or (self.until and moment > self.until):
            return False
        return all(
            _TESTS[name](event, values) for name, values in self.filters.items() if name in _TESTS
        )


def _moment(text: str) -> int:
    if not text:
        return 0
    try:
        return moments.read(text)
    except ValueError:
        raise PlainError(f'failed to parse value as time or duration: "{text}"') from None


def _shown(moment: int) -> str:
    return f"{moment // _BILLION}.{moment % _BILLION:09d}"


def _is_action(event: "Event", values: "list[str]") -> bool:
    action = event["Action"]
    if set(values) & set(_FUZZY):
        return any(action.startswith(value) for value in values)
    return action in values


def _is_named(event: "Event", values: "list[str]") -> bool:
    """Tell whether the id or the name begins so, whatever kind of thing it is."""
    actor = event["Actor"]
    name = actor["Attributes"].get("name", "")
    return any(actor["ID"].startswith(value) or name.startswith(value) for value in values)


def _is_image(event: "Event", values: "list[str]") -> bool:
    actor = event["Actor"]
    key = "name" if event["Type"] == events.IMAGE else "image"
    name = actor["Attributes"].get(key, "")
    return bool({actor["ID"], name, _bare(actor["ID"]), _bare(name)} & set(values))


def _bare(name: str) -> str:
    """Return the name of an image without its tag."""
    place, slash, last = name.rpartition("/")
    return place + slash + last.partition(":")[0]


def _has_labels(event: "Event", values: "list[str]") -> bool:
    attributes = event["Actor"]["Attributes"]
    pairs = [value.partition("=") for value in values]
    return all(
        name in attributes and (not equals or attributes[name] == value)
        for name, equals, value in pairs
    )


def _is_no_kind_of_ours(event: "Event", values: "list[str]") -> bool:
    """Find nothing: swarm's kinds, plugins and daemons have no events here."""
    del event, values
    return False


_TESTS = {
    "type": lambda event, values: event["Type"] in values,
    "scope": lambda event, values: event["scope"] in values,
    "event": _is_action,
    "container": _is_named,
    "network": _is_named,
    "volume": _is_named,
    "image": _is_image,
    "label": _has_labels,
    **dict.fromkeys(
        ("config", "daemon", "node", "plugin", "secret", "service"), _is_no_kind_of_ours
    ),
}


def read(places: "Places", wanted: Wanted) -> "Iterator[Read]":
    """Yield what was told, where a moment is given, and what comes until `until`; without that, for ever."""
    path = f"{places.directory()}/{events.NAME}"
    end = wanted.until
    past = bool(wanted.since or end)
    with _Following(path) as log:
        if past:
            yield from _wanted(_lines_of(f"{path}.1"), wanted)
        else:
            log.skip()
        while True:
            yield from _wanted(log.lines(), wanted)
            left = end - time.time_ns() if end else 0
            if end and left <= 0:
                return
            log.wait(left / _BILLION if end else None)


def _wanted(lines: "Iterator[bytes]", wanted: Wanted) -> "Iterator[Read]":
    for line in lines:
        try:
            event = parse_object(line)
        except SpecError:
            continue  # who wrote it was killed meanwhile
        if wanted.has(event):
            yield line, event


def _lines_of(path: str) -> "Iterator[bytes]":
    try:
        with open(path, "rb") as file:
            yield from file.read().splitlines()
    except FileNotFoundError:
        return


class _Following:
    """The file that is written now, watched from before it is read, so that no line falls between."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.inotify = self.libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self.inotify < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self.fd = -1
        self.rest = b""

    def __enter__(self) -> "_Following":
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)
        os.close(self.inotify)

    def open(self) -> None:
        """Begin with the file that is there now, or with an empty one."""
        self.fd = os.open(self.path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        path = f"/proc/self/fd/{self.fd}".encode()
        mask = _IN_MODIFY | _IN_MOVE_SELF | _IN_DELETE_SELF
        if self.libc.inotify_add_watch(self.inotify, path, mask) < 0:
            raise OSError(ctypes.get_errno(), f"inotify_add_watch {self.path}")

    def skip(self) -> None:
        """Leave out what is there already."""
        os.lseek(self.fd, 0, os.SEEK_END)

    def lines(self) -> "Iterator[bytes]":
        """Yield the lines that are new; when the file was renamed, to its end and on in the next one."""
        while True:
            renamed = self.is_renamed()  # asked first: after that nobody writes into it
            while part := os.read(self.fd, _CHUNK):
                *lines, self.rest = (self.rest + part).split(b"\n")
                yield from lines
            if not renamed:
                return
            os.close(self.fd)
            self.open()

    def is_renamed(self) -> bool:
        """Tell whether another file is in the place of ours."""
        try:
            return os.stat(self.path).st_ino != os.fstat(self.fd).st_ino
        except FileNotFoundError:
            return True

    def wait(self, seconds: float | None) -> None:
        """Wait until something is written, or for so long."""
        if select.select([self.inotify], [], [], seconds)[0]:
            os.read(self.inotify, _EVENTS)
