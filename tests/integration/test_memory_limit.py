# SPDX-License-Identifier: Apache-2.0
"""A container whose memory limit is too small says so, with the limit and the peak."""

import re
from typing import Any

import pytest
from blackbox import host
from blackbox.bundle import Bundle, MakeBundle
from blackbox.cgroups import is_unified, need, need_cgroupfs
from blackbox.membership import file_of
from blackbox.processes import Ran
from blackbox.runtime import Container, Runtime

MIB = 1 << 20
LIMIT = 16 * MIB
EATER = "tail /dev/zero"  # keeps a line that never ends
PAGE = 4096
KILLED = r"out of memory: the kernel killed (\d+) process(?:es)?{}; the limit is (\d+) bytes \(.*\)"
ABOVE = r"(?: in \S+ \(systemd has removed .*\))?"
NO_WORDS = pytest.mark.expect_fail_on("runc", "runc 1.1 gives no numbers, or says nothing")


def limited(made: Bundle, limit: int) -> Bundle:
    """Give a bundle this much memory, and no swap."""
    need("memory")
    resources: dict[str, Any] = made.linux["resources"]
    made.linux["resources"] = resources | {"memory": {"limit": limit, "swap": limit}}
    return made.write()


def check_words(ran: Ran, limit: int, above: str = "") -> None:
    """Expect the number of the killed, the limit, and a peak that is near it."""
    found = re.search(KILLED.format(above), ran.stderr)
    assert found, ran
    assert int(found[1]) >= 1
    assert int(found[2]) == limit
    peak = re.search(r"the peak (\d+) bytes", ran.stderr)
    if peak is not None:  # Linux before 5.19 does not know that of version 2
        assert limit * 0.9 <= int(peak[1]) <= limit


@NO_WORDS
def test_run_says_why_its_program_was_killed(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 1.3: the status stays 128 + SIGKILL."""
    ran = runtime.run(limited(bundle(sh=f"exec {EATER}"), LIMIT))
    assert ran.code == 137
    check_words(ran, LIMIT, ABOVE if runtime.systemd else "")


@NO_WORDS
def test_run_says_why_a_child_was_killed_where_that_is_a_failure(
    runtime: Runtime, bundle: MakeBundle
) -> None:
    """A shell passes the status on; so do most supervisors."""
    ran = runtime.run(limited(bundle(sh=f"{EATER}; exit 3"), LIMIT))
    assert ran.code == 3
    check_words(ran, LIMIT, ABOVE if runtime.systemd else "")


def test_run_says_nothing_where_all_ended_well(runtime: Runtime, bundle: MakeBundle) -> None:
    """A server that replaces its workers has not failed."""
    ran = runtime.run(limited(bundle(sh=f"{EATER}; exit 0"), LIMIT))
    assert (ran.code, "memory" in ran.stderr) == (0, False)


def test_run_says_nothing_of_memory_where_it_was_not_short(
    runtime: Runtime, bundle: MakeBundle
) -> None:
    """A SIGKILL of somebody else's is not lack of memory."""
    ran = runtime.run(limited(bundle(sh="sh -c 'kill -KILL $$'; exit $?"), LIMIT))
    assert (ran.code, "memory" in ran.stderr) == (137, False)


@NO_WORDS
def test_create_says_that_init_does_not_fit(runtime: Runtime, bundle: MakeBundle) -> None:
    """spec.md: runc#2812, moby#41167; nothing is left."""
    container, ran = runtime.try_create(limited(bundle("sleep", "1000"), PAGE))
    assert ran.code == 1
    assert not (runtime.root / container.id).exists()
    assert "container init was OOM-killed (memory limit too low?)" in ran.message
    check_words(ran, PAGE)


def heavy(made: Bundle) -> Bundle:
    """Give a program arguments that cannot be copied within its limit."""
    made.process["args"] = ["sleep", "1000", *["x" * 120_000] * 12]
    return limited(made, MIB)


@NO_WORDS
def test_start_says_that_the_program_does_not_fit(runtime: Runtime, bundle: MakeBundle) -> None:
    """execve(2) is charged before the program begins: then it has not been started."""
    container, ran = runtime.try_create(heavy(bundle()))
    assert ran.code == 0, ran
    ran = container.try_start()
    container.wait("stopped")
    assert ran.code == 1
    assert "container init was OOM-killed (memory limit too low?)" in ran.message
    check_words(ran, MIB)


@NO_WORDS
def test_run_of_a_program_that_does_not_fit(runtime: Runtime, bundle: MakeBundle) -> None:
    """In the foreground it is a program that was killed, as any other."""
    ran = runtime.run(heavy(bundle()))
    assert ran.code == 137
    check_words(ran, MIB)


@NO_WORDS
def test_a_limit_that_is_anothers(runtime: Runtime, bundle: MakeBundle) -> None:
    """Where a cgroup above has run out, the container's own limit is not blamed."""
    need("memory")
    need_cgroupfs(runtime)
    outer, name = runtime.new_id(), runtime.new_id()
    made = bundle(sh=f"sleep 1000 & {EATER}; exit 1", cgroupsPath=f"/{outer}/{name}")
    assert runtime("create", "--bundle", str(made.path), name).code == 0
    container = Container(runtime, name, made)
    own = file_of(
        container.pid, "memory.max" if is_unified() else "memory.limit_in_bytes", "memory"
    )
    above = own.replace(f"/{name}/", "/")
    container.delete()
    with open(above, "w", encoding="ascii") as file:
        file.write(str(LIMIT))
    ran = runtime("run", "--bundle", str(made.path), name)
    with open(above, "w", encoding="ascii") as file:
        file.write("max" if is_unified() else "-1")
    host.remove_cgroups(outer)
    assert ran.code == 1
    assert "the container has no limit: a cgroup above it or the host ran out" in ran.stderr
