# SPDX-License-Identifier: Apache-2.0
"""Turn linux.seccomp into a BPF program for seccomp(2), or find the one made before."""

from pyoci.seccomp import cache as filters
from pyoci.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.types import Seccomp

NEW_LISTENER = 1 << 3  # SECCOMP_FILTER_FLAG_NEW_LISTENER


class Filter:
    """What seccomp(2) needs: struct sock_filter[], the flags, and whether a listener comes back."""

    __slots__ = ("flags", "listener", "notes", "program")

    def __init__(self, program: bytes, flags: int, notes: tuple[str, ...] = ()) -> None:
        self.program = program
        self.flags = flags
        self.listener = bool(flags & NEW_LISTENER)
        self.notes = notes  # for the debug log; unknown calls are named when compiled, not later


def compile_filter(seccomp: "Seccomp", cache: str | None = None) -> Filter | None:
    """Compile a complete linux.seccomp (config-linux.md#seccomp); None when it restricts nothing.

    `cache` is a directory that keeps compiled filters for the next time; its parent must exist.
    One that is not ours alone, or cannot be made, is passed over: a note says so.
    """
    if not seccomp["syscalls"] and seccomp["defaultAction"] in ("SCMP_ACT_ALLOW", "", None):
        return None
    if cache is None:
        return _compiled(seccomp, [])
    try:
        store = Store(cache, make=True)
    except OSError as error:
        return _compiled(seccomp, [f"seccomp cache {cache!r} is not used: {error.strerror}"])
    with store:
        name = filters.key(seccomp)
        found = filters.load(store, name)
        if found is not None:
            return Filter(*found)
        made = _compiled(seccomp, [])
        filters.save(store, name, made.program, made.flags)
        return made


def _compiled(seccomp: "Seccomp", notes: list[str]) -> Filter:
    from pyoci.seccomp.compile import compile_profile

    program, flags = compile_profile(seccomp, notes)
    return Filter(program, flags, tuple(notes))
