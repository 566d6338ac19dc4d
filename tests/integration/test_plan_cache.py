# SPDX-License-Identifier: Apache-2.0
"""`run` a second time, from the plan of the first: the same container, or the plan is not used."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from blackbox.bundle import CGROUP, Bundle, MakeBundle, bind, tmpfs
from blackbox.processes import Ran
from blackbox.runtime import Runtime

USED = "its plan is the one of the last time"

# All that the container can tell of itself.
INSIDE = r"""
cut -d' ' -f4- /proc/self/mountinfo
grep -v -E '^(Pid|PPid|Vm|Rss|Hugetlb|.*ctxt_switches|Tgid|Ngid|NSpid|NSpgid|State|SigQ)' /proc/self/status
cat /proc/self/cgroup /proc/self/limits /proc/self/oom_score_adj /proc/self/uid_map
cat /proc/self/timens_offsets 2>/dev/null
ls -l /proc/self/fd | wc -l
find /dev /sys/fs/cgroup -maxdepth 1 | sort
grep _ses /proc/keys | sed 's/.*_ses/_ses/' | sort -u
hostname; pwd; umask; env | sort
"""
SECCOMP = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99}],
}


@pytest.fixture(autouse=True)
def only_pyoci(runtime: Runtime) -> None:
    """Others keep no plans."""
    if runtime.name != "pyoci":
        pytest.skip("only pyoci keeps plans")


@pytest.fixture
def same(bundle: MakeBundle) -> MakeBundle:
    """Make a bundle whose config.json is the same for each of its containers."""

    def made(*args: str, **edits: object) -> Bundle:
        box = bundle(*args, **edits)
        box.chosen = True  # no cgroupsPath with the container's id in it
        return box

    return made


def plans(runtime: Runtime) -> list[Path]:
    """Return the entries of the cache."""
    return sorted((runtime.root / ".plans").glob("*"))


def run(runtime: Runtime, box: Bundle, *options: str, **how: object) -> tuple[Ran, bool]:
    """Run a container; return what happened and whether the last time's plan was used."""
    ran = runtime.run(box, *options, flags=["--debug"], **how)
    return ran, USED in ran.stderr


def told(runtime: Runtime, box: Bundle, *, again: bool) -> str:
    """Run a container that must succeed; return what it says without its id."""
    command = runtime.making("run", box)
    ran = runtime(*command, flags=["--debug"])
    assert ran.code == 0, ran
    assert (USED in ran.stderr) == again, ran
    assert not (runtime.root / command[-1]).exists()
    lines = [
        line.replace(command[-1], "ID")
        for line in ran.stdout.splitlines(keepends=True)
        if "_ses" not in line or command[-1] in line  # not the keyrings of others
    ]
    return "".join(lines)


def plain(box: Bundle) -> None:
    """Change nothing."""


def with_seccomp(box: Bundle) -> None:
    box.edit(seccomp=SECCOMP)


def with_namespaces(box: Bundle) -> None:
    box.set_namespace(cgroup="", time="")


def with_users(box: Bundle) -> None:
    box.map_users()


def with_user(box: Bundle) -> None:
    box.edit(user={"uid": 1000, "gid": 1000, "umask": 0o77, "additionalGids": [29]})
    box.edit(oomScoreAdj=10, cwd="/home/new", sysctl={"net.ipv4.ip_forward": "1"})


@pytest.mark.parametrize("change", [plain, with_seccomp, with_namespaces, with_users, with_user])
def test_the_second_container_is_like_the_first(
    runtime: Runtime, same: MakeBundle, change: Callable[[Bundle], None]
) -> None:
    """design.md, Ahead of time; each has its own id, cgroup and keyring."""
    box = same(sh=INSIDE, mounts=[CGROUP], maskedPaths=["/proc/acpi"])
    change(box)
    box.write()
    first = told(runtime, box, again=False)
    assert len(plans(runtime)) == 1
    assert "_ses.ID" in first
    assert "/ID\n" in first or "-ID.scope\n" in first or change is with_namespaces
    assert told(runtime, box, again=True) == first
    assert told(runtime, box, again=True) == first
    shutil.rmtree(runtime.root / ".plans")
    assert told(runtime, box, again=False) == first


def test_the_limits_are_those_of_the_config(runtime: Runtime, same: MakeBundle) -> None:
    """What is no part of a plan is made as ever: cgroups and their limits."""
    box = same(
        sh="cd /sys/fs/cgroup; cat pids/pids.max 2>/dev/null || cat pids.max", mounts=[CGROUP]
    )
    box.set_namespace(cgroup="")
    box.edit(resources={"pids": {"limit": 77}})
    box.write()
    assert told(runtime, box, again=False) == "77\n"
    assert told(runtime, box, again=True) == "77\n"


def test_a_changed_config_is_another_bundle(runtime: Runtime, same: MakeBundle) -> None:
    box = same(sh="echo one")
    assert told(runtime, box, again=False) == "one\n"
    box.edit(sh="echo two")
    box.write()
    assert told(runtime, box, again=False) == "two\n"
    assert told(runtime, box, again=True) == "two\n"


def test_another_bundle_with_the_same_config_has_a_plan_of_its_own(
    runtime: Runtime, same: MakeBundle, scratch: Path
) -> None:
    box = same(sh="cat /where")
    (box.rootfs / "where").write_text("one\n")
    assert told(runtime, box, again=False) == "one\n"
    shutil.copytree(box.path, scratch / "moved", symlinks=True)
    (scratch / "moved/rootfs/where").write_text("two\n")
    box.path = scratch / "moved"
    assert told(runtime, box, again=False) == "two\n"


def test_a_bind_source_that_became_a_directory_is_seen(
    runtime: Runtime, same: MakeBundle, scratch: Path
) -> None:
    source = scratch / "source"
    source.write_text("file\n")
    box = same(sh="cat /data || ls /data", mounts=[bind(source, "/data")])
    assert told(runtime, box, again=False) == "file\n"
    assert told(runtime, box, again=True) == "file\n"
    source.unlink()
    source.mkdir()
    (source / "inside").touch()
    (box.rootfs / "data").unlink()
    assert told(runtime, box, again=False) == "inside\n"
    assert told(runtime, box, again=True) == "inside\n"
    shutil.rmtree(source)
    ran, used = run(runtime, box)
    assert (ran.code, used) == (1, False)
    assert "mounts[" in ran.message


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b"\xff" * 5000),
        lambda path: path.chmod(0o666),
        lambda path: os.chown(path, 1000, 1000),
        lambda path: (path.unlink(), path.symlink_to("/etc/passwd")),
        lambda path: (path.unlink(), os.mkfifo(path)),
    ],
)
def test_an_entry_that_is_not_whole_and_ours_is_made_anew(
    runtime: Runtime, same: MakeBundle, spoil: Callable[[Path], object]
) -> None:
    box = same(sh="echo right")
    assert told(runtime, box, again=False) == "right\n"
    spoil(plans(runtime)[0])
    assert told(runtime, box, again=False) == "right\n"
    assert told(runtime, box, again=True) == "right\n"


def test_a_directory_of_others_is_not_used(runtime: Runtime, same: MakeBundle) -> None:
    box = same(sh="echo right")
    assert told(runtime, box, again=False) == "right\n"
    os.chown(runtime.root / ".plans", 1000, 1000)
    assert told(runtime, box, again=False) == "right\n"


def test_a_warning_is_heard_each_time(runtime: Runtime, same: MakeBundle) -> None:
    """A spec that is not complained of any more would look as if it had been mended."""
    box = same("true", Hostname="other")
    for _ in range(2):
        ran, used = run(runtime, box)
        assert not used
        assert ran.stderr.count("the right key is") == 1
    assert plans(runtime) == []


def test_create_keeps_no_plan(runtime: Runtime, same: MakeBundle) -> None:
    """An engine's config.json is another each time."""
    box = same("true")
    runtime.create(box).delete("--force")
    assert not (runtime.root / ".plans").exists()


def test_a_container_that_cannot_be_leaves_no_plan(runtime: Runtime, same: MakeBundle) -> None:
    for wrong in (same("nothing-of-this-name"), same("true", mounts=[tmpfs("/proc/driver")])):
        for _ in range(2):
            ran, used = run(runtime, wrong)
            assert (ran.code, used) == (1, False)
    assert list(runtime.root.iterdir()) == []


def test_what_init_refuses_is_explained_from_a_kept_plan_too(
    runtime: Runtime, same: MakeBundle
) -> None:
    box = same("soon-gone")
    program = box.rootfs / "bin/soon-gone"
    program.write_text("#!/bin/sh\necho there\n")
    program.chmod(0o755)
    assert told(runtime, box, again=False) == "there\n"
    program.unlink()
    ran, used = run(runtime, box)
    assert (ran.code, used) == (1, True)
    assert "executable file not found in $PATH" in ran.message


def test_descriptors_and_variables_of_the_caller_are_of_one_container(
    runtime: Runtime, same: MakeBundle
) -> None:
    """Socket activation (cli.md 3.4) changes the environment, which lies in the plan."""
    box = same(sh="env | grep LISTEN_FDS; ls /proc/self/fd | wc -l")
    listening = ["sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3</dev/null', "sh"]
    plainly = told(runtime, box, again=False)
    assert "LISTEN" not in plainly
    ran, used = run(runtime, box, wrap=listening)
    assert not used
    assert "LISTEN_FDS=1" in ran.stdout
    assert told(runtime, box, again=True) == plainly


def test_hooks_run_each_time(runtime: Runtime, same: MakeBundle, scratch: Path) -> None:
    trace = scratch / "trace"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"cat >> {trace}; echo >> {trace}"]}
    kinds = ("createRuntime", "poststart", "poststop")
    box = same("true", hooks={kind: [hook] for kind in kinds})
    told(runtime, box, again=False)
    told(runtime, box, again=True)
    lines = trace.read_text().splitlines()
    assert len(lines) == 2 * len(kinds)
    assert len({re.search(r'"id": ?"([^"]*)"', line)[1] for line in lines}) == 2


def test_many_at_once_agree(runtime: Runtime, same: MakeBundle) -> None:
    box = same(sh="echo right")
    running = [runtime.spawn(*runtime.making("run", box)) for _ in range(12)]
    for each in running:
        ran = each.wait()
        assert (ran.code, ran.stdout) == (0, "right\n"), ran
    assert len(plans(runtime)) == 1
    assert told(runtime, box, again=True) == "right\n"
