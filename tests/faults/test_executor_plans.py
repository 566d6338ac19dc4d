# SPDX-License-Identifier: Apache-2.0
"""native/plan.c: whatever is wrong with a plan is found before anything is done."""

import errno
import random
import struct

import pytest
from faults import plans
from faults.conftest import Spawn

from pyoci.plan import ops

HEADER = 64
NO_SLOT = ops.NO_SLOT


def sample() -> plans.Plan:
    """A plan with every kind of argument, which ends at its first operation: nobody says go."""
    plan = plans.Plan().add("ask", 2)
    plan.add("hook", "/bin/true", ["true", "x"], ["A=b"], 2, 0, 0)
    plan.add("open", 5, ops.CWD_SLOT, "/", 0, 0, 0, ignore=(errno.ENOENT,), skip=1)
    plan.add("write", 5, b"hello")
    plan.add("seccomp", NO_SLOT, b"\x06\0\0\0\0\0\xff\x7f", 0)
    return plan.add("execute", ["true"], [])


GOOD = sample().encode()


def assert_refused(run: plans.Run) -> None:
    status, reports = run.finish()
    assert status == 1
    (report,) = reports
    assert (report.kind, report.errno) == ("failed", errno.EBADMSG)
    assert report.operation == plans.BAD_PLAN
    assert report.detail.startswith("plan")


def damaged(offset: int, value: int, form: str) -> bytes:
    plan = bytearray(GOOD)
    struct.pack_into(form, plan, offset, value)
    return bytes(plan)


def argument(operation: int, index: int, value: int) -> bytes:
    return damaged(HEADER + 64 * operation + 8 + 8 * index, value, "<Q")


def word(operation: int, index: int) -> int:
    """Return an argument of the good plan."""
    value: int = struct.unpack_from("<Q", GOOD, HEADER + 64 * operation + 8 + 8 * index)[0]
    return value


def test_the_good_plan_is_taken(spawn: Spawn) -> None:
    run = spawn(GOOD)
    report = run.report()
    assert report is not None
    assert (report.kind, report.value, report.operation) == ("asked", 2, 0)
    run.answer(b"no")
    assert run.finish() == (1, [])


@pytest.mark.parametrize("length", range(0, len(GOOD), 3))
def test_a_plan_cut_short_is_refused(spawn: Spawn, length: int) -> None:
    assert_refused(spawn(GOOD[:length]))


@pytest.mark.parametrize("length", range(HEADER, len(GOOD), 5))
def test_a_plan_cut_short_whose_header_agrees_is_refused(spawn: Spawn, length: int) -> None:
    assert_refused(spawn(damaged(8, length, "<Q")[:length]))


@pytest.mark.parametrize("offset", range(HEADER))
def test_each_byte_of_the_header_counts(spawn: Spawn, offset: int) -> None:
    assert_refused(spawn(damaged(offset, GOOD[offset] ^ 0xFF, "<B")))


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(damaged(HEADER, len(ops.OPERATIONS), "<H"), id="code"),
        pytest.param(damaged(HEADER + 2, 6, "<H"), id="skip"),
        pytest.param(damaged(HEADER + 5 * 64 + 2, 1, "<H"), id="skip of the last"),
        pytest.param(damaged(HEADER + 56, 1, "<Q"), id="padding"),
        pytest.param(argument(0, 1, 1), id="an argument too many"),
        pytest.param(argument(1, 3, ops.SLOTS), id="slot"),
        pytest.param(argument(1, 3, 1 << 63), id="slot, far"),
        pytest.param(argument(2, 0, ops.CWD_SLOT), id="a new descriptor in CWD_SLOT"),
        pytest.param(argument(2, 2, len(GOOD)), id="string behind the end"),
        pytest.param(argument(2, 2, HEADER), id="string in the records"),
        pytest.param(argument(2, 2, 1 << 63), id="string, far"),
        pytest.param(argument(3, 1, 0), id="no bytes"),
        pytest.param(argument(3, 1, word(3, 1) + 4), id="bytes, askew"),
        pytest.param(argument(3, 1, len(GOOD) - 4), id="bytes at the end"),
        pytest.param(argument(3, 1, (1 << 64) - 8), id="bytes, far"),
        pytest.param(damaged(word(3, 1), len(GOOD), "<Q"), id="length of bytes"),
        pytest.param(damaged(word(3, 1), (1 << 64) - 1, "<Q"), id="length of bytes, far"),
        pytest.param(argument(1, 1, word(1, 1) + 1), id="list, askew"),
        pytest.param(argument(1, 1, len(GOOD) - 8), id="list at the end"),
        pytest.param(damaged(word(1, 1), 3, "<Q"), id="count of a list"),
        pytest.param(damaged(word(1, 1), 1, "<Q"), id="list without its null"),
        pytest.param(damaged(word(1, 1), (1 << 61) + 2, "<Q"), id="count that overflows"),
        pytest.param(damaged(word(1, 1) + 8, 0, "<Q"), id="null in a list"),
        pytest.param(damaged(word(1, 1) + 8, HEADER, "<Q"), id="list of a record"),
        pytest.param(damaged(word(1, 1) + 8, len(GOOD), "<Q"), id="list of what is outside"),
        pytest.param(damaged(word(1, 1) + 8, 1 << 47, "<Q"), id="list of a pointer"),
    ],
)
def test_a_damaged_operation_is_refused(spawn: Spawn, plan: bytes) -> None:
    assert_refused(spawn(plan))


def test_a_string_without_end_is_refused(spawn: Spawn) -> None:
    plan = plans.Plan().add("ask", 2).add("hostname", "name").encode()
    assert plan.endswith(b"name\0")
    assert_refused(spawn(plan[:-1] + b"x"))


def test_lists_may_share_strings_and_be_shared(spawn: Spawn) -> None:
    plan = bytearray(GOOD)
    struct.pack_into("<Q", plan, HEADER + 64 + 8 + 16, word(1, 1))
    report = spawn(bytes(plan)).report()
    assert report is not None
    assert report.kind == "asked"


def test_lists_that_overlap_are_refused(spawn: Spawn) -> None:
    """The second begins at a string of the first: after relocation its count would be a pointer."""
    plan = bytearray(GOOD)
    first = word(1, 1)
    struct.pack_into("<QQQQ", plan, first, 2, first, first, 0)
    struct.pack_into("<Q", plan, HEADER + 64 + 8 + 16, first + 8)
    assert_refused(spawn(bytes(plan)))


@pytest.mark.parametrize("seed", range(8))
def test_random_damage_never_crashes(spawn: Spawn, seed: int) -> None:
    """Refused, or taken and ended by the runtime's end: the first operation is left alone."""
    chance = random.Random(seed)
    for _ in range(60):
        plan = bytearray(GOOD)
        for _ in range(chance.randint(1, 4)):
            plan[chance.randrange(HEADER + 64, len(plan))] = chance.choice((0, 1, 8, 64, 127, 255))
        run = spawn(bytes(plan))
        report = run.report()
        assert report is not None
        if report.kind == "asked":
            run.answer(b"no")
        else:
            assert report.errno == errno.EBADMSG
        assert run.wait() == 1


def test_other_descriptors_than_the_plans_are_refused(spawn: Spawn) -> None:
    assert_refused(spawn(sample().encode(inherited=4)))
