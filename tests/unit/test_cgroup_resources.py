# SPDX-License-Identifier: Apache-2.0
"""linux.resources as writes into cgroup files, and what is refused before any is written."""

from typing import Any

import pytest

from pyoci.cgroup.resources import check, controllers, limit_name, v1_writes, v2_writes, weight
from pyoci.errors import CgroupError, SpecError, Unsupported

MEMORY = (
    "limit reservation swap kernel kernelTCP swappiness disableOOMKiller useHierarchy "
    "checkBeforeUpdate"
)
CPU = "shares quota burst period realtimeRuntime realtimePeriod cpus mems idle"
GB = 1 << 30


def resources(**given: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return resources as spec.load leaves them: every key is there."""
    whole: dict[str, Any] = dict.fromkeys(("memory", "cpu", "pids", "blockIO", "network"))
    whole |= {"devices": [], "hugepageLimits": [], "rdma": {}, "unified": {}}
    for name, keys in (("memory", MEMORY), ("cpu", CPU), ("pids", "limit")):
        if name in given:
            given[name] = dict.fromkeys(keys.split()) | given[name]
    return whole | given


@pytest.mark.parametrize(
    ("shares", "expected"),
    [(1, 1), (2, 1), (3, 2), (512, 59), (1024, 100), (2048, 174), (262143, 10000), (262144, 10000)],
)
def test_shares_become_a_weight(shares: int, expected: int) -> None:
    assert weight(shares) == expected


def test_weights_never_fall() -> None:
    weights = [weight(shares) for shares in range(2, 5000)]
    assert weights == sorted(weights)


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        ({}, []),
        ({"limit": 0, "swap": 0}, []),
        ({"limit": GB}, [("memory.max", str(GB))]),
        ({"limit": GB, "swap": GB}, [("memory.swap.max", "0"), ("memory.max", str(GB))]),
        (
            {"limit": GB, "swap": 3 * GB},
            [("memory.swap.max", str(2 * GB)), ("memory.max", str(GB))],
        ),
        ({"limit": GB, "swap": -1}, [("memory.swap.max", "max"), ("memory.max", str(GB))]),
        ({"limit": -1}, [("memory.swap.max", "max"), ("memory.max", "max")]),
        ({"swap": -1}, [("memory.swap.max", "max")]),
        ({"reservation": 5}, [("memory.low", "5")]),
        ({"swappiness": 5, "useHierarchy": True, "kernel": 7}, []),
    ],
)
def test_memory_on_version_2(memory: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert v2_writes(resources(memory=memory)) == expected


@pytest.mark.parametrize(
    ("memory", "words"),
    [
        ({"swap": GB}, "unable to set swap limit without memory limit"),
        ({"limit": -1, "swap": GB}, "unable to set swap limit without memory limit"),
        ({"limit": GB, "swap": 1}, "memory\\+swap limit should be >= memory limit"),
    ],
)
def test_swap_on_version_2_needs_a_memory_limit(memory: dict[str, Any], words: str) -> None:
    with pytest.raises(CgroupError, match=words):
        v2_writes(resources(memory=memory))


@pytest.mark.parametrize(
    ("cpu", "expected"),
    [
        ({"shares": 0, "quota": 0, "period": 0, "cpus": "", "mems": ""}, []),
        ({"shares": 1024}, [("cpu.weight", "100")]),
        ({"quota": 50000}, [("cpu.max", "50000 100000")]),
        ({"quota": -1}, [("cpu.max", "max 100000")]),
        ({"period": 50000}, [("cpu.max", "max 50000")]),
        ({"quota": 5000, "burst": 7}, [("cpu.max.burst", "7"), ("cpu.max", "5000 100000")]),
        ({"idle": 1, "shares": 1024}, [("cpu.idle", "1")]),
        ({"cpus": "0-1", "mems": "0"}, [("cpuset.cpus", "0-1"), ("cpuset.mems", "0")]),
    ],
)
def test_cpu_on_version_2(cpu: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert v2_writes(resources(cpu=cpu)) == expected


@pytest.mark.parametrize(("limit", "value"), [(7, "7"), (0, "1"), (-1, "max")])
def test_pids(limit: int, value: str) -> None:
    assert v2_writes(resources(pids={"limit": limit})) == [("pids.max", value)]
    assert v1_writes(resources(pids={"limit": limit})) == [("pids.max", value)]


def test_no_pids_limit_is_no_write() -> None:
    assert v2_writes(resources(pids={})) == []


def test_unified_comes_last_and_line_by_line() -> None:
    given = resources(pids={"limit": 5}, unified={"io.max": "8:0 rbps=1\n8:16 wbps=2\n"})
    assert v2_writes(given) == [
        ("pids.max", "5"),
        ("io.max", "8:0 rbps=1"),
        ("io.max", "8:16 wbps=2"),
    ]
    assert controllers(given, 2) == {"pids", "io"}


def test_unified_is_refused_on_version_1() -> None:
    with pytest.raises(CgroupError, match="invalid configuration"):
        check(resources(unified={"pids.max": "5"}), 1)


@pytest.mark.parametrize("key", ["cgroup.procs", "cgroup.threads", "cgroup.kill", "cgroup.freeze"])
def test_unified_may_not_move_or_end_processes(key: str) -> None:
    with pytest.raises(SpecError, match="is not a limit"):
        check(resources(unified={key: "1"}), 2)


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        (
            {"limit": 5, "swap": 7},
            [("memory.limit_in_bytes", "5"), ("memory.memsw.limit_in_bytes", "7")],
        ),
        (
            {"limit": -1},
            [("memory.limit_in_bytes", "-1"), ("memory.memsw.limit_in_bytes", "-1")],
        ),
        ({"reservation": 5}, [("memory.soft_limit_in_bytes", "5")]),
        ({"disableOOMKiller": True}, [("memory.oom_control", "1")]),
        ({"swappiness": 0}, [("memory.swappiness", "0")]),
        ({"swappiness": (1 << 64) - 1}, []),
        ({"useHierarchy": True}, [("memory.use_hierarchy", "1")]),
    ],
)
def test_memory_on_version_1(memory: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert v1_writes(resources(memory=memory)) == expected


def test_cpu_on_version_1() -> None:
    cpu = {"shares": 512, "quota": 5, "period": 6, "burst": 7, "cpus": "0"}
    assert v1_writes(resources(cpu=cpu)) == [
        ("cpu.shares", "512"),
        ("cpu.cfs_period_us", "6"),
        ("cpu.cfs_quota_us", "5"),
        ("cpu.cfs_burst_us", "7"),
        ("cpuset.cpus", "0"),
    ]


@pytest.mark.parametrize(("shares", "word"), [(1, "minimum"), (262145, "maximum")])
def test_shares_that_version_1_would_clamp_are_an_error(shares: int, word: str) -> None:
    with pytest.raises(CgroupError, match=f"the {word} allowed cpu-shares is"):
        v1_writes(resources(cpu={"shares": shares}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("blockIO", {"weight": 10, "throttleReadBpsDevice": []}),
        ("hugepageLimits", [{"pageSize": "2MB", "limit": 1}]),
        ("network", {"classID": 1, "priorities": []}),
        ("rdma", {"mlx5_1": {"hcaHandles": 1}}),
    ],
)
def test_what_is_not_done_yet_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(Unsupported, match=rf"linux\.resources\.{name} is not supported yet"):
        check(resources(**{name: value}), 2)


def test_what_asks_for_nothing_is_no_error() -> None:
    """Engines (docker) write blockIO with a weight of 0 into every config.json."""
    empty = resources(blockIO={"weight": 0, "weightDevice": []}, network={"classID": None})
    assert check(empty, 2) == []
    assert check(None, 2) == []


def test_what_is_ignored_is_a_warning() -> None:
    given = resources(
        memory={"kernel": 5, "kernelTCP": 0, "swappiness": 3}, cpu={"realtimeRuntime": 5}
    )
    assert [text.split()[0] for text in check(given, 2)] == [
        "linux.resources.memory.kernel",
        "linux.resources.memory.swappiness",
        "linux.resources.cpu.realtimeRuntime",
    ]
    assert len(check(given, 1)) == 1


def test_limits_are_named_for_people() -> None:
    assert [limit_name(file) for file in ("pids.max", "memory.max", "memory.swap.max")] == [
        "pids",
        "memory",
        "swap",
    ]
    assert limit_name("cpu.max") == "cpu.max"
