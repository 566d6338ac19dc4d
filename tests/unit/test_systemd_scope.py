# SPDX-License-Identifier: Apache-2.0
"""A scope from the runtime's side: what is asked of systemd, what is kept, what is done without it."""

from pathlib import Path
from typing import Any

import pytest

from pyoci import spec
from pyoci.cgroup import Cgroup, layout
from pyoci.cgroup.directory import Directory
from pyoci.cgroup.systemd import manager, scope
from pyoci.cgroup.systemd.scope import Scope
from pyoci.errors import CgroupError, SpecError, Unsupported

INIT = 4242


class FakeManager:
    """Systemd, which puts the process where it is told to."""

    def __init__(self, mount: Path) -> None:
        self.mount = mount
        self.root = "/"
        self.version = 252
        self.calls: list[tuple[Any, ...]] = []
        self.exists = False
        self.elsewhere = False

    def start(self, unit: str, properties: dict[str, Any]) -> None:
        self.calls.append(("start", unit, properties))
        if self.exists:
            raise FileExistsError("Unit x.scope was already loaded or has a fragment file")
        directory = self.mount / "test.slice" / unit
        directory.mkdir(parents=True)
        pids = properties["PIDs"][1] if "PIDs" in properties and not self.elsewhere else []
        (directory / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))
        for file in ("pids.max", "memory.max", "cpu.max"):
            (directory / file).write_text("")

    def set_properties(self, unit: str, properties: dict[str, Any]) -> None:
        self.calls.append(("set", unit, properties))

    def stop(self, unit: str) -> None:
        self.calls.append(("stop", unit))
        if self.exists:
            raise CgroupError("cannot reach systemd")

    def close(self) -> None:
        self.calls.append(("close",))


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeManager:
    """A version 2 host with systemd."""
    (tmp_path / "cgroup.procs").touch()
    fake = FakeManager(tmp_path)
    monkeypatch.setattr(scope, "BOOTED", str(tmp_path))
    monkeypatch.setattr(layout, "find", lambda: ("v2", [("", str(tmp_path), "/own.scope")], None))
    monkeypatch.setattr(manager, "Manager", lambda rootless: fake)
    return fake


def resources(**parts: Any) -> Any:
    """Return linux.resources, whole."""
    from pyoci.jsontext import dumps

    return spec.parse_resources(dumps(parts).encode(), "test")


def located(path: str = "test.slice:p:n", **annotations: str) -> Scope:
    """Return a scope whose set-up process is there."""
    named = {f"org.systemd.property.{name}": value for name, value in annotations.items()}
    found = scope.locate(path, "id", named, rootless=False)
    found.adopt([INIT])
    return found


def test_it_lies_below_its_systemd(systemd: FakeManager) -> None:
    systemd.root = "/user.slice/user-1.slice/user@1.service"
    place = "/user.slice/user-1.slice/user@1.service/a.slice/a-b.slice/p-n.scope"
    assert [part.path for part in located("a-b.slice:p:n").parts] == [place]


def test_nothing_is_asked_before_the_path_is_known_to_be_good(systemd: FakeManager) -> None:
    with pytest.raises(SpecError, match=r"linux\.cgroupsPath"):
        located("/a/path")
    with pytest.raises(SpecError, match="annotations"):
        located(ExecStartPre="'x'")
    assert systemd.calls == []


def test_without_systemd_it_says_so_in_runcs_words(
    systemd: FakeManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scope, "BOOTED", "/nowhere/systemd")
    words = "^systemd cgroup flag passed, but systemd support for managing cgroups is not available"
    with pytest.raises(Unsupported, match=words):
        located()


def test_a_scope_is_asked_for_whole(systemd: FakeManager) -> None:
    """Slice, delegation, the process, accounting, limits, annotations: in one call."""
    made = located(TimeoutStopSec="3", Description="'mine'")
    made.make(resources(memory={"limit": 4096}, pids={"limit": 3}))
    ((_, unit, asked),) = systemd.calls
    assert unit == "p-n.scope"
    assert asked == {
        "Description": ("s", "mine"),
        "Slice": ("s", "test.slice"),
        "DefaultDependencies": ("b", False),
        "CollectMode": ("s", "inactive-or-failed"),
        "Delegate": ("b", True),
        "PIDs": ("au", [INIT]),
        "MemoryAccounting": ("b", True),
        "CPUAccounting": ("b", True),
        "IOAccounting": ("b", True),
        "TasksAccounting": ("b", True),
        "TimeoutStopUSec": ("t", 3_000_000),
        "MemoryMax": ("t", 4096),
        "TasksMax": ("t", 3),
    }


def test_a_slice_has_no_process_and_no_delegation(systemd: FakeManager) -> None:
    made = located("test.slice:p:test-pod.slice")
    asked = made.unit_properties(None)
    assert asked["Wants"] == ("as", ["test.slice"])
    assert not {"Slice", "PIDs", "Delegate"} & set(asked)


def test_the_limit_of_processes_leaves_room_for_the_set_up_process(systemd: FakeManager) -> None:
    made = located()
    limits = resources(pids={"limit": 1})
    made.make(limits)
    made.apply(limits)
    file = systemd.mount / "test.slice/p-n.scope/pids.max"
    assert file.read_text() == "4"
    made.tighten()
    assert file.read_text() == "1"


@pytest.mark.parametrize(
    ("limits", "path", "may"),
    [
        ({"memory": {"limit": 1 << 40}}, "test.slice:p:n", True),
        ({"unified": {"memory.max": "16M"}}, "test.slice:p:n", True),
        ({"unified": {"memory.max": "max"}}, "test.slice:p:n", False),
        ({"memory": {"limit": -1}}, "test.slice:p:n", False),
        ({"pids": {"limit": 1}}, "test.slice:p:n", False),
        ({"memory": {"limit": 4096}}, "test.slice:p:test-pod.slice", False),
    ],
)
def test_where_init_may_be_killed_its_cgroup_is_kept(
    systemd: FakeManager, limits: dict[str, Any], path: str, may: bool
) -> None:
    """A slice stays when nobody is in it."""
    assert located(path).may_kill_init(resources(**limits)) == may


@pytest.mark.parametrize(("limit", "may"), [(4096, True), (1 << 30, False), (None, False)])
def test_where_a_program_may_not_begin_its_cgroup_is_kept(
    systemd: FakeManager, limit: int | None, may: bool
) -> None:
    made = located()
    limits = resources(memory={"limit": limit}) if limit else None
    made.make(limits)
    made.apply(limits)
    assert made.may_kill_program() == may


def test_nobody_makes_room_for_a_keeper(systemd: FakeManager) -> None:
    """When it is gone the limit is what it was; when the cgroup is gone, too, that is no error."""
    made = located()
    limits = resources(pids={"limit": 2})
    made.make(limits)
    directory = systemd.mount / "test.slice/p-n.scope"
    (directory / "pids.max").write_text("2")
    found = Scope.from_record(made.record())
    found.admit(9999)
    assert (directory / "cgroup.procs").read_text() == "9999\n"
    assert (directory / "pids.max").read_text() == "5"
    found.tighten()
    assert (directory / "pids.max").read_text() == "2"
    (directory / "pids.max").unlink()
    directory.rename(directory.with_name("gone"))
    found.tighten()


def test_a_unit_of_somebody_else_is_never_ours(systemd: FakeManager) -> None:
    """What follows a failure, undo, must not stop or remove it."""
    systemd.exists = True
    made = located()
    with pytest.raises(
        CgroupError, match="already loaded.*another container or service has the unit"
    ):
        made.make(None)
    assert (made.unit, made.parts) == ("", [])
    made.remove()
    assert [call[0] for call in systemd.calls] == ["start", "close"]


def test_a_process_that_is_not_there_is_an_error(systemd: FakeManager) -> None:
    systemd.elsewhere = True
    made = located()
    with pytest.raises(CgroupError, match=f"systemd did not put process {INIT}"):
        made.make(None)


def test_an_update_is_told_and_written(systemd: FakeManager) -> None:
    """Systemd writes the quota as it rounds it: ours is written behind it."""
    made = located()
    made.make(None)
    made.set_properties(resources(cpu={"quota": 12345, "period": 100000}))
    quota = {"CPUQuotaPerSecUSec": ("t", 130_000), "CPUQuotaPeriodUSec": ("t", 100_000)}
    assert systemd.calls[-1] == ("set", "p-n.scope", quota)
    assert (systemd.mount / "test.slice/p-n.scope/cpu.max").read_text() == "12345 100000"


def test_an_update_without_a_property_asks_nothing(systemd: FakeManager) -> None:
    made = located()
    made.set_properties(resources(unified={"memory.max": "much"}))
    assert systemd.calls == []


def test_the_record_knows_the_driver(systemd: FakeManager) -> None:
    record = located().record()
    again = Cgroup.from_record(record)
    assert isinstance(again, Scope)
    assert (again.unit, again.record()) == ("p-n.scope", record)
    with pytest.raises(CgroupError, match="damaged"):
        Cgroup.from_record(record | {"unit": 7})


def test_a_systemd_that_is_gone_keeps_nothing(
    systemd: FakeManager, capfd: pytest.CaptureFixture[str]
) -> None:
    """Delete removes the cgroup itself, and says what it could not do."""
    made = located()
    made.make(None)
    systemd.exists = True
    directory = systemd.mount / "test.slice/p-n.scope"
    for file in directory.iterdir():
        file.unlink()  # those of a real one go with it
    made.remove()
    assert "its cgroup is removed without systemd" in capfd.readouterr().err
    assert not directory.exists()


@pytest.mark.parametrize(
    ("own", "writable", "expected"),
    [
        ("/user.slice/me/app.slice/x", "user.slice/me", False),
        ("/user.slice/session-1.scope", "user.slice/me", True),
        ("/user.slice/me/app.slice/x", "", True),
    ],
)
def test_who_is_outside_of_its_session_needs_systemd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str, writable: str, expected: bool
) -> None:
    """cgroups(7): the common ancestor's cgroup.procs must be ours to write."""
    if writable:
        (tmp_path / writable).mkdir(parents=True)
        (tmp_path / writable / "cgroup.procs").touch()
    monkeypatch.setattr(layout, "read", lambda path: f"0::{own}\n".encode())
    there = Directory("", str(tmp_path), "/user.slice/me/user.slice/p-n.scope")
    made = Scope("v2", [there], rootless=True, asked_for=True)
    made.unit = "p-n.scope"
    assert made.is_entered_by_systemd() is expected
