# SPDX-License-Identifier: Apache-2.0
"""A process that only sits in a cgroup."""

import os
import signal
from pathlib import Path

from blackbox.processes import until

from pyoci import keeper


def test_it_is_at_rest_until_it_is_closed() -> None:
    """In the kernel, waiting for an answer; without CAP_SYS_RESOURCE it may be killed as we may."""
    made = keeper.spawn()
    process = Path(f"/proc/{made.setup}")
    try:
        until(lambda: process.joinpath("stat").read_text().split()[2] == "S", "it waits")
        adjusted = int(process.joinpath("oom_score_adj").read_text())
        assert adjusted in (-1000, int(Path("/proc/self/oom_score_adj").read_text()))
    finally:
        made.close()
    assert not process.exists()


def test_it_ends_with_its_runtime() -> None:
    """Which may be killed: then nobody else would end it."""
    made = keeper.spawn()
    made.socket.close()
    assert os.waitpid(made.setup, 0)[1] == signal.Signals.SIGHUP << 8
