# SPDX-License-Identifier: Apache-2.0
"""Text of a template into plain text and actions, and actions into tokens with their places (Go: text/template/parse/lex.go)."""

from pyoci.engine.templates.errors import SyntaxProblem

BLANKS = " \t\r\n"
_WORD = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
_SIGNS = ("(", ")", "|", ",", "=", ":=")
_QUOTES = {'"': "unterminated quoted string", "'": "unterminated character constant"}


class Token:
    """A word of an action: its kind, its text, where it begins and ends in the template."""

    __slots__ = ("end", "kind", "start", "text")

    def __init__(self, kind: str, text: str, start: int) -> None:
        self.kind = kind  # string, raw, character, number, field, variable, word, dot, sign, end
        self.text = text
        self.start = start
        self.end = start + len(text)


class Source:
    """A template's text, and where in it something is."""

    __slots__ = ("name", "text")

    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.name = name

    def problem(self, place: int, words: str) -> SyntaxProblem:
        """Return a complaint about the syntax at some place."""
        line = 1 + self.text.count("\n", 0, place)
        return SyntaxProblem(f"template: {self.name}:{line}: {words}")

    def where(self, place: int) -> str:
        """Return name, line and column of a place."""
        before = self.text[:place]
        return f"{self.name}:{1 + before.count(chr(10))}:{place - before.rfind(chr(10)) - 1}"


def pieces(source: Source) -> "list[str | list[Token]]":
    """Return plain texts and actions in their order; {{- and -}} take the blanks beside them away."""
    found: list[str | list[Token]] = []
    place, trims = 0, False
    while True:
        start = source.text.find("{{", place)
        plain = source.text[place:] if start < 0 else source.text[place:start]
        if trims:
            plain = plain.lstrip(BLANKS)
        place = start + 2
        if start >= 0 and _is_trim(source.text[place : place + 2]):
            plain, place = plain.rstrip(BLANKS), place + 1
        if plain:
            found.append(plain)
        if start < 0:
            return found
        action, place, trims = _action(source, place)
        if action is not None:
            found.append(action)


def _is_trim(text: str) -> bool:
    return len(text) == 2 and text[0] == "-" and text[1] in BLANKS


def _action(source: Source, place: int) -> "tuple[list[Token] | None, int, bool]":
    """Return the tokens up to }}, None for a comment; what comes behind, and whether blanks there go."""
    text = source.text
    inner = place + len(text[place:]) - len(text[place:].lstrip(BLANKS))
    if text.startswith("/*", inner):
        end = text.find("*/", inner)
        if end < 0:
            raise source.problem(inner, "unclosed comment")
        closed = _closing(text, end + 2)
        if not closed:
            raise source.problem(end, "comment ends before closing delimiter")
        return None, end + 2 + closed, closed > 2
    tokens: list[Token] = []
    while True:
        closed = _closing(text, place)
        if closed:
            return tokens, place + closed, closed > 2
        if place >= len(text):
            raise source.problem(place, "unclosed action")
        if text[place] in BLANKS:
            place += 1
            continue
        token = _token(source, place)
        tokens.append(token)
        place = token.end


def _closing(text: str, place: int) -> int:
    """Return the length of the end of an action that stands here, 0 when there is none."""
    if text.startswith("}}", place):
        return 2
    is_trim = text.startswith("-}}", place + 1) and text[place] in BLANKS
    return 4 if is_trim else 0


def _token(source: Source, place: int) -> Token:
    text, letter = source.text, source.text[place]
    following = text[place + 1 : place + 2]
    if letter in _QUOTES or letter == "`":
        return _quoted(source, place)
    if letter in "+-0123456789" or (letter == "." and following.isdigit()):
        return Token("number", _run(text, place, _WORD | frozenset(".+-")), place)
    if letter in ".$":
        name = _run(text, place + 1, _WORD) if following in _WORD else ""
        kind = "variable" if letter == "$" else "field" if name else "dot"
        return Token(kind, f"{letter}{name}", place)
    if letter in _WORD:
        return Token("word", _run(text, place, _WORD), place)
    sign = ":=" if text.startswith(":=", place) else letter
    if sign not in _SIGNS:
        what = "bad character" if letter in "{}" else "unrecognized character in action:"
        raise source.problem(place, f"{what} U+{ord(letter):04X} '{letter}'")
    return Token("sign", sign, place)


def _run(text: str, place: int, letters: "frozenset[str]") -> str:
    end = place + 1
    while end < len(text) and text[end] in letters:
        end += 1
    return text[place:end]


def _quoted(source: Source, place: int) -> Token:
    text, quote = source.text, source.text[place]
    end = place + 1
    while True:
        if end >= len(text) or (quote != "`" and text[end] == "\n"):
            raise source.problem(place, _QUOTES.get(quote, "unterminated raw quoted string"))
        if text[end] == quote:
            break
        end += 2 if text[end] == "\\" and quote != "`" else 1
    kind = {"`": "raw", '"': "string"}.get(quote, "character")
    return Token(kind, text[place : end + 1], place)
