# SPDX-License-Identifier: Apache-2.0
"""What values are to a template. They are JSON's; where Go's type matters, the name under which a value stands tells it.

An object is a struct, whose fields must be there and print in their order, unless Docker has a map in that place; null is a list,
unless Docker has a map or a pointer there.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MAPS = frozenset((
    "Annotations", "LogConfig.Config", "Containers", "Data", "DriverOpts", "ExposedPorts", "Labels", "Networks", "Options", "Peers",
    "PortBindings", "Ports", "Runtimes", "StorageOpt", "Sysctls", "Tmpfs", "Volumes",
))  # fmt: skip
_LISTS_OF = {
    "Ports": (),
    "PortBindings": (),
    "Volumes": None,
    "ExposedPorts": None,
    "Networks": None,
    "Containers": None,
}
_POINTERS = frozenset((
    "Health", "Healthcheck", "IPAMConfig", "Init", "MemorySwappiness", "OomKillDisable", "PidsLimit", "SizeRootFs", "SizeRw",
    "StopTimeout",
))  # fmt: skip
_DURATIONS = frozenset(("Interval", "Timeout", "StartPeriod", "StartInterval"))


# Docker's client looks a field up in its own types first, which spell some names in another way than JSON.
_GO_NAMES = {"ID": "Id", "HostIP": "HostIp"}


class Missing:
    """What an entry of a map has that is not there: it is not true."""

    def __str__(self) -> str:  # type: ignore[explicit-override]  # typing.override would have to be imported
        return "<no value>"


MISSING = Missing()


class Map(dict):  # type: ignore[type-arg]  # a generic base would be made at import
    """An object of which any key may be asked; `default` is what index makes of one that is not there."""

    default: "Any" = ""


class Context(dict):  # type: ignore[type-arg]  # a generic base would be made at import
    """What a list has of one object: as a whole it is JSON that may stand in HTML."""


class Duration(int):
    """Nanoseconds that print as Go prints a time.Duration."""

    def __str__(self) -> str:  # type: ignore[explicit-override]  # typing.override would have to be imported
        from pyoci.engine import durations

        return durations.show(self)


class Nil:
    """A null: a map or a pointer without a value, as it prints."""

    __slots__ = ("shown",)

    def __init__(self, shown: str) -> None:
        self.shown = shown

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:  # type: ignore[explicit-override]  # typing.override would have to be imported
        return self.shown


def typed(value: "Any", name: str = "", owner: str = "") -> "Any":
    """Return a document with the types that the names in it stand for."""
    if isinstance(value, dict):
        kinds = {key: typed(inner, key, name) for key, inner in value.items()}
        if name not in _MAPS and f"{owner}.{name}" not in _MAPS:
            return kinds
        made = Map(kinds)
        made.default = _LISTS_OF.get(name, "")
        return made
    if isinstance(value, list):
        return [typed(inner, "", name) for inner in value]
    if value is None:
        return _null(name)
    if name in _DURATIONS and isinstance(value, int):
        return Duration(value)
    return value


def _null(name: str) -> "Nil | None":
    if name in _POINTERS:
        return Nil("<nil>")
    return Nil("map[]") if name in _MAPS else None


def json_name(name: str) -> str:
    """Return what JSON calls a field that Go calls so."""
    return _GO_NAMES.get(name, name.replace("CPU", "Cpu"))


def plain(value: "Any") -> "Any":
    """Return a value as JSON has it."""
    if isinstance(value, dict):
        keys = sorted(value) if isinstance(value, Map) else value
        return {key: plain(value[key]) for key in keys if not callable(value[key])}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return None if isinstance(value, Nil | Missing) else value


def is_true(value: "Any") -> bool:
    """Tell whether a value is true: not empty, not zero. A struct always is."""
    if isinstance(value, dict) and not isinstance(value, Map):
        return True
    return not isinstance(value, Missing) and bool(value)


def show(value: "Any") -> str:
    """Write a value as Go's fmt does."""
    if isinstance(value, list | tuple):
        return f"[{' '.join(map(show, value))}]"
    if isinstance(value, Map):
        return f"map[{' '.join(f'{key}:{show(value[key])}' for key in sorted(value))}]"
    if isinstance(value, dict):
        return f"{{{' '.join(show(inner) for inner in value.values() if not callable(inner))}}}"
    if value is None or isinstance(value, bool):
        return _SHOWN[value]
    return f"{value:.6g}" if isinstance(value, float) else str(value)


_SHOWN = {True: "true", False: "false", None: "[]"}


def go_type(value: "Any") -> str:
    """Return the name of what Go would have in the place of a value."""
    if isinstance(value, Map):
        return "map[string]string"
    names = {bool: "bool", int: "int", float: "float64", str: "string", list: "[]string"}
    return names.get(type(value), "interface {}")


def pairs(value: "Any") -> "list[tuple[Any, Any]] | None":
    """Return what a loop goes over, keys and values; None for what has no parts."""
    if isinstance(value, Map):
        return [(key, value[key]) for key in sorted(value)]
    if isinstance(value, list | tuple):
        return [*enumerate(value)]
    if isinstance(value, int) and not isinstance(value, bool):
        return [(number, number) for number in range(value)]
    is_empty = value is None or (isinstance(value, Nil) and value.shown != "<nil>")
    return [] if is_empty else None
