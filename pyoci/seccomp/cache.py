# SPDX-License-Identifier: Apache-2.0
"""Compiled filters in a store: their names and their form there."""

from pyoci import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.types import Seccomp
    from pyoci.store import Store

FORMAT = 2  # raise it whenever the same profile would compile to something else

_PROGRAM = 8  # behind the flags


def load(kept: "Store", name: str) -> tuple[bytes, int] | None:
    """Return the program and the flags of a filter; None when it is not there."""
    data = kept.load(name)
    if data is None:
        return None
    return data[_PROGRAM:], int.from_bytes(data[:_PROGRAM], "little")


def save(kept: "Store", name: str, program: bytes, flags: int) -> None:
    """Keep a filter."""
    kept.save(name, flags.to_bytes(_PROGRAM, "little") + program)


def key(seccomp: "Seccomp") -> str:
    """Return the name of a filter: a hash of the profile and of all that compiles and runs it."""
    return store.name("filter", FORMAT, _canonical(seccomp))


def _canonical(seccomp: "Seccomp") -> tuple[object, ...]:
    rules = [
        (
            rule["names"],
            rule["action"],
            rule["errnoRet"],
            [(item["index"], item["value"], item["valueTwo"], item["op"]) for item in rule["args"]],
        )
        for rule in seccomp["syscalls"]
    ]
    # Of the listener only its presence counts: it decides whether the profile is valid.
    return (
        seccomp["defaultAction"],
        seccomp["defaultErrnoRet"],
        seccomp["architectures"],
        seccomp["flags"],
        bool(seccomp["listenerPath"]),
        bool(seccomp["listenerMetadata"]),
        rules,
    )
