# SPDX-License-Identifier: Apache-2.0
"""A plan as bytes, read back as the executor reads it."""

import struct

import pytest

from pyoci.plan import ops
from pyoci.plan.encode import HEADER_BYTES, OPERATION_BYTES, encode
from pyoci.plan.facts import Facts
from pyoci.plan.program import IDENTITY, Late, Program


def words(plan: bytes, index: int) -> tuple[int, ...]:
    return struct.unpack_from("<HHHH6Q", plan, HEADER_BYTES + OPERATION_BYTES * index)


def string(plan: bytes, offset: int) -> str:
    return plan[offset : plan.index(b"\0", offset)].decode("utf-8", "surrogateescape")


def test_the_header_says_size_and_counts() -> None:
    program = Program()
    program.add("set_sid")
    plan = encode(program, 3).text
    assert struct.unpack_from("<IIQII", plan) == (ops.MAGIC, ops.VERSION, len(plan), 1, 3)


def test_a_string_is_terminated_and_stored_once() -> None:
    program = Program()
    program.add("hostname", "box")
    program.add("domainname", "box")
    plan = encode(program, 3).text
    first, second = words(plan, 0)[4], words(plan, 1)[4]
    assert first == second
    assert string(plan, first) == "box"


def test_null_and_negative_values() -> None:
    program = Program()
    program.add("find_program", "sh", None)
    program.add("umask", -1)
    plan = encode(program, 3).text
    assert words(plan, 0)[5] == 0
    assert words(plan, 1)[4] == (1 << 64) - 1


def test_bytes_are_aligned_and_carry_their_length() -> None:
    program = Program()
    program.add("hostname", "odd")
    program.add("write", 5, b"0\0\xff")
    plan = encode(program, 3).text
    offset = words(plan, 1)[5]
    assert offset % 8 == 0
    assert struct.unpack_from("<Q", plan, offset) == (3,)
    assert plan[offset + 8 : offset + 11] == b"0\0\xff"


def test_a_list_ends_with_a_null() -> None:
    program = Program()
    program.add("execute", ["sh", "-c"], [])
    plan = encode(program, 3).text
    count, first, second, end = struct.unpack_from("<4Q", plan, words(plan, 0)[4])
    assert (count, string(plan, first), string(plan, second), end) == (2, "sh", "-c", 0)


def test_ignored_errnos_and_skips() -> None:
    program = Program()
    program.add("close", 7, ignore=(2, 20), skip=3)
    assert words(encode(program, 3).text, 0)[1:4] == (3, 2, 20)


def test_bytes_that_are_not_utf8_survive() -> None:
    program = Program()
    program.add("hostname", b"\xff".decode("utf-8", "surrogateescape"))
    plan = encode(program, 3).text
    assert plan[words(plan, 0)[4]] == 0xFF


def test_too_many_operations_are_refused() -> None:
    program = Program()
    for _ in range(ops.MAX_OPERATIONS + 1):
        program.add("set_sid")
    with pytest.raises(OverflowError):
        encode(program, 3)


def test_what_belongs_to_one_container_comes_last() -> None:
    program = Program()
    program.add("session_keyring", Late(Facts(identity="first"), IDENTITY, before="_ses."))
    program.add("clone", 0, ops.NO_SLOT)
    program.add("hostname", "box")
    plan = encode(program, 3)
    assert plan.text.endswith(b"\0_ses.first\0")
    assert string(plan.text, words(plan.text, 0)[4]) == "_ses.first"
    other = plan.fill(["_ses.the second"]).text
    assert string(other, words(other, 0)[4]) == "_ses.the second"
    assert string(other, words(other, 2)[4]) == "box"
    assert struct.unpack_from("<IIQ", other)[2] == len(other)
    assert (plan.clones, plan.count) == ((1,), 3)


def test_the_header_for_c_names_every_operation() -> None:
    header = ops.header()
    for name, signature, arguments, _ in ops.OPERATIONS:
        assert f'X({name}, "{signature}")' in header
        assert len(arguments.split()) == len(signature) <= ops.MAX_ARGUMENTS
