# SPDX-License-Identifier: Apache-2.0
"""Load libseccomp through cffi: only a filter that is not cached, and `features`, pay for it."""

import errno
import os
import sys
from importlib import import_module

from pyoci.errors import Unsupported
from pyoci.store import SONAME, library_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    from cffi import FFI

NOTIFY_API = 6  # what seccomp_api_set(3) calls the level with notifications beside TSYNC


class Library:
    """libseccomp: `call` holds its functions, `ffi` makes what they take."""

    def __init__(self) -> None:
        binding = _binding()
        self.ffi: FFI = binding.ffi
        self.call: Any = _open(self.ffi)

    def version(self) -> str:
        """Return the version of the library that is loaded, such as 2.5.4."""
        found = self.call.seccomp_version()
        return f"{found.major}.{found.minor}.{found.micro}"

    def native(self) -> int:
        """Return the token of the architecture that we run on."""
        token: int = self.call.seccomp_arch_native()
        return token

    def architecture(self, name: str) -> int:
        """Return the token of an architecture, 0 for one that this version does not know."""
        token: int = self.call.seccomp_arch_resolve_name(name.encode())
        return token

    def number(self, name: str) -> int | None:
        """Return the number of a system call as a rule takes it; None for an unknown name."""
        number: int = self.call.seccomp_syscall_resolve_name(name.encode())
        return None if number == -1 else number

    def number_on(self, architecture: int, name: str) -> int | None:
        """Return the number that the kernel sees on an architecture; None when there is none."""
        number: int = self.call.seccomp_syscall_resolve_name_arch(architecture, name.encode())
        return number if number >= 0 else None

    def has_flags(self, flags: int) -> bool:
        """Ask the kernel for flags of seccomp(2), without a program: EFAULT means it has them."""
        number = self.number("seccomp")
        process: Any = self.ffi.dlopen(None)
        process.syscall(number, 1, flags, self.ffi.NULL)  # SECCOMP_SET_MODE_FILTER
        return bool(self.ffi.errno == errno.EFAULT)


def _binding() -> "ModuleType":
    # The interpreter runs with -I -S: no site directory is on the path, and none stays there.
    places = [place for place in _site_directories() if place not in sys.path]
    sys.path += places
    try:
        return import_module("pyoci.seccomp._libseccomp")
    except ImportError as error:
        raise Unsupported(f"linux.seccomp needs cffi and its binding: {error}") from error
    finally:
        for place in places:
            sys.path.remove(place)


def _site_directories() -> list[str]:
    """Name the places of _cffi_backend: beside us, this interpreter's own, and Debian's."""
    ours = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    release = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    # -S hides a virtual environment from sys.prefix, but not from the name of the interpreter.
    prefix = os.path.dirname(os.path.dirname(sys.executable))
    return [
        ours,
        f"{prefix}/{sys.platlibdir}/{release}/site-packages",
        f"{prefix}/lib/{release}/site-packages",
        "/usr/lib/python3/dist-packages",
    ]


def _open(ffi: "FFI") -> object:
    try:
        return ffi.dlopen(library_file() or SONAME)
    except OSError as error:
        raise Unsupported(f"linux.seccomp needs libseccomp: {error}") from error
