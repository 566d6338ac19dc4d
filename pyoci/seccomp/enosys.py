# SPDX-License-Identifier: Apache-2.0
"""Answer ENOSYS to calls that are newer than the profile, with a short BPF program before it.

A C library tries a new call first and falls back to the old one on ENOSYS, and on ENOSYS only: a
default of EPERM would break each program that is newer than the profile (seccomp(2), clone3(2)).
"Newer" is a number above every number that the profile names, on the architecture of the call.
"""

import errno
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Interval = tuple[int, int]  # the first number and the one behind the last

X86_64 = 0xC000003E
X32 = 0x4000003E  # libseccomp's own token: the kernel says X86_64 and sets X32_BIT in the number
ARM = 0x40000028
S390 = 0x00000016
S390X = 0x80000016

X32_BIT = 0x40000000
X32_OWN = (512, 548)  # numbers that x32 has for itself: among them nothing is new
ARM_PRIVATE = 0x0F0000  # cacheflush, set_tls and the like, far above the common numbers
NEGATIVE = 0x80000000  # -1 is a call that a tracer took back: the profile's own answer stands

_ENDS = {X86_64: X32_BIT, ARM: ARM_PRIVATE}  # elsewhere only what is negative is no number

_LOAD, _JUMP, _IF_EQUAL, _IF_AT_LEAST, _RETURN = 0x20, 0x05, 0x15, 0x35, 0x06
_NUMBER, _ARCHITECTURE = 0, 4  # offsets in struct seccomp_data
_ENOSYS = 0x00050000 | errno.ENOSYS


def newer(architecture: int, numbers: "Iterable[int]") -> "list[Interval]":
    """Return the intervals above the named numbers; none where the profile names no call."""
    if architecture == X32:
        common = {number & ~X32_BIT for number in numbers} - set(range(*X32_OWN))
        return _newer_x32(max(common)) if common else []
    end = _ENDS.get(architecture, NEGATIVE)
    common = {number for number in numbers if number < end}
    if not common:
        return []
    intervals = [(max(common) + 1, end)]
    if architecture in (S390, S390X):
        # A number that does not fit into the instruction and that the kernel does not know comes
        # as 0, once setup(2), which nobody calls any more.
        intervals.append((0, 1))
    return intervals


def stub(intervals: "Mapping[int, list[Interval]]") -> bytes:
    """Assemble the program: ENOSYS inside the intervals, for others on to what follows it."""
    sections: dict[int, list[Interval]] = {}
    for architecture, newer_calls in intervals.items():
        if newer_calls:
            seen_as = X86_64 if architecture == X32 else architecture
            sections.setdefault(seen_as, []).extend(newer_calls)
    if not sections:
        return b""
    code = b""
    for architecture, newer_calls in reversed(sections.items()):
        code = _section(architecture, newer_calls, len(code) // 8) + code
    return _instruction(_LOAD, _ARCHITECTURE) + code


def _newer_x32(newest: int) -> "list[Interval]":
    first, behind = X32_OWN
    if newest < first:
        return [(X32_BIT | newest + 1, X32_BIT | first), (X32_BIT | behind, NEGATIVE)]
    return [(X32_BIT | newest + 1, NEGATIVE)]


def _section(architecture: int, newer_calls: "list[Interval]", remaining: int) -> bytes:
    body = _instruction(_LOAD, _NUMBER)
    for first, behind in newer_calls:
        body += _instruction(_IF_AT_LEAST, first, 0, 2)
        body += _instruction(_IF_AT_LEAST, behind, 1, 0)
        body += _instruction(_RETURN, _ENOSYS)
    # The accumulator holds the number now: it must not meet the comparisons of other sections.
    body += _instruction(_JUMP, remaining)
    return _instruction(_IF_EQUAL, architecture, 0, len(body) // 8) + body


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
