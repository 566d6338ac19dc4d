# SPDX-License-Identifier: Apache-2.0
"""The devices that a container may use: linux.resources.devices, then the runtime's own rules.

What a list of rules means here, for both versions: whatever no rule matches is denied, also without
any rules (GHSA-g54h-m393-cpwq), and for each of read, write and mknod the last match decides.
"""

import errno
import posix

from pyoci.cgroup.directory import Directory, refuse
from pyoci.errors import CgroupError, SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    # Allow, the types ("b", "c" or "bc"), major, minor (ANY is all), access (MKNOD | READ | WRITE).
    Rule = tuple[bool, str, int, int, int]
    Key = tuple[str, int, int]

ANY = -1
MKNOD, READ, WRITE = 1, 2, 4  # BPF_DEVCG_ACC_*
ALL = MKNOD | READ | WRITE
LETTERS = (("r", READ), ("w", WRITE), ("m", MKNOD))
WORDS = ("", "m", "r", "rm", "w", "wm", "rw", "rwm")  # by the sum of the bits
PLACE = "/linux/resources/devices"
MAX_RULES = 500  # what becomes a program that every kernel takes

EVERYTHING: "Rule" = (True, "bc", ANY, ANY, ALL)

# Appended after the user's rules: every runtime allows these, and images count on them.
OWN_RULES: "tuple[Rule, ...]" = (
    (True, "bc", ANY, ANY, MKNOD),  # a node is harmless until it is opened
    (True, "c", 1, 3, ALL),  # null
    (True, "c", 1, 5, ALL),  # zero
    (True, "c", 1, 7, ALL),  # full
    (True, "c", 1, 8, ALL),  # random
    (True, "c", 1, 9, ALL),  # urandom
    (True, "c", 5, 0, ALL),  # tty
    (True, "c", 5, 2, ALL),  # ptmx
    (True, "c", 136, ANY, ALL),  # pts
    (True, "c", 10, 200, ALL),  # net/tun
)


def rules(devices: "Sequence[Mapping[str, Any]] | None") -> "list[Rule]":
    """Return the user's rules in order."""
    if devices and len(devices) > MAX_RULES:
        raise SpecError(PLACE, f"has too many rules: {len(devices)}, of at most {MAX_RULES}")
    return [rule(device) for device in devices or ()]


def rule(device: "Mapping[str, Any]") -> "Rule":
    """Return one rule of linux.resources.devices."""
    major, minor = (ANY if device[name] is None else device[name] for name in ("major", "minor"))
    types = "bc" if device["type"] in (None, "a") else device["type"]
    access = sum(bit for letter, bit in LETTERS if letter in device["access"])
    return device["allow"], types, major, minor, access


def covers(rule: "Rule", other: "Rule") -> bool:
    """Tell whether a rule matches every device and access that another one matches."""
    _, types, major, minor, access = rule
    return (
        all(kind in types for kind in other[1])
        and major in (ANY, other[2])
        and minor in (ANY, other[3])
        and not other[4] & ~access
    )


def effective(ordered: "Sequence[Rule]") -> "list[Rule]":
    """Return the rules that can decide anything, in order: what a later one covers is dropped."""
    kept: list[Rule] = []
    for rule in reversed(ordered):
        if not any(covers(later, rule) for later in kept):
            kept.append(rule)
    kept.reverse()
    # What is denied at the start is denied anyway, and what is allowed after everything is, too.
    while kept and not kept[0][0]:
        del kept[0]
    while len(kept) > 1 and covers(kept[0], EVERYTHING) and kept[1][0]:
        del kept[1]
    return kept


# Version 2: a program

# (operation) of struct bpf_insn, from linux/bpf.h and linux/bpf_common.h.
LOAD = 0x61  # BPF_LDX | BPF_MEM | BPF_W
MOVE = 0xB7  # BPF_ALU64 | BPF_MOV | BPF_K
COPY = 0xBC  # BPF_ALU | BPF_MOV | BPF_X
AND = 0x54  # BPF_ALU | BPF_AND | BPF_K
SHIFT_RIGHT = 0x74  # BPF_ALU | BPF_RSH | BPF_K
JUMP = 0x05  # BPF_JMP | BPF_JA
JUMP_NOT_EQUAL = 0x56  # BPF_JMP32 | BPF_JNE | BPF_K
JUMP_ANY_BIT = 0x46  # BPF_JMP32 | BPF_JSET | BPF_K
EXIT = 0x95  # BPF_JMP | BPF_EXIT

# Registers: 0 answer, 1 struct bpf_cgroup_dev_ctx, 2 the access still to be decided, 3 type,
# 4 major, 5 minor.
TYPE_NUMBERS = {"b": 1, "c": 2}  # BPF_DEVCG_DEV_BLOCK, BPF_DEVCG_DEV_CHAR


def program(devices: "Sequence[Mapping[str, Any]] | None") -> bytes:
    """Return the rules as a BPF_PROG_TYPE_CGROUP_DEVICE program: struct bpf_insn[] (bpf(2))."""
    code = [
        instruction(LOAD, 2, source=1, offset=0),
        instruction(COPY, 3, source=2),
        instruction(AND, 3, value=0xFFFF),
        instruction(SHIFT_RIGHT, 2, value=16),
        instruction(LOAD, 4, source=1, offset=4),
        instruction(LOAD, 5, source=1, offset=8),
    ]
    for rule in reversed(effective((*rules(devices), *OWN_RULES))):
        code += rule_code(rule)
        if covers(rule, EVERYTHING):
            break  # decides everything: the verifier refuses what cannot be reached
    else:
        code += answer(0)
    return b"".join(code)


def rule_code(rule: "Rule") -> list[bytes]:
    """Return the instructions that answer, if this rule decides what is left to be decided."""
    allow, types, major, minor, access = rule
    decide = answer(1 if allow else 0)
    if access != ALL and allow:
        left = ~access & ALL
        decide = [
            instruction(AND, 2, value=left),
            instruction(JUMP_NOT_EQUAL, 2, offset=len(decide), value=0),
            *decide,
        ]
    elif access != ALL:
        decide = [
            instruction(JUMP_ANY_BIT, 2, offset=1, value=access),
            instruction(JUMP, 0, offset=len(decide)),
            *decide,
        ]
    tests = [(4, major), (5, minor)]
    if len(types) == 1:
        tests.insert(0, (3, TYPE_NUMBERS[types]))
    for register, number in reversed(tests):
        if number != ANY:
            decide.insert(
                0, instruction(JUMP_NOT_EQUAL, register, offset=len(decide), value=number)
            )
    return decide


def answer(value: int) -> list[bytes]:
    """Return the instructions that end the program: 1 allows, 0 denies."""
    return [instruction(MOVE, 0, value=value), instruction(EXIT, 0)]


def instruction(
    operation: int, register: int, *, source: int = 0, offset: int = 0, value: int = 0
) -> bytes:
    """Return one struct bpf_insn."""
    return (
        bytes((operation, source << 4 | register))
        + offset.to_bytes(2, "little", signed=True)
        + value.to_bytes(4, "little")
    )


# Version 1: two files

DENY = "devices.deny"


def v1_writes(devices: "Sequence[Mapping[str, Any]] | None") -> list[tuple[str, str]]:
    """Return what to write into devices.allow and devices.deny of a new cgroup, no more."""
    default, exceptions = v1_state(devices)
    first, then = ("devices.allow", DENY) if default else (DENY, "devices.allow")
    return [(first, "a"), *((then, key_text(key, access)) for key, access in exceptions.items())]


def v1_changes(
    old: "Sequence[Mapping[str, Any]]", new: "Sequence[Mapping[str, Any]]"
) -> list[tuple[str, str]]:
    """Return the writes from one list of rules to another, what is to be allowed first."""
    before, present = v1_state(old)
    default, wanted = v1_state(new)
    if before != default:
        return v1_writes(new)
    added = exceptions_beyond(wanted, present)
    gone = exceptions_beyond(present, wanted)
    allowed, denied = (gone, added) if default else (added, gone)
    return [("devices.allow", row) for row in allowed] + [(DENY, row) for row in denied]


def exceptions_beyond(some: "dict[Key, int]", others: "dict[Key, int]") -> list[str]:
    """Return the exceptions, or the access of them, that others do not have."""
    rows = ((key, access & ~(others.get(key, 0))) for key, access in some.items())
    return [key_text(key, access) for key, access in rows if access]


def v1_state(
    devices: "Sequence[Mapping[str, Any]] | None",
) -> "tuple[bool, dict[Key, int]]":
    """Return version 1's default, allow or deny, and the exceptions from it.

    The kernel knows no more. A hole in an exception cannot be said, and the kernel ignores the
    attempt, so that it is an error here.
    """
    ordered = effective(rules(devices))
    default = bool(ordered) and covers(ordered[0], EVERYTHING)
    exceptions: dict[Key, int] = {}
    for rule in ordered[1:] if default else ordered:
        if not except_rule(exceptions, rule, default=default):
            raise CgroupError(
                f'cannot set device rule "{rule_text(rule)}": cgroup v1 cannot make an exception '
                "from a rule with a wildcard"
            )
    for rule in OWN_RULES:
        # What the user denied with a wildcard, after allowing all, stays denied: it cannot be said.
        except_rule(exceptions, rule, default=default)
    return default, exceptions


def except_rule(exceptions: "dict[Key, int]", rule: "Rule", *, default: bool) -> bool:
    """Change the exceptions as a rule asks; return whether that could be said."""
    allow, types, major, minor, access = rule
    for kind in types:
        if allow is not default:
            key = (kind, major, minor)
            exceptions[key] = exceptions.get(key, 0) | access
            continue
        wanted: Rule = (allow, kind, major, minor, access)
        for key, present in list(exceptions.items()):
            if not present & access or not overlap(key, wanted):
                continue
            if not covers(wanted, (allow, *key, present & access)):
                return False
            if present & ~access:
                exceptions[key] = present & ~access
            else:
                del exceptions[key]
    return True


def overlap(key: "Key", rule: "Rule") -> bool:
    """Tell whether an exception and a rule have a device in common."""
    _, types, major, minor, _ = rule
    return (
        key[0] in types
        and (ANY in (key[1], major) or key[1] == major)
        and (ANY in (key[2], minor) or key[2] == minor)
    )


def key_text(key: "Key", access: int) -> str:
    """Return an exception as devices.allow takes it, such as `c 1:3 rwm`."""
    kind, major, minor = key
    numbers = f"{'*' if major == ANY else major}:{'*' if minor == ANY else minor}"
    return f"{kind} {numbers} {WORDS[access]}"


def rule_text(rule: "Rule") -> str:
    """Return a rule as people write it, such as `deny c 1:3 rwm`."""
    allow, types, major, minor, access = rule
    kind = types if len(types) == 1 else "a"
    return f"{'allow' if allow else 'deny'} {key_text((kind, major, minor), access)}"


def apply_v1(directory: Directory, devices: "Sequence[Mapping[str, Any]] | None") -> None:
    """Write the rules into a new devices cgroup of version 1."""
    write_v1(directory, v1_writes(devices))


def write_v1(directory: Directory, writes: list[tuple[str, str]]) -> None:
    """Write into the files of a devices cgroup of version 1, each of them opened once."""
    for name in dict(writes):
        write_rules(directory, name, [value for file, value in writes if file == name])


def write_rules(directory: Directory, file: str, values: list[str]) -> None:
    """Write rules into one file."""
    fd = directory.open_file(file, posix.O_WRONLY)
    for value in values:
        try:
            posix.write(fd, value.encode())
        except OSError as error:
            posix.close(fd)
            what = f'cannot set device rule: write "{value}" to {directory.full_path}/{file}'
            if error.errno == errno.EPERM:
                what += " (the cgroup above it does not allow as much)"
            raise refuse(what, error) from error
    posix.close(fd)
