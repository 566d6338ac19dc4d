# SPDX-License-Identifier: Apache-2.0
"""A container and its own cgroups: what it sees, what it may change, on both versions."""

import os
from typing import Any

import pytest
from blackbox import cgroups
from blackbox.bundle import CGROUP, Bundle, MakeBundle
from blackbox.runtime import Runtime

WRITABLE = CGROUP | {"options": ["nosuid", "noexec", "nodev", "relatime"]}
HOST_ID = 100000
DELEGATED = ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads")


def showing(
    bundle: MakeBundle, script: str, mount: dict[str, Any], *, private: bool = True
) -> Bundle:
    """Return a bundle with a cgroup mount."""
    made = bundle(sh=script, mounts=[mount])
    if private:
        made.set_namespace(cgroup="")
    return made.write()


def own_directory(layout_file: str) -> str:
    """Return the directory inside the container that has this file."""
    return os.path.dirname(cgroups.path_of(layout_file))


def a_controller() -> str:
    """Return a hierarchy that every layout of this version has."""
    return "cgroup" if cgroups.is_unified() else "pids"


@pytest.mark.parametrize("mount", [CGROUP, WRITABLE], ids=["ro", "rw"])
def test_its_own_cgroup_is_the_root(
    runtime: Runtime, bundle: MakeBundle, mount: dict[str, Any]
) -> None:
    """cgroup_namespaces(7): every path is /, and the mount shows the container's processes only."""
    place = own_directory(f"{a_controller()}.procs")
    made = showing(bundle, f"cat /proc/self/cgroup; echo; cat {place}/cgroup.procs", mount)
    paths, pids = runtime.output(made).split("\n\n")
    rows = [line.split(":", 2) for line in paths.splitlines()]
    # Beside version 1 not every runtime puts a container into version 2.
    assert {path for _, names, path in rows if names or cgroups.is_unified()} == {"/"}
    assert "1" in pids.split()


@pytest.mark.parametrize("private", [True, False], ids=["own namespace", "host's namespace"])
def test_a_read_only_mount_cannot_be_written(
    runtime: Runtime, bundle: MakeBundle, private: bool
) -> None:
    """config.md#mounts: ro, for the mount and for each hierarchy below it."""
    script = (
        "cd /sys/fs/cgroup; mkdir x; for d in */; do mkdir $d/x; done; "
        "for f in cgroup.procs */cgroup.procs; do echo 1 > $f; done; ls -d x */x"
    )
    ran = runtime.run(showing(bundle, f"{script}; true", CGROUP, private=private))
    assert ran.code == 0
    assert "Read-only file system" in ran.stderr
    assert ran.stdout == ""


def test_a_writable_mount_takes_cgroups(runtime: Runtime, bundle: MakeBundle) -> None:
    """A container may make cgroups below its own, and delete removes them with it."""
    place = own_directory(f"{a_controller()}.procs")
    script = f"mkdir {place}/inner && echo $$ > {place}/inner/cgroup.procs && cat /proc/self/cgroup"
    made = showing(bundle, script, WRITABLE)
    assert "/inner\n" in runtime.output(made)


def test_a_writable_mount_ends_at_its_own_cgroup(runtime: Runtime, bundle: MakeBundle) -> None:
    """Nothing above the container's cgroup can be seen or entered."""
    place = own_directory(f"{a_controller()}.procs")
    script = f"cd {place}; ls -d ../*/cgroup.procs; find . -name cgroup.procs | wc -l"
    out = runtime.output(showing(bundle, script, WRITABLE))
    assert out.splitlines()[-1] == "1"
    assert runtime.session not in out


def delegated(bundle: MakeBundle, script: str, mount: dict[str, Any], uid: int = 0) -> Bundle:
    """Return a bundle with a user namespace of its own."""
    made = bundle(sh=script, mounts=[mount], user={"uid": uid, "gid": 0})
    made.map_users(HOST_ID)
    made.set_namespace(cgroup="")
    return made.write()


@pytest.mark.expect_fail_on("runc", "runc does it with systemd only", strict=False)
@pytest.mark.parametrize("uid", [0, 7])
def test_a_user_namespace_gets_its_cgroup(runtime: Runtime, bundle: MakeBundle, uid: int) -> None:
    """cgroup-v2.rst, delegation: the files of a move and of handing on are the container's."""
    cgroups.need_version(2)
    script = f"cd /sys/fs/cgroup; stat -c %u . {' '.join(DELEGATED)}"
    assert runtime.output(delegated(bundle, script, WRITABLE, uid)).split() == [str(uid)] * 4


@pytest.mark.expect_fail_on("runc", "runc does it with systemd only", strict=False)
def test_a_delegated_cgroup_can_be_managed(runtime: Runtime, bundle: MakeBundle) -> None:
    """It makes a leaf, moves there, hands its controllers on; delete removes it all."""
    cgroups.need_version(2)
    script = (
        "cd /sys/fs/cgroup; mkdir leaf && echo $$ > leaf/cgroup.procs && "
        "for c in $(cat cgroup.controllers); do echo +$c > cgroup.subtree_control; done && "
        "cat cgroup.controllers cgroup.subtree_control"
    )
    have, handed_on = runtime.output(delegated(bundle, script, WRITABLE)).splitlines()
    assert have == handed_on
    assert have


def test_a_delegated_cgroups_limits_are_not(runtime: Runtime, bundle: MakeBundle) -> None:
    """The limits of the container's own cgroup belong to who made it."""
    cgroups.need_version(2)
    script = (
        "cd /sys/fs/cgroup; for f in *.max cgroup.freeze; do echo 1 > $f && echo $f; done; true"
    )
    ran = runtime.run(delegated(bundle, script, WRITABLE))
    assert (ran.code, ran.stdout) == (0, "")
    assert "ermission denied" in ran.stderr


@pytest.mark.parametrize("case", ["read-only", "the host's cgroup namespace"])
def test_no_cgroup_is_given_without_a_way_to_use_it(
    runtime: Runtime, bundle: MakeBundle, case: str
) -> None:
    """runc: only with a private cgroup namespace and a mount that can be written."""
    cgroups.need_version(2)
    made = delegated(bundle, "sleep 1000", CGROUP if case == "read-only" else WRITABLE)
    if case != "read-only":
        made.set_namespace(cgroup=None)
        made.write()
    container = runtime.start(made)
    assert cgroups.place(container, "cgroup.procs").stat().st_uid == 0
