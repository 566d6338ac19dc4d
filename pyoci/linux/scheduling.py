# SPDX-License-Identifier: Apache-2.0
"""The kernel's names for processors, priorities and memory (sched.h, ioprio.h, mempolicy.h)."""

POLICIES = {
    "SCHED_OTHER": 0,
    "SCHED_FIFO": 1,
    "SCHED_RR": 2,
    "SCHED_BATCH": 3,
    "SCHED_ISO": 4,  # reserved: no kernel has it
    "SCHED_IDLE": 5,
    "SCHED_DEADLINE": 6,
}
SCHEDULER_FLAGS = {
    "SCHED_FLAG_RESET_ON_FORK": 0x01,
    "SCHED_FLAG_RECLAIM": 0x02,
    "SCHED_FLAG_DL_OVERRUN": 0x04,
    "SCHED_FLAG_KEEP_POLICY": 0x08,
    "SCHED_FLAG_KEEP_PARAMS": 0x10,
    "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
    "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
}
IO_CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}
IO_CLASS_SHIFT = 13
MEMORY_MODES = {
    "MPOL_DEFAULT": 0,
    "MPOL_PREFERRED": 1,
    "MPOL_BIND": 2,
    "MPOL_INTERLEAVE": 3,
    "MPOL_LOCAL": 4,
    "MPOL_PREFERRED_MANY": 5,
    "MPOL_WEIGHTED_INTERLEAVE": 6,
}
MEMORY_FLAGS = {
    "MPOL_F_NUMA_BALANCING": 1 << 13,
    "MPOL_F_RELATIVE_NODES": 1 << 14,
    "MPOL_F_STATIC_NODES": 1 << 15,
}
_HIGHEST = 1 << 16  # no kernel has as many processors or nodes
_WORD_BITS = 64


def mask(numbers: str) -> bytes:
    """Return a list such as "0-3,7" as the kernel takes it, in whole words; ValueError for what is no list (cpuset(7))."""
    bits = 0
    for part in numbers.split(","):
        first, dash, last = part.strip().partition("-")
        low = _number(first)
        high = _number(last) if dash else low
        if high < low:
            raise ValueError(f"{part} runs backwards")
        bits |= (1 << high + 1) - (1 << low)
    return bits.to_bytes(-(-bits.bit_length() // _WORD_BITS) * _WORD_BITS // 8, "little")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) >= _HIGHEST:
        raise ValueError(f'"{text[:20]}" is no number below {_HIGHEST}')
    return int(text)
