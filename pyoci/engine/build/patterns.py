# SPDX-License-Identifier: Apache-2.0
"""Patterns of paths: .dockerignore (moby/patternmatcher), and the wildcards of COPY (Go's path.Match).

`*` and `?` stop at a slash, `**` does not, [a-z] and [^a] are classes, a backslash takes the next letter as it is.
"""

import posix

from pyoci.engine.below import open_within
from pyoci.engine.errors import EngineError
from pyoci.linux.path import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from re import Pattern

_WILD = frozenset("*?[\\")
_LARGEST = 1 << 20


class Ignore:
    """The rules of a .dockerignore: the last one that fits decides; what is in an ignored directory is ignored."""

    __slots__ = ("_rules", "has_exceptions")

    def __init__(self, lines: "Iterable[str]") -> None:
        self._rules: list[tuple[bool, Pattern[str]]] = []
        self.has_exceptions = False
        for raw in lines:
            line = raw.strip()
            if not line or line.startswith("#"):
                continue
            excepts = line.startswith("!")
            path = clean("/" + line.removeprefix("!").strip()).lstrip("/")
            if excepts and not line[1:].strip():
                raise EngineError('illegal exclusion pattern: "!"')
            if path:
                self._rules.append((excepts, translated(path, below=True)))
                self.has_exceptions |= excepts

    def __bool__(self) -> bool:
        return bool(self._rules)

    def excludes(self, path: str) -> bool:
        """Tell whether a path, from the context on, is left out."""
        excluded = False
        for excepts, rule in self._rules:
            if excluded == excepts and rule.fullmatch(path):
                excluded = not excepts
        return excluded


def read_ignore(context: int, dockerfile: str, *, is_strange: bool = False) -> Ignore:
    """Return the rules for a context: those beside the Dockerfile (NAME.dockerignore) before those of the context.

    No link of a context that is a stranger's leads out of it; there the Dockerfile lies, too.
    """
    for directory, path in ((None, f"{dockerfile}.dockerignore"), (context, ".dockerignore")):
        try:
            if is_strange:
                fd = open_within(context, path, posix.O_RDONLY | posix.O_NONBLOCK)
            else:
                fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC, dir_fd=directory)
        except (FileNotFoundError, NotADirectoryError):
            continue
        try:
            data = posix.read(fd, _LARGEST)
        finally:
            posix.close(fd)
        return Ignore(data.decode("utf-8-sig", "surrogateescape").split("\n"))
    return Ignore(())


def is_wild(path: str) -> bool:
    """Tell whether a path has a wildcard in it."""
    return not _WILD.isdisjoint(path)


def translated(pattern: str, *, below: bool) -> "Pattern[str]":
    """Return a pattern as a regular expression; with `below` it fits all that is in a directory, too.

    It takes a time that grows with the length alone, whatever a stranger writes: what a star takes is settled before the next.
    """
    import re

    parts = [""]  # between `**` and `**`
    segment = [""]  # since the last slash, between `*` and `*`
    ends_open = False
    at = 0
    while at < len(pattern):
        letter = pattern[at]
        at += 1
        if pattern.startswith("**", at - 1):
            at += 1
            ends_open = at == len(pattern)
            at += pattern.startswith("/", at)
            parts[-1] += _segment(segment)
            parts.append("")
            segment = [""]
        elif letter == "*":
            segment.append("")
        elif letter == "/":
            parts[-1] += _segment(segment) + "/"
            segment = [""]
        elif letter == "[":
            end = pattern.find("]", at + 1)
            if end < 0:
                raise EngineError(f"{pattern}: syntax error in pattern")
            segment[-1] += f"[{_class(pattern[at:end])}]"
            at = end + 1
        elif letter == "\\" and at < len(pattern):
            segment[-1] += re.escape(pattern[at])
            at += 1
        else:
            segment[-1] += "[^/]" if letter == "?" else re.escape(letter)
    parts[-1] += _segment(segment)
    found = parts[0] + "".join(map(_after_stars, parts[1:-1]))
    if len(parts) > 1:
        found += ".*" if ends_open else f"(?:.*/)?{parts[-1]}"
    try:
        return re.compile(found + ("(?:/.*)?" if below else ""), re.DOTALL)
    except re.error as error:
        raise EngineError(f"{pattern}: syntax error in pattern: {error}") from error


def _segment(chunks: list[str]) -> str:
    """Return what stands between two slashes; but for the last, each star takes as little as it can (an atomic group)."""
    first, *rest = chunks
    if not rest:
        return first
    *middle, last = rest
    return first + "".join(f"(?>[^/]*?{chunk})" for chunk in middle) + f"[^/]*{last}"


def _after_stars(part: str) -> str:
    """Return `**` and what follows it, up to the next: settled at once where that begins a new segment, too."""
    return f"(?>(?:.*?/)??{part})" if part.endswith("/") else f"(?:.*/)?{part}"


def _class(letters: str) -> str:
    """Return what is between brackets, with what only a regular expression would understand taken as it is."""
    negated = letters.startswith("^")
    inner = letters.removeprefix("^").replace("[", "\\[").replace("&", "\\&").replace("^", "\\^")
    return f"^/{inner}" if negated else inner
