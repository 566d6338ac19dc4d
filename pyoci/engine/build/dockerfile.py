# SPDX-License-Identifier: Apache-2.0
"""Read a Dockerfile into instructions: directives, comments, continued lines, heredocs, flags (BuildKit: dockerfile/parser).

What the words of an instruction mean is for those who carry it out; here they are only told apart. Each error names its line.
"""

from pyoci.engine.build import words
from pyoci.engine.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

KEYWORDS = (
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER",
    "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
)  # fmt: skip
# keyword -> flags that it takes
_FLAGS = {
    "ADD": ("chown", "chmod", "checksum", "exclude", "link", "keep-git-dir", "unpack"),
    "COPY": ("from", "chown", "chmod", "exclude", "link", "parents"),
    "FROM": ("platform",),
    "HEALTHCHECK": ("interval", "timeout", "start-period", "start-interval", "retries"),
    "RUN": ("mount", "network", "security"),
}
_WITH_HEREDOCS = ("ADD", "COPY", "RUN")
_BLANKS = " \t\v\f\r"
_LARGEST = 1 << 20  # bytes of a Dockerfile
_SHOWN = 400  # letters
_BOM = "\ufeff"


class Heredoc:
    """A document that stands in the Dockerfile; `expands` unless its name was quoted."""

    __slots__ = ("content", "expands", "name", "strips")

    def __init__(self, name: str, *, expands: bool, strips: bool) -> None:
        self.name = name
        self.expands = expands
        self.strips = strips  # leading tabs: <<-
        self.content = ""


class Instruction:
    """One instruction: `flags` are (name, value) with "" for a bare one, `text` is what follows them."""

    __slots__ = ("flags", "heredocs", "keyword", "line", "original", "text")

    def __init__(self, keyword: str, line: int, original: str) -> None:
        self.keyword = keyword
        self.line = line
        self.original = original
        self.flags: list[tuple[str, str]] = []
        self.text = ""
        self.heredocs: list[Heredoc] = []

    def flag(self, name: str) -> str:
        """Return the last value of a flag, "" without one."""
        return dict(self.flags).get(name, "")

    def is_on(self, name: str) -> bool:
        """Tell whether a switch is on: --link, --link=true."""
        given = dict(self.flags)
        return name in given and given[name] in ("", "true", "1")

    @property
    def first_line(self) -> str:
        """What people are told of it: the line, no more of it than fits on a screen."""
        return shortened(self.original.partition("\n")[0])

    def every(self, name: str) -> list[str]:
        """Return all values of a flag."""
        return [value for key, value in self.flags if key == name]

    def fail(self, problem: str) -> EngineError:
        """Return an error that names the instruction and its line."""
        return EngineError(f"dockerfile parse error on line {self.line}: {problem}")


class Dockerfile:
    """What was read; `name` is for messages."""

    __slots__ = ("escape", "instructions", "name")

    def __init__(self, data: bytes, name: str) -> None:
        """Read all of it. Raises EngineError with the line."""
        if len(data) > _LARGEST:
            raise EngineError(f"{name}: a Dockerfile has at most {_LARGEST} bytes")
        if b"\0" in data:
            line = data[: data.index(b"\0")].count(b"\n") + 1
            raise EngineError(f"dockerfile parse error on line {line}: a NUL is in no text")
        # What is no UTF-8 becomes U+FFFD, as in every document that Go writes.
        text = data.decode("utf-8", "replace").removeprefix(_BOM)
        self.name = name
        lines = text.split("\n")
        if lines[-1] == "":
            lines.pop()
        self.escape = _directives(lines).get("escape", "\\")
        self.instructions = [*_Reader(lines, self.escape).instructions()]
        if not self.instructions:
            raise EngineError(f"the Dockerfile ({name}) cannot be empty")


def shortened(text: str) -> str:
    """Return a text that people are told, without the middle of a very long one."""
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]}...{text[-_SHOWN // 2 :]}"


def read_trigger(text: str, escape: str, line: int) -> Instruction:
    """Return the instruction that ONBUILD keeps for later."""
    return next(_Reader(text.split("\n"), escape, line).instructions())


def _directives(lines: list[str]) -> dict[str, str]:
    """Return the parser directives, which only the first lines can be: # name=value."""
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        name, equals, value = line.removeprefix("#").partition("=")
        name, value = name.strip().lower(), value.strip()
        if not line.startswith("#") or not equals or not name.isalnum() or not value:
            break
        if name in found:
            raise EngineError(
                f"dockerfile parse error on line {number}: only one {name} parser directive can be used"
            )
        found[name] = value
        if name == "escape" and value not in ("\\", "`"):
            raise EngineError(
                f"dockerfile parse error on line {number}: invalid ESCAPE token '{value}' does not match ` or \\"
            )
    return found


class _Reader:
    """The lines that are left."""

    def __init__(self, lines: list[str], escape: str, line: int = 1) -> None:
        self.lines = lines
        self.escape = escape
        self.next = 0
        self.first = line  # the number of the first line
        self._document_lines = 0

    def instructions(self) -> "Iterator[Instruction]":
        """Yield them in order."""
        while self.next < len(self.lines):
            begin = self.next
            line = self._take().strip(_BLANKS)
            if not line or line.startswith("#"):
                continue
            whole = self._continued(line).strip(_BLANKS)
            if whole:
                yield self._instruction(whole, begin)

    def _take(self) -> str:
        self.next += 1
        return self.lines[self.next - 1].removesuffix("\r")

    def _continued(self, line: str) -> str:
        """Join a line with those that continue it; comments and empty lines between do not end it."""
        body, goes_on = self._without_escape(line)
        while goes_on and self.next < len(self.lines):
            following = self._take()
            start = following.lstrip(_BLANKS)
            if not start or start.startswith("#"):
                continue
            part, goes_on = self._without_escape(following)
            body += part
        return body

    def _without_escape(self, line: str) -> tuple[str, bool]:
        """Cut off an escape character at the end of a line; a doubled one is a letter."""
        cut = line.rstrip(" \t")
        if cut.endswith(self.escape) and not cut.endswith(self.escape * 2):
            return cut[: -len(self.escape)], True
        return line, False

    def _instruction(self, whole: str, begin: int) -> Instruction:
        number = self.first + begin
        word = whole.split(None, 1)[0]
        found = Instruction(word.upper(), number, whole)
        if found.keyword not in KEYWORDS:
            raise found.fail(f"unknown instruction: {word}")
        rest = whole[len(word) :].strip(_BLANKS)
        found.text = self._take_flags(found, rest)
        if not found.text:
            raise found.fail(f"{found.keyword} requires at least one argument")
        command = found.keyword if found.keyword != "ONBUILD" else _first_word(found.text)
        if command in _WITH_HEREDOCS:
            self._read_heredocs(found)
            if found.heredocs:
                end = self.next
                found.original = "\n".join([whole, *self.lines[end - self._document_lines : end]])
        if found.keyword == "ONBUILD":
            _check_trigger(found)
            found.text = found.original.split(None, 1)[1]
        return found

    def _take_flags(self, found: Instruction, rest: str) -> str:
        """Take the leading --name[=value] words into the instruction; return what follows them."""
        allowed = _FLAGS.get(found.keyword, ())
        while rest.startswith("--"):
            word = words.first_raw_word(rest, self.escape)
            rest = rest[len(word) :].lstrip(_BLANKS)
            if word == "--":
                break
            name, _, value = words.unquoted(word[2:], self.escape).partition("=")
            if name not in allowed:
                raise found.fail(f"unknown flag: --{name}")
            found.flags.append((name, value))
        return rest

    def _read_heredocs(self, found: Instruction) -> None:
        """Read the documents that the words of an instruction ask for: <<NAME, <<-NAME, <<"NAME"."""
        self._document_lines = 0
        if found.text.startswith("["):
            return
        for word in words.raw_words(found.text, self.escape):
            heredoc = _heredoc_of(word.lstrip("0123456789"), self.escape)
            if heredoc is None:
                continue
            found.heredocs.append(heredoc)
            while True:
                if self.next >= len(self.lines):
                    raise found.fail("unterminated heredoc")
                line = self.lines[self.next]
                self.next += 1
                self._document_lines += 1
                shown = line.lstrip("\t") if heredoc.strips else line
                if shown.removesuffix("\r") == heredoc.name:
                    break
                heredoc.content += shown + "\n"


def _heredoc_of(word: str, escape: str) -> Heredoc | None:
    """Return the document that a word asks for; None for any other word."""
    if not word.startswith("<<") or len(word) == 2 or "<" in word[2:]:
        return None
    strips = word[2] == "-"
    name = word[3:] if strips else word[2:]
    plain = words.unquoted(name, escape)
    if not plain:
        return None
    return Heredoc(plain, expands=plain == name, strips=strips)


def _first_word(text: str) -> str:
    return text.split(None, 1)[0].upper()


def _check_trigger(found: Instruction) -> None:
    keyword = _first_word(found.text)
    if keyword == "ONBUILD":
        raise found.fail("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if keyword in ("FROM", "MAINTAINER"):
        raise found.fail(f"{keyword} isn't allowed as an ONBUILD trigger")
    if keyword not in KEYWORDS:
        raise found.fail(f"unknown instruction: {keyword}")
