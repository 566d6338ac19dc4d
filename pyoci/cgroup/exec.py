# SPDX-License-Identifier: Apache-2.0
"""The cgroups that `exec --cgroup` names: existing ones below the container's own (cli.md)."""

from pyoci.cgroup.directory import Directory
from pyoci.errors import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

    from pyoci.cgroup import Cgroup


def below(cgroup: "Cgroup", arguments: list[str]) -> list[Directory]:
    """Return the directories to join; a hierarchy that is not named keeps the container's own."""
    paths = sub_paths(arguments, cgroup.directories, cgroup.version)
    return [
        Directory(part.name, part.mount, part.path + sub_path_of(part.name, paths))
        for part in cgroup.parts
    ]


def sub_path_of(name: str, paths: dict[str, str]) -> str:
    """Return the path for a hierarchy, whichever of its controllers was named."""
    return next((paths[key] for key in name.split(",") if key in paths), "")


def sub_paths(arguments: list[str], known: "Container[str]", version: int) -> dict[str, str]:
    """Return the path below the container's cgroup for each controller that is named.

    Version 2 takes one PATH, version 1 CONTROLLER[,CONTROLLER]:PATH any number of times. As with runc, version 2 has no controller
    to be named: a path whose first part has a colon is written ./PATH.
    """
    found: dict[str, str] = {}
    for argument in arguments:
        names, colon, path = argument.partition(":")
        if version == 2 and (not colon or "/" in names):
            names, colon, path = "", ":", argument
        if not colon:
            raise CgroupError(f"invalid --cgroup argument: {argument}: no CONTROLLER: before it")
        for name in names.split(","):
            if name not in known:
                raise CgroupError(f"unknown controller {name} in --cgroup {argument}")
            if name in found:
                raise CgroupError(f"invalid --cgroup argument: {argument}: given twice")
            found[name] = sub_path(path)
    return found


def sub_path(path: str) -> str:
    """Return a path with a slash before each part, "" for the container's own cgroup."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise CgroupError(f"bad sub cgroup path: {path}")
    return "".join(f"/{part}" for part in parts)
