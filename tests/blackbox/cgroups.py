# SPDX-License-Identifier: Apache-2.0
"""The cgroup files of a container, as a process inside reads them, on whatever layout there is."""

import contextlib
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blackbox.bundle import CGROUP, MakeBundle
from blackbox.processes import text
from blackbox.runtime import Container, Runtime

ROOT = "/sys/fs/cgroup"
MB = 1 << 20
DISK_BYTES = 16 * MB
LOOP_MAJOR = 7
LOOP_SET_FD, LOOP_CLR_FD, LOOP_CTL_GET_FREE = 0x4C00, 0x4C01, 0x4C82
SLEEP = ("sleep", "1000")


def is_unified() -> bool:
    """Tell whether cgroup version 2 is all that the tests see."""
    return os.path.exists(f"{ROOT}/cgroup.controllers")


def has(controller: str) -> bool:
    """Tell whether this layout has a controller."""
    if is_unified():
        return controller in text(f"{ROOT}/cgroup.controllers").split()
    return os.path.exists(f"{ROOT}/{controller}/cgroup.procs")


def need(controller: str) -> None:
    """Skip the test where a controller is missing."""
    if not has(controller):
        layout = "v2" if is_unified() else "v1"
        pytest.skip(f"this host has no {controller} controller on cgroup {layout}")


def need_version(version: int) -> None:
    """Skip the test on the other version."""
    if is_unified() != (version == 2):
        pytest.skip(f"only cgroup v{version} has it")


def need_cgroupfs(runtime: Runtime, why: str = "names a cgroup by its path") -> None:
    """Skip the test where systemd makes the cgroups (PYOCI_DRIVER)."""
    if runtime.systemd:
        pytest.skip(f"with systemd's driver: {why}")


def mounted(make: MakeBundle, *args: str, **edits: Any) -> Any:
    """Make a bundle that shows the container its own cgroup, and whose program waits."""
    made = make(*(args or SLEEP), mounts=[CGROUP], **edits)
    made.set_namespace(cgroup="")
    return made.write()


def path_of(file: str) -> str:
    """Return where a container finds a cgroup file of its own."""
    return f"{ROOT}/{file}" if is_unified() else f"{ROOT}/{file.partition('.')[0]}/{file}"


def inside(container: Container, file: str) -> str:
    """Return what a container reads in one of its cgroup files."""
    ran = container.exec("cat", path_of(file))
    assert ran.code == 0, ran
    return ran.stdout.strip()


def outside(container: Container, file: str) -> str:
    """Return what the host reads in it, where the container cannot be asked."""
    return text(place(container, file)).strip()


def place(container: Container, file: str) -> Path:
    """Return where a cgroup file of a container is on the host."""
    controller = file.partition(".")[0]
    for line in text(f"/proc/{container.pid}/cgroup").splitlines():
        _, names, path = line.split(":", 2)
        if names == ("" if is_unified() else controller) or controller in names.split(","):
            return Path(f"{ROOT if is_unified() else f'{ROOT}/{controller}'}{path}/{file}")
    raise AssertionError(f"{container.id} is in no cgroup of {controller}")


def running(runtime: Runtime, bundle: MakeBundle, **resources: Any) -> Container:
    """Start a container with these resources, whose program waits."""
    return runtime.start(mounted(bundle, resources=resources))


class Disk:
    """A loop device."""

    def __init__(self, number: int) -> None:
        self.node = f"/dev/loop{number}"
        self.numbers = {"major": LOOP_MAJOR, "minor": number}
        self.name = f"{LOOP_MAJOR}:{number}"
        self.scheduler = Path(f"/sys/block/loop{number}/queue/scheduler")


@contextlib.contextmanager
def loop_device(scratch: Path) -> Iterator[Disk]:
    """Make a disk of an empty file."""
    if not os.path.exists("/dev/loop-control"):
        pytest.skip("this host has no loop devices")
    file = scratch / "disk"
    with open(file, "wb") as empty:
        empty.truncate(DISK_BYTES)
    control = os.open("/dev/loop-control", os.O_RDWR)
    number = fcntl.ioctl(control, LOOP_CTL_GET_FREE)
    os.close(control)
    disk = Disk(number)
    backing, loop = os.open(file, os.O_RDWR), os.open(disk.node, os.O_RDWR)
    try:
        fcntl.ioctl(loop, LOOP_SET_FD, backing)
        try:
            yield disk
        finally:
            fcntl.ioctl(loop, LOOP_CLR_FD)
    finally:
        os.close(backing)
        os.close(loop)


def load(module: str) -> bool:
    """Load a module of the kernel, where it is one."""
    if shutil.which("modprobe") is None:
        return False
    return subprocess.run(["modprobe", "-q", module], check=False).returncode == 0


@contextlib.contextmanager
def weighed_by_bfq(disk: Disk) -> Iterator[None]:
    """Let BFQ schedule a disk."""
    load("bfq")
    before = disk.scheduler.read_text()
    if "bfq" not in before:
        pytest.skip("this kernel has no BFQ scheduler")
    disk.scheduler.write_text("bfq")
    try:
        yield
    finally:
        disk.scheduler.write_text(before.partition("[")[2].partition("]")[0])


@contextlib.contextmanager
def rdma_device() -> Iterator[str]:
    """Make an RDMA device in software, on a network interface of nothing."""
    if not (shutil.which("rdma") and load("dummy") and load("rdma_rxe")):
        pytest.skip("needs rdma (iproute2) and the modules dummy and rdma_rxe")
    interface, device = "pyocitest0", "pyocirxe0"
    subprocess.run(["ip", "link", "add", interface, "type", "dummy"], check=True)
    try:
        subprocess.run(
            ["rdma", "link", "add", device, "type", "rxe", "netdev", interface], check=True
        )
        yield device
    finally:
        subprocess.run(["ip", "link", "del", interface], check=True)
