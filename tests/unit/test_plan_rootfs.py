# SPDX-License-Identifier: Apache-2.0
"""config.md#root, config-linux.md#masked-paths, #readonly-paths, propagation: golden plans."""

import pytest
from plans import STEPS, facts, lines, mount, program, spec

from pyoci.errors import SpecError, Unsupported
from pyoci.plan import rootfs
from pyoci.plan.program import Program

OPEN = (
    "open out=target dir=root path='{}' flags=PATH mode=0o0 resolve=NO_MAGICLINKS|IN_ROOT "
    "ignore=ENOENT|ENOTDIR skip={}"
)
SET = "mount_setattr mount={} flags={} set={} clear=0 propagation={} user_namespace=none"
CLONE = "open_tree out=mount dir={} path='' flags=CLONE|CLOEXEC|EMPTY_PATH"
MOVE = "move_mount mount=mount target=target"


def names(document: object, **keys: object) -> list[str]:
    return [operation.name for operation in program(document, facts(**keys)).operations]


def test_the_root_is_pinned_then_cloned_by_descriptor_and_attached_at_its_path() -> None:
    """No link itself (GHSA-vpvm-3wq2-2wvm), and what takes its place later is not what is mounted."""
    assert lines(spec(), "/root/path") == [
        "open out=target dir=cwd path='/bundle/rootfs' flags=DIRECTORY|NOFOLLOW|PATH mode=0o0 "
        "resolve=0",
        "open_tree out=root dir=target path='' flags=CLONE|CLOEXEC|EMPTY_PATH|RECURSIVE",
        "close fd=target",
        SET.format("root", "RECURSIVE", "0", "SLAVE"),
        "attach_root mount=root path='/bundle/rootfs'",
        "pivot_root root=root",
    ]


@pytest.mark.parametrize(
    ("path", "whole"), [("/r", "/r"), ("a/../b", "/bundle/b"), (".", "/bundle")]
)
def test_where_the_root_is(path: str, whole: str) -> None:
    """config.md#root: absolute, or relative to the bundle."""
    document = spec()
    document["root"]["path"] = path
    assert rootfs.path(document, facts()) == whole


def test_a_root_is_required() -> None:
    document = spec()
    document["root"] = None
    with pytest.raises(SpecError):
        rootfs.path(document, facts())


def test_the_old_root_is_a_slave_before_anything_is_attached() -> None:
    order = names(spec(mount("/proc", "proc")))
    assert order.index("slave_root") < order.index("attach_root") < order.index("move_mount")


@pytest.mark.parametrize(
    ("value", "clone", "late"),
    [
        (None, "SLAVE", None),
        ("slave", "SLAVE", None),
        ("rslave", "SLAVE", None),
        ("private", "PRIVATE", None),
        ("rprivate", "PRIVATE", None),
        ("shared", "PRIVATE", ("0", "SHARED")),
        ("rshared", "PRIVATE", ("RECURSIVE", "SHARED")),
        ("unbindable", "PRIVATE", ("0", "UNBINDABLE")),
        ("runbindable", "PRIVATE", ("RECURSIVE", "UNBINDABLE")),
    ],
)
def test_propagation_of_the_root(
    value: str | None, clone: str, late: tuple[str, str] | None
) -> None:
    """The host never sees a mount of ours; pivot_root(2) refuses a root that is shared."""
    document = spec(rootfsPropagation=value)
    assert lines(document, "/root/path")[3] == SET.format("root", "RECURSIVE", "0", clone)
    expected = [SET.format("root", late[0], "0", late[1])] if late else []
    assert lines(document, "/linux/rootfsPropagation")[1:] == expected
    if late:
        order = names(document)
        assert order.index("pivot_root") < len(order) - order[::-1].index("mount_setattr") - 1


def test_a_read_only_root_is_only_the_top() -> None:
    assert lines(spec(readonly=True), "/root/readonly") == [SET.format("root", "0", "RDONLY", "0")]


def test_a_read_only_path_is_mounted_over_itself() -> None:
    """GHSA-3q8j-pf29-vwv8: one look-up, and read-only before it is seen."""
    assert lines(spec(readonlyPaths=["/proc/sys"]), "/linux/readonlyPaths") == [
        OPEN.format("/proc/sys", 3),
        CLONE.format("target") + "|RECURSIVE",
        SET.format("mount", "0", "RDONLY", "0"),
        MOVE,
    ]


def test_a_masked_path_is_a_directory_or_a_file() -> None:
    assert lines(spec(maskedPaths=["/proc/keys"]), "/linux/maskedPaths/0") == [
        OPEN.format("/proc/keys", 6),
        "verify_type fd=target type=DIRECTORY device=0 ignore=ENOTDIR skip=3",
        CLONE.format("empty"),
        MOVE,
        "verify_type fd=root type=REGULAR device=0 ignore=ENODEV skip=2",
        CLONE.format("null"),
        MOVE,
    ]


def test_what_masks_is_verified_and_shared() -> None:
    """CVE-2025-31133: the null device is the host's, never the image's."""
    plan = lines(spec(maskedPaths=["/a", "/b"]), "/linux/maskedPaths")
    assert len([line for line in plan if line.startswith("fsopen")]) == 1
    start = plan.index("fsmount out=empty fs=fs attributes=RDONLY|NOSUID|NODEV|NOEXEC")
    assert plan[start + 1 : start + 5] == [
        "open out=target dir=cwd path='/proc' flags=DIRECTORY|PATH mode=0o0 resolve=0",
        "move_mount mount=empty target=target",
        "open out=null dir=cwd path='/dev/null' flags=NOFOLLOW|PATH mode=0o0 resolve=0",
        "verify_type fd=null type=CHARACTER device=259",
    ]


@pytest.mark.parametrize("key", ["maskedPaths", "readonlyPaths"])
def test_the_root_itself_is_neither_masked_nor_made_read_only(key: str) -> None:
    document = spec()
    document["linux"][key] = ["/ok", "/x/.."]
    with pytest.raises(SpecError) as caught:
        program(document)
    assert caught.value.place == f"/linux/{key}/1"


def test_paths_are_protected_before_the_root_is_left() -> None:
    order = lines(spec(readonly=True, maskedPaths=["/a"], readonlyPaths=["/b"]), "")
    assert order.index("pivot_root root=root") > order.index(MOVE)


def test_nothing_stays_open() -> None:
    compiled = program(spec(mount("/t", "tmpfs", "ro"), maskedPaths=["/a"], readonlyPaths=["/b"]))
    closed = {op.arguments[0] for op in compiled.operations if op.name == "close"}
    assert closed == set(compiled.slots.values())


def test_without_pivot_root_the_hosts_proc_and_sys_are_covered() -> None:
    """mount_namespaces(7): a fully visible procfs would allow a new one in a user namespace."""
    plan = lines(spec(), "", facts(no_pivot=True))
    moved = plan.index("move_root root=root")
    covered = [line for line in plan[:moved] if "dir=cwd path='/proc' flags=DIRECTORY" in line]
    covered += [line for line in plan[:moved] if "dir=cwd path='/sys' flags=DIRECTORY" in line]
    assert len(covered) == 2
    assert not [line for line in plan if line.startswith("pivot_root")]


@pytest.mark.parametrize("value", ["private", "rprivate"])
def test_private_needs_pivot_root(value: str) -> None:
    with pytest.raises(SpecError, match="is not safe without pivot_root"):
        program(spec(rootfsPropagation=value), facts(no_pivot=True))


def test_without_a_mount_namespace_the_host_keeps_its_mounts_and_their_propagation() -> None:
    order = names(spec(namespaces=("pid",), rootfsPropagation="shared"))
    mounting = {"slave_root", "attach_root", "pivot_root", "move_root"}
    assert not {*order} & mounting
    assert not [name for name in order if "mount" in name or name in {"open_tree", "fsopen"}]
    assert order[order.index("chroot") :] == ["chroot", "close", "close"]


def test_without_a_mount_namespace_no_pivot_is_refused() -> None:
    """It covers the host's /proc, which would be everybody's."""
    with pytest.raises(Unsupported, match="no-pivot"):
        program(spec(namespaces=("pid",)), facts(no_pivot=True))


def test_a_joined_mount_namespace_is_not_pivoted() -> None:
    """pivot_root(2) moves every process of the namespace whose root was the old one: maybe the host's."""
    joined = ("pid", "mount=/proc/1/ns/mnt")
    order = names(spec(namespaces=joined, maskedPaths=["/proc/keys"]))
    assert not {*order} & {"slave_root", "attach_root", "pivot_root", "move_root"}
    assert order.index("move_mount") < order.index("chroot")


@pytest.mark.parametrize("what", [{"no_pivot": True}, {"readonly": True}])
def test_what_would_change_a_joined_mount_namespace_for_all_is_refused(
    what: dict[str, bool],
) -> None:
    joined = spec(namespaces=("pid", "mount=/proc/1/ns/mnt"))
    if "readonly" in what:
        joined["root"]["readonly"] = True
    with pytest.raises(Unsupported, match="that is joined"):
        program(joined, facts(no_pivot="no_pivot" in what))


def test_without_a_mount_namespace_the_root_is_opened_as_it_is() -> None:
    assert lines(spec(namespaces=("pid",)), "/root/path") == [
        "open out=root dir=cwd path='/bundle/rootfs' flags=DIRECTORY|NOFOLLOW|PATH mode=0o0 resolve=0",
        "chroot root=root",
    ]


@pytest.mark.parametrize("what", ["mounts", "root.readonly", "process.terminal"])
def test_without_a_mount_namespace_what_is_mounted_stays_detached(what: str) -> None:
    """open_tree(2): a clone that is attached nowhere; the host sees nothing of it."""
    document = spec(namespaces=("pid",))
    if what == "mounts":
        document["mounts"] = [mount("/t", "tmpfs")]
    elif what == "root.readonly":
        document["root"]["readonly"] = True
    else:
        document["process"] = {"terminal": True}
    names = [operation.name for operation in program(document).operations]
    assert names.index("open_tree") < names.index("chroot")
    assert not {"attach_root", "slave_root", "pivot_root", "move_root"} & set(names)
    with pytest.raises(Unsupported, match="^rootless mounts without a mount namespace"):
        program(document, facts(privileged=False))


@pytest.mark.parametrize("what", ["a user namespace", "--no-pivot"])
def test_what_needs_a_mount_namespace_is_refused_by_name(what: str) -> None:
    namespaces = ("pid", "user") if what == "a user namespace" else ("pid",)
    with pytest.raises(Unsupported, match=f"^{what} without a mount namespace is not supported$"):
        program(spec(namespaces=namespaces), facts(no_pivot=what == "--no-pivot"))


def test_each_step_stands_alone() -> None:
    """An unprivileged init opens the sources itself, later than the set-up process would."""
    compiled = Program()
    for step in STEPS:
        before = len(compiled.operations)
        step(compiled, spec(mount("/proc", "proc")), facts(privileged=False))
        may_be_empty = {rootfs.finish, rootfs.open_joined_root, rootfs.open_cgroup_sources}
        assert len(compiled.operations) > before or step in may_be_empty
