#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compare pyoci's cgroup work in create and delete with a C program that makes the same calls.

strace says which mkdir, write and rmdir calls pyoci makes; bench/cgroup_calls.c makes just those.
Both are timed in turns, without the start of a program: `python3 bench/cgroups.py` as root.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

from pyoci import spec  # noqa: E402
from pyoci.cgroup import Cgroup, locate  # noqa: E402

PLACE = f"/pyoci-bench-{os.getpid()}"
ROUNDS, TURNS = 10, 20
MUST_REACH = 1.3
LIMITS = (
    b'{"devices": [{"allow": false, "access": "rwm"}], "memory": {"limit": 67108864}, '
    b'"cpu": {"shares": 512, "quota": 50000, "period": 100000}, "pids": {"limit": 100}}'
)
CALL = re.compile(
    r'^(?:\d+ +)?(mkdirat|unlinkat)\(\d+<([^>]*)>, "([^"]*)"|^(?:\d+ +)?write\(\d+<([^>]*)>, "([^"]*)"'
)


def supported() -> Any:  # noqa: ANN401 - linux.resources, complete
    """Return the limits, less what this layout cannot do."""
    limits = spec.parse_resources(LIMITS, "bench")
    cgroup = locate(PLACE, "bench", False)
    for name, controller in (("memory", "memory"), ("cpu", "cpu"), ("pids", "pids")):
        part = cgroup.controller(controller)
        if part is None or (part.name == "" and not has(part.mount, controller)):
            limits[name] = None  # type: ignore[literal-required]
    return limits


def has(mount: str, controller: str) -> bool:
    """Tell whether a version 2 hierarchy has a controller."""
    with open(f"{mount}/cgroup.controllers", encoding="ascii") as file:
        return controller in file.read().split()


def round_of_ours(limits: Any) -> None:  # noqa: ANN401
    """Make, limit and remove a container's cgroups as create and delete do."""
    cgroup = locate(PLACE, "bench", False)
    cgroup.check()
    cgroup.make(limits)
    cgroup.apply(limits)
    cgroup.close()
    Cgroup.from_record(cgroup.record()).destroy()


def calls(directory: str) -> list[str]:
    """Return the calls of one round, by strace."""
    trace = f"{directory}/trace"
    argv = ["strace", "-y", "-o", trace, "-e", "trace=mkdirat,unlinkat,write"]
    subprocess.run([*argv, sys.executable, __file__, "--once"], check=True)
    found = []
    with open(trace, encoding="utf-8") as lines:
        for line in lines:
            match = CALL.match(line)
            if match is None or "= -1" in line or "/cgroup/" not in line:
                continue
            verb, parent, name, file, value = match.groups()
            if verb is None:
                found.append(f"write {file} {value}")
            else:
                found.append(f"{verb[:2].replace('un', 'rm')}dir {parent}/{name}")
    return [call.replace("mkdir", "mkdir").replace("rmdir", "rmdir") for call in found]


def main() -> None:
    """Print both medians and their ratio."""
    limits = supported()
    round_of_ours(limits)
    if sys.argv[1:] == ["--once"]:
        return
    ours: list[float] = []
    theirs: list[float] = []
    with tempfile.TemporaryDirectory() as directory:
        program = f"{directory}/cgroup_calls"
        subprocess.run(["cc", "-O2", "-o", program, f"{HERE}/cgroup_calls.c"], check=True)
        made = calls(directory)
        for _ in range(TURNS):
            ran = subprocess.run([program, str(ROUNDS), *made], check=True, capture_output=True)
            theirs += map(float, ran.stdout.split())
            for _ in range(ROUNDS):
                start = time.perf_counter_ns()
                round_of_ours(limits)
                ours.append(time.perf_counter_ns() - start)
    own, least = statistics.median(ours) / 1e6, statistics.median(theirs) / 1e6
    print(f"{len(made)} calls, medians of {len(ours)} rounds")
    print(f"pyoci {own:.2f} ms, C {least:.2f} ms: {own / least:.2f} (at most {MUST_REACH})")


if __name__ == "__main__":
    main()
