# SPDX-License-Identifier: Apache-2.0
"""The flags of `update` as linux.resources."""

import pytest

from pyoci.commands import update
from pyoci.errors import UsageError
from pyoci.flags import parse


def resources(*words: str) -> dict[str, dict[str, object]]:
    """Return what the flags ask for."""
    return update.by_flags(parse(words, update.FLAGS, ordered=False)[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("7", 7),
        ("64m", 64 << 20),
        ("64M", 64 << 20),
        ("64MB", 64 << 20),
        ("64MiB", 64 << 20),
        ("512 kb", 512 << 10),
        ("1.5g", 3 << 29),
        ("2t", 2 << 40),
        ("3p", 3 << 50),
        ("9b", 9),
        ("-1", -1),
    ],
)
def test_sizes(text: str, expected: int) -> None:
    """cli.md 2: Go's units, powers of 1024."""
    assert resources("--memory", text) == {"memory": {"limit": expected}}


@pytest.mark.parametrize(
    "text", ["x", "5x", "5kk", "5ib", "-2", ".5g", "1.2.3", "\uff15m", "9" * 30, "m"]
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match=r"^invalid value for memory: invalid size: "):
        resources("--memory", text)


@pytest.mark.parametrize("text", ["x", "1.5", "0x10", "--1", "- 1", "٣", "9" * 30])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(UsageError, match=r"^invalid value for pids-limit: "):
        resources(f"--pids-limit={text}")


def test_every_flag_has_its_place() -> None:
    words = [
        "--blkio-weight=500",
        "--cpu-period=1",
        "--cpu-quota=-1",
        "--cpu-burst=3",
        "--cpu-share=4",
        "--cpu-rt-period=5",
        "--cpu-rt-runtime=6",
        "--cpuset-cpus=0-1",
        "--cpuset-mems=0",
        "--memory=1k",
        "--memory-reservation=2k",
        "--memory-swap=-1",
        "--cpu-idle=0",
        "--pids-limit=-1",
        "--unified=memory.high=5",
        "--unified",
        "io.max=8:0 rbps=1",
    ]
    assert resources(*words) == {
        "blockIO": {"weight": 500},
        "cpu": {
            "period": 1,
            "quota": -1,
            "burst": 3,
            "shares": 4,
            "realtimePeriod": 5,
            "realtimeRuntime": 6,
            "cpus": "0-1",
            "mems": "0",
            "idle": 0,
        },
        "memory": {"limit": 1024, "reservation": 2048, "swap": -1},
        "pids": {"limit": -1},
        "unified": {"memory.high": "5", "io.max": "8:0 rbps=1"},
    }


def test_an_empty_value_is_none() -> None:
    assert resources("--memory=", "--cpu-share", "", "--cpuset-cpus=") == {}


@pytest.mark.parametrize("text", ["memory.high", "=5", "memory.high="])
def test_a_unified_key_needs_its_value(text: str) -> None:
    with pytest.raises(UsageError, match="is not FILE=VALUE"):
        resources(f"--unified={text}")
