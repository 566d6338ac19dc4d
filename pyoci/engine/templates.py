# SPDX-License-Identifier: Apache-2.0
"""Go templates for --format: fields, pipelines, variables, if/else, range, with, and the functions that Docker offers.

A template is parsed into nodes, each a function of a scope that returns text; values are JSON's. No maintained library does this in
Python (highlevel.md, section 2); Docker's own output is what the tests compare with.
"""

from pyoci.engine.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Node = Callable[["Scope"], str]
    Value = Callable[["Scope"], Any]

_WORD = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
_ESCAPES = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "\\": "\\",
    '"': '"',
    "'": "'",
    "a": "\a",
    "b": "\b",
    "0": "\0",
}
_BLANKS = " \t\r\n"


class Missing:
    """What an entry of a map has that is not there: it prints as <no value> and is not true."""


MISSING = Missing()


class OpenMap(dict[str, "Any"]):
    """A map of which entries may be asked for that it does not have: Go's map[string]string."""

    def __missing__(self, key: str) -> Missing:
        """Return what stands for an entry that is not there."""
        return MISSING


class Scope:
    """Dot, and the variables that are seen from here; `kind` is what Go would call dot's type, "" for a map."""

    __slots__ = ("dot", "kind", "variables")

    def __init__(self, dot: "Any", variables: "dict[str, Any]", kind: str) -> None:
        self.dot = dot
        self.variables = variables
        self.kind = kind

    def inner(self, dot: "Any") -> "Scope":
        """Return the scope of a block with another dot."""
        return Scope(dot, dict(self.variables), self.kind)


class Template:
    """A parsed template; `kind` names the type of the data in complaints, as Go does."""

    def __init__(self, text: str, kind: str = "") -> None:
        self.kind = kind
        self.nodes = _Parser(text).parse()

    def render(self, data: "Any") -> str:
        """Return the text for some data; raises EngineError for a field that it does not have."""
        scope = Scope(data, {"$": data}, self.kind)
        return "".join(node(scope) for node in self.nodes)


def _complain(expression: str, problem: str) -> EngineError:
    return EngineError(f'template: :1:2: executing "" at <{expression}>: {problem}')


class _Parser:
    """Splits a template into text and actions, and actions into words."""

    def __init__(self, text: str) -> None:
        self.pieces = list(_pieces(text))
        self.at = 0

    def parse(self) -> "list[Node]":
        nodes, end = self.block()
        if end:
            raise EngineError(f"template parsing error: template: :1: unexpected {{{{{end}}}}}")
        return nodes

    def block(self) -> "tuple[list[Node], str]":
        """Return the nodes up to end, else or the end of the text, and which of them it was."""
        nodes: list[Node] = []
        while self.at < len(self.pieces):
            is_action, text = self.pieces[self.at]
            self.at += 1
            if not is_action:
                nodes.append(_text(text))
                continue
            words = _words(text)
            if not words:
                raise EngineError("template parsing error: template: :1: missing value for command")
            if words[0] in ("end", "else"):
                return nodes, text
            nodes.append(self.action(words))
        return nodes, ""

    def action(self, words: list[str]) -> "Node":
        if words[0] in ("if", "with"):
            return self.choice(words[0], words[1:])
        if words[0] == "range":
            return self.loop(words[1:])
        return _output(words)

    def choice(self, kind: str, words: list[str]) -> "Node":
        condition = _expression(words)
        then, end = self.block()
        other: list[Node] = []
        if end.split()[:2] == ["else", kind]:
            other = [self.choice(kind, _words(end)[2:])]
        elif end == "else":
            other, end = self.block()
            self.expect_end(end)
        else:
            self.expect_end(end)

        def node(scope: Scope) -> str:
            value = condition(scope)
            chosen = then if is_true(value) else other
            inner = scope.inner(value if kind == "with" and is_true(value) else scope.dot)
            return "".join(part(inner) for part in chosen)

        return node

    def loop(self, words: list[str]) -> "Node":
        names: list[str] = []
        if ":=" in words:
            place = words.index(":=")
            names = [word for word in words[:place] if word != ","]
            words = words[place + 1 :]
        values = _expression(words)
        body, end = self.block()
        other: list[Node] = []
        if end == "else":
            other, end = self.block()
        self.expect_end(end)

        def node(scope: Scope) -> str:
            pairs = _pairs(values(scope))
            if not pairs:
                return "".join(part(scope) for part in other)
            text = ""
            for key, value in pairs:
                inner = scope.inner(value)
                inner.variables.update(zip(names[-1:], (value,), strict=False))
                if len(names) == 2:
                    inner.variables[names[0]] = key
                text += "".join(part(inner) for part in body)
            return text

        return node

    def expect_end(self, end: str) -> None:
        if end.strip() != "end":
            raise EngineError("template parsing error: template: :1: unexpected EOF")


def _pieces(text: str) -> "list[tuple[bool, str]]":
    """Split into (is an action, text); {{- and -}} take the blanks beside them away."""
    found: list[tuple[bool, str]] = []
    while text:
        plain, opened, rest = text.partition("{{")
        if opened and rest[:1] == "-" and rest[1:2] in _BLANKS:
            plain, rest = plain.rstrip(_BLANKS), rest[1:]
        if plain:
            found.append((False, plain))
        if not opened:
            break
        end = _end_of_action(rest)
        if end < 0:
            raise EngineError("template parsing error: template: :1: unclosed action")
        action, text = rest[:end], rest[end + 2 :]
        if action.endswith("-") and action[-2:-1] in _BLANKS:
            action, text = action[:-1], text.lstrip(_BLANKS)
        if not action.strip().startswith("/*"):
            found.append((True, action.strip()))
    return found


def _end_of_action(text: str) -> int:
    quote = ""
    index = 0
    while index < len(text):
        letter = text[index]
        if quote:
            if letter == "\\" and quote == '"':
                index += 1
            elif letter == quote:
                quote = ""
        elif letter in "\"`'":
            quote = letter
        elif text.startswith("}}", index):
            return index
        index += 1
    return -1


def _words(text: str) -> list[str]:
    """Split an action into strings, numbers, names, fields and signs."""
    found = []
    index = 0
    while index < len(text):
        letter = text[index]
        if letter in _BLANKS:
            index += 1
            continue
        end = index + 1
        if letter in '"`':
            while end < len(text) and text[end] != letter:
                end += 2 if text[end] == "\\" and letter == '"' else 1
            end += 1
        elif text.startswith(":=", index):
            end = index + 2
        elif letter in "$.-+" or letter in _WORD:
            while end < len(text) and (text[end] in _WORD or text[end] == "."):
                end += 1
        elif letter not in "()|=,":
            raise EngineError(
                f"template parsing error: template: :1: unexpected {letter!r} in command"
            )
        found.append(text[index:end])
        index = end
    return found


def _text(text: str) -> "Node":
    return lambda scope: text  # noqa: ARG005 - a node is a function of its scope


def _output(words: list[str]) -> "Node":
    """Return the node of a pipeline, which prints, or of the setting of a variable, which does not."""
    if len(words) > 2 and words[1] in (":=", "=") and words[0].startswith("$"):
        name, value = words[0], _expression(words[2:])

        def assign(scope: Scope) -> str:
            scope.variables[name] = value(scope)
            return ""

        return assign
    value = _expression(words)
    return lambda scope: show(value(scope))


def _expression(words: list[str]) -> "Value":
    """Return the value of a pipeline."""
    commands: list[list[str]] = [[]]
    depth = 0
    for word in words:
        depth += (word == "(") - (word == ")")
        if word == "|" and depth == 0:
            commands.append([])
        else:
            commands[-1].append(word)
    if not all(commands) or depth:
        raise EngineError("template parsing error: template: :1: missing value for command")
    value = _command(commands[0], None)
    for command in commands[1:]:
        value = _command(command, value)
    return value


def _command(words: list[str], piped: "Value | None") -> "Value":
    name = words[0]
    last = [piped] if piped is not None else []
    if name in FUNCTIONS:
        function = FUNCTIONS[name]
        arguments = [*_operands(words[1:]), *last]

        def call(scope: Scope) -> "Any":
            try:
                return function(*(argument(scope) for argument in arguments))
            except (TypeError, ValueError, IndexError, KeyError) as error:
                raise _complain(name, f"error calling {name}: {error}") from error

        return call
    operands = _operands(words)
    if len(operands) > 1 or last:
        if name[0] in _WORD and not name[0].isdigit():
            raise EngineError(
                f'template parsing error: template: :1: function "{name}" not defined'
            )
        raise EngineError(
            f"template parsing error: template: :1: can't give argument to non-function {name}"
        )
    return operands[0]


def _operands(words: list[str]) -> "list[Value]":
    found: list[Value] = []
    index = 0
    while index < len(words):
        if words[index] != "(":
            found.append(_operand(words[index]))
            index += 1
            continue
        depth, end = 1, index + 1
        while end < len(words) and depth:
            depth += (words[end] == "(") - (words[end] == ")")
            end += 1
        value = _expression(words[index + 1 : end - 1])
        if end < len(words) and words[end].startswith(".") and len(words[end]) > 1:
            value = _fields(value, words[end], words[end][1:].split("."))
            end += 1
        found.append(value)
        index = end
    return found


def _operand(word: str) -> "Value":
    """Return the value of one word."""
    name, *fields = word.split(".")
    if word[0] in '"`':
        return _constant(_unquote(word[1:-1]) if word[0] == '"' else word[1:-1])
    if word in _CONSTANTS:
        return _constant(_CONSTANTS[word])
    if word[0] == ".":
        return _fields(lambda scope: scope.dot, word, [field for field in fields if field])
    if word[0] == "$":
        return _fields(lambda scope: scope.variables[name], word, fields)
    if word in FUNCTIONS:
        return _command([word], None)
    return _constant(_number(word))


def _number(word: str) -> "int | float":
    try:
        return float(word) if "." in word else int(word, 0)
    except ValueError:
        raise EngineError(
            f'template parsing error: template: :1: function "{word}" not defined'
        ) from None


_CONSTANTS: "dict[str, Any]" = {"true": True, "false": False, "nil": None}


def _constant(value: "Any") -> "Value":
    return lambda scope: value  # noqa: ARG005 - every function of a template gets it


def _unquote(text: str) -> str:
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


def _fields(start: "Value", expression: str, names: list[str]) -> "Value":
    """Return the value behind a chain of fields; a map must have them."""

    def value(scope: Scope) -> "Any":
        found = start(scope)
        for name in names:
            if isinstance(found, dict):
                if name not in found and not isinstance(found, OpenMap):
                    raise _complain(expression, _without(scope.kind, name))
                found = found[name]
            elif found is None or isinstance(found, Missing):
                raise _complain(expression, f"nil pointer evaluating interface {{}}.{name}")
            else:
                raise _complain(
                    expression, f"can't evaluate field {name} in type {_go_type(found)}"
                )
        return found

    return value


def _without(kind: str, name: str) -> str:
    if kind:
        return f"can't evaluate field {name} in type {kind}"
    return f'map has no entry for key "{name}"'


def _go_type(value: "Any") -> str:
    names = {bool: "bool", int: "int", float: "float64", str: "string", list: "[]interface {}"}
    return names.get(type(value), "interface {}")


def is_true(value: "Any") -> bool:
    """Tell whether a value is true: not empty, not zero."""
    return not isinstance(value, Missing) and bool(value)


def show(value: "Any") -> str:
    """Write a value as Go's fmt does."""
    if isinstance(value, bool | Missing | None):
        return _SHOWN[value] if not isinstance(value, Missing) else "<no value>"
    if isinstance(value, list | tuple):
        return f"[{' '.join(_inside(item) for item in value)}]"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{_inside(value[key])}' for key in sorted(value))}]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


# In Docker's documents what is null is a list, which Go prints so.
_SHOWN = {True: "true", False: "false", None: "[]"}


def _inside(value: "Any") -> str:
    return "<nil>" if value is None else show(value)


def _pairs(value: "Any") -> "list[tuple[Any, Any]]":
    if isinstance(value, dict):
        return [(key, value[key]) for key in sorted(value)]
    if isinstance(value, list | tuple):
        return [*enumerate(value)]
    if isinstance(value, int) and not isinstance(value, bool):
        return [(number, number) for number in range(value)]
    return []


def _json(value: "Any") -> str:
    from pyoci.jsontext import dumps

    return dumps(None if isinstance(value, Missing) else value)


def _index(value: "Any", *keys: "Any") -> "Any":
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key, MISSING)
        elif isinstance(value, list | tuple | str):
            if not -1 < key < len(value):
                raise IndexError(f"error calling index: index out of range: {key}")
            value = value[key]
        elif value is None or isinstance(value, Missing):
            raise ValueError("index of untyped nil")
        else:
            raise ValueError(f"can't index item of type {_go_type(value)}")
    return value


def _slice(value: "Any", start: int = 0, end: int | None = None) -> "Any":
    return value[start:end]


def _and(*values: "Any") -> "Any":
    return next((value for value in values if not is_true(value)), values[-1])


def _or(*values: "Any") -> "Any":
    return next((value for value in values if is_true(value)), values[-1])


def _printf(form: str, *values: "Any") -> str:
    """Format as Go's fmt.Sprintf does, as far as verbs %s %d %v %q %t %f %x %% go."""
    found, rest = "", list(values)
    while form:
        plain, percent, form = form.partition("%")
        found += plain
        if not percent:
            break
        end = 0
        while end < len(form) and not form[end].isalpha() and form[end] != "%":
            end += 1
        options, verb, form = form[:end], form[end : end + 1], form[end + 1 :]
        if verb == "%":
            found += "%"
        else:
            found += _verb(options, verb, rest.pop(0)) if rest else f"%!{verb}(MISSING)"
    return found


def _verb(options: str, verb: str, value: "Any") -> str:
    if verb == "q":
        from pyoci.jsontext import quote

        return f"%{options}s" % quote(show(value))
    if verb in "dxXof" and isinstance(value, int | float):
        return f"%{options}{verb}" % value
    return f"%{options}s" % show(value)


def _truncate(text: str, length: int) -> str:
    return text[:length]


def _pad(text: str, before: int, after: int) -> str:
    return f"{' ' * before}{text}{' ' * after}" if text else text


def _title(text: str) -> str:
    return " ".join(word[:1].upper() + word[1:] for word in text.split(" "))


FUNCTIONS: "dict[str, Callable[..., Any]]" = {
    "json": _json,
    "index": _index,
    "slice": _slice,
    "len": len,
    "and": _and,
    "or": _or,
    "not": lambda value: not is_true(value),
    "eq": lambda first, *others: any(first == other for other in others),
    "ne": lambda first, other: first != other,
    "lt": lambda first, other: first < other,
    "le": lambda first, other: first <= other,
    "gt": lambda first, other: first > other,
    "ge": lambda first, other: first >= other,
    "print": lambda *values: "".join(map(show, values)),
    "println": lambda *values: " ".join(map(show, values)) + "\n",
    "printf": _printf,
    "join": lambda values, separator: separator.join(map(show, values or ())),
    "split": lambda text, separator: text.split(separator),
    "lower": lambda text: show(text).lower(),
    "upper": lambda text: show(text).upper(),
    "title": _title,
    "truncate": _truncate,
    "pad": _pad,
}


def expand_escapes(text: str) -> str:
    """Read \\t and \\n in a format of the command line, as Docker does for tables and lists."""
    return text.replace("\\t", "\t").replace("\\n", "\n")
