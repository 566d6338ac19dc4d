# SPDX-License-Identifier: Apache-2.0
"""An ordinary user's part of the cgroup tree, and its part of the ids: what systemd and useradd(8) gave it."""

import getpass
import os
from functools import cache
from pathlib import Path

from blackbox.processes import text

ROOT = Path("/sys/fs/cgroup")
LEAF = "tests"


@cache
def path() -> str:
    """Return the cgroup below which the containers' lie, as cgroupsPath has it: "" for root."""
    if os.geteuid() == 0:
        return ""
    return text("/proc/self/cgroup").rpartition("::")[2].strip().removesuffix(f"/{LEAF}")


def is_delegated() -> bool:
    """Tell whether our own cgroup is ours to divide."""
    return os.access(f"{ROOT}{path()}/cgroup.subtree_control", os.W_OK)


def hand_down() -> None:
    """Go into a leaf of our cgroup and let its other children have every controller: cgroups(7), no internal processes."""
    own = Path(f"{ROOT}{path()}")
    leaf = own / LEAF
    leaf.mkdir(exist_ok=True)
    for pid in text(own / "cgroup.procs").split():
        (leaf / "cgroup.procs").write_text(pid)
    controllers = text(own / "cgroup.controllers").split()
    (own / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in controllers))


@cache
def subordinate_ids(file: str) -> dict[str, int]:
    """Return the map of the user's subordinate ids, from 1 on: subuid(5)."""
    for line in text(file).splitlines():
        name, first, size = line.split(":")
        if name == getpass.getuser():
            return {"containerID": 1, "hostID": int(first), "size": int(size)}
    raise AssertionError(f"{file} has no line of {getpass.getuser()}")
