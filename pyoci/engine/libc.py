# SPDX-License-Identifier: Apache-2.0
"""Functions of the C library that the interpreter does not offer (manual pages, sections 2 and 3).

Through `_ctypes`: `ctypes` around it brings os, struct and types, and 2 ms. Numbers are ints, bytes their address, None is NULL.
"""

import _ctypes
import posix


class _Int(_ctypes._SimpleCData):  # type: ignore[type-arg]  # its type is below  # noqa: SLF001 - _ctypes' own name
    _type_ = "i"


class _Function(_ctypes.CFuncPtr):
    _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
    _restype_ = _Int


_library = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]  # NULL: what is loaded already
_functions: "dict[str, _Function]" = {}


def call(name: str, *arguments: "int | bytes | None") -> int:
    """Call a function that returns an int; raises OSError where that is negative, as it is for a failure."""
    function = _functions.get(name)
    if function is None:
        function = _functions[name] = _Function(_ctypes.dlsym(_library, name))
    result = int(function(*arguments))
    if result < 0:
        code = _ctypes.get_errno()
        raise OSError(code, posix.strerror(code), name)
    return result


def syscall(number: int, *arguments: "int | bytes | None") -> int:
    """Call the kernel, which the C library may have no function for; its result is a descriptor or nothing. Raises OSError."""
    return call("syscall", number, *arguments)
