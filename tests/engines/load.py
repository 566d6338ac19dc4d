# SPDX-License-Identifier: Apache-2.0
"""Many containers under containerd, eight at a time, and what memory they and the engine took."""

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from blackbox.processes import text
from engines.containerd import Containerd

AT_ONCE = 8
# created, started, exec'd into, killed, deleted: each line must succeed
LIFE = """
set -e
{client} {run}
code=0; {client} task exec --exec-id e --fifo-dir {fifos} {name} sh -c 'exit 42' || code=$?; test $code = 42
{client} task rm --force {name} || :
{client} container rm {name}
"""
PEAKS = ("memory.peak", "memory.max_usage_in_bytes")


class Churn:
    """How many containers came and went, in what time, and what went wrong."""

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0
        self.failures: list[str] = []

    def run(self, engine: Containerd, program: str, count: int) -> "Churn":
        """Let so many containers live, eight at a time."""
        scripts = [life(engine, program) for _ in range(count)]
        started = time.monotonic()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            ended = list(pool.map(lambda script: shell(script, engine), scripts))
        self.seconds += time.monotonic() - started
        self.count += count
        self.failures += [one.stderr for one in ended if one.returncode]
        return self


def life(engine: Containerd, program: str) -> str:
    """Return the script of one container's life."""
    options = ("--detach", "--null-io", "--", "sleep", "1000")
    name, command = engine.command(*options, program=program)
    run = " ".join(command)
    fifos = engine.directory / "fifos"
    return LIFE.format(client=" ".join(engine.client), run=run, name=name, fifos=fifos)


def shell(script: str, engine: Containerd) -> subprocess.CompletedProcess[str]:
    """Run a shell script with the engine's environment."""
    command = ["sh", "-c", script]
    return subprocess.run(
        command, env=engine.environment, capture_output=True, text=True, check=False
    )


class Account:
    """The memory of an engine, its shims, runtimes and containers: one cgroup for all of them."""

    def __init__(self, engine: Containerd) -> None:
        v1 = Path("/sys/fs/cgroup/memory")
        top = v1 if v1.is_dir() else Path("/sys/fs/cgroup")
        self.directory = top / engine.cgroup
        (self.directory / "engine").mkdir(parents=True, exist_ok=True)
        engine.own_cgroups.add("engine")
        assert engine.process is not None
        (self.directory / "engine/cgroup.procs").write_text(str(engine.process.pid))

    def peak(self) -> int:
        """Return the most bytes that there ever were."""
        files = [self.directory / name for name in PEAKS]
        return int(text(next(file for file in files if file.exists())))
