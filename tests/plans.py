# SPDX-License-Identifier: Apache-2.0
"""Complete specs and the lines of their plans, for the golden tests of the compiler."""

from collections.abc import Callable
from typing import Any

from pyoci.plan import rootfs, show
from pyoci.plan.facts import Facts
from pyoci.plan.program import Program

ALL = ("pid", "mount", "ipc", "uts", "network", "cgroup")
STEPS: tuple[Callable[..., None], ...] = (
    rootfs.open_sources,
    rootfs.open_cgroup_sources,
    rootfs.open_joined_root,
    rootfs.make,
    rootfs.finish,
    rootfs.enter,
)


def mount(destination: str, type_: str | None, *options: str, **keys: Any) -> dict[str, Any]:
    """A complete entry of mounts; the source is the type unless it is named."""
    source = keys.pop("source", type_)
    entry = {"destination": destination, "type": type_, "source": source}
    return {**entry, "options": list(options), "uidMappings": [], "gidMappings": [], **keys}


def bind(destination: str, source: str, *options: str, **keys: Any) -> dict[str, Any]:
    """A complete bind mount."""
    return mount(destination, None, *(options or ("bind",)), source=source, **keys)


def device(
    path: str, type_: str, major: int | None = None, minor: int | None = None, **keys: Any
) -> dict[str, Any]:
    """A complete entry of linux.devices."""
    entry = {"path": path, "type": type_, "major": major, "minor": minor}
    return {**entry, "fileMode": None, "uid": None, "gid": None, **keys}


def spec(
    *mounts: dict[str, Any], namespaces: tuple[str, ...] = ALL, readonly: bool = False, **linux: Any
) -> Any:
    """A complete spec, as far as the root file system depends on it."""
    return {
        "root": {"path": "rootfs", "readonly": readonly},
        "mounts": list(mounts),
        "annotations": {},
        "process": None,
        "linux": {
            "namespaces": [
                {"type": name.partition("=")[0], "path": name.partition("=")[2] or None}
                for name in namespaces
            ],
            "uidMappings": [],
            "gidMappings": [],
            "devices": [],
            "rootfsPropagation": None,
            "maskedPaths": [],
            "readonlyPaths": [],
            "mountLabel": None,
            **linux,
        },
    }


def facts(**keys: Any) -> Facts:
    """A host where /host/dir is a directory and the bundle is /bundle."""
    keys.setdefault("directories", frozenset({"/host/dir", "/bundle/dir"}))
    return Facts(bundle="/bundle", **keys)


def program(document: Any, host: Facts | None = None) -> Program:
    """The whole plan of a root file system."""
    result = Program()
    for step in STEPS:
        step(result, document, host or facts())
    return result


def lines(document: Any, place: str, host: Facts | None = None) -> list[str]:
    """The operations that come from a place in config.json or below it, as they are shown."""
    compiled = program(document, host)
    shown = show.text(compiled).splitlines()
    return [
        line[show.INDENT :]
        for line, operation in zip(shown, compiled.operations, strict=True)
        if operation.place == place or operation.place.startswith(place + "/")
    ]
