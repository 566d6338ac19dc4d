# SPDX-License-Identifier: Apache-2.0
"""Cgroups for real: on the layout of this host, and on plain version 1 or 2 in private mounts.

Each test runs in a child of its own with its own mount namespace. A version 2 hierarchy that is
mounted beside version 1 has no memory, pids or cpu controllers: what needs them runs where
they are.
"""

import ctypes
import os
import select
import signal
import struct
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from blackbox import kernel
from blackbox.processes import patience, within

from pyoci.cgroup import Cgroup, layout, locate, of_process
from pyoci.errors import CgroupError

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: real cgroups"),
]
LAYOUTS = ("v1", "hybrid", "v2")
NOBODY = 65534
MB = 1 << 20
SYS_BPF = {"x86_64": 321, "aarch64": 280}
MEMORY = (
    "limit reservation swap kernel kernelTCP swappiness disableOOMKiller useHierarchy "
    "checkBeforeUpdate"
)
CPU = "shares quota burst period realtimeRuntime realtimePeriod cpus mems idle"


def show(kind: str) -> None:
    """Show the calling process one layout only; skip where this host cannot."""
    found = locate(None, "x", False).layout
    kernel.unshare_mounts()
    if kind == "v2" and found != "v2":
        kernel.umount(layout.ROOT, kernel.MNT_DETACH)
        kernel.mount("none", layout.ROOT, "cgroup2")
    elif (kind, found) == ("v1", "hybrid"):
        unified = locate(None, "x", False).parts[0].mount
        kernel.umount(unified)
    assert locate(None, "x", False).layout == kind


def can_show(kind: str) -> bool:
    """Tell whether this host has what a layout needs."""
    found = locate(None, "x", False).layout
    return kind == found or (found == "hybrid" and kind in LAYOUTS)


class Box:
    """A place for the cgroups of one test, and the processes in them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.pids: list[int] = []

    def cgroup(self, sub: str = "one") -> Cgroup:
        return locate(f"/{self.name}/{sub}", "unused", False)

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
    whole: dict[str, Any] = dict.fromkeys(("memory", "cpu", "pids", "blockIO", "network"))
    whole |= {"devices": [], "hugepageLimits": [], "rdma": {}, "unified": {}}
    for name, keys in (("memory", MEMORY), ("cpu", CPU), ("pids", "limit")):
        if name in given:
            given[name] = dict.fromkeys(keys.split()) | given[name]
    return whole | given


Act = Callable[[Box], None]
Run = Callable[[str, Act], None]


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


@pytest.mark.parametrize("kind", LAYOUTS)
class TestEverywhere:
    def test_make_and_remove_leave_nothing(self, run_in: Run, kind: str) -> None:
        def act(box: Box) -> None:
            cgroup = box.made()
            assert all(Path(part.full_path).is_dir() for part in cgroup.parts)
            again = Cgroup.from_record(cgroup.record())
            again.remove()
            again.remove()
            assert not any(Path(part.full_path).exists() for part in cgroup.parts)
            assert again.pids() == []
            assert not again.is_frozen()
            again.kill(signal.SIGKILL)
            again.thaw()

        run_in(kind, act)

    def test_a_half_made_cgroup_is_removed(self, run_in: Run, kind: str) -> None:
        """security.md, case 94."""

        def act(box: Box) -> None:
            cgroup = box.made()
            os.rmdir(cgroup.parts[0].full_path)
            Cgroup.from_record(cgroup.record()).remove()
            assert not any(Path(part.full_path).exists() for part in cgroup.parts)

        run_in(kind, act)

    def test_a_process_is_in_every_hierarchy(self, run_in: Run, kind: str) -> None:
        def act(box: Box) -> None:
            cgroup = box.made()
            pid = box.process(cgroup)
            assert cgroup.pids() == [pid]
            assert all(part.pids() == [pid] for part in cgroup.parts)
            assert of_process(pid).directories == cgroup.directories

        run_in(kind, act)

    def test_a_cgroup_with_processes_is_refused_and_survives(self, run_in: Run, kind: str) -> None:
        """security.md, case 91."""

        def act(box: Box) -> None:
            pid = box.process(box.made())
            mine = box.cgroup()
            words = r"^container's cgroup is not empty: 1 process\(es\) found$"
            with pytest.raises(CgroupError, match=words):
                mine.check()
            with pytest.raises(CgroupError, match=words):
                mine.make(None)
            mine.kill(signal.SIGKILL)
            mine.remove()
            assert mine.parts == []
            assert os.waitpid(pid, os.WNOHANG) == (0, 0)

        run_in(kind, act)

    def test_a_frozen_cgroup_is_refused(self, run_in: Run, kind: str) -> None:
        """security.md, case 91."""

        def act(box: Box) -> None:
            first = box.made()
            first.freeze()
            with pytest.raises(CgroupError, match="container's cgroup unexpectedly frozen"):
                box.cgroup().make(None)
            first.thaw()
            box.cgroup().make(None)

        run_in(kind, act)

    def test_freeze_and_thaw(self, run_in: Run, kind: str) -> None:
        def act(box: Box) -> None:
            cgroup = box.made()
            box.process(cgroup)
            assert not cgroup.is_frozen()
            cgroup.freeze()
            assert cgroup.is_frozen()
            cgroup.thaw()
            assert not cgroup.is_frozen()

        run_in(kind, act)

    def test_kill_reaches_everything_below_also_frozen(self, run_in: Run, kind: str) -> None:
        """security.md, cases 80, 84 and 86."""

        def act(box: Box) -> None:
            cgroup = box.made()
            inner = box.cgroup("one/two/three")
            if (
                kind == "v2"
            ):  # made by us, its controllers would keep processes out of the one above
                os.makedirs(inner.parts[0].full_path)
            else:
                inner.make(None)
            pids = [box.process(cgroup), box.process(inner), box.process(inner)]
            inner.freeze()
            cgroup.freeze()
            assert sorted(cgroup.pids()) == sorted(pids)
            cgroup.kill(signal.SIGKILL)
            assert [wait(pid) for pid in pids] == [-signal.SIGKILL] * 3
            cgroup.remove()
            assert not any(Path(part.full_path).exists() for part in cgroup.parts)

        run_in(kind, act)

    def test_other_signals_reach_all_and_a_paused_cgroup_stays_so(
        self, run_in: Run, kind: str
    ) -> None:
        def act(box: Box) -> None:
            cgroup = box.made()
            pids = [box.process(cgroup) for _ in range(3)]
            cgroup.freeze()
            cgroup.kill(signal.SIGTERM)
            assert cgroup.is_frozen()
            cgroup.thaw()
            assert [wait(pid) for pid in pids] == [-signal.SIGTERM] * 3

        run_in(kind, act)

    def test_kill_ends_what_forks_all_the_time(self, run_in: Run, kind: str) -> None:
        """security.md, case 87; a chain of forks, in which no process lives long."""

        def hop() -> None:
            while os.fork() == 0:
                time.sleep(0.001)  # the parent ends, the child goes on

        def act(box: Box) -> None:
            cgroup = box.made()
            for _ in range(5):
                box.process(cgroup, hop)
            with within(5):
                cgroup.kill(signal.SIGKILL)
                reap()
                cgroup.remove()

        run_in(kind, act)

    def test_kill_where_the_kernel_has_no_cgroup_kill(self, run_in: Run, kind: str) -> None:
        """security.md, case 87, before Linux 5.14: freeze, signal each, thaw."""

        def fork_for_ever() -> None:
            while True:
                if os.fork() == 0:
                    os._exit(0)
                os.waitpid(-1, 0)

        def act(box: Box) -> None:
            from pyoci.cgroup import v2

            v2.kill = lambda directory: False
            cgroup = box.made()
            pids = [box.process(cgroup, fork_for_ever) for _ in range(5)]
            cgroup.kill(signal.SIGKILL)
            assert [wait(pid) for pid in pids] == [-signal.SIGKILL] * 5
            reap()
            cgroup.remove()

        run_in(kind, act)

    def test_destroy_ends_and_removes_and_may_be_repeated(self, run_in: Run, kind: str) -> None:
        """security.md, cases 84 and 90: also without a living init."""

        def act(box: Box) -> None:
            cgroup = box.made()
            pids = [box.process(cgroup) for _ in range(3)]
            again = Cgroup.from_record(cgroup.record())
            again.destroy()
            assert [wait(pid) for pid in pids] == [-signal.SIGKILL] * 3
            assert not any(Path(part.full_path).exists() for part in cgroup.parts)
            again.destroy()

        run_in(kind, act)

    def test_remove_waits_for_the_dying(self, run_in: Run, kind: str) -> None:
        def act(box: Box) -> None:
            cgroup = box.made()
            box.process(cgroup, lambda: time.sleep(0.3))
            started = time.monotonic()
            Cgroup.from_record(cgroup.record()).remove()
            assert 0.1 < time.monotonic() - started < patience(2)

        run_in(kind, act)

    def test_remove_gives_up_in_time_and_can_be_tried_again(self, run_in: Run, kind: str) -> None:
        """security.md, case 88."""

        def act(box: Box) -> None:
            cgroup = box.made()
            pid = box.process(cgroup)
            with pytest.raises(CgroupError, match=r"cannot remove cgroup /.*1 process\(es\)"):
                cgroup.remove(0.2)
            os.kill(pid, signal.SIGKILL)
            cgroup.remove()

        run_in(kind, act)

    def test_a_deep_tree_is_removed_with_few_descriptors(self, run_in: Run, kind: str) -> None:
        """security.md, case 86: deeper than there are descriptors, longer than PATH_MAX."""

        def act(box: Box) -> None:
            import resource

            cgroup = box.made()
            fd = os.open(cgroup.parts[0].full_path, os.O_PATH)
            name = "x" * 60
            for _ in range(100):
                os.mkdir(name, dir_fd=fd)
                below = os.open(name, os.O_PATH, dir_fd=fd)
                os.close(fd)
                fd = below
            os.close(fd)
            resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
            cgroup.remove()

        run_in(kind, act)

    def test_a_plain_directory_at_the_recorded_place_is_left_alone(
        self, run_in: Run, kind: str, tmp_path: Path
    ) -> None:
        def act(_: Box) -> None:
            (tmp_path / "a").mkdir()
            row = ["" if kind == "v2" else "pids", str(tmp_path), "/a"]
            record = {"layout": kind, "rootless": False, "directories": [row]}
            cgroup = Cgroup.from_record(record)
            cgroup.kill(signal.SIGKILL)
            cgroup.remove()
            assert (tmp_path / "a").is_dir()

        run_in(kind, act)

    def test_names_that_the_kernel_refuses_are_an_error(self, run_in: Run, kind: str) -> None:
        """security.md, case 56."""

        def act(box: Box) -> None:
            cgroup = box.cgroup("x" * 5000)
            with pytest.raises(CgroupError, match=r"mkdir .*: file name too long"):
                cgroup.make(None)

        run_in(kind, act)

    def test_rootless_without_permission_has_no_cgroup(self, run_in: Run, kind: str) -> None:
        def act(_: Box) -> None:
            drop()
            cgroup = locate(None, "pyoci-rootless", True)
            cgroup.make(resources())
            assert cgroup.directories == {}
            assert cgroup.apply(resources()) == []
            assert (cgroup.into(), cgroup.procs_fds(), cgroup.pids()) == (None, [], [])

        run_in(kind, act)

    def test_rootless_limits_without_permission_are_an_error(self, run_in: Run, kind: str) -> None:
        words = (
            "rootless needs no limits + no cgrouppath when no permission is granted for cgroups"
            if kind == "v2"
            else "cannot set pids limit: container could not join or create cgroup"
        )

        def act(_: Box) -> None:
            drop()
            cgroup = locate(None, "pyoci-rootless", True)
            limits = resources(pids={"limit": 5})
            with pytest.raises(CgroupError) as caught:
                cgroup.make(limits)
                cgroup.apply(limits)
            assert words in str(caught.value)

        run_in(kind, act)

    def test_rootless_path_without_permission_is_an_error(self, run_in: Run, kind: str) -> None:
        def act(_: Box) -> None:
            drop()
            cgroup = locate("/pyoci-rootless", "x", True)
            with pytest.raises(
                CgroupError, match=r"unable to apply cgroup configuration: .*permission denied"
            ):
                cgroup.make(resources())

        run_in(kind, act)


def drop() -> None:
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def reap() -> None:
    """Reap whatever has been killed, also those whose parents were."""
    deadline = time.monotonic() + patience(5)
    while time.monotonic() < deadline:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def has(kind: str, controller: str) -> bool:
    """Tell whether a controller can be had in a layout on this host."""
    if not can_show(kind):
        return False
    here = locate(None, "x", False)
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


def text(cgroup: Cgroup, file: str) -> str:
    part = cgroup.controller(file.partition(".")[0])
    assert part is not None
    return part.read(file).decode().strip()


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
