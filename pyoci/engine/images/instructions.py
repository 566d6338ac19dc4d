# SPDX-License-Identifier: Apache-2.0
"""`--change`: the instructions of a Dockerfile that change the configuration of an image and nothing else."""

from pyoci.engine.errors import EngineError
from pyoci.errors import SpecError
from pyoci.spec.reader import parse_untrusted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_SHELL = ["/bin/sh", "-c"]
_ALLOWED = "CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR"


def apply(process: "Mapping[str, Any]", changes: "Sequence[str]") -> "dict[str, Any]":
    """Return a configuration after these instructions. Raises EngineError for one that is none of them."""
    result = {**process}
    for line in changes:
        word, _, rest = line.strip().partition(" ")
        change = _CHANGES.get(word.upper())
        if change is None:
            raise EngineError(f"{word} is not a valid change command: {_ALLOWED}")
        if not rest.strip():
            raise EngineError(f"{word.upper()} requires at least one argument")
        change(result, rest.strip())
    return result


def command_of(text: str) -> list[str]:
    """Return the words of the JSON form, or a command for the shell."""
    words = json_form(text)
    return words if words is not None else [*_SHELL, text]


def json_form(text: str) -> list[str] | None:
    """Return the words of a JSON array of strings; None where the text is no such."""
    if not text.startswith("["):
        return None
    try:
        found = parse_untrusted(b'{"words":' + text.encode() + b"}")["words"]
    except SpecError:
        return None
    if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
        return None
    return found


def _pairs(text: str) -> list[tuple[str, str]]:
    """Return the pairs of `a=b c="d e"`, or the one of `a b`."""
    import shlex

    name, _, value = text.partition(" ")
    if "=" not in name:
        return [(name, value.strip())]
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise EngineError(f"{text}: {str(error).lower()}") from error
    pairs = [word.partition("=") for word in words]
    if not all(equals for _, equals, _ in pairs):
        raise EngineError(
            f"Syntax error - can't find = in {text!r}. Must be of the form: name=value"
        )
    return [(key, value) for key, _, value in pairs]


def _set_command(result: "dict[str, Any]", text: str) -> None:
    result["Cmd"] = command_of(text)


def _set_entrypoint(result: "dict[str, Any]", text: str) -> None:
    result["Entrypoint"] = command_of(text)


def _set_environment(result: "dict[str, Any]", text: str) -> None:
    pairs = {word.partition("=")[0]: word.partition("=")[2] for word in result.get("Env") or ()}
    pairs.update(_pairs(text))
    result["Env"] = [f"{key}={value}" for key, value in pairs.items()]


def _set_labels(result: "dict[str, Any]", text: str) -> None:
    result["Labels"] = {**(result.get("Labels") or {}), **dict(_pairs(text))}


def _expose(result: "dict[str, Any]", text: str) -> None:
    ports: dict[str, object] = {port if "/" in port else f"{port}/tcp": {} for port in text.split()}
    result["ExposedPorts"] = {**(result.get("ExposedPorts") or {}), **ports}


def _add_volumes(result: "dict[str, Any]", text: str) -> None:
    words = json_form(text)
    paths = words if words is not None else text.split()
    result["Volumes"] = {**(result.get("Volumes") or {}), **{path: {} for path in paths}}


def _add_trigger(result: "dict[str, Any]", text: str) -> None:
    result["OnBuild"] = [*(result.get("OnBuild") or ()), text]


def _set_signal(result: "dict[str, Any]", text: str) -> None:
    result["StopSignal"] = text


def _set_user(result: "dict[str, Any]", text: str) -> None:
    result["User"] = text


def _set_directory(result: "dict[str, Any]", text: str) -> None:
    from pyoci.linux.path import clean

    base = result.get("WorkingDir") or "/"
    result["WorkingDir"] = clean(text if text.startswith("/") else f"{base}/{text}")


_CHANGES = {
    "CMD": _set_command,
    "ENTRYPOINT": _set_entrypoint,
    "ENV": _set_environment,
    "EXPOSE": _expose,
    "LABEL": _set_labels,
    "ONBUILD": _add_trigger,
    "STOPSIGNAL": _set_signal,
    "USER": _set_user,
    "VOLUME": _add_volumes,
    "WORKDIR": _set_directory,
}
