# SPDX-License-Identifier: Apache-2.0
"""Where a container's cgroup lies, from samples of mountinfo and /proc/PID/cgroup."""

from pathlib import Path

import pytest

from pyoci.cgroup import Cgroup, exec, layout, locate
from pyoci.errors import CgroupError, SpecError

BEFORE = b"22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
TMPFS = b"31 23 0:28 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755\n"
V2 = b"31 23 0:27 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
UNIFIED = b"41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
CPU = b"32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:10 - cgroup cgroup rw,cpu,cpuacct\n"
MEMORY = b"35 31 0:32 / /sys/fs/cgroup/memory rw shared:11 - cgroup cgroup rw,memory\n"
SYSTEMD = b"40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
OWN_V1 = b"9:name=systemd:/user.slice\n4:memory:/jobs/7\n1:cpu,cpuacct:/\n"
OWN_V2 = b"0::/user.slice/session-1.scope\n"


def test_a_single_version_2_mount_is_v2() -> None:
    assert layout.parse(BEFORE + V2, OWN_V2) == (
        "v2",
        [("", "/sys/fs/cgroup", "/user.slice/session-1.scope")],
    )


def test_version_1_mounts_alone_are_v1() -> None:
    assert layout.parse(BEFORE + TMPFS + CPU + MEMORY + SYSTEMD, OWN_V1) == (
        "v1",
        [
            ("name=systemd", "/sys/fs/cgroup/systemd", "/user.slice"),
            ("memory", "/sys/fs/cgroup/memory", "/jobs/7"),
            ("cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct", "/"),
        ],
    )


def test_version_1_with_a_unified_mount_is_hybrid_and_the_unified_one_is_first() -> None:
    kind, hierarchies = layout.parse(TMPFS + MEMORY + UNIFIED, OWN_V1 + b"0::/\n")
    assert kind == "hybrid"
    assert hierarchies == [
        ("", "/sys/fs/cgroup/unified", "/"),
        ("memory", "/sys/fs/cgroup/memory", "/jobs/7"),
    ]


def test_no_cgroup_mount_is_none() -> None:
    assert layout.parse(BEFORE, OWN_V2) == ("none", [])


def test_a_version_2_mount_over_the_others_hides_them() -> None:
    assert layout.parse(TMPFS + MEMORY + V2, OWN_V1 + OWN_V2)[0] == "v2"


def test_a_version_2_mount_below_a_tmpfs_is_hidden() -> None:
    kind, hierarchies = layout.parse(V2 + TMPFS + MEMORY, OWN_V1 + OWN_V2)
    assert (kind, [row[0] for row in hierarchies]) == ("v1", ["memory"])


def test_a_version_1_mount_next_to_version_2_is_left_alone() -> None:
    net = b"50 31 0:50 / /sys/fs/cgroup/net_cls rw - cgroup cgroup rw,net_cls\n"
    assert layout.parse(V2 + net, b"2:net_cls:/\n" + OWN_V2)[0] == "v2"


def test_our_path_is_seen_below_the_part_that_is_mounted() -> None:
    inside = MEMORY.replace(b" / /sys", b" /docker/c1 /sys")
    assert layout.parse(inside, b"4:memory:/docker/c1/x\n")[1][0][2] == "/x"
    assert layout.parse(inside, b"4:memory:/docker/c1\n")[1][0][2] == "/"
    assert layout.parse(inside, b"4:memory:/docker/c10\n")[1][0][2] == "/"


def test_a_path_outside_of_our_cgroup_namespace_counts_as_its_root() -> None:
    assert layout.parse(V2, b"0::/../other\n")[1][0][2] == "/"


def test_the_usual_mount_point_is_preferred() -> None:
    other = b"90 1 0:32 / /mnt/memory rw - cgroup cgroup rw,memory\n"
    part = b"91 31 0:32 /x /sys/fs/cgroup/part rw - cgroup cgroup rw,memory\n"
    assert layout.parse(other + part + MEMORY, OWN_V1)[1][0][1] == "/sys/fs/cgroup/memory"


def test_mount_points_are_unescaped() -> None:
    odd = b"35 31 0:32 / /mnt/a\\040b\\134 rw - cgroup cgroup rw,memory\n"
    assert layout.parse(odd, OWN_V1)[1][0][1] == "/mnt/a b\\"


def test_for_an_absolute_path_only_the_controllers_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On version 2 alone: nothing lies in relation to our own cgroup, and mountinfo may be long."""
    (tmp_path / "cgroup.controllers").write_text("cpu\n")
    asked: list[str] = []

    def read(path: str) -> bytes:
        asked.append(path)
        return Path(path).read_bytes()

    monkeypatch.setattr(layout, "ROOT", str(tmp_path))
    monkeypatch.setattr(layout, "read", read)
    cgroup = locate("/a//b", "id", rootless=False)
    assert (cgroup.layout, cgroup.directories) == ("v2", {"": f"{tmp_path}/a/b"})
    assert cgroup.available == b"cpu\n"
    assert asked == [f"{tmp_path}/cgroup.controllers"]


def test_a_last_line_without_an_end_is_read() -> None:
    assert layout.parse(V2.rstrip(b"\n"), OWN_V2)[0] == "v2"


@pytest.mark.parametrize(
    ("path", "own", "version", "expected"),
    [
        ("/a/b", "/own", 1, "/a/b"),
        ("//a/./b/", "/own", 2, "/a/b"),
        ("a/b", "/own/x", 1, "/own/x/a/b"),
        ("a/b", "/own/x", 2, "/own/a/b"),
        ("a", "/", 2, "/a"),
        (None, "/own/x", 1, "/own/x/id"),
        (None, "/own/x", 2, "/own/id"),
        ("", "/", 2, "/id"),
    ],
)
def test_place(path: str | None, own: str, version: int, expected: str) -> None:
    """config-linux.md#cgroups-path: absolute below the mount point, relative as we say."""
    assert layout.place(path, "id", own, version=version) == expected


@pytest.mark.parametrize("path", ["/../../x", "a/../../b", "..", "/", "/.", "/a\nb"])
def test_place_refuses_what_leaves_the_hierarchy(path: str) -> None:
    with pytest.raises(SpecError, match=r"linux\.cgroupsPath"):
        layout.place(path, "id", "/", version=1)


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"layout": "v2", "rootless": False, "directories": None},
        {"layout": "v3", "rootless": False, "directories": []},
        {"layout": "v2", "rootless": False, "directories": [["", "/sys/fs/cgroup"]]},
        {"layout": "v2", "rootless": False, "directories": [["", "/sys/fs/cgroup", "/a/../.."]]},
        {"layout": "v2", "rootless": False, "directories": [["", "sys", "/a"]]},
        {"layout": "v2", "rootless": False, "directories": [["", "/sys", ""]]},
        {"layout": "v2", "rootless": False, "directories": [["", 7, "/a"]]},
    ],
)
def test_a_damaged_record_is_an_error(record: dict[str, object]) -> None:
    with pytest.raises(CgroupError, match="damaged"):
        Cgroup.from_record(record)


def test_a_record_comes_back() -> None:
    record = {"layout": "v1", "rootless": True, "directories": [["cpu,cpuacct", "/m", "/a/b"]]}
    cgroup = Cgroup.from_record(record)
    assert cgroup.record() == record
    assert cgroup.directories == {"cpu": "/m/a/b", "cpuacct": "/m/a/b"}


def test_mounts_are_named_as_below_sys_fs_cgroup() -> None:
    rows = [["", "/sys/fs/cgroup/unified", "/x"], ["name=systemd", "/sys/fs/cgroup/systemd", "/x"]]
    cgroup = Cgroup.from_record({"layout": "hybrid", "rootless": False, "directories": rows})
    assert [name for name, _ in cgroup.mounts()] == ["unified", "systemd"]
    whole = {"layout": "v2", "rootless": False, "directories": [["", "/sys/fs/cgroup", "/x"]]}
    assert Cgroup.from_record(whole).mounts() == (("", "/sys/fs/cgroup/x"),)


def test_exec_names_controllers_on_version_1() -> None:
    known = {"cpu", "cpuacct", "memory"}
    assert exec.sub_paths(["cpu,cpuacct:a//b/", "memory:/"], known, 1) == {
        "cpu": "/a/b",
        "cpuacct": "/a/b",
        "memory": "",
    }


def test_exec_takes_one_path_on_version_2() -> None:
    assert exec.sub_paths(["/a:b"], {""}, 2) == {"": "/a:b"}
    assert exec.sub_paths(["./a:b"], {""}, 2) == {"": "/a:b"}


@pytest.mark.parametrize(
    ("arguments", "version", "words"),
    [
        (["../sibling"], 2, "bad sub cgroup path: ../sibling"),
        (["memory:a/../../IDx"], 1, "bad sub cgroup path"),
        (["nope:a"], 1, "unknown controller nope"),
        (["memory:../sibling"], 2, "unknown controller memory"),
        (["a"], 1, "no CONTROLLER:"),
        (["a", "b"], 2, "given twice"),
    ],
)
def test_exec_refuses(arguments: list[str], version: int, words: str) -> None:
    """security.md, case 57: what is not below the container's own cgroup is rejected."""
    with pytest.raises(CgroupError, match=words):
        exec.sub_paths(arguments, {"memory"} if version == 1 else {""}, version)
