# SPDX-License-Identifier: Apache-2.0
"""What an update makes of the resources that a container has, and how it is undone."""

import json
from typing import Any

import pytest

from pyoci import spec
from pyoci.cgroup.merge import merge
from pyoci.cgroup.update import undoing


def resources(**given: Any) -> Any:  # noqa: ANN401 - whatever config.json may hold
    """Return complete resources."""
    return spec.parse_resources(json.dumps(given).encode(), "test")


def test_what_is_absent_stays() -> None:
    old = resources(memory={"limit": 5, "swap": 7}, pids={"limit": 3}, unified={"a.b": "1"})
    whole, changed = merge(old, resources(pids={"limit": 4}, unified={"c.d": "2"}))
    assert whole["memory"] == old["memory"]
    assert whole["pids"] == {"limit": 4}
    assert whole["unified"] == {"a.b": "1", "c.d": "2"}
    assert changed == resources(pids={"limit": 4}, unified={"c.d": "2"})


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ({"limit": 6}, (6, 9, None)),
        ({"swap": 8}, (5, 8, None)),
        ({"limit": 6, "swap": 8}, (6, 8, None)),
        ({"reservation": 2}, (None, None, 2)),
        ({"limit": -1}, (-1, 0, None)),
        ({"limit": -1, "swap": -1}, (-1, -1, None)),
        ({"limit": 0, "swap": 0}, (None, None, None)),
    ],
)
def test_memory_and_swap_go_together(
    given: dict[str, int], written: tuple[int | None, int | None, int | None]
) -> None:
    old = resources(memory={"limit": 5, "swap": 9, "reservation": 1})
    whole, changed = merge(old, resources(memory=given))
    keys = ("limit", "swap", "reservation")
    assert tuple(changed["memory"][key] for key in keys) == written
    if given.get("limit") == 0:
        assert whole["memory"] == old["memory"]


@pytest.mark.parametrize(
    ("given", "written"),
    [({"quota": 6}, (6, 9)), ({"period": 7}, (5, 7)), ({"shares": 2}, (None, None))],
)
def test_quota_and_period_go_together(
    given: dict[str, int], written: tuple[int | None, int | None]
) -> None:
    whole, changed = merge(resources(cpu={"quota": 5, "period": 9}), resources(cpu=given))
    assert (changed["cpu"]["quota"], changed["cpu"]["period"]) == written
    assert whole["cpu"]["quota"] == given.get("quota", 5)


def test_idle_is_a_weight_of_its_own() -> None:
    whole, _ = merge(resources(cpu={"shares": 512}), resources(cpu={"idle": 1}))
    assert (whole["cpu"]["idle"], whole["cpu"]["shares"]) == (1, 0)


def test_rows_are_changed_or_added() -> None:
    first, second = {"major": 8, "minor": 0, "rate": 1}, {"major": 8, "minor": 16, "rate": 2}
    old = resources(
        blockIO={"throttleReadBpsDevice": [first]},
        hugepageLimits=[{"pageSize": "2MB", "limit": 1}],
        rdma={"a": {"hcaHandles": 1}},
    )
    new = resources(
        blockIO={"throttleReadBpsDevice": [second, first | {"rate": 3}], "weight": 10},
        hugepageLimits=[{"pageSize": "1GB", "limit": 2}, {"pageSize": "2MB", "limit": 3}],
        rdma={"b": {"hcaObjects": 2}},
    )
    whole, changed = merge(old, new)
    assert whole["blockIO"]["throttleReadBpsDevice"] == [first | {"rate": 3}, second]
    assert whole["blockIO"]["weight"] == 10
    assert [row["limit"] for row in whole["hugepageLimits"]] == [3, 2]
    assert set(whole["rdma"]) == {"a", "b"}
    assert changed["rdma"] == new["rdma"]


def test_device_rules_are_replaced_by_others_only() -> None:
    rule = {"allow": True, "access": "r"}
    old = resources(devices=[rule])
    assert merge(old, resources())[0]["devices"] == old["devices"]
    new = resources(devices=[rule | {"access": "w"}])
    assert merge(old, new)[0]["devices"] == new["devices"]


@pytest.mark.parametrize(
    ("file", "value", "text", "expected"),
    [
        ("memory.max", "5", "max", "max"),
        ("cpu.max", "5 6", "max 100000", "max 100000"),
        ("cpuset.cpus", "0", "", "\n"),
        ("cpuset.cpus.partition", "root", "root invalid (no cpus)", "root"),
        (
            "io.max",
            "8:0 rbps=5",
            "8:0 rbps=1 wbps=max riops=2 wiops=max",
            "8:0 rbps=1 wbps=max riops=2 wiops=max",
        ),
        ("io.max", "8:0 rbps=5", "8:16 rbps=1", "8:0 rbps=max wbps=max riops=max wiops=max"),
        ("io.weight", "500", "default 100\n8:0 50", "default 100"),
        ("io.weight", "8:0 500", "default 100\n8:0 50", "8:0 50"),
        ("io.bfq.weight", "8:0 500", "default 100", "8:0 default"),
        ("io.bfq.weight", "500", "100", "100"),
        ("blkio.throttle.read_bps_device", "8:0 5", "", "8:0 0"),
        ("net_prio.ifpriomap", "lo 5", "lo 3\neth0 0", "lo 3"),
        ("rdma.max", "mlx hca_handle=3", "", "mlx hca_handle=max hca_object=max"),
    ],
)
def test_what_undoes_a_write(file: str, value: str, text: str, expected: str) -> None:
    assert undoing(file, value, text) == expected
