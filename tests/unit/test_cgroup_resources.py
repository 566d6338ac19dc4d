# SPDX-License-Identifier: Apache-2.0
"""linux.resources as writes into cgroup files, and what is refused before any is written."""

from typing import Any

import pytest
from cgroup_box import resources

from pyoci.cgroup.blockio import io_weight, spellings
from pyoci.cgroup.resources import check, controllers, limit_name, v1_writes, v2_writes, weight
from pyoci.errors import CgroupError, SpecError

GB = 1 << 30


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
        ("cpu.cfs_burst_us", "7"),
        ("cpu.cfs_period_us", "6"),
        ("cpu.cfs_quota_us", "5"),
        ("cpuset.cpus", "0"),
    ]


@pytest.mark.parametrize(("shares", "word"), [(1, "minimum"), (262145, "maximum")])
def test_shares_that_version_1_would_clamp_are_an_error(shares: int, word: str) -> None:
    with pytest.raises(CgroupError, match=f"the {word} allowed cpu-shares is"):
        v1_writes(resources(cpu={"shares": shares}))


BLOCK = (
    "weight leafWeight weightDevice throttleReadBpsDevice throttleWriteBpsDevice "
    "throttleReadIOPSDevice throttleWriteIOPSDevice"
)


def block(**given: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever config.json may hold
    """Return blockIO as spec.load leaves it."""
    whole: dict[str, Any] = {name: [] if "Device" in name else None for name in BLOCK.split()}
    return resources(blockIO=whole | given)


def on_disk(**given: int | None) -> dict[str, Any]:
    """Return a row of blockIO."""
    return {"major": 8, "minor": 16, "weight": None, "leafWeight": None, "rate": None} | given


def test_block_io_on_version_2() -> None:
    given = block(
        weight=500,
        weightDevice=[on_disk(weight=300), on_disk(leafWeight=20)],
        throttleReadBpsDevice=[on_disk(rate=5)],
        throttleWriteIOPSDevice=[on_disk(rate=0)],
    )
    assert v2_writes(given) == [
        ("io.bfq.weight", "500"),
        ("io.bfq.weight", "8:16 300"),
        ("io.max", "8:16 rbps=5"),
        ("io.max", "8:16 wiops=max"),
    ]
    assert check(given, 2) == [
        "linux.resources.blockIO.leafWeight is ignored: cgroup v2 does not have it"
    ]


def test_block_io_on_version_1() -> None:
    given = block(
        weight=500,
        leafWeight=20,
        weightDevice=[on_disk(weight=300)],
        throttleWriteBpsDevice=[on_disk(rate=5)],
        throttleReadIOPSDevice=[on_disk(rate=0)],
    )
    assert v1_writes(given) == [
        ("blkio.weight", "500"),
        ("blkio.leaf_weight", "20"),
        ("blkio.weight_device", "8:16 300"),
        ("blkio.throttle.write_bps_device", "8:16 5"),
        ("blkio.throttle.read_iops_device", "8:16 0"),
    ]


@pytest.mark.parametrize(("weight", "expected"), [(10, 1), (100, 910), (500, 4950), (1000, 10000)])
def test_weights_of_io_cost(weight: int, expected: int) -> None:
    """spec.md 7.1: 1+(w-10)*9999/990."""
    assert io_weight(weight) == expected


def test_a_weight_is_said_to_each_scheduler() -> None:
    assert spellings("io.bfq.weight", "8:16 500") == [
        ("io.bfq.weight", "8:16 500"),
        ("io.weight", "8:16 4950"),
    ]
    assert spellings("blkio.weight_device", "8:16 500")[1] == (
        "blkio.bfq.weight_device",
        "8:16 500",
    )


def test_huge_pages() -> None:
    given = resources(hugepageLimits=[{"pageSize": "2MB", "limit": 0}])
    assert v2_writes(given) == [("hugetlb.2MB.max", "0"), ("hugetlb.2MB.rsvd.max", "0")]
    assert v1_writes(given) == [
        ("hugetlb.2MB.limit_in_bytes", "0"),
        ("hugetlb.2MB.rsvd.limit_in_bytes", "0"),
    ]


def test_rdma() -> None:
    given = resources(rdma={"mlx": {"hcaHandles": 3, "hcaObjects": None}})
    assert v2_writes(given) == v1_writes(given) == [("rdma.max", "mlx hca_handle=3 hca_object=max")]


def test_network() -> None:
    network = {"classID": 5, "priorities": [{"name": "eth0", "priority": 0}]}
    given = resources(network=network)
    assert v1_writes(given) == [("net_cls.classid", "5"), ("net_prio.ifpriomap", "eth0 0")]
    assert v1_writes(resources(network={"classID": 0, "priorities": []})) == []
    with pytest.raises(CgroupError, match="cgroup v2 has no net_cls and no net_prio controller"):
        check(given, 2)


def test_what_asks_for_nothing_is_no_error() -> None:
    """Engines (docker) write blockIO with a weight of 0 into every config.json."""
    empty = block(weight=0) | {"network": {"classID": None, "priorities": []}}
    assert check(empty, 2) == []
    assert v2_writes(empty) == v1_writes(empty) == []
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
    assert ("memory.kmem.tcp.limit_in_bytes", "9") in v1_writes(resources(memory={"kernelTCP": 9}))


def test_limits_are_named_for_people() -> None:
    assert [limit_name(file) for file in ("pids.max", "memory.max", "memory.swap.max")] == [
        "pids",
        "memory",
        "swap",
    ]
    assert limit_name("cpu.max") == "cpu.max"
