# SPDX-License-Identifier: Apache-2.0
"""The cgroups of a container on every layout: made, entered, frozen, killed, removed."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest
from blackbox import kernel
from blackbox.processes import patience, within
from cgroup_box import LAYOUTS, Box, Run, resources, wait

from pyoci.cgroup import Cgroup, locate, of_process
from pyoci.errors import CgroupError

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: real cgroups"),
]
NOBODY = 65534


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

    def test_nothing_leads_out_of_a_hierarchy(self, run_in: Run, kind: str) -> None:
        """Why whole paths may be opened there (cgroup/directory.py): no file of a cgroup is a link."""

        def act(box: Box) -> None:
            cgroup = box.made()
            for part in cgroup.parts:
                with pytest.raises(PermissionError):
                    os.symlink("/", f"{part.full_path}/link")

        run_in(kind, act)

    def test_where_no_hierarchy_is_mounted_nothing_is_removed(self, run_in: Run, kind: str) -> None:
        def act(box: Box) -> None:
            cgroup = box.made()
            part = cgroup.parts[-1]
            kernel.mount("none", part.mount, "tmpfs")
            os.makedirs(part.full_path)
            part.close()
            assert part.rmdir()
            assert Path(part.full_path).is_dir()
            assert part.pids() == []
            kernel.umount(part.mount)

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

    def test_more_processes_than_one_read_gives_are_all_found(self, run_in: Run, kind: str) -> None:
        """seq_file hands out whole lines of at most a page; without cgroup.kill the rest lived on."""
        children = 1000
        fork = (
            f"import os; first = all(os.fork() for _ in range({children})); "
            "first and os.write(1, b'1'); os.read(0, 1)"
        )

        def act(box: Box) -> None:
            from pyoci.cgroup import v2

            cgroup = box.made()
            ready, told = os.pipe()
            tied, tie = os.pipe()  # to the life of this process, should the test fail

            def fork_many() -> None:
                os.dup2(told, 1)
                os.dup2(tied, 0)
                os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", fork])

            box.process(cgroup, fork_many)
            assert os.read(ready, 1) == b"1"
            assert [len(part.pids()) for part in cgroup.parts] == [children + 1] * len(cgroup.parts)
            v2.kill = lambda directory: False
            cgroup.kill(signal.SIGKILL)
            reap()
            cgroup.remove()
            os.close(tie)

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
            cgroup = locate(None, "pyoci-rootless", rootless=True)
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
            cgroup = locate(None, "pyoci-rootless", rootless=True)
            limits = resources(pids={"limit": 5})
            with pytest.raises(CgroupError) as caught:
                cgroup.make(limits)
                cgroup.apply(limits)
            assert words in str(caught.value)

        run_in(kind, act)

    def test_rootless_path_without_permission_is_an_error(self, run_in: Run, kind: str) -> None:
        def act(_: Box) -> None:
            drop()
            cgroup = locate("/pyoci-rootless", "x", rootless=True)
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
