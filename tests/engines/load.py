# SPDX-License-Identifier: Apache-2.0
"""Many containers under containerd, eight at a time, and what memory they and the engine took."""

import contextlib
import subprocess
import threading
import time
from collections.abc import Iterator
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
        self.usage = "memory.usage_in_bytes" if v1.is_dir() else "memory.current"
        self.prefix = "total_" if v1.is_dir() else ""
        self.peak = 0  # bytes, of the last time it was watched
        (self.directory / "engine").mkdir(parents=True, exist_ok=True)
        engine.own_cgroups.add("engine")
        assert engine.process is not None
        (self.directory / "engine/cgroup.procs").write_text(str(engine.process.pid))

    def used(self) -> int:
        """Return the bytes in use, but for files: whoever reads one first is charged for it."""
        lines = text(self.directory / "memory.stat").splitlines()
        found = dict(line.split() for line in lines)
        files = sum(int(found[f"{self.prefix}{kind}_file"]) for kind in ("active", "inactive"))
        return int(text(self.directory / self.usage)) - files

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Look every five milliseconds how much is in use, and note the most."""
        ended = threading.Event()
        self.peak = 0

        def watch() -> None:
            while not ended.wait(0.005):
                self.peak = max(self.peak, self.used())

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
