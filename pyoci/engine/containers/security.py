# SPDX-License-Identifier: Apache-2.0
"""What a container may do: capabilities, --security-opt, --privileged."""

import posix

from pyoci.engine.containers import defaults
from pyoci.engine.errors import EngineError
from pyoci.linux.process import CAPABILITIES
from pyoci.spec import template

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pyoci.flags import Flags

    Document = dict[str, Any]

ALL = "ALL"
_OPTIONS = ("apparmor", "label", "no-new-privileges", "seccomp", "systempaths", "writable-cgroups")


def document(flags: "Flags") -> "Document":
    """Return the part of HostConfig that the flags ask for."""
    options = [_option(text) for text in flags.every("security-opt")]
    open_paths = "systempaths=unconfined" in options or flags.is_on("privileged")
    return {
        "CapAdd": _names(flags.every("cap-add"), "CapAdd"),
        "CapDrop": _names(flags.every("cap-drop"), "CapDrop"),
        "Privileged": flags.is_on("privileged"),
        "SecurityOpt": [text for text in options if not text.startswith("systempaths")] or None,
        "MaskedPaths": [] if open_paths else [*template.MASKED_PATHS],
        "ReadonlyPaths": [] if open_paths else [*template.READONLY_PATHS],
        "GroupAdd": flags.every("group-add") or None,
    }


def _names(entries: "Sequence[str]", key: str) -> list[str] | None:
    """Return capabilities with their prefix, without duplicates, in alphabetical order."""
    found = set()
    for entry in entries:
        name = entry.upper()
        if name != ALL and not name.startswith("CAP_"):
            name = f"CAP_{name}"
        if name not in (ALL, *CAPABILITIES):
            raise EngineError(f'invalid {key}: unknown capability: "{name}"')
        found.add(name)
    return sorted(found) or None


def _option(text: str) -> str:
    """Check an option; a seccomp profile is read now, so that it is the one of now."""
    name, equals, value = text.partition("=")
    if not equals:
        name, _, value = text.partition(":")
    if not value and name != "no-new-privileges":
        raise EngineError(f'Invalid --security-opt: "{text}"', 125)
    if name not in _OPTIONS:
        raise EngineError(f'invalid --security-opt 2: "{text}"')
    if name == "systempaths" and value != "unconfined":
        raise EngineError(f'Invalid --security-opt: "{text}"', 125)
    if name == "no-new-privileges" and value not in ("", "true", "false"):
        raise EngineError(f'Invalid --security-opt: "{text}"', 125)
    if name == "seccomp" and value not in ("unconfined", "builtin"):
        return f"seccomp={_profile(value)}"
    return f"{name}={value}" if equals else text


def _profile(path: str) -> str:
    from pyoci.errors import SpecError
    from pyoci.jsontext import dumps
    from pyoci.spec.reader import read_object

    try:
        return dumps(read_object(path, regular=False))
    except (OSError, SpecError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise EngineError(
            f"opening seccomp profile ({path}) failed: open {path}: {(reason or '').lower()}", 125
        ) from error


def capabilities(host: "Document") -> list[str]:
    """Return what a container gets: the defaults, less what is dropped, and what is added."""
    if host["Privileged"]:
        return [*CAPABILITIES]
    added, dropped = host["CapAdd"] or (), host["CapDrop"] or ()
    kept = () if ALL in dropped else defaults.CAPABILITIES
    if ALL in added:
        return [name for name in CAPABILITIES if name not in dropped]
    found = [name for name in kept if name not in dropped]
    return found + [name for name in added if name not in found]


def option(host: "Document", name: str) -> str:
    """Return the last value of a security option, "" without one; a bare no-new-privileges is "true"."""
    found = ""
    for text in host["SecurityOpt"] or ():
        key, _, value = (
            text.replace(":", "=", 1).partition("=") if "=" not in text else text.partition("=")
        )
        if key == name:
            found = value or "true"
    return found


def seccomp(host: "Document") -> "Document | None":
    """Return linux.seccomp; None where the container is not confined."""
    profile = option(host, "seccomp")
    if profile == "unconfined" or (host["Privileged"] and not profile):
        return None
    if profile.startswith("{"):
        from pyoci.spec.reader import parse_object

        found: Document = parse_object(profile.encode())
        return found
    from pyoci.engine.containers.seccomp import default_profile

    return default_profile(capabilities(host), posix.uname().machine)
