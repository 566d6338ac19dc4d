# SPDX-License-Identifier: Apache-2.0
"""Read linux.seccomp: its words become the numbers of seccomp(2) and libseccomp, or a SpecError."""

import errno

from pyoci.errors import SpecError
from pyoci.seccomp import NEW_LISTENER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyoci.spec.types import Seccomp, Syscall, SyscallArgument

    Condition = tuple[int, int, int, int]  # argument, operator, the first and the second datum

PLACE = "/linux/seccomp"

ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_NOTIFY": 0x7FC00000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
NOTIFY = "SCMP_ACT_NOTIFY"

# The actions that carry a number, with the largest: the kernel cuts an errno at MAX_ERRNO.
WITH_NUMBER = {"SCMP_ACT_ERRNO": 4095, "SCMP_ACT_TRACE": 0xFFFF}

# A default that lets a new call through, or asks a tracer that knows better, needs no ENOSYS.
ALLOWING = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE")

OPERATORS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,  # value is the mask, valueTwo what must remain
}

# The name in the specification and libseccomp's.
ARCHITECTURES = {
    "SCMP_ARCH_X86": "x86",
    "SCMP_ARCH_X86_64": "x86_64",
    "SCMP_ARCH_X32": "x32",
    "SCMP_ARCH_ARM": "arm",
    "SCMP_ARCH_AARCH64": "aarch64",
    "SCMP_ARCH_MIPS": "mips",
    "SCMP_ARCH_MIPS64": "mips64",
    "SCMP_ARCH_MIPS64N32": "mips64n32",
    "SCMP_ARCH_MIPSEL": "mipsel",
    "SCMP_ARCH_MIPSEL64": "mipsel64",
    "SCMP_ARCH_MIPSEL64N32": "mipsel64n32",
    "SCMP_ARCH_PPC": "ppc",
    "SCMP_ARCH_PPC64": "ppc64",
    "SCMP_ARCH_PPC64LE": "ppc64le",
    "SCMP_ARCH_S390": "s390",
    "SCMP_ARCH_S390X": "s390x",
    "SCMP_ARCH_PARISC": "parisc",
    "SCMP_ARCH_PARISC64": "parisc64",
    "SCMP_ARCH_RISCV64": "riscv64",
    "SCMP_ARCH_LOONGARCH64": "loongarch64",
    "SCMP_ARCH_M68K": "m68k",
    "SCMP_ARCH_SH": "sh",
    "SCMP_ARCH_SHEB": "sheb",
}

TSYNC = "SECCOMP_FILTER_FLAG_TSYNC"
SPEC_ALLOW = "SECCOMP_FILTER_FLAG_SPEC_ALLOW"
WAIT_KILLABLE_RECV = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"
FLAGS = {
    TSYNC: 1 << 0,
    "SECCOMP_FILTER_FLAG_LOG": 1 << 1,
    SPEC_ALLOW: 1 << 2,
    WAIT_KILLABLE_RECV: 1 << 5,
}


class Rule:
    """Calls that share an action. `alternatives`: one list of conditions for each way to match."""

    __slots__ = ("action", "alternatives", "names", "place")

    def __init__(
        self, names: list[str], action: int, alternatives: "list[list[Condition]]", place: str
    ) -> None:
        self.names = names
        self.action = action
        self.alternatives = alternatives
        self.place = place


def default_action(seccomp: "Seccomp") -> int:
    """Return what a call without a rule gets."""
    name = seccomp["defaultAction"]
    if name == NOTIFY:
        # The executor's own report of the listener would wait for an agent that has none yet.
        raise SpecError(f"{PLACE}/defaultAction", f"{NOTIFY} cannot be used as default action")
    return _action(name, seccomp["defaultErrnoRet"], f"{PLACE}/defaultAction", "defaultErrnoRet")


def rules(seccomp: "Seccomp") -> list[Rule]:
    """Read every rule; those that repeat the default action are among them."""
    return [_rule(rule, f"{PLACE}/syscalls/{n}") for n, rule in enumerate(seccomp["syscalls"])]


def architectures(seccomp: "Seccomp") -> list[str]:
    """Return libseccomp's names of the architectures beside the native one."""
    for number, name in enumerate(seccomp["architectures"]):
        if name not in ARCHITECTURES:
            raise SpecError(f"{PLACE}/architectures/{number}", f"unknown architecture {name!r}")
    return [ARCHITECTURES[name] for name in seccomp["architectures"]]


def flags(seccomp: "Seccomp") -> int:
    """Return the flags of seccomp(2): SPEC_ALLOW when the profile says nothing, as runc does.

    TSYNC has no effect: the executor has one thread, and the kernel refuses it beside a listener.
    """
    named = [SPEC_ALLOW] if seccomp["flags"] is None else seccomp["flags"]
    value = NEW_LISTENER if has_listener(seccomp) else 0
    for number, name in enumerate(named):
        if name not in FLAGS:
            raise SpecError(f"{PLACE}/flags/{number}", f"unknown seccomp flag {name!r}")
        if name == WAIT_KILLABLE_RECV and not value & NEW_LISTENER:
            raise SpecError(f"{PLACE}/flags/{number}", f"{name} needs a rule with {NOTIFY}")
        if name != TSYNC:
            value |= FLAGS[name]
    return value


def has_listener(seccomp: "Seccomp") -> bool:
    """Tell whether a rule asks an agent; check that one is named where it is needed."""
    asks = any(rule["action"] == NOTIFY for rule in seccomp["syscalls"])
    if asks and not seccomp["listenerPath"]:
        raise SpecError(f"{PLACE}/listenerPath", f"must be set where {NOTIFY} is used")
    if seccomp["listenerMetadata"] and not seccomp["listenerPath"]:
        raise SpecError(f"{PLACE}/listenerMetadata", "must not be set without listenerPath")
    return asks


def answers_new_calls(seccomp: "Seccomp") -> bool:
    """Tell whether calls newer than the profile must get ENOSYS in place of its default."""
    return seccomp["defaultErrnoRet"] is None and seccomp["defaultAction"] not in ALLOWING


def _rule(rule: "Syscall", place: str) -> Rule:
    if rule["action"] == NOTIFY and "write" in rule["names"]:
        position = rule["names"].index("write")
        raise SpecError(
            f"{place}/names/{position}", f"{NOTIFY} cannot be used for the write syscall"
        )
    action = _action(rule["action"], rule["errnoRet"], f"{place}/action", "errnoRet")
    return Rule(rule["names"], action, _alternatives(rule["args"], place), place)


def _action(name: str, number: int | None, place: str, number_key: str) -> int:
    if name not in ACTIONS:
        raise SpecError(place, f"unknown seccomp action {name!r}")
    number_place = f"{place.rpartition('/')[0]}/{number_key}"
    if name not in WITH_NUMBER:
        if number is not None:
            raise SpecError(number_place, f"{name} takes no errno")
        return ACTIONS[name]
    if number is None:
        number = errno.EPERM
    if not 0 <= number <= WITH_NUMBER[name]:
        raise SpecError(number_place, f"must be between 0 and {WITH_NUMBER[name]}, not {number}")
    return ACTIONS[name] | number


def _alternatives(arguments: "Sequence[SyscallArgument]", place: str) -> "list[list[Condition]]":
    conditions = [_condition(item, f"{place}/args/{n}") for n, item in enumerate(arguments)]
    if len({condition[0] for condition in conditions}) == len(conditions):
        return [conditions]
    # libseccomp cannot test one argument twice in a rule. Old profiles meant "any of these" and
    # runc still reads them so: every condition becomes a rule of its own.
    return [[condition] for condition in conditions]


def _condition(argument: "SyscallArgument", place: str) -> "Condition":
    if argument["op"] not in OPERATORS:
        raise SpecError(f"{place}/op", f"unknown operator {argument['op']!r}")
    if not 0 <= argument["index"] <= 5:
        raise SpecError(f"{place}/index", "a system call has six arguments, 0 to 5")
    data = argument["value"], argument["valueTwo"]
    for datum, key in zip(data, ("value", "valueTwo"), strict=True):
        if not 0 <= datum < 1 << 64:
            raise SpecError(f"{place}/{key}", "must fit into 64 bits without a sign")
    return argument["index"], OPERATORS[argument["op"]], *data
