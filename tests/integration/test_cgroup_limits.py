# SPDX-License-Identifier: Apache-2.0
"""Limits, devices and what each version of cgroups has of its own."""

import ctypes
import os
import select
import signal
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cgroup_box import (
    LAYOUTS,
    Box,
    Run,
    can_show,
    resources,
    text,
    wait,
)

from pyoci.cgroup import Cgroup, locate, v2
from pyoci.errors import CgroupError

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: real cgroups"),
]
MB = 1 << 20
SYS_BPF = {"x86_64": 321, "aarch64": 280}


def has(kind: str, controller: str) -> bool:
    """Tell whether a controller can be had in a layout on this host."""
    if not can_show(kind):
        return False
    here = locate(None, "x", rootless=False)
    if kind == "v2":
        file = Path(here.parts[0].mount, "cgroup.controllers")
        return controller in file.read_text().split()
    return controller in here.directories


def needs(*controllers: str) -> list[Any]:
    return [
        pytest.param(
            kind,
            marks=pytest.mark.skipif(
                not all(has(kind, name) for name in controllers), reason="no such controller"
            ),
        )
        for kind in LAYOUTS
    ]


@pytest.mark.parametrize("kind", needs("memory", "pids", "cpu", "cpuset"))
def test_limits_are_written(run_in: Run, kind: str) -> None:
    def act(box: Box) -> None:
        limits = resources(
            memory={"limit": 64 * MB, "swap": 96 * MB, "reservation": 32 * MB},
            pids={"limit": 17},
            cpu={"shares": 2048, "quota": 50000, "period": 200000, "cpus": "0", "mems": "0"},
        )
        cgroup = box.cgroup()
        cgroup.make(limits)
        assert cgroup.apply(limits) == []
        expected = {"pids.max": "17", "cpuset.cpus": "0"}
        if kind == "v2":
            expected |= {"memory.max": str(64 * MB), "memory.low": str(32 * MB)}
            expected |= {"memory.swap.max": str(32 * MB)}
            expected |= {"cpu.weight": "174", "cpu.max": "50000 200000"}
        else:
            expected |= {"memory.limit_in_bytes": str(64 * MB), "cpu.shares": "2048"}
            expected |= {"memory.memsw.limit_in_bytes": str(96 * MB)}
            expected |= {"cpu.cfs_quota_us": "50000", "cpu.cfs_period_us": "200000"}
        assert {file: text(cgroup, file) for file in expected} == expected

    run_in(kind, act)


@pytest.mark.parametrize("kind", needs("memory"))
def test_memory_limits_go_up_and_down(run_in: Run, kind: str) -> None:
    def act(box: Box) -> None:
        cgroup = box.made()
        for size in (64, 256, 32, 128):
            cgroup.apply(resources(memory={"limit": size * MB, "swap": 2 * size * MB}))
            assert cgroup.memory_peak() is not None
        cgroup.apply(resources(memory={"limit": -1}))

    run_in(kind, act)


@pytest.mark.parametrize("kind", needs("cpu"))
def test_a_period_that_contradicts_the_present_quota_is_written_after_it(
    run_in: Run, kind: str
) -> None:
    def act(box: Box) -> None:
        cgroup = box.made()
        for quota, period in ((500_000, 1_000_000), (1000, 1000), (900_000, 1_000_000)):
            cgroup.apply(resources(cpu={"quota": quota, "period": period}))

    run_in(kind, act)


@pytest.mark.parametrize("kind", needs("memory"))
def test_a_static_program_starts_in_one_mebibyte(run_in: Run, kind: str) -> None:
    def act(box: Box) -> None:
        limits = resources(memory={"limit": MB, "swap": MB})
        cgroup = box.made()
        cgroup.apply(limits)
        # What the executor does: it forks outside, and only its child is charged here.
        code = (
            "import os,sys;"
            "[os.write(int(fd), b'0') for fd in sys.argv[1:]];"
            "os.execv('/bin/busybox', ['busybox', 'true'])"
        )
        fds = [fd for _, fd in cgroup.procs_fds()]
        if kind == "v2":
            part = cgroup.part("")
            assert part is not None
            fds = [os.open("cgroup.procs", os.O_WRONLY, dir_fd=part.open())]
        ran = subprocess.run(
            ["/usr/bin/python3", "-ISc", code, *map(str, fds)], pass_fds=fds, check=False
        )
        assert ran.returncode == 0
        assert cgroup.oom_kills() == 0

    run_in(kind, act)


@pytest.mark.parametrize("kind", needs("memory"))
def test_kills_for_memory_are_counted(run_in: Run, kind: str) -> None:
    def act(box: Box) -> None:
        cgroup = box.made()
        cgroup.apply(resources(memory={"limit": 16 * MB, "swap": 16 * MB}))
        assert cgroup.oom_kills() == 0
        pid = box.process(cgroup, lambda: bytearray(64 * MB))
        assert wait(pid) == -signal.SIGKILL
        assert cgroup.oom_kills() == 1
        assert (cgroup.memory_peak() or 0) > 15 * MB

    run_in(kind, act)


def test_version_1_says_what_uses_the_memory(run_in: Run) -> None:
    def act(box: Box) -> None:
        cgroup = box.made()

        def hold() -> None:
            kept = bytearray(32 * MB)
            signal.pause()
            del kept

        box.process(cgroup, hold)
        while (cgroup.memory_peak() or 0) < 32 * MB:
            select.select([], [], [], 0.01)
        with pytest.raises(CgroupError, match=r"unable to set memory limit to \d+ \(current "):
            cgroup.apply(resources(memory={"limit": MB}))
        with pytest.raises(CgroupError, match="rejecting memory limit"):
            cgroup.apply(resources(memory={"limit": MB, "checkBeforeUpdate": True}))

    run_in("v1", act)


def test_a_controller_that_is_not_there_is_named(run_in: Run) -> None:
    """The remedy is in the text: which file in which ancestor lacks the controller."""
    if has("v2", "memory"):
        pytest.skip("this host delegates memory")

    def act(box: Box) -> None:
        limits = resources(memory={"limit": MB})
        cgroup = box.cgroup()
        cgroup.make(limits)
        with pytest.raises(CgroupError) as caught:
            cgroup.apply(limits)
        assert 'controller "memory" is not available' in str(caught.value)
        assert "/sys/fs/cgroup/cgroup.controllers" in str(caught.value)
        assert str(caught.value).startswith('cannot set memory limit: write "1048576" to /sys/')
        with pytest.raises(CgroupError, match='controller "nosuch"'):
            cgroup.apply(resources(unified={"nosuch.max": "1"}))

    run_in("v2", act)


def test_version_1_empty_cpusets_are_filled(run_in: Run) -> None:
    def act(box: Box) -> None:
        part = box.made().part("cpuset")
        assert part is not None
        for file in ("cpuset.cpus", "cpuset.mems"):
            own = Path(part.mount, file).read_bytes()
            assert part.read(file) == own
            assert Path(part.full_path).parent.joinpath(file).read_bytes() == own

    run_in("v1", act)


def test_version_1_devices_are_denied_by_default(run_in: Run) -> None:
    """GHSA-g54h-m393-cpwq (security.md, case 43), by real opens."""

    def act(box: Box) -> None:
        cgroup = box.made()
        cgroup.apply(None)
        assert opens(box, cgroup, "/dev/null")
        assert not opens(box, cgroup, "/dev/kmsg")
        cgroup.apply(resources(devices=[device(allow=True)]))
        assert opens(box, cgroup, "/dev/kmsg")

    run_in("v1", act)


def test_version_2_devices_are_denied_by_the_program(run_in: Run) -> None:
    """The same by BPF: the kernel's verifier takes the program, and it decides."""

    def act(box: Box) -> None:
        cgroup = box.made()
        directory = cgroup.into()
        assert directory is not None
        program = cgroup.device_program(None)
        assert program is not None
        attached = attach(directory, program)
        assert opens(box, cgroup, "/dev/null")
        assert not opens(box, cgroup, "/dev/kmsg")
        detach(directory, attached)
        for rules in ([device(allow=True)], [device(allow=True), device(allow=False, access="w")]):
            program = cgroup.device_program(resources(devices=rules))
            assert program is not None
            attached = attach(directory, program)
            assert opens(box, cgroup, "/dev/kmsg")
            detach(directory, attached)

    run_in("v2", act)


def device(*, allow: bool, access: str = "rwm") -> dict[str, Any]:
    return {"allow": allow, "type": "a", "major": None, "minor": None, "access": access}


def opens(box: Box, cgroup: Cgroup, path: str) -> bool:
    """Tell whether a process in the cgroup can open a device for reading."""

    def act() -> None:
        os.open(path, os.O_RDONLY)
        os._exit(7)

    return wait(box.process(cgroup, act)) == 7


def bpf(command: int, attributes: bytes) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(SYS_BPF[os.uname().machine], command, attributes, len(attributes))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(result)


def attach(directory: int, program: bytes) -> int:
    """Load a program for devices and attach it to the cgroup of this descriptor."""
    code, licence = ctypes.create_string_buffer(program), ctypes.create_string_buffer(b"GPL")
    log = ctypes.create_string_buffer(65536)
    load = struct.pack(
        "=IIQQIIQI",
        15,
        len(program) // 8,
        ctypes.addressof(code),
        ctypes.addressof(licence),
        1,
        len(log),
        ctypes.addressof(log),
        0,
    )
    try:
        loaded = bpf(5, load.ljust(128, b"\0"))
    except OSError as error:
        raise AssertionError(log.value.decode()) from error
    bpf(8, struct.pack("=IIII", directory, loaded, 6, 2).ljust(128, b"\0"))
    return loaded


def detach(directory: int, program: int) -> None:
    bpf(9, struct.pack("=IIII", directory, program, 6, 0).ljust(128, b"\0"))
    os.close(program)


def test_version_2_threaded_cgroups_are_removed(run_in: Run) -> None:
    """security.md, case 86."""

    def act(box: Box) -> None:
        cgroup = box.made()
        pid = box.process(cgroup)
        threads = Path(cgroup.parts[0].full_path, "threads")
        threads.mkdir()
        (threads / "cgroup.type").write_text("threaded")
        (threads / "cgroup.threads").write_text(str(pid))
        assert cgroup.pids() == [pid]
        cgroup.kill(signal.SIGKILL)
        wait(pid)
        cgroup.remove()

    run_in("v2", act)


def test_exec_enters_a_cgroup_below(run_in: Run) -> None:
    def act(box: Box) -> None:
        cgroup = box.made()
        Path(cgroup.directories["pids"], "sub").mkdir()
        inner = cgroup.below(["pids:sub"])
        assert inner.directories["pids"].endswith("/one/sub")
        assert inner.directories["memory"].endswith("/one")
        pid = box.process(inner)
        part = inner.part("pids")
        assert part is not None
        assert part.pids() == [pid]
        with pytest.raises(CgroupError, match=r"adding pid 0 to cgroups: open .*/one/gone"):
            cgroup.below(["pids:gone"]).procs_fds()

    run_in("v1", act)


@pytest.mark.parametrize("kind", ["hybrid", "v2"])
def test_clone3_takes_the_descriptor_of_the_directory(run_in: Run, kind: str) -> None:
    """CLONE_INTO_CGROUP, clone3(2)."""

    def act(box: Box) -> None:
        cgroup = box.made()
        directory = cgroup.into()
        assert directory is not None
        arguments = struct.pack("=11Q", 1 << 33, *[0] * 3, signal.SIGCHLD, *[0] * 5, directory)
        libc = ctypes.CDLL(None, use_errno=True)
        pid = libc.syscall(435, arguments, len(arguments))
        if pid == 0:
            signal.pause()
        assert pid > 0, os.strerror(ctypes.get_errno())
        box.pids.append(pid)
        assert cgroup.parts[0].pids() == [pid]

    run_in(kind, act)


def test_a_stray_in_version_1_only_is_killed_too(run_in: Run) -> None:
    """A process with a writable unified mount can leave it: cgroup.kill alone would miss it."""

    def act(box: Box) -> None:
        cgroup = box.made()
        pid = box.process(cgroup)
        Path(cgroup.parts[0].mount, "cgroup.procs").write_text(str(pid))
        assert cgroup.parts[0].pids() == []
        cgroup.kill(signal.SIGKILL)
        assert wait(pid) == -signal.SIGKILL
        cgroup.remove()

    run_in("hybrid", act)


@pytest.mark.skipif(not has("v2", "hugetlb"), reason="version 2 has no controller to hand on")
def test_version_2_has_every_controller_whatever_was_there_before(run_in: Run) -> None:
    """Where the cgroup above hands all of them on, nothing but that is looked at."""

    def act(box: Box) -> None:
        first, second = box.cgroup("one/two/three"), box.cgroup("one/two/four")
        os.makedirs(first.parts[0].full_path.rpartition("/")[0])
        first.make(None)
        available = Path(first.parts[0].mount, "cgroup.controllers").read_bytes()
        assert first.parts[0].read("cgroup.controllers") == available

        v2.hand_down = lambda directory: pytest.fail(f"looked above {directory.full_path}")
        second.make(None)
        assert second.parts[0].read("cgroup.controllers") == available

    run_in("v2", act)


@pytest.mark.parametrize("kind", ["v2"])
def test_a_parent_with_processes_hands_no_controllers_on(run_in: Run, kind: str) -> None:
    """cgroup-v2.rst, "no internal processes": the container may be there, but without limits."""

    def act(box: Box) -> None:
        parent = box.made()
        pid = box.process(parent)
        inner = box.cgroup("one/two")
        inner.make(None)
        box.process(inner)
        assert parent.parts[0].read("cgroup.type") == b"domain\n"
        assert parent.parts[0].read("cgroup.subtree_control").strip() == b""
        if has("v2", "memory"):
            with pytest.raises(
                CgroupError, match=r"one/cgroup.subtree_control, which has processes"
            ):
                inner.apply(resources(memory={"limit": MB}))
        assert pid in parent.pids()

    run_in(kind, act)
