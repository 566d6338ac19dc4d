# SPDX-License-Identifier: Apache-2.0
"""What resctrl tells, from a tree as filesystems/resctrl.rst shows it: no machine of ours has one."""

from pathlib import Path

import pytest

from pyoci import rdt, rdt_statistics

FILES = {
    "info/L3/cbm_mask": "fffff\n",
    "info/L3/min_cbm_bits": "1\n",
    "info/L3/num_closids": "16\n",
    "info/MB/bandwidth_gran": "10\n",
    "info/MB/delay_linear": "1\n",
    "info/MB/min_bandwidth": "10\n",
    "info/MB/num_closids": "8\n",
    "schemata": "    MB:0=100;1=100\n    L3:0=fffff;1=fffff\n",
    "box/schemata": "    MB:0=20;1=70\n    L3:0=7f0;1=1f\n",
    "box/mon_data/mon_L3_00/llc_occupancy": "16384\n",
    "box/mon_data/mon_L3_00/mbm_total_bytes": "4096\n",
    "box/mon_data/mon_L3_00/mbm_local_bytes": "1024\n",
    "box/mon_data/mon_L3_01/llc_occupancy": "0\n",
    "box/mon_data/mon_L3_01/mbm_total_bytes": "Unavailable\n",
    "box/mon_data/mon_L3_01/mbm_local_bytes": "0\n",
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    monkeypatch.setattr(rdt, "find", lambda: str(tmp_path))
    return tmp_path


def groups(root: Path, monitoring: str = "") -> "rdt.Groups":
    return {"directory": f"{root}/box", "own": True, "monitoring": monitoring}


def test_all_that_there_is(root: Path) -> None:
    """runc's names: types/events.go, IntelRdt."""
    assert rdt_statistics.collect(groups(root)) == {
        "l3_cache_info": {"cbm_mask": "fffff", "min_cbm_bits": 1, "num_closids": 16},
        "l3_cache_schema_root": "L3:0=fffff;1=fffff",
        "l3_cache_schema": "L3:0=7f0;1=1f",
        "mem_bw_info": {
            "bandwidth_gran": 10,
            "delay_linear": 1,
            "min_bandwidth": 10,
            "num_closids": 8,
        },
        "mem_bw_schema_root": "MB:0=100;1=100",
        "mem_bw_schema": "MB:0=20;1=70",
        "mbm_stats": [{"mbm_total_bytes": 4096, "mbm_local_bytes": 1024}, {}],
        "cmt_stats": [{"llc_occupancy": 16384}, {}],
    }


def test_a_group_of_its_own_for_monitoring(root: Path) -> None:
    own = root / "box/mon_groups/x/mon_data/mon_L3_00"
    own.mkdir(parents=True)
    (own / "llc_occupancy").write_text("99\n")
    found = rdt_statistics.collect(groups(root, f"{root}/box/mon_groups/x"))
    assert found["cmt_stats"] == [{"llc_occupancy": 99}]
    assert "mbm_stats" not in found


def test_a_processor_that_only_allocates(root: Path) -> None:
    found = rdt_statistics.collect({"directory": str(root), "own": False, "monitoring": ""})
    assert "cmt_stats" not in found
    assert found["l3_cache_schema"] == found["l3_cache_schema_root"]


def test_nothing_without_groups(root: Path) -> None:
    assert rdt_statistics.collect(None) == {}


def test_nothing_without_resctrl(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rdt, "find", lambda: "")
    assert rdt_statistics.collect(groups(root)) == {}
