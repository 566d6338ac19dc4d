# SPDX-License-Identifier: Apache-2.0
"""The command line, read as Docker's library (pflag) reads it, from tables: a row a flag.

A row is (name, short form, kind, help). Kind "" is a switch; any other is what the help calls the value, and a key of CHECKS where
a value can be wrong by itself. A flag may always be repeated: a command asks for the last value or for all.
"""

from pyoci.engine.errors import EngineError
from pyoci.flags import BOOLEANS, Flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Flag = tuple[str, str, str, str]

HELP: "Flag" = ("help", "", "", "Print usage")
# What --sysctl may set: the kernel keeps these per namespace.
_SYSCTLS = (
    "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni",
    "kernel.shm_rmid_forced", "kernel.domainname",
)  # fmt: skip
_LONGEST_DOMAIN = 255
_ACCESS = frozenset("rwm")
# Earlier names of flags, which Docker takes and does not show.
_OLD = {"time": "timeout", "net": "network", "net-alias": "network-alias", "dns-opt": "dns-option"}
_INTEGERS = {"int": ("ParseInt", -(1 << 63), (1 << 63) - 1), "uint16": ("ParseUint", 0, 65535)}


class FlagError(EngineError):
    """The command line is wrong; exit status 125."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 125)


class AskedForHelp(Exception):
    """--help was met: what stands behind it does not matter."""


def parse(
    words: "Sequence[str]", table: "Sequence[Flag]", *, ordered: bool
) -> tuple[Flags, list[str]]:
    """Split words into flags and arguments; raises FlagError with pflag's words, AskedForHelp.

    `ordered` ends the flags at the first argument: the words behind it are another program's.
    """
    parser = _Parser(words, table)
    while parser.rest:
        word = parser.rest.pop()
        if word == "--":
            parser.take_rest()
        elif word.startswith("--"):
            parser.long(word[2:])
        elif word.startswith("-") and word != "-":
            parser.short(word[1:], word)
        else:
            parser.arguments.append(word)
            if ordered:
                parser.take_rest()
    return Flags(parser.values), parser.arguments


class _Parser:
    """The words that are left (the next one last), and what was found in those before."""

    __slots__ = ("arguments", "names", "rest", "shorts", "values")

    def __init__(self, words: "Sequence[str]", table: "Sequence[Flag]") -> None:
        self.rest = [*reversed(words)]
        self.names = {row[0]: row for row in (*table, HELP)}
        self.shorts = {row[1]: row for row in table if row[1]}
        self.values: dict[str, list[str]] = {}
        self.arguments: list[str] = []

    def take_rest(self) -> None:
        self.arguments.extend(reversed(self.rest))
        self.rest.clear()

    def long(self, text: str) -> None:
        """Read --name, --name=value or --name value."""
        name, equals, value = text.partition("=")
        if not name or name.startswith("-"):
            raise FlagError(f"bad flag syntax: --{text}")
        row = self.names.get(name)
        shown = ""
        if row is None:
            row, shown = self.names.get(_OLD.get(name, "")), f"--{name}"
        if row is None:
            raise FlagError(f"unknown flag: --{name}")
        if not equals:
            value = "true" if row[2] == "" else self.next(f"--{name}")
        self.set(row, value, shown)

    def short(self, letters: str, word: str) -> None:
        """Read -abc, -avalue, -a=value or -a value."""
        while letters:
            letter, letters = letters[0], letters[1:]
            row = self.shorts.get(letter)
            if row is None:
                if letter == "h":
                    raise AskedForHelp
                raise FlagError(f"unknown shorthand flag: '{letter}' in -{letter}{letters}")
            if len(letters) > 1 and letters[0] == "=":
                value, letters = letters[1:], ""
            elif row[2] == "":
                value = "true"
            elif letters:
                value, letters = letters, ""
            else:
                value = self.next(f"'{letter}' in {word}")
            self.set(row, value)

    def next(self, shown: str) -> str:
        if not self.rest:
            raise FlagError(f"flag needs an argument: {shown}")
        return self.rest.pop()

    def set(self, row: "Flag", value: str, old: str = "") -> None:
        """Keep a value; `old` is how the flag was called."""
        name, short, kind, _ = row
        try:
            check(kind, value)
        except ValueError as error:
            shown = old or (f"-{short}, --{name}" if short else f"--{name}")
            raise FlagError(f'invalid argument "{value}" for "{shown}" flag: {error}') from None
        if name == "help" and BOOLEANS[value]:
            raise AskedForHelp
        self.values.setdefault(name, []).append(value)


def check(kind: str, value: str) -> None:
    """Raise ValueError, in Go's words, for a value that its kind forbids."""
    if kind == "":
        if value not in BOOLEANS:
            raise ValueError(f'strconv.ParseBool: parsing "{value}": invalid syntax')
    elif kind in _INTEGERS:
        _check_integer(value, *_INTEGERS[kind])
    elif kind in CHECKS:
        CHECKS[kind](value)


def _check_integer(value: str, function: str, least: int, most: int) -> None:
    try:
        number = int(value) if function == "ParseUint" else int(value, 0)
    except ValueError:
        number = None
    if number is None or not value.strip("+-").isalnum():
        raise ValueError(f'strconv.{function}: parsing "{value}": invalid syntax')
    if not least <= number <= most:
        raise ValueError(f'strconv.{function}: parsing "{value}": value out of range')


def _check_duration(value: str) -> None:
    from pyoci.engine import durations

    durations.parse(value)


def _check_bytes(value: str) -> None:
    from pyoci.engine import sizes

    sizes.parse(value)


def _check_swap(value: str) -> None:
    from pyoci.engine import sizes

    sizes.parse_swap(value)


def _check_device_rule(value: str) -> None:
    kind, _, rest = value.partition(" ")
    numbers, _, access = rest.partition(" ")
    major, colon, minor = numbers.partition(":")
    are_numbers = colon and all(part == "*" or part.isdecimal() for part in (major, minor))
    if kind not in ("a", "b", "c") or not are_numbers or not 0 < len(access) <= len(_ACCESS):
        raise ValueError(f"invalid device cgroup format '{value}'")
    if not _ACCESS.issuperset(access):
        raise ValueError(f"invalid device cgroup format '{value}'")


def _check_decimal(value: str) -> None:
    from pyoci.engine import sizes

    sizes.parse_processors(value)


def _check_environment(value: str) -> None:
    if value.startswith("="):
        raise ValueError(f"invalid environment variable: {value}")


def _check_attach(value: str) -> None:
    if value.lower() not in ("stdin", "stdout", "stderr"):
        raise ValueError("valid streams are STDIN, STDOUT and STDERR")


def _check_filter(value: str) -> None:
    if value and "=" not in value:
        raise ValueError("bad format of filter (expected name=value)")


def _check_label(value: str) -> None:
    if value.startswith("="):
        raise ValueError(f"invalid label '{value}': empty name")


def _check_host(value: str) -> None:
    name, _, address = value.replace("=", ":", 1).partition(":")
    if not name or not address:
        raise ValueError(f'bad format for add-host: "{value}"')
    if address != "host-gateway" and not _is_address(address.removeprefix("[").removesuffix("]")):
        raise ValueError(f'invalid IP address in add-host: "{address}"')


def _is_address(text: str) -> bool:
    from pyoci.engine.networks import addresses

    try:
        addresses.pack(text)
    except ValueError:
        return False
    return True


def _check_server(value: str) -> None:
    if not _is_address(value.strip()):
        raise ValueError(f"IP address is not correctly formatted: {value}")


def _check_domain(value: str) -> None:
    """Refuse what is no domain to Docker's client: labels of letters, digits and inner dashes, one letter at least."""
    text = value.strip()
    labels = text.removesuffix(".").split(".")
    plain = text.isascii() and not text.replace(".", "").replace("-", "").isdecimal()
    good = all(
        label.replace("-", "").isalnum() and label[0] != "-" and label[-1] != "-"
        for label in labels
    )
    if text != "." and not (plain and good and len(text) < _LONGEST_DOMAIN):
        raise ValueError(f"{value} is not a valid domain")


def _check_network(value: str) -> None:
    from pyoci.engine.containers import networking

    networking.parse(value)


def _check_sysctl(value: str) -> None:
    name = value.partition("=")[0]
    if name not in _SYSCTLS and not name.startswith(("net.", "fs.mqueue.")):
        raise ValueError(f"sysctl '{value}' is not allowed")


def _check_mount(value: str) -> None:
    from pyoci.engine.containers import mounts

    mounts.parse_mount(value)


def _check_ulimit(value: str) -> None:
    from pyoci.engine.containers import limits

    limits.ulimit(value)


CHECKS: "dict[str, Callable[[str], None]]" = {
    "duration": _check_duration,
    "bytes": _check_bytes,
    "swap": _check_swap,
    "device-rule": _check_device_rule,
    "decimal": _check_decimal,
    "env": _check_environment,
    "attach": _check_attach,
    "label": _check_label,
    "filter": _check_filter,
    "add-host": _check_host,
    "dns": _check_server,
    "dns-search": _check_domain,
    "network": _check_network,
    "sysctl": _check_sysctl,
    "mount": _check_mount,
    "ulimit": _check_ulimit,
}
# What the help calls a kind that has a check of its own.
_SHOWN = {
    "swap": "bytes",
    "device-rule": "list",
    "env": "list",
    "attach": "list",
    "label": "list",
    "add-host": "list",
    "dns": "list",
    "dns-search": "list",
    "sysctl": "map",
}


def value_of(kind: str) -> str:
    """Return what people read in the place of a flag's value."""
    return _SHOWN.get(kind, kind)


def describe(table: "Sequence[Flag]", width: int) -> str:
    """Return the help of a table: a flag, what its value is called, its words wrapped to `width` columns."""
    heads = []
    for name, short, kind, _ in table:
        head = f"  -{short}, --{name}" if short else f"      --{name}"
        shown = value_of(kind)
        heads.append(f"{head} {shown}" if shown else head)
    column = max(map(len, heads), default=0) + 3
    text = ""
    for head, row in zip(heads, table, strict=True):
        lines = wrap(row[3], max(width - column, 24))
        text += f"{head.ljust(column)}{lines[0]}\n"
        text += "".join(f"{' ' * column}{line}\n" for line in lines[1:])
    return text


def wrap(text: str, width: int) -> list[str]:
    """Break a text between words; a newline in it stays."""
    lines = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            if line and len(line) + 1 + len(word) > width:
                lines.append(line)
                line = word
            else:
                line = f"{line} {word}" if line else word
        lines.append(line)
    return lines
