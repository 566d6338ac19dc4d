# SPDX-License-Identifier: Apache-2.0
"""resctrl groups, in a tree that behaves as the kernel's: no machine of ours has the hardware (filesystems/resctrl.rst)."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from pyoci import rdt
from pyoci.errors import StepError

SCHEMATA = "    L3:0=7ff;1=7ff\n    MB:0=100;1=100\n"
PID = 4242


class Resctrl:
    """A tree with the files of resctrl: a new directory has them at once, and rmdir takes them along."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.limit = 8
        root.mkdir()
        (root / "info").mkdir()
        (root / "info/last_cmd_status").write_text("ok\n")
        self.furnish(root)

    def furnish(self, directory: Path) -> None:
        (directory / "tasks").write_text("")
        if directory.parent.name != "mon_groups":
            (directory / "schemata").write_text(SCHEMATA)
            (directory / "mon_groups").mkdir()

    def mkdir(self, path: str, mode: int) -> None:
        if len(list(self.root.rglob("tasks"))) >= self.limit:
            raise OSError(errno.ENOSPC, "no")
        os.mkdir(path, mode)
        self.furnish(Path(path))

    def rmdir(self, path: str) -> None:
        directory = Path(path)
        for name in ("tasks", "schemata"):
            (directory / name).unlink(missing_ok=True)
        if (directory / "mon_groups").exists():
            (directory / "mon_groups").rmdir()
        os.rmdir(path)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Resctrl:
    made = Resctrl(tmp_path / "resctrl")
    monkeypatch.setattr(rdt, "find", lambda: str(made.root))
    for name in ("mkdir", "rmdir"):
        monkeypatch.setattr(rdt.posix, name, getattr(made, name))
    return made


def wanted(**values: Any) -> Any:
    """The object of config.json, complete."""
    none = {"closID": None, "l3CacheSchema": None, "memBwSchema": None}
    return {**none, "schemata": [], "enableMonitoring": False, **values}


def enter(**values: Any) -> "rdt.Groups":
    asked = wanted(**values)
    groups = rdt.plan(asked, "box")
    rdt.make(asked, groups, PID)
    return groups


def test_the_schemata_of_a_running_container_can_be_changed(tree: Resctrl) -> None:
    """cli.md 2: update --l3-cache-schema, --mem-bw-schema; what was there can be put back."""
    groups = enter(l3CacheSchema="L3:0=7f0;1=1f")
    for name in ("L3", "MB"):
        (tree.root / "info" / name).mkdir()
    file = tree.root / "box/schemata"
    file.write_text(SCHEMATA)
    before = rdt.change(groups, ["MB:0=20;1=70"])
    assert file.read_text().startswith("MB:0=20;1=70\n")
    assert before == ["L3:0=7ff;1=7ff", "MB:0=100;1=100"]
    rdt.restore(groups, before[1:])
    assert file.read_text().startswith("MB:0=100;1=100\n")


def test_schemata_that_cannot_be_changed_are_refused_as_by_runc(tree: Resctrl) -> None:
    with pytest.raises(StepError, match=r"^Intel RDT/CAT: l3 cache schema is not enabled$"):
        rdt.change(None, ["L3:0=f"])
    with pytest.raises(StepError, match=r"^Intel RDT/MBA: memory bandwidth schema is not enabled$"):
        rdt.change(None, ["MB:0=20"])
    (tree.root / "info/L3").mkdir()
    with pytest.raises(StepError, match="^updating a non-existent Intel RDT configuration is not"):
        rdt.change(None, ["L3:0=f"])


def test_without_a_name_the_group_is_the_containers_and_goes_with_it(tree: Resctrl) -> None:
    """MUST use the container ID, create the directory, remove it when the container is deleted."""
    groups = enter(l3CacheSchema="L3:0=7f0;1=1f", memBwSchema="MB:0=20;1=70", schemata=["L2:0=f"])
    assert (tree.root / "box/tasks").read_text().split() == [str(PID)]
    # A file keeps each write from its beginning, as the kernel takes each by itself: the last is on top.
    assert (tree.root / "box/schemata").read_text().startswith("L2:0=f\n")
    rdt.remove(groups)
    assert not (tree.root / "box").exists()
    rdt.remove(groups)


def test_the_order_of_the_schemata(tree: Resctrl, monkeypatch: pytest.MonkeyPatch) -> None:
    """MUST write l3CacheSchema first, memBwSchema then, schemata last."""
    written: list[str] = []
    write = rdt._write

    def note(path: str, text: str) -> None:
        written.append(f"{path.removeprefix(f'{tree.root}/')} {text}")
        write(path, text)

    monkeypatch.setattr(rdt, "_write", note)
    enter(schemata=["L2:0=f", "MB:0=50"], memBwSchema="MB:0=20", l3CacheSchema="L3:0=7")
    assert written == [
        "box/schemata L3:0=7",
        "box/schemata MB:0=20",
        "box/schemata L2:0=f",
        "box/schemata MB:0=50",
        f"box/tasks {PID}",
    ]


def test_a_named_group_is_made_and_stays(tree: Resctrl) -> None:
    groups = enter(closID="gold", memBwSchema="MB:0=20;1=70")
    assert (tree.root / "gold/tasks").read_text() == f"{PID}\n"
    rdt.remove(groups)
    assert (tree.root / "gold").exists()


def test_a_named_group_without_schemata_must_be_there(tree: Resctrl) -> None:
    with pytest.raises(StepError, match=r"there is no group .*/gold \(closID\)"):
        enter(closID="gold")
    tree.mkdir(f"{tree.root}/gold", 0o755)
    before = (tree.root / "gold/schemata").read_text()
    enter(closID="gold")
    assert (tree.root / "gold/schemata").read_text() == before


@pytest.mark.parametrize("line", ["L3:0=7ff;1=7ff", "L3:1=07FF", " L3 : 0=7ff".replace(" :", ":")])
def test_a_group_that_is_as_asked_for_is_joined(tree: Resctrl, line: str) -> None:
    tree.mkdir(f"{tree.root}/gold", 0o755)
    enter(closID="gold", schemata=[line])
    assert (tree.root / "gold/schemata").read_text() == SCHEMATA


@pytest.mark.parametrize("line", ["L3:0=7f;1=7ff", "L3:2=7ff", "L2:0=f"])
def test_a_group_that_is_another_is_refused(tree: Resctrl, line: str) -> None:
    """MUST generate an error if it does not match; runc 1.1 overwrites it."""
    tree.mkdir(f"{tree.root}/gold", 0o755)
    with pytest.raises(StepError, match="linux.intelRdt: .*/gold has L"):
        enter(closID="gold", l3CacheSchema=line)
    assert (tree.root / "gold/schemata").read_text() == SCHEMATA
    assert (tree.root / "gold/tasks").read_text() == ""


def test_the_default_class_is_the_root(tree: Resctrl) -> None:
    groups = enter(closID="/", enableMonitoring=True)
    assert (tree.root / "tasks").read_text() == f"{PID}\n"
    assert (tree.root / "mon_groups/box/tasks").read_text() == f"{PID}\n"
    rdt.remove(groups)
    assert not (tree.root / "mon_groups/box").exists()


def test_a_monitoring_group_goes_with_the_container(tree: Resctrl) -> None:
    groups = enter(enableMonitoring=True)
    assert (tree.root / "box/mon_groups/box/tasks").read_text() == f"{PID}\n"
    rdt.remove(groups)
    assert not (tree.root / "box").exists()


def test_when_no_group_is_left_nothing_stays(tree: Resctrl) -> None:
    """MUST return an error, e.g. the maximum number of MON groups is reached."""
    tree.limit = 2
    with pytest.raises(StepError, match="no class of service or monitoring group is left"):
        enter(enableMonitoring=True)
    assert not (tree.root / "box").exists()


def test_the_kernels_own_words_are_passed_on(
    tree: Resctrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree.root / "info/last_cmd_status").write_text("mask f0f has non-consecutive 1-bits\n")

    def refuse(path: str, text: str) -> None:
        raise OSError(errno.EINVAL, "no")

    monkeypatch.setattr(rdt, "_write", refuse)
    with pytest.raises(StepError, match="mask f0f has non-consecutive 1-bits"):
        enter(l3CacheSchema="L3:0=f0f")


def test_another_process_enters_the_same_groups(tree: Resctrl) -> None:
    groups = enter(enableMonitoring=True)
    rdt.enter(groups, 7)
    assert (tree.root / "box/mon_groups/box/tasks").read_text().startswith("7\n")


def test_without_resctrl_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """MUST generate an error."""
    monkeypatch.setattr(rdt, "read", lambda _: b"22 1 0:20 / /proc rw - proc proc rw\n")
    with pytest.raises(StepError, match="mount -t resctrl"):
        rdt.plan(wanted(), "box")


def test_resctrl_is_found_where_it_is_mounted(monkeypatch: pytest.MonkeyPatch) -> None:
    line = b"40 22 0:35 / /mnt/rdt rw,relatime shared:9 - resctrl resctrl rw\n"
    monkeypatch.setattr(rdt, "read", lambda _: b"22 1 0:20 / /proc rw - proc proc rw\n" + line)
    assert rdt.find() == "/mnt/rdt"
