# SPDX-License-Identifier: Apache-2.0
"""config.json: linux.seccomp."""

import json
import os
import platform
import select
import socket
from pathlib import Path
from typing import Any

import pytest
from blackbox.bundle import Bundle, MakeBundle, bind
from blackbox.processes import Ran, patience
from blackbox.runtime import Runtime

ENOSYS = 38
EPERM = 1
GETCPU = {"x86_64": 309, "aarch64": 168}.get(platform.machine(), 309)
UNKNOWN = 999
"""A number that no kernel and no profile knows."""
NATIVE = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}.get(
    platform.machine(), "SCMP_ARCH_X86_64"
)
ALLOW = {"defaultAction": "SCMP_ACT_ALLOW"}


def rule(names: list[str], action: str = "SCMP_ACT_ERRNO", **more: Any) -> dict[str, Any]:
    """Return one entry of syscalls."""
    return {"names": names, "action": action, **more}


def allowing(*rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a profile that allows all but some calls."""
    return {**ALLOW, "syscalls": list(rules), **more}


@pytest.fixture
def calling(bundle: MakeBundle, probe: Path) -> Any:
    """Make a bundle that makes one system call and prints its errno."""

    def make(seccomp: dict[str, Any], *words: object, **edits: Any) -> Bundle:
        args = ["/probe", "syscall", *map(str, words)]
        return bundle(args=args, seccomp=seccomp, mounts=[bind(probe, "/probe", "bind")], **edits)

    return make


def test_a_call_is_refused_with_eperm(runtime: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#seccomp: SCMP_ACT_ERRNO."""
    ran = runtime.run(bundle("mkdir", "/tmp/x", seccomp=allowing(rule(["mkdir", "mkdirat"]))))
    assert ran.code == 1
    assert "Operation not permitted" in ran.stderr


def test_a_call_is_refused_with_the_chosen_error(runtime: Runtime, calling: Any) -> None:
    """config-linux.md#seccomp: errnoRet."""
    profile = allowing(rule(["getcpu"], errnoRet=71))
    assert runtime.output(calling(profile, GETCPU, 0, 0, 0)) == "71\n"


def test_the_default_may_have_an_error_of_its_own(runtime: Runtime, calling: Any) -> None:
    """config-linux.md#seccomp: defaultErrnoRet."""
    profile = everything_but(["getcpu"]) | {"defaultErrnoRet": 72}
    assert runtime.output(calling(profile, GETCPU, 0, 0, 0)) == "72\n"


NEEDED = (
    "access arch_prctl brk capget capset chdir clone clone3 close close_range dup dup2 dup3 "
    "epoll_create1 epoll_ctl epoll_pwait execve execveat exit exit_group faccessat faccessat2 "
    "fchdir fchown fcntl fstat fstatfs fsync futex getcwd getdents64 getegid geteuid getgid "
    "getgroups getpid getppid getrandom getrlimit gettid getuid ioctl lseek lstat madvise mmap "
    "mprotect munmap nanosleep newfstatat open openat openat2 pipe2 poll ppoll prctl pread64 "
    "prlimit64 pselect6 read readlink readlinkat rseq rt_sigaction rt_sigprocmask rt_sigreturn "
    "sched_getaffinity sched_yield seccomp set_robust_list set_tid_address setgid setgroups "
    "setresgid setresuid setsid setuid sigaltstack stat statfs statx tgkill umask uname unlink "
    "wait4 waitid write writev"
).split()


def everything_but(names: list[str]) -> dict[str, Any]:
    """Return a profile that refuses all but what starting a program needs, and `names` never."""
    allowed = [name for name in NEEDED if name not in names]
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [rule(allowed, "SCMP_ACT_ALLOW")],
    }


def test_a_profile_of_allowed_calls(runtime: Runtime, calling: Any) -> None:
    """config-linux.md#seccomp: a default that refuses."""
    assert runtime.output(calling(everything_but([]), GETCPU, 0, 0, 0)) == f"{EPERM}\n"


def test_a_call_newer_than_the_profile_is_unknown(runtime: Runtime, calling: Any) -> None:
    """Case 41: ENOSYS, so that programs fall back; not EPERM."""
    profile = everything_but([]) | {"architectures": [NATIVE]}
    assert runtime.output(calling(profile, UNKNOWN)) == f"{ENOSYS}\n"


@pytest.mark.expect_fail_on("runc", "runc 1.1 looks at the named architectures only")
def test_a_newer_call_is_unknown_without_architectures(runtime: Runtime, calling: Any) -> None:
    """Case 41: the native architecture is always included."""
    assert runtime.output(calling(everything_but([]), UNKNOWN)) == f"{ENOSYS}\n"


def test_with_a_default_error_nothing_is_guessed(runtime: Runtime, calling: Any) -> None:
    """spec.md 8: ENOSYS handling unless defaultErrnoRet is set."""
    profile = everything_but([]) | {"defaultErrnoRet": EPERM}
    assert runtime.output(calling(profile, UNKNOWN)) == f"{EPERM}\n"


def test_a_killed_process_dies_of_sigsys(runtime: Runtime, calling: Any) -> None:
    """config-linux.md#seccomp: SCMP_ACT_KILL_PROCESS."""
    profile = allowing(rule(["getcpu"], "SCMP_ACT_KILL_PROCESS"))
    assert runtime.run(calling(profile, GETCPU, 0, 0, 0)).code == 128 + 31


def test_trap_is_a_signal(runtime: Runtime, calling: Any) -> None:
    """config-linux.md#seccomp: SCMP_ACT_TRAP."""
    made = calling(allowing(rule(["getcpu"], "SCMP_ACT_TRAP")), GETCPU, 0, 0, 0)
    made.set_namespace(pid=None)  # a signal without a handler does nothing to pid 1
    assert runtime.run(made.write()).code == 128 + 31


@pytest.mark.parametrize(
    ("operator", "value", "two", "given", "refused"),
    [
        ("SCMP_CMP_EQ", 5, 0, 5, True),
        ("SCMP_CMP_EQ", 5, 0, 6, False),
        ("SCMP_CMP_NE", 5, 0, 6, True),
        ("SCMP_CMP_LT", 5, 0, 4, True),
        ("SCMP_CMP_LT", 5, 0, 5, False),
        ("SCMP_CMP_LE", 5, 0, 5, True),
        ("SCMP_CMP_GE", 5, 0, 5, True),
        ("SCMP_CMP_GT", 5, 0, 5, False),
        ("SCMP_CMP_GT", 5, 0, 6, True),
        ("SCMP_CMP_MASKED_EQ", 0xF0, 0x10, 0x1F, True),
        ("SCMP_CMP_MASKED_EQ", 0xF0, 0x10, 0x2F, False),
    ],
)
def test_arguments_are_compared(
    runtime: Runtime, calling: Any, operator: str, value: int, two: int, given: int, refused: bool
) -> None:
    """config-linux.md#seccomp: args: the operators."""
    test = {"index": 3, "value": value, "valueTwo": two, "op": operator}
    profile = allowing(rule(["getcpu"], errnoRet=71, args=[test]))
    expected = "71\n" if refused else "0\n"
    assert runtime.output(calling(profile, GETCPU, 0, 0, 0, given)) == expected


@pytest.mark.parametrize(
    ("first", "second", "refused"), [(1, 2, True), (1, 9, False), (9, 2, False)]
)
def test_two_arguments_must_both_match(
    runtime: Runtime, calling: Any, first: int, second: int, refused: bool
) -> None:
    """Case 42: AND."""
    args = [
        {"index": 3, "value": 1, "op": "SCMP_CMP_EQ"},
        {"index": 4, "value": 2, "op": "SCMP_CMP_EQ"},
    ]
    profile = allowing(rule(["getcpu"], errnoRet=71, args=args))
    expected = "71\n" if refused else "0\n"
    assert runtime.output(calling(profile, GETCPU, 0, 0, 0, first, second)) == expected


@pytest.mark.parametrize(("given", "refused"), [(1, True), (2, True), (3, False)])
def test_the_same_argument_twice_is_either(
    runtime: Runtime, calling: Any, given: int, refused: bool
) -> None:
    """Case 42: the same index twice: OR, as libseccomp cannot AND."""
    args = [{"index": 3, "value": value, "op": "SCMP_CMP_EQ"} for value in (1, 2)]
    profile = allowing(rule(["getcpu"], errnoRet=71, args=args))
    expected = "71\n" if refused else "0\n"
    assert runtime.output(calling(profile, GETCPU, 0, 0, 0, given)) == expected


@pytest.mark.parametrize("value", [True, False])
def test_the_filter_is_active(runtime: Runtime, bundle: MakeBundle, value: bool) -> None:
    """Case 38: with and without noNewPrivileges."""
    made = bundle(
        "grep", "Seccomp:", "/proc/self/status",
        seccomp=allowing(rule(["getcpu"])), noNewPrivileges=value,
    )  # fmt: skip
    assert runtime.output(made).split()[1] == "2"


def test_without_a_profile_there_is_no_filter(runtime: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#seccomp: OPTIONAL."""
    assert runtime.output(bundle("grep", "Seccomp:", "/proc/self/status")).split()[1] == "0"


def test_the_filter_applies_to_exec(runtime: Runtime, bundle: MakeBundle) -> None:
    """spec.md 0.2."""
    profile = allowing(rule(["mkdir", "mkdirat"]))
    container = runtime.start(bundle("sleep", "1000", seccomp=profile))
    ran = container.exec("mkdir", "/tmp/x")
    assert (ran.code, "Operation not permitted" in ran.stderr) == (1, True)


def test_unknown_calls_are_skipped(runtime: Runtime, bundle: MakeBundle) -> None:
    """spec.md 8: unknown names are skipped."""
    profile = allowing(rule(["no_such_call", "mkdir", "mkdirat"]))
    assert runtime.run(bundle("mkdir", "/tmp/x", seccomp=profile)).code == 1


@pytest.mark.parametrize(
    "profile",
    [
        {"defaultAction": "SCMP_ACT_NOSUCH"},
        allowing(rule(["mkdir"], "SCMP_ACT_NOSUCH")),
        allowing(architectures=["SCMP_ARCH_NOSUCH"]),
        allowing(rule(["mkdir"], args=[{"index": 0, "value": 1, "op": "SCMP_CMP_NOSUCH"}])),
        allowing(rule(["mkdir"], args=[{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}])),
        allowing(flags=["SECCOMP_FILTER_FLAG_NOSUCH"]),
    ],
)
def test_unknown_values_are_refused(
    runtime: Runtime, bundle: MakeBundle, profile: dict[str, Any]
) -> None:
    """config.md#valid-values."""
    if runtime.name == "runc" and "flags" in profile:
        pytest.skip("runc 1.1 knows no flags")
    runtime.refuses(bundle("true", seccomp=profile))


@pytest.mark.parametrize(
    "architectures",
    [
        ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        ["SCMP_ARCH_ARM", "SCMP_ARCH_AARCH64"],
        [],
    ],
)
def test_architectures(runtime: Runtime, calling: Any, architectures: list[str]) -> None:
    """config-linux.md#seccomp: the native one is always included."""
    profile = allowing(rule(["getcpu"], errnoRet=71), architectures=architectures)
    assert runtime.output(calling(profile, GETCPU, 0, 0, 0)) == "71\n"


@pytest.mark.expect_fail_on("runc", "runc 1.1 knows no flags")
@pytest.mark.parametrize("flag", ["LOG", "SPEC_ALLOW", "TSYNC"])
def test_flags(runtime: Runtime, calling: Any, flag: str) -> None:
    """config-linux.md#seccomp: flags."""
    profile = allowing(rule(["getcpu"], errnoRet=71), flags=[f"SECCOMP_FILTER_FLAG_{flag}"])
    assert runtime.output(calling(profile, GETCPU, 0, 0, 0)) == "71\n"


@pytest.mark.parametrize(
    "calls", [["close_range"], ["openat"], ["getcwd"], ["prctl"], ["openat", "open"]]
)
@pytest.mark.parametrize("value", [True, False])
def test_a_profile_against_the_runtime_itself(
    runtime: Runtime, bundle: MakeBundle, calls: list[str], value: bool
) -> None:
    """Case 40: it starts, or there is a clear error; never a leak of descriptors."""
    made = bundle("echo", "ran", seccomp=allowing(rule(calls)), noNewPrivileges=value)
    wrap = ["bash", "-c", 'exec 9</etc/passwd; exec "$@"', "bash"]
    ran = runtime.run(made, wrap=wrap)
    assert ran.stdout == "ran\n" if ran.code == 0 else ran.stderr.strip()


def test_descriptors_are_closed_even_if_close_range_is_refused(
    runtime: Runtime, bundle: MakeBundle
) -> None:
    """Case 40: the filter must not keep the runtime from closing its files."""
    made = bundle("ls", "/proc/self/fd", seccomp=allowing(rule(["close_range"])))
    wrap = ["bash", "-c", 'exec 9</etc/passwd; exec "$@"', "bash"]
    assert runtime.output(made, wrap=wrap).split() == ["0", "1", "2", "3"]


def listening(bundle: MakeBundle, path: Path, names: list[str]) -> Bundle:
    """Return a bundle whose notifications go to a socket."""
    profile = allowing(
        rule(names, "SCMP_ACT_NOTIFY"), listenerPath=str(path), listenerMetadata="meta"
    )
    return bundle("sleep", "1000", seccomp=profile)


def test_the_listener_is_sent(runtime: Runtime, bundle: MakeBundle, scratch: Path) -> None:
    """config-linux.md#containerprocessstate: one message with the descriptor and the state."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(scratch / "agent"))
        server.listen()
        server.settimeout(patience(10))
        container = runtime.create(listening(bundle, scratch / "agent", ["mkdir"]))
        connection, _ = server.accept()
        with connection:
            connection.settimeout(patience(10))
            data, files, _, _ = socket.recv_fds(connection, 65536, 4)
    assert len(files) == 1
    state: dict[str, Any] = json.loads(data)
    assert state["fds"] == ["seccompFd"]
    assert state["metadata"] == "meta"
    assert state["pid"] == container.pid
    assert state["state"]["id"] == container.id
    assert state["state"]["status"] == "creating"
    poll = select.poll()
    poll.register(files[0], select.POLLIN)
    os.close(files[0])


def test_no_agent_is_an_error(runtime: Runtime, bundle: MakeBundle, scratch: Path) -> None:
    """cli.md 5: `failed to connect with seccomp agent`."""
    message = runtime.refuses(listening(bundle, scratch / "nothere", ["mkdir"]))
    assert "failed to connect with seccomp agent" in message


def test_write_cannot_be_notified(runtime: Runtime, bundle: MakeBundle, scratch: Path) -> None:
    """cli.md 5: `SCMP_ACT_NOTIFY cannot be used for the write syscall`."""
    message = runtime.refuses(listening(bundle, scratch / "x", ["write"]))
    assert "SCMP_ACT_NOTIFY cannot be used for the write syscall" in message


def test_a_profile_like_dockers(runtime: Runtime, bundle: MakeBundle) -> None:
    """A large profile, twice: the second time from a cache."""
    names = [*NEEDED, *(f"nosuch{n}" for n in range(300))]
    profile = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [rule(names, "SCMP_ACT_ALLOW")],
    }
    made = bundle("echo", "ran", seccomp=profile)
    for _ in range(2):
        ran: Ran = runtime.run(made)
        assert (ran.code, ran.stdout) == (0, "ran\n"), ran


def test_a_changed_profile_is_not_the_cached_one(runtime: Runtime, calling: Any) -> None:
    """The cache is keyed by content."""
    for number in (71, 72, 71):
        profile = allowing(rule(["getcpu"], errnoRet=number))
        assert runtime.output(calling(profile, GETCPU, 0, 0, 0)) == f"{number}\n"
