# SPDX-License-Identifier: Apache-2.0
"""A profile becomes a program that says what the profile says: run here, and by the kernel."""

import ctypes
import errno
import os
import platform
import signal
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from seccomp_support import (
    ALLOW,
    ENOSYS,
    EPERM,
    ERRNO,
    I386,
    KILL,
    KILL_PROCESS,
    LOG,
    NOTIFY,
    TRACE,
    TRAP,
    X32_BIT,
    X86_64,
    argument,
    engine_sized,
    ensure_binding,
    profile,
    rule,
    run,
)

from pyoci.errors import SpecError, Unsupported
from pyoci.seccomp import Filter, compile_filter, enosys, features
from pyoci.seccomp import profile as words
from pyoci.seccomp.library import Library

if TYPE_CHECKING:
    from pyoci.spec.types import Seccomp

on_x86_64 = pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers of x86_64")
READ, WRITE, OPEN, SOCKET, CLONE, PERSONALITY, MSEAL = 0, 1, 2, 41, 56, 135, 462


@pytest.fixture(scope="session", autouse=True)
def binding() -> str:
    return ensure_binding()


def compiled(*rules: dict[str, Any], **properties: object) -> Filter:
    made = compile_filter(profile(*rules, **properties))
    assert made is not None
    return made


def verdicts(*rules: dict[str, Any], **properties: object) -> Callable[..., int]:
    program = compiled(*rules, **properties).program
    return lambda number, *args, arch=X86_64: run(program, number, args, arch)


# --- actions ------------------------------------------------------------------------------------


@on_x86_64
@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("KILL", KILL),
        ("KILL_THREAD", KILL),
        ("KILL_PROCESS", KILL_PROCESS),
        ("TRAP", TRAP),
        ("ERRNO", EPERM),
        ("TRACE", TRACE | 1),
        ("LOG", LOG),
    ],
)
def test_an_action_reaches_its_call_only(action: str, expected: int) -> None:
    verdict = verdicts(rule(["read"], action), default="ALLOW")
    assert verdict(READ) == expected
    assert verdict(OPEN) == ALLOW


@on_x86_64
def test_errno_ret_is_used_for_rules_and_for_the_default() -> None:
    rules = rule(["read"], "ERRNO", errno_ret=2), rule(["open"], "TRACE", errno_ret=0xFFFF)
    verdict = verdicts(*rules, defaultErrnoRet=38)
    assert verdict(READ) == ERRNO | 2
    assert verdict(OPEN) == TRACE | 0xFFFF
    assert verdict(WRITE) == ERRNO | 38


@on_x86_64
def test_a_rule_that_repeats_the_default_is_skipped_and_a_repeated_rule_is_none() -> None:
    rules = rule(["read"], "ERRNO"), rule(["write", "write"], "ALLOW"), rule(["write"], "ALLOW")
    verdict = verdicts(*rules)
    assert verdict(READ) == EPERM
    assert verdict(WRITE) == ALLOW


def test_an_unknown_call_is_skipped_and_noted() -> None:
    made = compiled(rule(["read", "no_such_call", ""], "ALLOW"))
    assert made.notes == (
        'unknown seccomp syscall "no_such_call" ignored',
        'unknown seccomp syscall "" ignored',
    )


@pytest.mark.parametrize("default", ["SCMP_ACT_ALLOW", ""])
def test_a_profile_that_restricts_nothing_is_no_filter(default: str) -> None:
    assert compile_filter(profile(defaultAction=default)) is None


@on_x86_64
def test_without_a_rule_everything_gets_the_default() -> None:
    verdict = verdicts()
    assert {verdict(number) for number in (0, 1, 200, 462)} == {EPERM}


# --- arguments ----------------------------------------------------------------------------------

BIG = 0x1_0000_0005


@on_x86_64
@pytest.mark.parametrize(
    ("op", "value", "two", "holds", "fails"),
    [
        ("EQ", BIG, 0, [BIG], [5, BIG + 1]),
        ("NE", BIG, 0, [5, BIG + 1], [BIG]),
        ("LT", BIG, 0, [0, 5, BIG - 1], [BIG, BIG + 1]),
        ("LE", BIG, 0, [5, BIG], [BIG + 1, 2**64 - 1]),
        ("GT", BIG, 0, [BIG + 1, 2**64 - 1], [BIG, 6]),
        ("GE", BIG, 0, [BIG, 2**64 - 1], [BIG - 1, 6]),
        ("MASKED_EQ", 0xFF00, 0x1200, [0x1200, 0x12FF, BIG << 8 & ~0xFF00 | 0x1200], [0x1300, 0]),
        ("EQ", 2**64 - 1, 0, [2**64 - 1], [2**32 - 1]),
    ],
)
@pytest.mark.parametrize("index", [0, 5])
def test_operators_compare_64_bits(
    op: str, value: int, two: int, holds: list[int], fails: list[int], index: int
) -> None:
    verdict = verdicts(rule(["clone"], "ALLOW", argument(index, op, value, two)))
    before = [0] * index
    assert {verdict(CLONE, *before, datum) for datum in holds} == {ALLOW}
    assert {verdict(CLONE, *before, datum) for datum in fails} == {EPERM}


@on_x86_64
def test_conditions_on_different_arguments_must_all_hold() -> None:
    verdict = verdicts(
        rule(["socket"], "ALLOW", argument(0, "EQ", 1), argument(1, "EQ", 2), argument(2, "LE", 9))
    )
    assert verdict(SOCKET, 1, 2, 9) == ALLOW
    assert {verdict(SOCKET, *args) for args in ((1, 2, 10), (1, 3, 0), (2, 2, 0))} == {EPERM}


@on_x86_64
def test_conditions_that_share_an_argument_are_alternatives() -> None:
    one = argument(0, "EQ", 1), argument(0, "EQ", 2), argument(1, "EQ", 7)
    verdict = verdicts(rule(["socket"], "ALLOW", *one))
    assert {verdict(SOCKET, *args) for args in ((1, 0), (2, 0), (5, 7))} == {ALLOW}
    assert verdict(SOCKET, 3, 8) == EPERM


@on_x86_64
def test_rules_of_one_call_are_alternatives() -> None:
    rules = [rule(["personality"], "ALLOW", argument(0, "EQ", n)) for n in (0, 8)]
    verdict = verdicts(*rules)
    assert [verdict(PERSONALITY, n) for n in (0, 8, 4)] == [ALLOW, ALLOW, EPERM]


# --- architectures and new calls ----------------------------------------------------------------


@on_x86_64
def test_the_native_architecture_is_always_in_and_others_are_killed() -> None:
    verdict = verdicts(rule(["read"], "ALLOW"))
    assert verdict(READ) == ALLOW
    assert verdict(3, arch=I386) == KILL  # read there
    assert verdict(X32_BIT | READ) == KILL


@on_x86_64
def test_each_architecture_has_its_own_numbers() -> None:
    every = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    rules = rule(["read", "mmap2", "futex_waitv"], "ALLOW"), rule(["execve"], "ALLOW")
    verdict = verdicts(*rules, architectures=every)
    assert verdict(READ) == verdict(3, arch=I386) == verdict(X32_BIT | READ) == ALLOW
    assert verdict(192, arch=I386) == ALLOW  # mmap2, which x86_64 does not have
    assert verdict(WRITE) == verdict(4, arch=I386) == verdict(X32_BIT | WRITE) == EPERM
    assert verdict(59) == verdict(X32_BIT | 520) == ALLOW  # execve
    assert verdict(64, arch=enosys.ARM) == KILL


@on_x86_64
def test_a_call_newer_than_the_profile_gets_enosys_on_every_architecture() -> None:
    every = ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    verdict = verdicts(rule(["read", "execve", "futex_waitv"], "ALLOW"), architectures=every)
    for arch, bit in ((X86_64, 0), (I386, 0), (X86_64, X32_BIT)):
        assert verdict(bit | 448, arch=arch) == EPERM
        assert verdict(bit | 449, arch=arch) == ALLOW  # futex_waitv, the newest that is named
        assert verdict(bit | 450, arch=arch) == ENOSYS
        assert verdict(bit | MSEAL, arch=arch) == ENOSYS
    assert verdict(X32_BIT | 512) == EPERM  # rt_sigaction: x32's own numbers are old
    assert verdict(X32_BIT | 548) == ENOSYS
    assert verdict(-1) == EPERM  # taken back by a tracer


@on_x86_64
def test_the_newest_name_counts_whatever_its_action() -> None:
    verdict = verdicts(rule(["read"], "ALLOW"), rule(["futex_waitv"], "ERRNO"))
    assert verdict(449) == EPERM
    assert verdict(450) == ENOSYS


@on_x86_64
@pytest.mark.parametrize("default", ["KILL", "KILL_PROCESS", "TRAP"])
def test_killing_defaults_answer_new_calls_too(default: str) -> None:
    assert verdicts(rule(["read"], "ALLOW"), default=default)(MSEAL) == ENOSYS


@on_x86_64
@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"default": "ALLOW"}, ALLOW),
        ({"default": "LOG"}, LOG),
        ({"default": "TRACE"}, TRACE | 1),
        ({"defaultErrnoRet": 1}, EPERM),
        ({"defaultErrnoRet": 13}, ERRNO | 13),
    ],
)
def test_a_default_that_says_what_it_wants_is_left_alone(
    properties: dict[str, Any], expected: int
) -> None:
    assert verdicts(rule(["read"], "KILL"), **properties)(MSEAL) == expected


def test_newer_calls_of_special_architectures() -> None:
    assert enosys.newer(enosys.ARM, [3, 400, 983042]) == [(401, 0x0F0000)]
    assert enosys.newer(enosys.S390X, [3, 400]) == [(401, 0x80000000), (0, 1)]
    assert enosys.newer(enosys.X32, [X32_BIT | 3, X32_BIT | 547]) == [
        (X32_BIT | 4, X32_BIT | 512),
        (X32_BIT | 548, 0x80000000),
    ]
    assert enosys.newer(enosys.X32, [X32_BIT | 600]) == [(X32_BIT | 601, 0x80000000)]
    assert enosys.newer(enosys.X32, [X32_BIT | 520]) == []
    assert enosys.newer(enosys.X86_64, []) == []


def test_the_stub_never_mistakes_a_number_for_an_architecture() -> None:
    stub = enosys.stub({X86_64: [(500, X32_BIT)], I386: [(2, 3)], enosys.ARM: [(7, 9)]})
    program = stub + struct.pack("=HBBI", 0x06, 0, 0, ALLOW)
    assert run(program, I386, arch=X86_64) == ALLOW  # the number equals a token
    assert run(program, 500, arch=X86_64) == run(program, 2, arch=I386) == ENOSYS
    assert run(program, 8, arch=enosys.ARM) == ENOSYS
    assert run(program, 9, arch=enosys.ARM) == run(program, 3, arch=I386) == ALLOW
    assert enosys.stub({X86_64: []}) == b""


@on_x86_64
def test_a_profile_of_engine_size() -> None:
    made = compile_filter(engine_sized())
    assert made is not None
    assert made.flags == words.FLAGS[words.SPEC_ALLOW]
    assert len(made.program) < 8 * 4096

    def verdict(number: int, *args: int) -> int:
        return run(made.program, number, args)

    assert verdict(READ) == verdict(439) == ALLOW
    assert verdict(165) == verdict(246) == EPERM  # mount, kexec_load
    assert verdict(435) == ENOSYS  # clone3, by its own rule
    assert verdict(600) == ENOSYS
    assert [verdict(PERSONALITY, n) for n in (0x20008, 1)] == [ALLOW, EPERM]
    assert [verdict(SOCKET, n) for n in (1, 40)] == [ALLOW, EPERM]
    assert [verdict(CLONE, n) for n in (0x11, 0x10000000)] == [ALLOW, EPERM]


# --- flags and the listener ---------------------------------------------------------------------

NOTIFYING: dict[str, Any] = {"listenerPath": "/run/agent.sock"}
PREFIX = "SECCOMP_FILTER_FLAG_"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (None, 4),
        ([], 0),
        (["TSYNC"], 0),
        (["LOG"], 2),
        (["SPEC_ALLOW", "LOG", "TSYNC"], 6),
    ],
)
def test_flags(flags: list[str] | None, expected: int) -> None:
    named = None if flags is None else [PREFIX + flag for flag in flags]
    assert compiled(rule(["read"], "ALLOW"), flags=named).flags == expected


@on_x86_64
def test_notify_brings_a_listener() -> None:
    asks = rule(["mkdir"], "NOTIFY")
    made = compiled(asks, default="ALLOW", flags=[], **NOTIFYING)
    assert (made.flags, made.listener) == (8, True)
    assert run(made.program, 83) == NOTIFY
    killable = [PREFIX + "WAIT_KILLABLE_RECV"]
    made = compiled(asks, default="ALLOW", flags=killable, **NOTIFYING)
    assert made.flags == 8 | 32
    assert not compiled(rule(["read"], "ALLOW"), **NOTIFYING).listener  # ignored without NOTIFY


def test_an_old_library_cannot_notify(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyoci.seccomp.compile.NOTIFY_API", 99)
    with pytest.raises(Unsupported, match=r"^seccomp notify unsupported: API level: got \d+, want"):
        compiled(rule(["mkdir"], "NOTIFY"), **NOTIFYING)


def test_a_flag_that_the_kernel_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(words.FLAGS, PREFIX + "LOG", 1 << 30)
    with pytest.raises(Unsupported, match="kernel"):
        compiled(rule(["read"], "ALLOW"), flags=[PREFIX + "LOG"])


# --- what is refused ----------------------------------------------------------------------------

MASK = [PREFIX + "WAIT_KILLABLE_RECV"]
REFUSED: list[tuple["Seccomp", str, str]] = [
    (profile(default="BOGUS", defaultErrnoRet=1), "/defaultAction", "SCMP_ACT_BOGUS"),
    (profile(default="NOTIFY"), "/defaultAction", "SCMP_ACT_NOTIFY cannot be used as default"),
    (profile(default="KILL", defaultErrnoRet=1), "/defaultErrnoRet", "takes no errno"),
    (profile(defaultErrnoRet=4096), "/defaultErrnoRet", "between 0 and 4095"),
    (profile(rule(["read"], "ALLOW", errno_ret=0)), "/syscalls/0/errnoRet", "takes no errno"),
    (profile(rule(["read"], "TRACE", errno_ret=65536)), "/syscalls/0/errnoRet", "65535"),
    (profile(rule(["read"], "PERMIT")), "/syscalls/0/action", "SCMP_ACT_PERMIT"),
    (
        profile(rule(["read", "write"], "NOTIFY"), **NOTIFYING),
        "/syscalls/0/names/1",
        "SCMP_ACT_NOTIFY cannot be used for the write syscall",
    ),
    (profile(rule(["read"], "NOTIFY")), "/listenerPath", "must be set"),
    (profile(rule(["read"], "NOTIFY"), listenerPath=""), "/listenerPath", "must be set"),
    (profile(listenerMetadata="m"), "/listenerMetadata", "without listenerPath"),
    (profile(flags=[PREFIX + "NO"]), "/flags/0", "unknown seccomp flag"),
    (profile(flags=MASK), "/flags/0", "needs a rule with SCMP_ACT_NOTIFY"),
    (profile(architectures=["SCMP_ARCH_Z80"]), "/architectures/0", "unknown architecture"),
    (profile(rule(["read"], "ALLOW", argument(6, "EQ", 0))), "/syscalls/0/args/0/index", "0 to 5"),
    (
        profile(rule(["read"], "ALLOW", argument(0, "IS", 0))),
        "/syscalls/0/args/0/op",
        "SCMP_CMP_IS",
    ),
    (profile(rule(["read"], "ALLOW", argument(0, "EQ", 2**64))), "/syscalls/0/args/0/value", "64"),
    (
        profile(rule(["read"], "ALLOW", argument(0, "MASKED_EQ", 0, -1))),
        "/syscalls/0/args/0/valueTwo",
        "64",
    ),
]


@pytest.mark.parametrize(("seccomp", "place", "problem"), REFUSED)
def test_nonsense_is_refused_at_its_place(seccomp: "Seccomp", place: str, problem: str) -> None:
    with pytest.raises(SpecError, match=problem) as caught:
        compile_filter(seccomp)
    assert caught.value.place == f"/linux/seccomp{place}"


def test_an_architecture_of_the_other_byte_order_is_refused_at_its_place() -> None:
    with pytest.raises(SpecError) as caught:
        compiled(rule(["read"], "ALLOW"), architectures=["SCMP_ARCH_S390X"])
    assert caught.value.place == "/linux/seccomp/architectures/0"


def test_a_filter_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyoci.seccomp.compile.LONGEST", 8)
    with pytest.raises(SpecError, match="instructions, the kernel takes 8"):
        compile_filter(engine_sized())


def test_without_libseccomp_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyoci.seccomp.library.library_file", lambda: "/nonexistent.so.2")
    with pytest.raises(Unsupported, match="needs libseccomp"):
        compiled(rule(["read"], "ALLOW"))


# --- the kernel's verdict -----------------------------------------------------------------------

libc = ctypes.CDLL(None, use_errno=True)


class SockFprog(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = [("length", ctypes.c_ushort), ("program", ctypes.c_char_p)]  # noqa: RUF012 - a constant


def load(made: Filter) -> int:
    """Load a filter into this process and return what seccomp(2) returns."""
    program = SockFprog(len(made.program) // 8, made.program)
    assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    number = Library().number("seccomp")
    answer = libc.syscall(number, 1, made.flags, ctypes.byref(program))
    assert answer >= 0, os.strerror(ctypes.get_errno())
    return int(answer)


def in_a_child(made: Filter, calls: list[tuple[int, ...]]) -> tuple[list[int], int]:
    """Make the calls below the filter; return the errno of each (0 none) and the wait status."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 99
        try:
            load(made)
            for call in calls:
                failed = libc.syscall(*(ctypes.c_long(word) for word in call)) < 0
                os.write(writer, bytes([ctypes.get_errno() if failed else 0]))
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        answers = list(file.read())
    return answers, os.waitpid(child, 0)[1]


@on_x86_64
def test_the_kernel_takes_the_engine_sized_filter_and_obeys_it() -> None:
    made = compile_filter(engine_sized())
    assert made is not None
    getppid, bpf = (110,), (321, 0, 0, 0)
    wrong_personality, right_personality = (PERSONALITY, 1), (PERSONALITY, 0xFFFFFFFF)
    calls = [getppid, bpf, (600,), (435, 0, 0), wrong_personality, right_personality]
    expected = [0, errno.EPERM, errno.ENOSYS, errno.ENOSYS, errno.EPERM, 0]
    assert in_a_child(made, calls) == (expected, 0)


@on_x86_64
def test_the_kernel_compares_arguments_and_kills() -> None:
    made = compiled(
        rule(["kill"], "ERRNO", argument(1, "EQ", 0), argument(0, "GT", 1), errno_ret=77),
        rule(["getppid"], "KILL_PROCESS"),
        default="ALLOW",
    )
    answers, status = in_a_child(made, [(62, os.getpid(), 0), (62, 0, 0), (110,), (39,)])
    assert answers == [77, 0]
    assert os.WTERMSIG(status) == signal.SIGSYS


@on_x86_64
def test_the_kernel_hands_out_a_listener() -> None:
    made = compiled(rule(["mkdir"], "NOTIFY"), default="ALLOW", **NOTIFYING)
    child = os.fork()
    if child == 0:
        status = 99
        try:
            listener = load(made)
            status = 0 if "seccomp notify" in os.readlink(f"/proc/self/fd/{listener}") else 1
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


# --- the features document ----------------------------------------------------------------------


def test_features_name_what_the_specification_has() -> None:
    from pyoci.spec import tables

    kinds = tables.WORDS
    assert set(features.actions()) == set(kinds["action"])
    assert set(features.operators()) == set(kinds["operator"])
    assert set(features.architectures()) <= set(kinds["architecture"])
    assert set(features.known_flags()) == set(kinds["filter flag"])
    assert set(features.supported_flags()) <= set(features.known_flags())
    assert PREFIX + "SPEC_ALLOW" in features.supported_flags()
    assert features.version().startswith("2.")
