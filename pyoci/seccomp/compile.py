# SPDX-License-Identifier: Apache-2.0
"""Compile a profile with libseccomp: rules in, BPF out, with our ENOSYS answers before it."""

import errno
import os

from pyoci.errors import SpecError, Unsupported
from pyoci.seccomp import NEW_LISTENER, enosys, profile
from pyoci.seccomp.library import NOTIFY_API, Library

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cffi import FFI

    from pyoci.spec.types import Seccomp

LONGEST = 4096  # instructions, BPF_MAXINSNS
MANY_RULES = 32  # from here on a tree is shorter for the kernel than a chain
_OPTIMIZE = 8  # SCMP_FLTATR_CTL_OPTIMIZE
_TREE = 2


def compile_profile(seccomp: "Seccomp", notes: list[str]) -> tuple[bytes, int]:
    """Return the program and the flags of seccomp(2); `notes` receives what was passed over."""
    default = profile.default_action(seccomp)
    rules = profile.rules(seccomp)
    names = profile.architectures(seccomp)
    flags = profile.flags(seccomp)
    library = Library()
    _check_host(library, flags)
    architectures = _tokens(library, names)
    program = _filter(library, default, rules, architectures, notes)
    if profile.answers_new_calls(seccomp):
        program = _answers(library, rules, architectures) + program
    if len(program) // 8 > LONGEST:
        raise SpecError(
            profile.PLACE, f"needs {len(program) // 8} instructions, the kernel takes {LONGEST}"
        )
    return program, flags


def _check_host(library: Library, flags: int) -> None:
    if flags & NEW_LISTENER:
        level = library.call.seccomp_api_get()
        if level < NOTIFY_API:
            # runc's words, on which its own tests and engines match.
            raise Unsupported(
                f"seccomp notify unsupported: API level: got {level}, want at least {NOTIFY_API}. "
                "Please try with libseccomp >= 2.5.0 and Linux >= 5.7"
            )
    if flags and not library.has_flags(flags):
        raise Unsupported(f"linux.seccomp.flags: this kernel refuses a flag of {flags:#x}")


def _tokens(library: Library, names: list[str]) -> dict[int, str]:
    """Return each architecture, the native one first, with its place in config.json."""
    tokens = {library.native(): ""}
    for number, name in enumerate(names):
        token = library.architecture(name)
        if not token:
            place = f"linux.seccomp.architectures[{number}]"
            raise Unsupported(f"{place}: libseccomp {library.version()} does not know {name}")
        tokens.setdefault(token, f"{profile.PLACE}/architectures/{number}")
    return tokens


def _filter(
    library: Library,
    default: int,
    rules: list[profile.Rule],
    architectures: dict[int, str],
    notes: list[str],
) -> bytes:
    # PR_SET_NO_NEW_PRIVS, which libseccomp would set on loading, is the plan's: we only export.
    context = library.call.seccomp_init(default)
    if context == library.ffi.NULL:
        raise SpecError(f"{profile.PLACE}/defaultAction", "libseccomp refuses it")
    try:
        for token, place in architectures.items():
            _check(library.call.seccomp_arch_add(context, token), place)
        added = 0
        for rule in rules:
            if rule.action != default:  # libseccomp refuses what says nothing new
                added += _add(library, context, rule, notes)
        if added > MANY_RULES:
            # Not for few: libseccomp up to 2.5.4 makes a broken tree of none. An older one that
            # cannot do it makes a chain, which is slower and just as right.
            library.call.seccomp_attr_set(context, _OPTIMIZE, _TREE)
        return _export(library, context)
    finally:
        library.call.seccomp_release(context)


def _add(library: Library, context: "FFI.CData", rule: profile.Rule, notes: list[str]) -> int:
    added = 0
    for position, name in enumerate(rule.names):
        number = library.number(name)
        if number is None:
            notes.append(f'unknown seccomp syscall "{name}" ignored')
            continue
        for conditions in rule.alternatives:
            array = library.ffi.new("struct scmp_arg_cmp[]", conditions)
            status = library.call.seccomp_rule_add_array(
                context, rule.action, number, len(conditions), array
            )
            _check(status, f"{rule.place}/names/{position}")
        added += 1
    return added


def _check(status: int, place: str) -> None:
    # EEXIST: the same has been said before.
    if status < 0 and status != -errno.EEXIST:
        raise SpecError(place, f"libseccomp refuses it: {os.strerror(-status).lower()}")


def _export(library: Library, context: "FFI.CData") -> bytes:
    fd = os.memfd_create("seccomp")
    try:
        _check(library.call.seccomp_export_bpf(context, fd), profile.PLACE)
        return os.pread(fd, os.fstat(fd).st_size, 0)
    finally:
        os.close(fd)


def _answers(library: Library, rules: list[profile.Rule], architectures: dict[int, str]) -> bytes:
    named = {name for rule in rules for name in rule.names}
    intervals = {}
    for token in architectures:
        numbers = (library.number_on(token, name) for name in named)
        intervals[token] = enosys.newer(token, [n for n in numbers if n is not None])
    return enosys.stub(intervals)
