# SPDX-License-Identifier: Apache-2.0
"""Device rules: what they mean, as a BPF program (run by a small interpreter) and as v1 writes."""

import random
import struct
from typing import Any

import pytest

from pyoci.cgroup import devices
from pyoci.errors import CgroupError, SpecError

MKNOD, READ, WRITE = 1, 2, 4
MASK32, MASK64 = (1 << 32) - 1, (1 << 64) - 1
DENY_ALL = {"allow": False, "type": None, "major": None, "minor": None, "access": "rwm"}


def rule(text: str) -> dict[str, Any]:
    """Return the rule that `allow c 1:3 rwm` says."""
    verb, kind, numbers, access = text.split()
    major, minor = (None if part == "*" else int(part) for part in numbers.split(":"))
    return {
        "allow": verb == "allow",
        "type": kind,
        "major": major,
        "minor": minor,
        "access": access,
    }


def run(program: bytes, kind: int, access: int, major: int, minor: int) -> int:
    """Run a program as the kernel would; anything that its verifier refuses is an error here."""
    code = [struct.unpack_from("<BBhi", program, at) for at in range(0, len(program), 8)]
    context = {0: access << 16 | kind, 4: major, 8: minor}
    registers: dict[int, int] = {}
    at = 0
    while True:
        operation, both, offset, value = code[at]
        to, source = both & 15, both >> 4
        at += 1
        if operation == 0x61:
            assert source == 1
            registers[to] = context[offset]
        elif operation == 0xB7:
            registers[to] = value & MASK64
        elif operation == 0xBC:
            registers[to] = registers[source] & MASK32
        elif operation == 0x54:
            registers[to] = registers[to] & value & MASK32
        elif operation == 0x74:
            registers[to] = (registers[to] & MASK32) >> value
        elif operation == 0x05:
            at += offset
        elif operation == 0x56:
            at += offset * ((registers[to] & MASK32) != value & MASK32)
        elif operation == 0x46:
            at += offset * bool(registers[to] & value & MASK32)
        else:
            assert operation == 0x95
            return registers[0]


def reachable(program: bytes) -> set[int]:
    """Return the instructions that some path leads to; jumps go forward only (old kernels)."""
    code = [struct.unpack_from("<BBhi", program, at) for at in range(0, len(program), 8)]
    seen: set[int] = set()
    todo = [0]
    while todo:
        at = todo.pop()
        assert at < len(code)
        if at in seen:
            continue
        seen.add(at)
        operation, _, offset, _ = code[at]
        assert offset >= 0
        if operation == 0x05:
            todo.append(at + 1 + offset)
        elif operation in (0x56, 0x46):
            todo += [at + 1, at + 1 + offset]
        elif operation != 0x95:
            todo.append(at + 1)
    return seen


def meaning(rules: list[dict[str, Any]], kind: str, access: int, major: int, minor: int) -> bool:
    """Return what the rules say, bit for bit, in the plainest way."""
    ordered = [*devices.rules(rules), *devices.OWN_RULES]
    for bit in (MKNOD, READ, WRITE):
        if not access & bit:
            continue
        allowed = False
        for allow, types, *numbers, bits in ordered:
            wanted = zip(numbers, (major, minor), strict=True)
            if kind in types and bits & bit and all(n in (-1, value) for n, value in wanted):
                allowed = allow
        if not allowed:
            return False
    return True


def allowed(rules: list[dict[str, Any]], request: str) -> bool:
    """Tell whether the program lets a request such as `c 1:3 rw` pass."""
    _, types, major, minor, access = devices.rule(rule(f"allow {request}"))
    return bool(run(devices.program(rules), {"b": 1, "c": 2}[types], access, major, minor))


@pytest.mark.parametrize("rules", [[], [DENY_ALL]])
def test_without_rules_all_but_the_defaults_is_denied(rules: list[dict[str, Any]]) -> None:
    """GHSA-g54h-m393-cpwq (security.md, case 43): no rules are no permission."""
    assert not allowed(rules, "b 254:0 r")
    assert allowed(rules, "b 254:0 m")
    assert allowed(rules, "c 1:3 rwm")
    assert allowed(rules, "c 136:17 rw")
    assert not allowed(rules, "c 1:1 r")
    assert devices.program(None) == devices.program(rules)


def test_a_program_for_all_devices_is_short() -> None:
    assert allowed([rule("allow a *:* rwm")], "b 8:0 rwm")
    assert len(devices.program([rule("allow a *:* rwm")])) == 8 * (6 + 2)


def test_the_last_match_decides() -> None:
    rules = [rule("allow c 7:* rwm"), rule("deny c 7:1 w")]
    assert allowed(rules, "c 7:1 r")
    assert not allowed(rules, "c 7:1 rw")
    assert allowed(rules, "c 7:2 rw")


def test_access_from_two_rules_adds_up() -> None:
    assert allowed([rule("allow c 7:1 r"), rule("allow c 7:1 w")], "c 7:1 rw")


def test_a_rule_for_all_types_may_be_about_one_access() -> None:
    rules = [rule("allow a *:* r")]
    assert allowed(rules, "b 8:0 r")
    assert not allowed(rules, "b 8:0 rw")


def test_big_numbers_are_unsigned() -> None:
    rules = [rule(f"allow c {MASK32}:{MASK32} rwm")]
    assert allowed(rules, f"c {MASK32}:{MASK32} rwm")
    assert not allowed(rules, f"c {MASK32}:0 r")


def test_too_many_rules_are_refused() -> None:
    with pytest.raises(SpecError, match="too many rules"):
        devices.program([rule(f"allow c {number}:0 r") for number in range(501)])


def random_rules(source: random.Random) -> list[dict[str, Any]]:
    """Return some rules over few devices, so that they meet."""
    words = (
        ("allow", "deny"),
        "abc",
        ("1:3", "1:*", "*:*", "7:1", "*:1", "7:*"),
        ["r", "w", "m", "rw", "rwm"],
    )
    return [
        rule(" ".join(source.choice(choices) for choices in words))
        for _ in range(source.randrange(7))
    ]


@pytest.mark.parametrize("seed", range(60))
def test_the_program_means_what_the_rules_say(seed: int) -> None:
    source = random.Random(seed)
    rules = random_rules(source)
    program = devices.program(rules)
    assert reachable(program) == set(range(len(program) // 8))
    for kind, number in (("b", 1), ("c", 2)):
        for major in (1, 7, 9):
            for minor in (1, 3):
                for access in range(1, 8):
                    expected = meaning(rules, kind, access, major, minor)
                    assert bool(run(program, number, access, major, minor)) == expected, rules


def test_version_1_starts_from_nothing() -> None:
    writes = devices.v1_writes([DENY_ALL])
    assert writes[0] == ("devices.deny", "a")
    assert ("devices.allow", "c 1:3 rwm") in writes
    assert ("devices.allow", "b *:* m") in writes
    assert len(writes) == 12
    assert devices.v1_writes([]) == writes


def test_version_1_with_all_devices_is_one_write() -> None:
    assert devices.v1_writes([rule("allow a *:* rwm")]) == [("devices.allow", "a")]


def test_version_1_exceptions_of_all_devices() -> None:
    rules = [rule("allow a *:* rwm"), rule("deny b 8:0 rw"), rule("deny c 10:200 rwm")]
    assert devices.v1_writes(rules) == [("devices.allow", "a"), ("devices.deny", "b 8:0 rw")]


def test_version_1_takes_back_what_was_allowed_before() -> None:
    rules = [
        rule("allow c 7:1 rw"),
        rule("allow b 8:* r"),
        rule("deny c 7:1 w"),
        rule("deny b 8:* r"),
    ]
    assert ("devices.allow", "c 7:1 r") in devices.v1_writes(rules)
    assert not any("8:" in value for _, value in devices.v1_writes(rules))


def test_version_1_refuses_a_hole_in_a_wildcard() -> None:
    with pytest.raises(CgroupError, match='device rule "deny c 7:1 w"'):
        devices.v1_writes([rule("allow c 7:* rwm"), rule("deny c 7:1 w")])


def v1_allows(
    writes: list[tuple[str, str]], kind: str, access: int, major: int, minor: int
) -> bool:
    """Return what the kernel's device_cgroup does with a list of exceptions."""
    exceptions = [devices.rule(rule(f"allow {value}")) for _, value in writes[1:]]
    wanted = (True, kind, major, minor, access)
    if writes[0][0] == "devices.deny":
        return any(devices.covers(exception, wanted) for exception in exceptions)
    return not any(
        devices.overlap((kind, major, minor), exception) and exception[4] & access
        for exception in exceptions
    )


@pytest.mark.parametrize("seed", range(60))
def test_version_1_never_allows_more_than_the_rules(seed: int) -> None:
    rules = random_rules(random.Random(seed))
    try:
        writes = devices.v1_writes(rules)
    except CgroupError:
        return
    for kind in "bc":
        for major in (1, 7, 9):
            for minor in (1, 3):
                for access in range(1, 8):
                    if v1_allows(writes, kind, access, major, minor):
                        assert meaning(rules, kind, access, major, minor), rules


@pytest.mark.parametrize("seed", range(60))
def test_version_1_goes_from_rules_to_rules(seed: int) -> None:
    """As the kernel keeps its exceptions; what both lists allow is allowed in between, too."""
    source = random.Random(seed)
    old, new = random_rules(source), random_rules(source)
    try:
        default, exceptions = devices.v1_state(old)
        wanted = devices.v1_state(new)
    except CgroupError:
        return
    kept = set(exceptions.items()) & set(wanted[1].items())
    for file, text in devices.v1_changes(old, new):
        if text == "a":
            default, exceptions = file == "devices.allow", {}
            continue
        _, kind, major, minor, access = devices.rule(rule(f"allow {text}"))
        bits = exceptions.pop((kind, major, minor), 0)
        adds = (file == "devices.allow") is not default
        bits = bits | access if adds else bits & ~access
        if bits:
            exceptions[kind, major, minor] = bits
        if default is wanted[0] is devices.v1_state(old)[0]:
            assert kept <= set(exceptions.items())
    assert (default, exceptions) == wanted
