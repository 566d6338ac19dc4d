# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the black-box suite: `runtime`, `bundle`, `alone`, `on_mount`, `source`, `run_in`."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from blackbox import cgroups, host, kernel
from blackbox.alone import Alone, launcher_only
from blackbox.bundle import Bundle, MakeBundle
from blackbox.runtime import Runtime
from cgroup_box import run_in  # noqa: F401 - a fixture


@pytest.fixture
def runtime(
    program: str, scratch: Path, session: Path, request: pytest.FixtureRequest
) -> Iterator[Runtime]:
    """The runtime under test; what it leaves after `delete --force` is an error of the test."""
    driven = Runtime(program, scratch, session.name)
    yield driven
    left = host.leftovers(driven)
    known = any(mark.args[0] == driven.name for mark in request.node.iter_markers("expect_fail_on"))
    if left and not known:
        pytest.fail("left behind: " + "; ".join(left), pytrace=False)


@pytest.fixture
def bundle(scratch: Path, session: Path) -> MakeBundle:
    """Make a bundle: bundle("id", "-u", readonly=True, mounts=[...], user={...})."""
    numbers = iter(range(1000))

    def make(*args: str, **edits: Any) -> Bundle:
        number = next(numbers)
        made = Bundle(scratch / f"bundle{number}", session / "busybox")
        made.edit(*args, **edits)
        if os.geteuid() != 0:
            made.belong_to_user()
        return made.write()

    return make


@pytest.fixture
def alone(runtime: Runtime, scratch: Path) -> Alone:
    """Run a command with the launcher only, without Python."""
    if runtime.name != "pyoci":
        pytest.skip("others need no interpreter")
    cgroups.need_cgroupfs(runtime, "a unit is Python's to change and to remove")
    return launcher_only(runtime, scratch)


@pytest.fixture
def on_mount(runtime: Runtime) -> Iterator[Callable[..., None]]:
    """Call mount(2); unmounted before the runtime is asked what it has left."""

    outside: list[str] = []

    def mount(source: Path | str, target: Path | str, *rest: Any) -> None:
        kernel.mount(str(source), str(target), *rest)
        if not str(target).startswith(str(runtime.scratch)):
            outside.append(str(target))

    yield mount
    for running in runtime.running:
        running.end()
    host.left_mounts(runtime.scratch)
    for target in reversed(outside):
        kernel.umount(target, kernel.MNT_DETACH)


@pytest.fixture
def source(scratch: Path) -> Path:
    """A directory of the host with a file, a directory and a program."""
    path = scratch / "source"
    (path / "sub").mkdir(parents=True)
    (path / "file").write_text("content\n")
    return path
