# SPDX-License-Identifier: Apache-2.0
"""What a user reads when the kernel refuses an operation: words, place, likely reason."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plans import bind, device, mount, spec

from pyoci import diagnosis
from pyoci.errors import HookError, StepError, readable
from pyoci.executor import Failure
from pyoci.plan.program import Program

BEGIN = "unable to start container process: "
INIT = BEGIN + "error during container init: "
NOBODY = 65534
NOT_FOUND = "executable file not found in $PATH"


def explained(
    place: str,
    name: str,
    *arguments: Any,
    code: int = 0,
    detail: str = "",
    value: int = 0,
    document: Any = None,
) -> StepError | HookError:
    """Explain the failure of one operation."""
    program = Program()
    program.at(place).add(name, *arguments)
    failure = Failure(0, code, detail, value)
    return diagnosis.explain(failure, program, document or spec())


def text(*arguments: Any, **keys: Any) -> str:
    found = str(explained(*arguments, **keys))
    assert found.startswith(INIT)
    assert "\n" not in found
    return found.removeprefix(INIT)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("/mounts/3/options/1", "mounts[3].options[1]"),
        ("/linux/sysctl/net.ipv4~1x~0y", "linux.sysctl.net.ipv4/x~y"),
        ("/process/args/0", "process.args[0]"),
        ("", ""),
    ],
)
def test_a_place_is_readable(place: str, words: str) -> None:
    assert readable(place) == words


# --- the program: docker and podman look for these words -----------------------------------------


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("X", errno.ENOENT, f'exec: "X": {NOT_FOUND}'),
        ("X", errno.EACCES, f'exec: "X": {NOT_FOUND}: the one that is there may not be executed'),
        ("/x", errno.ENOENT, 'exec: "/x": stat /x: no such file or directory'),
        ("/x/y", errno.ENOTDIR, 'exec: "/x/y": stat /x/y: not a directory'),
        ("/x", errno.EACCES, 'exec: "/x": permission denied'),
        ("/etc", errno.EISDIR, 'exec: "/etc": is a directory: permission denied'),
        ("/x", errno.ELOOP, 'exec: "/x": too many levels of symbolic links'),
    ],
)
def test_a_program_that_cannot_be_found(name: str, code: int, words: str) -> None:
    """127 is what engines make of "no such file" and "executable file not found", 126 of "permission denied"."""
    error = explained("/process/args/0", "find_program", name, None, code=code, detail=name)
    assert str(error) == BEGIN + words
    assert isinstance(error, StepError)
    assert (error.errno, error.place, error.status) == (code, "/process/args/0", 1)


# --- hooks ----------------------------------------------------------------------------------------


def hook(**keys: Any) -> str:
    place = "/hooks/createContainer/1"
    error = explained(place, "hook", "/h", ["/h"], None, 2, 3000, 1, **keys)
    assert isinstance(error, HookError)
    return str(error).removeprefix(INIT)


def test_a_hook_that_failed() -> None:
    words = "error running createContainer hook #1: exit status 7, output: why\nnot"
    assert hook(value=7 << 8, detail="why\nnot\n") == words
    assert hook(value=9) == "error running createContainer hook #1: signal 9, output: "


def test_a_hook_that_was_too_slow() -> None:
    words = "hook ran past specified timeout of 3.0s, output: so far"
    found = hook(code=errno.ETIME, detail="so far")
    assert found == f"error running createContainer hook #1: {words}"


def test_a_hook_that_could_not_begin() -> None:
    found = hook(code=errno.ENOENT, detail="execve /h")
    assert found == "error running createContainer hook #1: no such file or directory: execve /h"


# --- operations: place, object, call, cause -------------------------------------------------------


def test_a_refused_option_of_a_mount_names_the_option() -> None:
    document = spec(mount("/t", "tmpfs", "nosuid", "size=x"))
    arguments = ("/mounts/0/options/1", "fsconfig", 3, 1, "size", "x")
    detail = "e tmpfs: Bad value for 'size'"
    error = explained(*arguments, code=errno.EINVAL, detail=detail, document=document)
    assert str(error) == INIT + (
        'mounts[0].options[1]: error mounting "tmpfs" to rootfs at "/t": fsconfig: '
        "tmpfs: Bad value for 'size': invalid argument: the file system refused a mount option"
    )
    assert isinstance(error, StepError)
    assert error.place == "/mounts/0/options/1"


def test_a_profile_that_is_not_loaded_is_named() -> None:
    found = text("/process/apparmorProfile", "write", 3, b"exec x", code=errno.ENOENT)
    assert found.endswith("no such profile is loaded (apparmor_parser --replace FILE loads one)")


def test_a_label_that_the_policy_does_not_know_is_named() -> None:
    reason = 'the loaded policy knows no label "a:b:c:s0"'
    found = text("/process/selinuxLabel", "write", 3, b"a:b:c:s0", code=errno.EINVAL)
    assert found.endswith(f"process.selinuxLabel: write: invalid argument: {reason}")
    document = spec(mount("/t", "tmpfs"))
    arguments = ("/mounts/0", "fsconfig", 3, 1, "context", "a:b:c:s0")
    assert str(explained(*arguments, code=errno.EINVAL, document=document)).endswith(reason)


def test_the_cause_is_not_said_twice() -> None:
    found = text("/hostname", "hostname", "x", code=errno.EPERM, detail="Operation not permitted")
    assert found == "hostname: hostname: Operation not permitted"


def test_a_device_and_a_namespace_are_named() -> None:
    document = spec(devices=[device("/dev/fuse", "c", 10, 229)])
    found = text(
        "/linux/devices/0", "mknod", 3, "/x", 0, 0, 0, 0, code=errno.EEXIST, document=document
    )
    assert found == "linux.devices[0]: device /dev/fuse: mknod: file exists"
    document = spec(namespaces=("pid", "network=/run/ns"))
    place = "/linux/namespaces/1/path"
    found = text(place, "setns", 3, 0x40000000, code=errno.EINVAL, document=document)
    assert found == (
        "linux.namespaces[1].path: network namespace /run/ns: setns: invalid argument: "
        "the file is not a namespace of this type, or it is our own already"
    )
    found = text("/linux/namespaces/0", "unshare", 0x80, code=errno.EPERM, document=document)
    assert found == "linux.namespaces[0]: pid namespace: unshare: operation not permitted"


def test_what_no_property_asked_for_has_no_place() -> None:
    assert text("", "set_sid", code=errno.EPERM) == "set sid: operation not permitted"


def test_a_plan_that_the_executor_refuses_is_our_own_fault() -> None:
    failure = Failure(0xFFFFFFFF, errno.EBADMSG, "plan: bad slot", 0)
    error = diagnosis.explain(failure, Program(), spec())
    assert str(error) == "the executor refused its plan: plan: bad slot"
    assert isinstance(error, StepError)
    assert error.errno == errno.EBADMSG


# --- mounts on /proc: runc's words ----------------------------------------------------------------


def test_what_is_not_proc_cannot_be_mounted_on_proc() -> None:
    document = spec(bind("/proc", "/host/dir"))
    arguments = ("/mounts/0/source", "verify_filesystem", 3, 0x9FA0)
    found = text(*arguments, code=errno.EINVAL, document=document)
    assert found == (
        'mounts[0].source: "/host/dir" cannot be mounted on /proc: it is not of type proc'
    )


def test_nothing_can_be_mounted_inside_proc() -> None:
    document = spec(bind("/m", "/host/dir"))
    arguments = ("/mounts/0/destination", "verify_filesystem", 3, 0)
    found = text(*arguments, code=errno.EINVAL, document=document)
    assert found == ('mounts[0].destination: "/m" cannot be mounted because it is inside /proc')


@pytest.mark.parametrize("code", [errno.ELOOP, errno.ENOTDIR])
@pytest.mark.parametrize("destination", ["/proc", "/sys", "sys/"])
def test_proc_and_sys_need_an_ordinary_directory(destination: str, code: int) -> None:
    """runc's words, which its own tests of CVE-2023-27561 look for."""
    document = spec(mount(destination, "sysfs"))
    arguments = ("/mounts/0/destination", "open", 4, 3, "/sys", 0, 0, 0)
    assert text(*arguments, code=code, document=document).endswith(
        "must be mounted on ordinary directory"
    )


def test_elsewhere_a_directory_may_be_a_link() -> None:
    document = spec(mount("/t", "tmpfs"))
    arguments = ("/mounts/0/destination", "open", 4, 3, "/t", 0, 0, 0)
    found = text(*arguments, code=errno.ELOOP, document=document)
    assert found.endswith("too many levels of symbolic links")


# --- likely reasons -------------------------------------------------------------------------------

REASONS: list[tuple[str, str, tuple[Any, ...], int, str]] = [
    ("/process/rlimits/0", "raise_limit", (7, 9), errno.EPERM, "CAP_SYS_RESOURCE"),
    ("/process/rlimits/0", "set_limit", (7, 9, 9), errno.EPERM, "CAP_SYS_RESOURCE"),
    ("/process/user/uid", "set_uid", (9,), errno.EINVAL, "not in the container's map"),
    ("/process/user/gid", "set_gid", (9,), errno.EINVAL, "not in the container's map"),
    ("/linux/namespaces", "clone", (0, 5), errno.ENOSPC, "max_*_namespaces"),
    ("/linux/namespaces", "clone", (0, 5), errno.EPERM, "needs root or a user namespace"),
    ("/linux/namespaces", "clone", (0, 5), errno.EAGAIN, "RLIMIT_NPROC or pids.max"),
    ("/linux/namespaces", "clone", (0, 5), errno.EBUSY, "controllers enabled"),
    ("/linux/namespaces", "clone", (0, 5), errno.EOPNOTSUPP, "below a threaded one"),
    ("/linux/maskedPaths/0", "open_tree", (4, 3, "x", 0), errno.ENOENT, "source does not exist"),
    ("/root/path", "pivot_root", (3,), errno.EINVAL, "--no-pivot"),
    ("/root/path", "open", (4, 3, "r", 0, 0, 0), errno.ENOTDIR, "invalid rootfs"),
    ("/root/path", "open", (4, 3, "r", 0, 0, 0), errno.ELOOP, "or a symlink"),
    ("/root/path", "pivot_root", (3,), errno.EOPNOTSUPP, "with pivot_root(2)"),
    ("/root/path", "move_root", (3,), errno.EOPNOTSUPP, "with pivot_root(2)"),
    ("/linux/seccomp", "seccomp", (5, b"", 0), errno.EINVAL, "one of its flags"),
    ("/process/scheduler", "scheduler", (b"",), errno.EPERM, "CAP_SYS_NICE"),
    ("/process/scheduler", "scheduler", (b"",), errno.EINVAL, "no such policy"),
    ("/process/ioPriority", "io_priority", (1,), errno.EPERM, "CAP_SYS_NICE"),
    ("/process/execCPUAffinity/final", "affinity", (b"",), errno.EINVAL, "the cgroup's cpuset"),
    ("/linux/memoryPolicy", "memory_policy", (2, b""), errno.EINVAL, "one of the nodes"),
    ("/linux/resources/devices", "device_filter", (4, b""), errno.EPERM, "CAP_BPF or root"),
    ("/process/oomScoreAdj", "write", (4, b"-1"), errno.EACCES, "CAP_SYS_RESOURCE"),
    ("/process/oomScoreAdj", "write", (4, b"-1"), errno.EPERM, "CAP_SYS_RESOURCE"),
]


@pytest.mark.parametrize(("place", "name", "arguments", "code", "reason"), REASONS)
def test_the_reason_that_experience_knows(
    place: str, name: str, arguments: tuple[Any, ...], code: int, reason: str
) -> None:
    found = text(place, name, *arguments, code=code)
    assert reason in found
    assert os.strerror(code).lower() in found


def test_an_older_kernel_mounts_nothing_in_a_detached_tree() -> None:
    without = spec(namespaces=("pid",))
    found = text("/root/path", "move_mount", 3, 4, code=errno.EINVAL, document=without)
    assert "mounts without a mount namespace need Linux 6.15" in found
    assert "6.15" not in text("/root/path", "move_mount", 3, 4, code=errno.EINVAL)


def test_each_reason_is_tested() -> None:
    tested = {(name, code) for _, name, _, code, _ in REASONS}
    tested |= {("setns", errno.EINVAL), ("fsconfig", errno.EINVAL)}
    assert set(diagnosis._REASONS) <= tested


def test_other_errors_have_no_reason() -> None:
    found = text("/process/user/uid", "set_uid", 9, code=errno.EPERM)
    assert found == "process.user.uid: set uid: operation not permitted"


# --- a directory that cannot be searched ----------------------------------------------------------


def as_nobody(question: Callable[[], str]) -> str:
    """Ask in a child that is nobody."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            os.write(writing, question().encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        answer = file.read().decode()
    assert os.waitpid(child, 0)[1] == 0
    return answer


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A directory that only root may search, with a directory in it."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to be somebody else")
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_mode & 0o1 == 0 and str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    path = tmp_path / "closed"
    (path / "rootfs").mkdir(parents=True)
    path.chmod(0o700)
    return path


def test_the_directory_that_cannot_be_searched_is_named(closed: Path) -> None:
    answer = as_nobody(lambda: diagnosis.unsearchable(f"{closed}/rootfs/x"))
    assert answer == f"directory {closed} (mode 0700) cannot be searched by uid {NOBODY}"


def test_the_reason_of_a_source_that_cannot_be_reached_names_the_directory(closed: Path) -> None:
    arguments = ("/root/path", "open", 4, 3, f"{closed}/rootfs", 0, 0, 0)
    answer = as_nobody(lambda: text(*arguments, code=errno.EACCES))
    assert answer.endswith(f"directory {closed} (mode 0700) cannot be searched by uid {NOBODY}")


def test_a_link_through_a_closed_directory_is_no_error_of_its_own(closed: Path) -> None:
    (closed.parent / "link").symlink_to(closed / "rootfs")
    answer = as_nobody(lambda: diagnosis.unsearchable(f"{closed.parent}/link/x"))
    assert "cannot be searched" in answer


def test_where_every_directory_can_be_searched_nothing_is_said(tmp_path: Path) -> None:
    assert diagnosis.unsearchable(f"{tmp_path}/x") == ""


# --- warnings -------------------------------------------------------------------------------------


def test_an_ambient_capability_that_cannot_be_raised() -> None:
    program = Program()
    program.add("ambient", 1)
    report = Failure(0, errno.EPERM, "", 5)
    words = "can't raise ambient capability CAP_KILL: operation not permitted"
    assert diagnosis.warn(report, program) == words
