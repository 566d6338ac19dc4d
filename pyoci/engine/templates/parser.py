# SPDX-License-Identifier: Apache-2.0
"""A template's actions made into nodes: each a function of a scope, which writes (Go: text/template, parse.go and exec.go)."""

from pyoci.engine.templates import functions, values
from pyoci.engine.templates.errors import CallError, ExecutionError
from pyoci.engine.templates.lexer import Source, Token, pieces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    Node = Callable[["Scope"], None]
    Value = Callable[["Scope"], Any]

_KEYWORDS = frozenset(
    ("if", "else", "end", "range", "with", "define", "block", "template", "break", "continue")
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}
_CONSTANTS: "dict[str, Any]" = {"true": True, "false": False}


class Scope:
    """Dot, the variables that are seen from here (each in a list of its own, so that blocks share them), and what is written."""

    __slots__ = ("dot", "out", "variables")

    def __init__(self, dot: "Any", variables: "dict[str, list[Any]]", out: list[str]) -> None:
        self.dot = dot
        self.variables = variables
        self.out = out

    def inner(self, dot: "Any") -> "Scope":
        """Return the scope of a block."""
        return Scope(dot, dict(self.variables), self.out)


class _Break(Exception):  # noqa: N818 - not an error
    """The loop ends."""


class _Continue(Exception):  # noqa: N818 - not an error
    """The loop goes on with its next value."""


class Template:
    """A parsed template; `kind` is what Go would call the type of the data, "" for a document whose fields are JSON's."""

    def __init__(self, text: str, kind: str = "", name: str = "", *, heading: bool = False) -> None:
        self.parser = _Parser(
            Source(text, name), kind, functions.HEADING if heading else functions.TABLE
        )
        self.nodes = self.parser.parse()

    def render(self, data: "Any") -> str:
        """Return the text for some data; raises ExecutionError for what it does not have."""
        out: list[str] = []
        scope = Scope(data, {"$": [data]}, out)
        for node in self.nodes:
            node(scope)
        return "".join(out)


class _Parser:
    """Makes nodes of the pieces of a template."""

    def __init__(self, source: Source, kind: str, table: "dict[str, Callable[..., Any]]") -> None:
        self.source = source
        self.kind = kind
        self.table = table
        self.pieces = pieces(source)
        self.at = 0
        self.loops = 0
        self.named: dict[str, list[Node]] = {}
        self.variables = ["$"]

    def parse(self) -> "list[Node]":
        nodes, end = self.block()
        if end:
            raise self.source.problem(end[0].start, f"unexpected {{{{{end[0].text}}}}}")
        return nodes

    def block(self) -> "tuple[list[Node], list[Token]]":
        """Return the nodes up to end, else or the end of the text, and the action that was it."""
        nodes: list[Node] = []
        seen = len(self.variables)
        while self.at < len(self.pieces):
            piece = self.pieces[self.at]
            self.at += 1
            if isinstance(piece, str):
                nodes.append(_text(piece))
                continue
            if piece and piece[0].text in ("end", "else"):
                del self.variables[seen:]
                return nodes, piece
            nodes.append(self.action(piece))
        return nodes, []

    def action(self, tokens: list[Token]) -> "Node":
        word = tokens[0].text if tokens and tokens[0].kind == "word" else ""
        if word in ("if", "with"):
            return self.choice(word, tokens)
        if word == "range":
            return self.loop(tokens)
        if word in ("break", "continue"):
            return self.jump(word, tokens)
        if word in ("define", "block", "template"):
            return self.other_template(word, tokens)
        words = _Words(self, tokens, "command")
        value, setter = words.pipeline()
        if setter is not None:
            return lambda scope: setter(scope, value(scope))
        return lambda scope: scope.out.append(values.show(value(scope)))

    def choice(self, kind: str, tokens: list[Token]) -> "Node":
        seen = len(self.variables)
        condition, setter = _Words(self, tokens[1:], kind, tokens[0]).pipeline()
        then, end = self.block()
        other: list[Node] = []
        if end and end[0].text == "else" and len(end) > 1 and end[1].text == kind:
            other = [self.choice(kind, end[1:])]
        elif end and end[0].text == "else":
            other, end = self.block()
            self.expect_end(end)
        else:
            self.expect_end(end)
        del self.variables[seen:]

        def node(scope: Scope) -> None:
            inner = scope.inner(scope.dot)
            value = condition(inner)
            if setter is not None:
                setter(inner, value)
            is_true = values.is_true(value)
            if kind == "with" and is_true:
                inner.dot = value
            for part in then if is_true else other:
                part(inner)

        return node

    def loop(self, tokens: list[Token]) -> "Node":
        seen = len(self.variables)
        words = _Words(self, tokens[1:], "range", tokens[0])
        names = words.loop_variables()
        over, _ = words.pipeline()
        place = tokens[1].start if len(tokens) > 1 else tokens[0].start
        self.loops += 1
        body, end = self.block()
        self.loops -= 1
        other: list[Node] = []
        if end and end[0].text == "else":
            other, end = self.block()
        self.expect_end(end)
        del self.variables[seen:]
        context = words.text()

        def node(scope: Scope) -> None:
            value = over(scope)
            found = values.pairs(value)
            if found is None:
                raise self.wrong(place, context, f"range can't iterate over {values.show(value)}")
            for part in () if found else other:
                part(scope.inner(scope.dot))
            for key, item in found:
                inner = scope.inner(item)
                inner.variables.update(
                    zip(names, ([key], [item])[-len(names) :] if names else (), strict=True)
                )
                try:
                    for part in body:
                        part(inner)
                except _Continue:
                    continue
                except _Break:
                    break

        return node

    def jump(self, word: str, tokens: list[Token]) -> "Node":
        if not self.loops:
            raise self.source.problem(tokens[0].start, f"{{{{{word}}}}} outside {{{{range}}}}")
        kind = _Break if word == "break" else _Continue

        def node(_: Scope) -> None:
            raise kind

        return node

    def other_template(self, word: str, tokens: list[Token]) -> "Node":
        """Read define, block and template: a template's name, and the dot that it is called with."""
        if len(tokens) < 2 or tokens[1].kind not in ("string", "raw"):
            raise self.source.problem(tokens[0].start, f"unexpected end of {word} clause")
        name = _unquote(tokens[1].text)
        dot: Value = lambda _: values.Nil("<nil>")  # noqa: E731 - a value is a function
        if len(tokens) > 2:
            dot, _ = _Words(self, tokens[2:], word).pipeline()
        if word != "template":
            self.named[name], end = self.block()
            self.expect_end(end)
        if word == "define":
            return _text("")

        def node(scope: Scope) -> None:
            if name not in self.named:
                raise self.wrong(
                    tokens[1].start,
                    f"{{{{template {tokens[1].text}}}}}",
                    f'template "{name}" not defined',
                )
            value = dot(scope)
            inner = Scope(value, {"$": [value]}, scope.out)
            for part in self.named[name]:
                part(inner)

        return node

    def expect_end(self, end: list[Token]) -> None:
        if not end:
            raise self.source.problem(len(self.source.text), "unexpected EOF")
        if end[0].text != "end":
            raise self.source.problem(end[0].start, f"expected end; found {{{{{end[0].text}}}}}")

    def wrong(self, place: int, context: str, words: str) -> ExecutionError:
        """Return a complaint about the data, at a place of the template."""
        where = self.source.where(place)
        return ExecutionError(
            f'template: {where}: executing "{self.source.name}" at <{context}>: {words}'
        )


class _Words:
    """The tokens of an action, read from the left: pipelines of commands of operands."""

    def __init__(
        self, parser: _Parser, tokens: "Sequence[Token]", what: str, first: Token | None = None
    ) -> None:
        self.parser = parser
        self.tokens = tokens
        self.what = what
        self.at = 0
        self.start = tokens[0].start if tokens else first.end if first else 0

    def text(self) -> str:
        """Return the words as they are written."""
        source = self.parser.source.text
        return source[self.start : self.tokens[-1].end] if self.tokens else ""

    def peek(self, ahead: int = 0) -> str:
        place = self.at + ahead
        return self.tokens[place].text if place < len(self.tokens) else ""

    def problem(self, words: str) -> Exception:
        place = self.tokens[self.at].start if self.at < len(self.tokens) else self.start
        return self.parser.source.problem(place, words)

    def loop_variables(self) -> list[str]:
        """Read `$value :=` or `$key, $value :=`."""
        names = [name for name in (self.peek(), self.peek(2)) if name.startswith("$")]
        size = 4 if self.peek(1) == "," else 2
        if self.peek(size - 1) != ":=":
            return []
        self.at = size
        names = names[: size // 2]
        self.parser.variables += names
        return names

    def pipeline(self) -> "tuple[Value, Callable[[Scope, Any], None] | None]":
        """Return the value, and what sets the variable that it is for."""
        setter = None
        name, sign = self.peek(), self.peek(1)
        if name.startswith("$") and sign in (":=", "="):
            setter = _setter(name, declares=sign == ":=")
            if sign == "=" and name not in self.parser.variables:
                raise self.problem(f'undefined variable "{name}"')
            self.at += 2
        value = self.command(None)
        while self.peek() == "|":
            self.at += 1
            value = self.command(value)
        if self.at < len(self.tokens) and self.peek() != ")":
            raise self.problem(f"unexpected <{self.peek()}> in {self.what}")
        if setter is not None and sign == ":=":
            self.parser.variables.append(name)
        return value, setter

    def command(self, piped: "Value | None") -> "Value":
        begun = self.at
        operands: list[tuple[str, Value]] = []
        function = ""
        while self.at < len(self.tokens) and self.peek() not in ("|", ")"):
            token = self.tokens[self.at]
            if (
                token.kind == "word"
                and not operands
                and token.text not in (*_CONSTANTS, "nil")
                and not function
            ):
                function = self.function_name(token)
                continue
            operands.append(self.operand())
        if not operands and not function:
            raise self.problem(f"missing value for {self.what}")
        start = self.tokens[begun].start
        context = self.parser.source.text[start : self.tokens[self.at - 1].end]
        if context == "nil":
            return self.refused(start)
        arguments = [value for _, value in operands]
        if function:
            return self.call(function, [*arguments, *([piped] if piped else [])], start, context)
        if len(arguments) == 1 and piped is None:
            return _without_arguments(arguments[0])
        return self.method(operands[0], [*arguments[1:], *([piped] if piped else [])], start)

    def refused(self, start: int) -> "Value":
        """Return a command that is none, which is noticed when it runs."""
        wrong = self.parser.wrong(start, "nil", "nil is not a command")

        def value(_: Scope) -> "Any":
            raise wrong

        return value

    def function_name(self, token: Token) -> str:
        if token.text in _KEYWORDS:
            raise self.problem(f"unexpected <{token.text}> in {self.what}")
        if token.text not in self.parser.table and token.text not in ("and", "or", "call"):
            raise self.problem(f'function "{token.text}" not defined')
        self.at += 1
        return token.text

    def call(self, name: str, arguments: "list[Value]", start: int, context: str) -> "Value":
        wrong = self.parser.wrong
        if name in ("and", "or"):
            return _junction(arguments, stops_at=name == "or")
        function = self.parser.table[name]

        def value(scope: Scope) -> "Any":
            given = [argument(scope) for argument in arguments]
            try:
                return function(*given)
            except CallError as error:
                raise wrong(start, context, f"error calling {name}: {error}") from None
            except TypeError:
                raise wrong(
                    start, name, f"wrong number of args for {name}: got {len(given)}"
                ) from None

        return value

    def method(self, first: "tuple[str, Value]", arguments: "list[Value]", start: int) -> "Value":
        """Call a field that is a function: {{.Label "x"}}."""
        text, found = first
        wrong = self.parser.wrong

        def value(scope: Scope) -> "Any":
            function = found(scope)
            if not callable(function):
                raise wrong(start, text, f"can't give argument to non-function {text}")
            return function(*(argument(scope) for argument in arguments))

        return value

    def operand(self) -> "tuple[str, Value]":
        """Return an operand and its text: a term with the fields behind it."""
        token = self.tokens[self.at]
        start = token.start
        self.at += 1
        value = self.term(token)
        chain = [token] if token.kind == "field" else []
        while self.at < len(self.tokens) and self.tokens[self.at].kind == "field":
            if self.tokens[self.at].start != self.tokens[self.at - 1].end:
                break
            chain.append(self.tokens[self.at])
            self.at += 1
        text = self.parser.source.text[start : self.tokens[self.at - 1].end]
        if chain:
            behind = chain[1:] if token.kind == "field" else chain
            place = behind[0].start if behind else start
            value = _fields(self.parser, value, text, place, [one.text[1:] for one in chain])
        return text, value

    def term(self, token: Token) -> "Value":
        if token.text == "(":
            value, _ = self.pipeline()
            if self.peek() != ")":
                raise self.problem("unclosed left paren")
            self.at += 1
            return value
        if token.kind in ("field", "dot"):
            return lambda scope: scope.dot
        if token.kind == "variable":
            if token.text not in self.parser.variables:
                raise self.problem(f'undefined variable "{token.text}"')
            return lambda scope: scope.variables[token.text][0]
        if token.kind == "word" and token.text not in (*_CONSTANTS, "nil"):
            name = self.parser.table.get(token.text)
            if name is None:
                raise self.problem(f'function "{token.text}" not defined')
            return self.call(token.text, [], token.start, token.text)
        return _constant(self.literal(token))

    def literal(self, token: Token) -> "Any":
        if token.kind == "word":
            return _CONSTANTS.get(token.text, values.Nil("<nil>"))
        if token.kind == "raw":
            return token.text[1:-1]
        if token.kind == "string":
            return _unquote(token.text)
        if token.kind == "character":
            return ord(_unquote(token.text))
        if token.kind == "number":
            try:
                return int(token.text, 0)
            except ValueError:
                pass
            try:
                return float(token.text)
            except ValueError:
                raise self.problem(f'bad number syntax: "{token.text}"') from None
        raise self.problem(f"unexpected <{token.text}> in operand")


def _text(text: str) -> "Node":
    return lambda scope: scope.out.append(text)


def _constant(value: "Any") -> "Value":
    return lambda scope: value  # noqa: ARG005 - every value is a function of its scope


def _without_arguments(value: "Value") -> "Value":
    """Return the value of a field; where that is a function, what it returns."""

    def result(scope: Scope) -> "Any":
        found = value(scope)
        return found() if callable(found) else found

    return result


def _setter(name: str, *, declares: bool) -> "Callable[[Scope, Any], None]":
    def declare(scope: Scope, value: "Any") -> None:
        scope.variables[name] = [value]

    def assign(scope: Scope, value: "Any") -> None:
        scope.variables[name][0] = value

    return declare if declares else assign


def _junction(arguments: "list[Value]", *, stops_at: bool) -> "Value":
    """Return `and` or `or`: the first value that decides, and no more is looked at."""

    def value(scope: Scope) -> "Any":
        found = None
        for argument in arguments:
            found = argument(scope)
            if values.is_true(found) == stops_at:
                break
        return found

    return value


def _unquote(text: str) -> str:
    text = text[1:-1]
    if "\\" not in text:
        return text
    found, index = "", 0
    while index < len(text):
        if text[index] == "\\" and index + 1 < len(text):
            index += 1
            found += _ESCAPES.get(text[index], text[index])
        else:
            found += text[index]
        index += 1
    return found


def _fields(parser: _Parser, start: "Value", text: str, place: int, names: list[str]) -> "Value":
    """Return the value behind a chain of fields; a struct must have them."""

    def value(scope: Scope) -> "Any":
        found = start(scope)
        for name in names:
            if isinstance(found, values.Map):
                found = found.get(name, values.MISSING)
            elif isinstance(found, dict) and (name in found or values.json_name(name) in found):
                found = found[name] if name in found else found[values.json_name(name)]
            else:
                raise parser.wrong(place, text, _lacking(parser.kind, found, name))
        return found

    return value


def _lacking(kind: str, found: "Any", name: str) -> str:
    if isinstance(found, dict):
        return (
            f"can't evaluate field {name} in type {kind}"
            if kind
            else f'map has no entry for key "{name}"'
        )
    if found is None or isinstance(found, values.Missing | values.Nil):
        return f"nil pointer evaluating interface {{}}.{name}"
    return (
        f"can't evaluate field {name} in type {values.go_type(found) if kind else 'interface {}'}"
    )


def expand_escapes(text: str) -> str:
    """Read \\t and \\n in a format of the command line, as Docker does for tables and lists."""
    return text.replace("\\t", "\t").replace("\\n", "\n")
