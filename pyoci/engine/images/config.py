# SPDX-License-Identifier: Apache-2.0
"""The configuration of an image (image-spec config.md): checked and completed once, so that nobody asks for a missing key."""

from pyoci.engine.errors import EngineError
from pyoci.errors import SpecError
from pyoci.spec.reader import parse_untrusted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypedDict

    class Process(TypedDict):
        """The key `config`: what a container begins with, in Docker's spelling."""

        User: str
        ExposedPorts: dict[str, object]
        Env: list[str]
        Entrypoint: list[str] | None
        Cmd: list[str] | None
        Volumes: dict[str, object]
        WorkingDir: str
        Labels: dict[str, str]
        StopSignal: str
        Healthcheck: dict[str, object] | None
        OnBuild: list[str]
        Shell: list[str] | None

    class History(TypedDict):
        """One step of how the image was made; an empty one made no layer."""

        created: str
        created_by: str
        author: str
        comment: str
        empty_layer: bool

    class ImageConfig(TypedDict):
        """The whole document."""

        created: str
        author: str
        architecture: str
        variant: str
        os: str
        config: Process
        diff_ids: list[str]
        history: list[History]


# key -> type of the value, of its members ("" for none to check), what a missing one is
_PROCESS: "dict[str, tuple[type, type | None, Any]]" = {
    "User": (str, None, ""),
    "ExposedPorts": (dict, None, {}),
    "Env": (list, str, []),
    "Entrypoint": (list, str, None),
    "Cmd": (list, str, None),
    "Volumes": (dict, None, {}),
    "WorkingDir": (str, None, ""),
    "Labels": (dict, str, {}),
    "StopSignal": (str, None, ""),
    "Healthcheck": (dict, None, None),
    "OnBuild": (list, str, []),
    "Shell": (list, str, None),
}
_HISTORY: "dict[str, tuple[type, type | None, Any]]" = {
    "created": (str, None, ""),
    "created_by": (str, None, ""),
    "author": (str, None, ""),
    "comment": (str, None, ""),
    "empty_layer": (bool, None, False),
}
_TOP: "dict[str, tuple[type, type | None, Any]]" = {
    "created": (str, None, ""),
    "author": (str, None, ""),
    "architecture": (str, None, ""),
    "variant": (str, None, ""),
    "os": (str, None, "linux"),
    "config": (dict, None, {}),
    "rootfs": (dict, None, {}),
    "history": (list, dict, []),
}


def parse_config(data: bytes) -> "ImageConfig":
    """Return the completed configuration. Raise EngineError for one that is none; keys of later versions are left out."""
    top = _complete(parse_document(data, "image configuration"), _TOP, "")
    rootfs = _complete(top.pop("rootfs"), {"diff_ids": (list, str, [])}, "rootfs.")
    top["config"] = _complete(top["config"], _PROCESS, "config.")
    top["history"] = [_complete(step, _HISTORY, "history.") for step in top["history"]]
    top["diff_ids"] = rootfs["diff_ids"]
    return top  # type: ignore[return-value]  # the tables above are the TypedDicts


def parse_document(data: bytes, what: str) -> "dict[str, Any]":
    """Return the JSON object in a document from outside, or raise EngineError that names it."""
    try:
        return parse_untrusted(data)
    except SpecError as error:
        raise EngineError(f"{what}: {error.problem}") from error


def _complete(
    found: "dict[str, Any]", table: "dict[str, tuple[type, type | None, Any]]", place: str
) -> "dict[str, Any]":
    """Return the keys of a table with their values or what a missing one, or null, stands for."""
    full: dict[str, Any] = {}
    for key, (kind, member, default) in table.items():
        value: Any = found.get(key)
        if value is None:
            value = default.copy() if isinstance(default, dict | list) else default
        elif type(value) is not kind:
            raise EngineError(
                f"image configuration: {place}{key}: must be {_WORDS[kind]}, not {_WORDS[type(value)]}"
            )
        full[key] = value
        if member is not None and value is not None:
            _check_members(full[key], member, f"{place}{key}")
    return full


def _check_members(value: "dict[str, Any] | list[Any]", member: type, place: str) -> None:
    for inner in value.values() if isinstance(value, dict) else value:
        if type(inner) is not member:
            raise EngineError(
                f"image configuration: {place}: holds {_WORDS[type(inner)]}, where {_WORDS[member]} belongs"
            )


_WORDS = {str: "a string", dict: "an object", list: "an array", bool: "a boolean"}
_WORDS |= {int: "a number", float: "a number", type(None): "null"}
