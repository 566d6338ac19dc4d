# SPDX-License-Identifier: Apache-2.0
"""What the tests of seccomp share: complete profiles, the binding, and a machine that runs BPF."""

import importlib
import json
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pyoci.seccomp

if TYPE_CHECKING:
    from pyoci.spec.types import Seccomp

HERE = Path(__file__).resolve().parent
PACKAGE = Path(pyoci.seccomp.__file__).parent

X86_64, I386, AARCH64 = 0xC000003E, 0x40000003, 0xC00000B7
X32_BIT = 0x40000000

KILL, ERRNO, NOTIFY, ALLOW = 0x00000000, 0x00050000, 0x7FC00000, 0x7FFF0000
KILL_PROCESS, TRAP, TRACE, LOG = 0x80000000, 0x00030000, 0x7FF00000, 0x7FFC0000
EPERM, ENOSYS = ERRNO | 1, ERRNO | 38


def ensure_binding() -> str:
    """Make the binding as the build does, where the package is a plain checkout; its directory."""
    try:
        binding = importlib.import_module("pyoci.seccomp._libseccomp")
    except ImportError:
        from pyoci.seccomp import build_binding

        build_binding.main(str(PACKAGE / "_libseccomp.py"))
        importlib.invalidate_caches()
        binding = importlib.import_module("pyoci.seccomp._libseccomp")
    return os.path.dirname(os.path.abspath(str(binding.__file__)))


def argument(index: int, op: str, value: int, value_two: int = 0) -> dict[str, Any]:
    """Return a complete condition."""
    return {"index": index, "op": f"SCMP_CMP_{op}", "value": value, "valueTwo": value_two}


def rule(
    names: list[str], action: str, *args: dict[str, Any], errno_ret: int | None = None
) -> dict[str, Any]:
    """Return a complete rule."""
    return {
        "names": names,
        "action": f"SCMP_ACT_{action}",
        "errnoRet": errno_ret,
        "args": list(args),
    }


def profile(*rules: dict[str, Any], default: object = "ERRNO", **properties: object) -> "Seccomp":
    """Return a complete linux.seccomp."""
    complete: dict[str, object] = {
        "defaultAction": f"SCMP_ACT_{default}",
        "defaultErrnoRet": None,
        "architectures": [],
        "flags": None,
        "listenerPath": None,
        "listenerMetadata": None,
        "syscalls": list(rules),
    }
    return cast("Seccomp", {**complete, **properties})


def engine_sized() -> "Seccomp":
    """Return a profile of the size that container engines use."""
    read = json.loads((HERE / "data/seccomp-engine-sized.json").read_text())
    rules = [{"errnoRet": None, "args": [], **found} for found in read.pop("syscalls")]
    return profile(*rules, **read)


def run(program: bytes, number: int, arguments: tuple[int, ...] = (), arch: int = X86_64) -> int:
    """Run a filter over one call, as the kernel's classic BPF does, and return its verdict."""
    padded = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    data = struct.pack("=IIQ6Q", number & 0xFFFFFFFF, arch, 0, *padded)
    code = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    accumulator, index, memory, at = 0, 0, [0] * 16, 0
    while True:
        op, if_true, if_false, k = code[at]
        at += 1
        kind = op & 0x07
        operand = index if op & 0x08 else k
        if op == 0x20:  # load a word of struct seccomp_data
            assert k % 4 == 0
            (accumulator,) = struct.unpack_from("=I", data, k)
        elif op == 0x60:
            accumulator = memory[k]
        elif op == 0x02:
            memory[k] = accumulator
        elif op == 0x06:
            return int(k)
        elif op == 0x05:
            at += k
        elif kind == 0x05:
            holds = {
                0x10: accumulator == operand,
                0x20: accumulator > operand,
                0x30: accumulator >= operand,
                0x40: bool(accumulator & operand),
            }[op & 0xF0]
            at += if_true if holds else if_false
        elif op == 0x54:
            accumulator &= k
        elif op == 0x07:
            index = accumulator
        else:
            raise AssertionError(f"instruction {op:#x}")
