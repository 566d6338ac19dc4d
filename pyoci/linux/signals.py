# SPDX-License-Identifier: Apache-2.0
"""The numbers of signals (signal(7), the generic table: x86, arm and riscv agree)."""

SIGNALS = {
    "HUP": 1,
    "INT": 2,
    "QUIT": 3,
    "ILL": 4,
    "TRAP": 5,
    "ABRT": 6,
    "IOT": 6,
    "BUS": 7,
    "FPE": 8,
    "KILL": 9,
    "USR1": 10,
    "SEGV": 11,
    "USR2": 12,
    "PIPE": 13,
    "ALRM": 14,
    "TERM": 15,
    "STKFLT": 16,
    "CHLD": 17,
    "CLD": 17,
    "CONT": 18,
    "STOP": 19,
    "TSTP": 20,
    "TTIN": 21,
    "TTOU": 22,
    "URG": 23,
    "XCPU": 24,
    "XFSZ": 25,
    "VTALRM": 26,
    "PROF": 27,
    "WINCH": 28,
    "IO": 29,
    "POLL": 29,
    "PWR": 30,
    "SYS": 31,
    "RTMIN": 34,  # of the C library, which keeps 32 and 33
    "RTMAX": 64,
}
LAST = 64


def number_of(text: str) -> int | None:
    """Return the number of a number or name, in any case, with or without SIG; None for others."""
    if text.isascii() and text.isdigit():
        return int(text) if len(text) <= 3 and int(text) <= LAST else None
    name = text.upper().removeprefix("SIG")
    if name in SIGNALS:
        return SIGNALS[name]
    base, sign, offset = name.partition("-") if name.startswith("RTMAX-") else name.partition("+")
    if base not in ("RTMIN", "RTMAX") or not sign or not (offset.isascii() and offset.isdigit()):
        return None
    number = SIGNALS[base] + (int(offset[:3]) if sign == "+" else -int(offset[:3]))
    return number if SIGNALS["RTMIN"] <= number <= SIGNALS["RTMAX"] else None
