#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compare pyoci's cgroup work in create and delete with a C program that makes the same calls.

strace says which mkdir, write and rmdir calls pyoci makes; bench/cgroup_calls.c makes just those.
Both are timed in turns, without the start of a program: `python3 bench/cgroups.py` as root.
"""

import gc
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

from pyoci import spec  # noqa: E402 - found by the line above
from pyoci.cgroup import Cgroup, locate, remedy  # noqa: E402 - the same

PLACE = f"/pyoci-bench-{os.getpid()}"
ROUNDS, TURNS = 20, 30
MUST_REACH = 1.3
LIMITS = (
    b'{"devices": [{"allow": false, "access": "rwm"}], "memory": {"limit": 67108864}, '
    b'"cpu": {"shares": 512, "quota": 50000, "period": 100000}, "pids": {"limit": 100}}'
)
CALL = re.compile(
    r'^(mkdir|rmdir|mkdirat|unlinkat|write)\((?:AT_FDCWD<[^>]*>, |\d+<([^>]*)>, )?"([^"]*)"'
)
VERBS = {"mkdirat": "mkdir", "unlinkat": "rmdir"}  # some architectures have no others


def supported() -> dict[str, Any]:
    """Return the limits, less what this layout cannot do."""
    limits: dict[str, Any] = {**spec.parse_resources(LIMITS, "bench")}
    cgroup = locate(PLACE, "bench", rootless=False)
    for name, controller in (("memory", "memory"), ("cpu", "cpu"), ("pids", "pids")):
        part = cgroup.controller(controller)
        if part is None or (part.name == "" and not has(part.mount, controller)):
            limits[name] = None
    if not (limits["memory"] or limits["cpu"] or limits["pids"]):
        limits["hugepageLimits"] = [{"pageSize": size, "limit": 0} for size in page_sizes()]
    return limits


def page_sizes() -> list[str]:
    """Return the sizes of huge pages: what version 2 can limit where it is mounted beside version 1."""
    sizes = remedy.page_sizes()
    return sizes.split(", ") if sizes[0].isdigit() else []


def has(mount: str, controller: str) -> bool:
    """Tell whether a version 2 hierarchy has a controller."""
    with open(f"{mount}/cgroup.controllers", encoding="ascii") as file:
        return controller in file.read().split()


def round_of_ours(limits: dict[str, Any]) -> tuple[int, int]:
    """Make, limit and remove a container's cgroups as create and delete do.

    Returns the nanoseconds of it, and of it with finding the hierarchies and looking for strangers.
    """
    start = time.perf_counter_ns()
    cgroup = locate(PLACE, "bench", rootless=False)
    cgroup.check()
    found = time.perf_counter_ns()
    cgroup.make(limits)
    cgroup.apply(limits)
    cgroup.close()
    Cgroup.from_record(cgroup.record()).destroy()
    end = time.perf_counter_ns()
    return end - found, end - start


def calls(directory: str) -> list[str]:
    """Return the calls of one round, by strace."""
    trace = f"{directory}/trace"
    argv = ["strace", "-y", "-o", trace, "-e", "trace=?mkdir,?rmdir,mkdirat,unlinkat,write"]
    subprocess.run([*argv, sys.executable, __file__, "--once"], check=True)
    found = []
    with open(trace, encoding="utf-8") as lines:
        for line in lines:
            match = CALL.match(line)
            if match is None or "= -1" in line or "/cgroup/" not in line:
                continue
            verb, *words = match.groups()
            found.append(" ".join(filter(None, (VERBS.get(verb, verb), *words))))
    return found


def main() -> None:
    """Print both medians and their ratio."""
    gc.disable()  # as in every command of pyoci's
    limits = supported()
    round_of_ours(limits)
    if sys.argv[1:] == ["--once"]:
        return
    ours: list[tuple[int, int]] = []
    theirs: list[float] = []
    with tempfile.TemporaryDirectory() as directory:
        program = f"{directory}/cgroup_calls"
        subprocess.run(["cc", "-O2", "-o", program, f"{HERE}/cgroup_calls.c"], check=True)
        made = calls(directory)
        for _ in range(TURNS):
            ran = subprocess.run([program, str(ROUNDS), *made], check=True, capture_output=True)
            theirs += map(float, ran.stdout.split())
            ours += [round_of_ours(limits) for _ in range(ROUNDS)]
    print(f"{len(made)} calls, {len(ours)} rounds; must reach: at most {MUST_REACH}")
    for name, of in (("median", statistics.median), ("least", min)):
        own, whole = (of(column) / 1e6 for column in zip(*ours, strict=True))
        c = of(theirs) / 1e6
        print(f"{name}: C {c:.2f} ms, pyoci {own:.2f} ms: {own / c:.2f}; ", end="")
        print(f"with finding the hierarchies {whole:.2f} ms: {whole / c:.2f}")


if __name__ == "__main__":
    main()
