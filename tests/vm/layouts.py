# SPDX-License-Identifier: Apache-2.0
"""The layouts on which the integration tests run: a machine, a user, who makes the cgroups, which tests."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from vm.stage import TOP

INTEGRATION = "tests/integration"
SYSTEMD = {"PYOCI_DRIVER": "systemd"}
# What a layout can change: the other tests are of the kernel and the runtime, not of who made the cgroup.
CGROUPS = ("cgroup", "concurrency", "devices", "lifecycle", "listing", "rootless")
SELINUX = ("selinux", "lifecycle")


class Layout(NamedTuple):
    """One row of docs/test-layouts.md."""

    name: str
    what: str  # in words, for the table
    machine: str
    user: str = "root"
    env: Mapping[str, str] = {}
    only: tuple[str, ...] = ()  # test files by their middle name, of ALL=1 too; none: all of them
    brief: tuple[str, ...] = ()  # the same, of an ordinary run
    shards: int = 1  # machines that share the work
    off: str = ""  # why it does not run

    def files(self, *, everything: bool) -> list[str]:
        """Return the test files that run here."""
        wanted = self.only if everything or not self.brief else self.brief
        found = [path for path in (TOP / INTEGRATION).glob("test_*.py") if selected(path, wanted)]
        # the large ones first, so that shards of every second file are of like size
        found.sort(key=lambda path: (-path.stat().st_size, path.name))
        return [str(path.relative_to(TOP)) for path in found]


def selected(path: Path, names: tuple[str, ...]) -> bool:
    """Return whether a file is one of test_NAME.py; without names every file is."""
    return not names or path.stem.removeprefix("test_") in names


LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout("v2", "pure v2, cgroupfs, root, AppArmor", "debian12", shards=2),
        Layout(
            "v2-systemd",
            "pure v2, systemd makes the cgroups, root",
            "debian12",
            env=SYSTEMD,
            brief=CGROUPS,
            off="this pyoci has no --systemd-cgroup",
        ),
        Layout(
            "v2-rootless",
            "pure v2, an ordinary user in a cgroup that its systemd delegated",
            "debian12",
            "tester",
        ),
        Layout("debian13", "as v2, with the kernel, systemd and Python of Debian 13", "debian13", brief=CGROUPS),
        Layout("selinux", "pure v2, SELinux in force, root", "debian12-selinux", only=SELINUX),
        Layout("selinux-13", "the same with Debian 13", "debian13-selinux", only=SELINUX),
        Layout("hybrid", "v1 beside v2, as systemd lays it out", "debian12-hybrid", brief=("cgroup",)),
        Layout("v1", "v1 alone", "debian12-v1", brief=("cgroup",)),
    )
}
