# SPDX-License-Identifier: Apache-2.0
"""Limits as properties of a unit: systemd must know what stands in the cgroup's files."""

from pathlib import Path

import pytest

from pyoci.cgroup.systemd.properties import CONVERSIONS, INFINITY, SINCE, of

NEWEST = 260
PAGE = Path(__file__).resolve().parents[2] / "docs/systemd.md"


@pytest.mark.parametrize(
    ("file", "value", "expected"),
    [
        ("memory.max", "1048576", {"MemoryMax": ("t", 1048576)}),
        ("memory.max", "max", {"MemoryMax": ("t", INFINITY)}),
        ("memory.high", "512M", {"MemoryHigh": ("t", 512 << 20)}),
        ("memory.low", "4k", {"MemoryLow": ("t", 4096)}),
        ("memory.swap.max", "0", {"MemorySwapMax": ("t", 0)}),
        ("memory.oom.group", "1", {"OOMPolicy": ("s", "kill")}),
        ("memory.limit_in_bytes", "-1", {"MemoryLimit": ("t", INFINITY)}),
        ("pids.max", "20", {"TasksMax": ("t", 20)}),
        ("pids.max", "max", {"TasksMax": ("t", INFINITY)}),
        ("cpu.weight", "100", {"CPUWeight": ("t", 100)}),
        ("cpu.shares", "1024", {"CPUShares": ("t", 1024)}),
        ("cpu.idle", "1", {"CPUWeight": ("t", 0)}),
        ("cpu.idle", "0", {}),
        ("cpuset.cpus", "0-2,9", {"AllowedCPUs": ("ay", b"\x07\x02")}),
        ("cpuset.mems", "0", {"AllowedMemoryNodes": ("ay", b"\x01")}),
        ("cpuset.cpus", "0-99999999999", {}),
        ("io.weight", "default 200", {"IOWeight": ("t", 200)}),
        ("io.weight", "8:0 200", {}),
        ("io.bfq.weight", "500", {"IOWeight": ("t", 4500)}),
        ("memory.max", "much", {}),
        ("memory.max", "-5", {}),
        ("hugetlb.2MB.max", "0", {}),
    ],
)
def test_a_file_has_a_property(file: str, value: str, expected: dict[str, object]) -> None:
    assert of([(file, value)], NEWEST) == expected


def test_what_comes_later_counts() -> None:
    """`unified` overrules linux.resources.memory."""
    assert of([("memory.max", "1"), ("memory.max", "2")], NEWEST) == {"MemoryMax": ("t", 2)}


@pytest.mark.parametrize(
    ("writes", "quota", "period"),
    [
        ([("cpu.max", "25000 100000")], 250_000, 100_000),
        ([("cpu.max", "max 50000")], INFINITY, 50_000),
        ([("cpu.max", "max")], INFINITY, 100_000),
        ([("cpu.max", "200000 100000")], 2_000_000, 100_000),
        ([("cpu.max", "12345 100000")], 130_000, 100_000),  # 12.345 %: to the next percent
        ([("cpu.max", "1001 100000")], 20_000, 100_000),
        ([("cpu.cfs_period_us", "50000"), ("cpu.cfs_quota_us", "10000")], 200_000, 50_000),
        ([("cpu.cfs_quota_us", "-1")], INFINITY, 100_000),
    ],
)
def test_a_quota_is_per_second_and_rounded_up(
    writes: list[tuple[str, str]], quota: int, period: int
) -> None:
    """A unit file has percents: a smaller quota would not allow what the file does."""
    expected = {"CPUQuotaPerSecUSec": ("t", quota), "CPUQuotaPeriodUSec": ("t", period)}
    assert of(writes, NEWEST) == expected


@pytest.mark.parametrize(
    ("systemd", "names"),
    [
        (240, {"CPUQuotaPerSecUSec"}),
        (243, {"CPUQuotaPerSecUSec", "CPUQuotaPeriodUSec"}),
        (252, {"CPUQuotaPerSecUSec", "CPUQuotaPeriodUSec", "AllowedCPUs", "CPUWeight"}),
        (
            253,
            {"CPUQuotaPerSecUSec", "CPUQuotaPeriodUSec", "AllowedCPUs", "CPUWeight", "OOMPolicy"},
        ),
    ],
)
def test_an_older_systemd_is_told_what_it_knows(systemd: int, names: set[str]) -> None:
    writes = [("cpu.max", "1000 10000"), ("cpuset.cpus", "0"), ("cpu.idle", "1")]
    assert set(of([*writes, ("memory.oom.group", "1")], systemd)) == names


def test_a_quota_that_is_none_is_left_to_the_kernel() -> None:
    assert of([("cpu.max", "many 100000")], NEWEST) == {}
    assert of([("cpu.max", "1000 often")], NEWEST) == {}
    assert of([("cpu.max", "1000 0")], NEWEST) == {}


def test_the_page_has_every_property() -> None:
    text = PAGE.read_text(encoding="utf-8")
    of_files = {name for name, _ in CONVERSIONS.values()}
    assert [name for name in of_files | set(SINCE) - {"CollectMode"} if name not in text] == []
