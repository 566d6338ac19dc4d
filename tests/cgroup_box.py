# SPDX-License-Identifier: Apache-2.0
"""Cgroups for real: on the layout of this host, and on plain version 1 or 2 in private mounts.

Each test runs in a child of its own with its own mount namespace. A version 2 hierarchy that is
mounted beside version 1 has no memory, pids or cpu controllers: what needs them runs where
they are.
"""

import os
import signal
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from blackbox import kernel

from pyoci.cgroup import Cgroup, layout, locate

LAYOUTS = ("v1", "hybrid", "v2")
MEMORY = (
    "limit reservation swap kernel kernelTCP swappiness disableOOMKiller useHierarchy "
    "checkBeforeUpdate"
)
CPU = "shares quota burst period realtimeRuntime realtimePeriod cpus mems idle"


def show(kind: str) -> None:
    """Show the calling process one layout only; skip where this host cannot."""
    found = locate(None, "x", rootless=False).layout
    kernel.unshare_mounts()
    if kind == "v2" and found != "v2":
        kernel.umount(layout.ROOT, kernel.MNT_DETACH)
        kernel.mount("none", layout.ROOT, "cgroup2")
    elif (kind, found) == ("v1", "hybrid"):
        unified = locate(None, "x", rootless=False).parts[0].mount
        kernel.umount(unified)
    assert locate(None, "x", rootless=False).layout == kind


def can_show(kind: str) -> bool:
    """Tell whether this host has what a layout needs."""
    found = locate(None, "x", rootless=False).layout
    return kind == found or (found == "hybrid" and kind in LAYOUTS)


class Box:
    """A place for the cgroups of one test, and the processes in them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.pids: list[int] = []

    def cgroup(self, sub: str = "one") -> Cgroup:
        return locate(f"/{self.name}/{sub}", "unused", rootless=False)

    def made(self) -> Cgroup:
        cgroup = self.cgroup()
        cgroup.make(resources())
        return cgroup

    def process(self, cgroup: Cgroup, act: Callable[[], object] = signal.pause) -> int:
        """Start a process in the cgroup; it is there when this returns."""
        ready, told = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                enter(cgroup)
                os.close(ready)
                os.write(told, b"1")
                os.close(told)
                act()
            finally:
                os._exit(0)
        self.pids.append(pid)
        os.close(told)
        assert os.read(ready, 1) == b"1"
        os.close(ready)
        return pid

    def clean(self) -> None:
        everything = self.cgroup("")
        try:
            everything.kill(signal.SIGKILL)
            for pid in self.pids:
                wait(pid)
        finally:
            everything.remove()


def enter(cgroup: Cgroup) -> None:
    for _, fd in cgroup.procs_fds():
        os.write(fd, b"0")
    for part in cgroup.parts:
        if part.name == "":
            part.write("cgroup.procs", "0")


def wait(pid: int) -> int:
    """Return how a child ended; the signal as a negative number."""
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        return 0


def resources(**given: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever config.json may hold
    """Return resources as spec.load leaves them: every key is there."""
    whole: dict[str, Any] = dict.fromkeys(("memory", "cpu", "pids", "blockIO", "network"))
    whole |= {"devices": [], "hugepageLimits": [], "rdma": {}, "unified": {}}
    for name, keys in (("memory", MEMORY), ("cpu", CPU), ("pids", "limit")):
        if name in given:
            given[name] = dict.fromkeys(keys.split()) | given[name]
    return whole | given


Act = Callable[[Box], None]
Run = Callable[[str, Act], None]


def in_child(kind: str, act: Act, box: Box, report: int) -> int:
    try:
        kernel.become_subreaper()
        show(kind)
        try:
            act(box)
        finally:
            box.clean()
    except BaseException:  # noqa: BLE001 - whatever it is, the test shows it
        os.write(report, traceback.format_exc().encode())
        return 1
    return 0


def text(cgroup: Cgroup, file: str) -> str:
    part = cgroup.controller(file.partition(".")[0])
    assert part is not None
    return part.read(file).decode().strip()


@pytest.fixture
def run_in(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Run a function in a child with a layout of its own, and clean after it."""

    def run(kind: str, act: Act) -> None:
        if not can_show(kind):
            pytest.skip(f"this host cannot show {kind}")
        name = f"pyoci-cgroup-{os.getpid()}-{abs(hash(request.node.name)) % 99999}"
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            code = in_child(kind, act, Box(name), write)
            os._exit(code)
        os.close(write)
        with open(read, encoding="utf-8") as report:
            text = report.read()
        assert wait(pid) == 0, text

    yield run
