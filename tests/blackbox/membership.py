# SPDX-License-Identifier: Apache-2.0
"""The cgroups of a process that may not be in a container, and what the kernel's own files say of them."""

import os

from blackbox.cgroups import ROOT, is_unified
from blackbox.processes import text


def directory_of(pid: int, controller: str = "freezer") -> str:
    """Return the cgroup of a process in the hierarchy of a controller."""
    rows = [line.split(":", 2) for line in text(f"/proc/{pid}/cgroup").splitlines()]
    if is_unified():
        return f"{ROOT}{next(path for number, _, path in rows if number == '0')}"
    name, path = next((n, path) for _, n, path in rows if controller in n.split(","))
    mount = next(m for m in (name, controller) if os.path.isdir(f"{ROOT}/{m}"))
    return f"{ROOT}/{mount}{path}"


def file_of(pid: int, file: str, controller: str = "freezer") -> str:
    """Return the path of a file of the cgroup of a process."""
    return f"{directory_of(pid, controller)}/{file}"


def keyed(path: str) -> dict[str, int]:
    """Return a flat keyed file."""
    return {name: int(value) for name, value in map(str.split, text(path).splitlines())}


def is_frozen(pid: int) -> bool:
    """Tell whether the kernel has frozen all of the cgroup of a process."""
    directory = directory_of(pid)
    if is_unified():
        return keyed(f"{directory}/cgroup.events")["frozen"] == 1
    return text(f"{directory}/freezer.state") == "FROZEN\n"
