# SPDX-License-Identifier: Apache-2.0
"""The words of an instruction: quotes, escapes and variables, as BuildKit's own little shell reads them (dockerfile/shell).

    ${v}  ${v:-w}  ${v-w}  ${v:+w}  ${v+w}  ${v:?w}  ${v?w}  ${v#p}  ${v##p}  ${v%p}  ${v%%p}  ${v/p/w}  ${v//p/w}

Within '...' nothing is special; within "..." variables are, and the escape character before $, " and itself.
"""

from pyoci.engine.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from re import Pattern

_BLANKS = " \t\v\f\r\n"
_LONGEST = 1 << 20
_DEEPEST = 100
_SPECIAL = "@*#?-$!0123456789"


def expand(text: str, variables: "Mapping[str, str]", escape: str = "\\") -> str:
    """Return a text with its variables in place and its quotes gone, as one word."""
    return "".join(_Lexer(text, variables, escape).words(splits=False))


def expand_words(text: str, variables: "Mapping[str, str]", escape: str = "\\") -> list[str]:
    """Return the same as words: blanks outside of quotes part them, also those of a variable's value."""
    return _Lexer(text, variables, escape).words(splits=True)


def raw_words(text: str, escape: str) -> list[str]:
    """Split at blanks outside of quotes; quotes and escapes stay in the words."""
    found = []
    rest = text.lstrip(_BLANKS)
    while rest:
        word = first_raw_word(rest, escape)
        found.append(word)
        rest = rest[len(word) :].lstrip(_BLANKS)
    return found


def first_raw_word(text: str, escape: str) -> str:
    """Return what comes before the first blank outside of quotes."""
    quote = ""
    skip = False
    for at, letter in enumerate(text):
        if skip:
            skip = False
        elif letter == escape and quote != "'":
            skip = True
        elif quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in _BLANKS:
            return text[:at]
    return text


def unquoted(text: str, escape: str) -> str:
    """Return a word without its quotes and escapes; a variable in it stays as it is written."""
    found = ""
    quote = ""
    letters = iter(text)
    for letter in letters:
        if letter == escape and quote != "'":
            found += next(letters, "")
        elif quote:
            if letter == quote:
                quote = ""
            else:
                found += letter
        elif letter in "'\"":
            quote = letter
        else:
            found += letter
    return found


class _Lexer:
    """One text, read from left to right."""

    __slots__ = ("at", "depth", "escape", "found", "text", "variables")

    def __init__(self, text: str, variables: "Mapping[str, str]", escape: str) -> None:
        self.text = text
        self.variables = variables
        self.escape = escape
        self.at = self.depth = 0
        self.found: list[str] = []

    def words(self, *, splits: bool) -> list[str]:
        """Read everything; without `splits` the whole is one word."""
        pieces: list[str] = []  # of the word that is being read
        begun = False
        length = 0
        while (letter := self._peek()) != "":
            if splits and letter in _BLANKS:
                self.at += 1
                if begun:
                    self.found.append("".join(pieces))
                pieces, begun = [], False
            elif splits and letter == "$":
                *whole, last = self._split_value("".join(pieces))
                self.found += whole
                pieces, begun = [last], bool(last) or (begun and not whole)
                length += len(last)
            else:
                pieces.append(self._piece(splits=splits))
                length += len(pieces[-1])
                begun = True
            _check_length(length)
        if begun or not splits:
            self.found.append("".join(pieces))
        return self.found

    def _split_value(self, word: str) -> list[str]:
        """Append a variable's value to a word; blanks in it end the word and begin others."""
        value = self._dollar()
        parts = value.split()
        if not parts:
            return [word, ""] if value and word else [word]
        found = [word, *parts] if word and value[0] in _BLANKS else [word + parts[0], *parts[1:]]
        return [*found, ""] if value[-1] in _BLANKS else found

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _take(self) -> str:
        letter = self._peek()
        self.at += 1
        return letter

    def _piece(self, *, splits: bool = True) -> str:
        """Read the next quoted part, variable or escaped letter; plain ones one by one, all at once where nothing ends them."""
        letter = self._peek()
        if letter == "'":
            return self._single_quoted()
        if letter == '"':
            return self._double_quoted()
        if letter == "$":
            return self._dollar()
        self.at += 1
        if letter == self.escape:
            return self._take()  # an escape at the very end is nothing
        begin = self.at - 1
        while (
            not splits and (letter := self._peek()) and letter not in ("'", '"', "$", self.escape)
        ):
            self.at += 1
        return self.text[begin : self.at]

    def _single_quoted(self) -> str:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            raise EngineError("unexpected end of statement while looking for matching single-quote")
        found = self.text[self.at + 1 : end]
        self.at = end + 1
        return found

    def _double_quoted(self) -> str:
        self.at += 1
        found: list[str] = []
        length = 0
        while (letter := self._peek()) != '"':
            if not letter:
                raise EngineError(
                    "unexpected end of statement while looking for matching double-quote"
                )
            if letter == "$":
                found.append(self._dollar())
                length += len(found[-1])
                _check_length(length)
                continue
            self.at += 1
            if letter == self.escape and self._peek() in ('"', "$", self.escape) and self._peek():
                letter = self._take()
            found.append(letter)
        self.at += 1
        return "".join(found)

    def _dollar(self) -> str:
        """Read $name or ${...}; a $ before anything else is itself."""
        self.at += 1
        if self._peek() == "{":
            self.at += 1
            return self._braces()
        name = self._name()
        return self._value(name) or "" if name else "$"

    def _name(self) -> str:
        begin = self.at
        if self._peek() and self._peek() in _SPECIAL:
            self.at += 1
            return self.text[begin : self.at]
        while (letter := self._peek()) and (letter == "_" or letter.isalnum()):
            self.at += 1
        return self.text[begin : self.at]

    def _value(self, name: str) -> str | None:
        return self.variables.get(name)

    def _braces(self) -> str:
        """Read what follows ${ ."""
        self.depth += 1
        if self.depth > _DEEPEST:
            raise EngineError(f"more than {_DEEPEST} substitutions are nested")
        try:
            return self._substituted()
        finally:
            self.depth -= 1

    def _substituted(self) -> str:
        name = self._name()
        if not name:
            raise EngineError(
                "bad substitution" if self._peek() != "}" else "syntax error: bad substitution"
            )
        value = self._value(name)
        mark = self._take()
        if mark == "}":
            return value or ""
        if mark == ":":
            mark = self._take()
            if mark in ("-", "+", "?") and mark:
                return self._choose(name, value or None, mark)
            raise EngineError(f"unsupported modifier ({mark}) in substitution")
        if mark in ("-", "+", "?") and mark:
            return self._choose(name, value, mark)
        if mark in ("#", "%") and mark:
            return self._trimmed(value or "", mark)
        if mark == "/":
            return self._replaced(value or "")
        if not mark:
            raise EngineError("syntax error: missing '}'")
        raise EngineError(f"unsupported modifier ({mark}) in substitution")

    def _choose(self, name: str, value: str | None, mark: str) -> str:
        word = self._until("}")
        if mark == "-":
            return word if value is None else value
        if mark == "+":
            return "" if value is None else word
        if value is None:
            raise EngineError(f"{name}: {word or 'is not allowed to be unset'}")
        return value

    def _until(self, *ends: str) -> str:
        """Read the word of a substitution, up to and with the letter that ends it."""
        found: list[str] = []
        length = 0
        while (letter := self._peek()) not in ends:
            if not letter:
                raise EngineError("syntax error: missing '}'")
            found.append(self._piece())
            length += len(found[-1])
            _check_length(length)
        self.at += 1
        return "".join(found)

    def _trimmed(self, value: str, mark: str) -> str:
        """Cut the shortest, with the mark doubled the longest, match of a pattern off the beginning or the end."""
        greedy = self._peek() == mark
        self.at += greedy
        expression = _compiled(self._until("}"))
        ends = range(len(value) + 1)
        if mark == "#":
            for end in reversed(ends) if greedy else ends:
                if expression.fullmatch(value, 0, end):
                    return value[end:]
            return value
        for start in ends if greedy else reversed(ends):
            if expression.fullmatch(value, start):
                return value[:start]
        return value

    def _replaced(self, value: str) -> str:
        """Put a word in the place of the first match, or of every one."""
        every = self._peek() == "/"
        self.at += every
        pattern = self._until("/", "}")
        replacement = self._until("}") if self.text[self.at - 1] == "/" else ""
        if not pattern:
            return value
        expression = _compiled(pattern)
        count = sum(1 for _ in expression.finditer(value)) if every else 1
        _check_length(len(value) + count * len(replacement))
        return expression.sub(lambda _: replacement, value, count=0 if every else 1)


def _check_length(length: int) -> None:
    """Refuse what doubles and doubles again: ENV a=$a$a."""
    if length > _LONGEST:
        raise EngineError(f"the variables in it make it longer than {_LONGEST} letters")


def _compiled(pattern: str) -> "Pattern[str]":
    """Return the regular expression of a shell's pattern: * and ? only."""
    import re

    parts = [
        ".*" if letter == "*" else "." if letter == "?" else re.escape(letter) for letter in pattern
    ]
    return re.compile("".join(parts), re.DOTALL)
