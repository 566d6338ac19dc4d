# SPDX-License-Identifier: Apache-2.0
"""The layouts on which tests run: a machine, a user, who makes the cgroups, which tests."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vm.stage import TOP

INTEGRATION = "tests/integration"
ENGINES = "tests/engines"
SYSTEMD = {"PYOCI_DRIVER": "systemd"}
# What an ordinary run, as in CI, is of: ten minutes of two processors for all layouts together.
# What a layout can change; what every kernel should be asked.
LAYOUT = "apparmor cgroup cgroup_limits devices lifecycle rootless".split()
USUAL = [*LAYOUT, *"exec file_systems handover hooks listing mount_options mounts".split()]
# Where it matters who makes the cgroups, or which version they have: the other files look at none.
CGROUPS = [
    *LAYOUT,
    *"claims delegation events exec freeze_alone hooks kill_all listing memory_limit pause".split(),
    *"plan_cache resources systemd update update_alone".split(),
]
# What an ordinary user can do without root's mounts, devices and namespaces of others.
ROOTLESS = "exec handover hooks lifecycle listing process rootless terminal user_session".split()
SELINUX = ("apparmor", "lifecycle", "selinux")


class Layout(NamedTuple):
    """One row of docs/test-layouts.md."""

    name: str
    what: str  # in words, for the table
    machine: str
    user: str = "root"
    where: str = INTEGRATION  # directory of the tests
    env: Mapping[str, str] = {}
    only: Sequence[str] = ()  # test files by their middle name; none: all of them
    brief: Sequence[str] = ()  # the same, of an ordinary run, without ALL=1
    shards: int = 1  # machines that share the work
    is_ordinary: bool = True  # else it runs with ALL=1 only

    def files(self) -> list[str]:
        """Return the test files that can run here, the large ones first: every second one is half of the work."""
        found = [
            path for path in (TOP / self.where).glob("test_*.py") if is_of(path.name, self.only)
        ]
        found.sort(key=lambda path: (-path.stat().st_size, path.name))
        return [str(path.relative_to(TOP)) for path in found]

    def is_brief(self, file: str) -> bool:
        """Return whether a file of this layout runs without ALL=1 too."""
        return self.is_ordinary and is_of(file, self.brief)


def is_of(file: str, names: Sequence[str]) -> bool:
    """Return whether a file is one of test_NAME.py; without names every file is."""
    return not names or Path(file).stem.removeprefix("test_") in names


LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout("v2", "pure v2, cgroupfs, root, AppArmor", "debian12", brief=USUAL, shards=2),
        Layout(
            "v2-systemd",
            "pure v2, systemd makes the cgroups, root",
            "debian12",
            env=SYSTEMD,
            only=CGROUPS,
            brief=LAYOUT,
        ),
        Layout(
            "v2-rootless",
            "pure v2, an ordinary user in a cgroup that its systemd delegated",
            "debian12",
            "tester",
            only=ROOTLESS,
            brief=("exec", "lifecycle", "user_session"),
        ),
        Layout(
            "debian13",
            "as v2, on Debian 13",
            "debian13",
            brief=[*LAYOUT, "checkpoint"],
            shards=2,
        ),
        Layout(
            "debian13-systemd",
            "as v2-systemd, on Debian 13",
            "debian13",
            env=SYSTEMD,
            only=CGROUPS,
            is_ordinary=False,
        ),
        Layout(
            "crun-systemd",
            "the same with Debian 13's crun instead of pyoci: what is asked of one, a peer does",
            "debian13",
            env={"PYOCI_RUNTIME": "crun", **SYSTEMD},
            only=("systemd",),
            is_ordinary=False,
        ),
        Layout(
            "engines",
            "Debian 13's engines with a criu that works, and with systemd's cgroups",
            "debian13-engines",
            where=ENGINES,
            only=("checkpoint", "systemd_cgroups"),
            is_ordinary=False,
        ),
        Layout("selinux", "pure v2, SELinux in force, root", "debian12-selinux", only=SELINUX),
        Layout(
            "selinux-13",
            "the same on Debian 13",
            "debian13-selinux",
            only=SELINUX,
            is_ordinary=False,
        ),
        Layout(
            "hybrid",
            "v1 and v2, as systemd lays them out; `make test` runs all tests so on the host",
            "debian12-hybrid",
            only=LAYOUT,
            is_ordinary=False,
        ),
        Layout("v1", "v1 alone", "debian12-v1", only=LAYOUT, is_ordinary=False),
    )
}
