# SPDX-License-Identifier: Apache-2.0
"""The device program of a cgroup: find it and put another in its place, in one step (bpf(2)).

Only `update` comes here. Create leaves it to the executor: ctypes would cost it 2 ms.
"""

import ctypes
import errno
import posix
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SYSTEM_CALLS = {"x86_64": 321, "ppc64le": 361, "s390x": 351}
GENERIC = 280  # aarch64, riscv64, loongarch64

# enum bpf_cmd, bpf_prog_type, bpf_attach_type and flags of linux/bpf.h
PROG_LOAD, PROG_ATTACH, PROG_GET_FD_BY_ID = 5, 8, 13
OBJ_GET_INFO_BY_FD, PROG_QUERY = 15, 16
CGROUP_DEVICE_PROGRAM, CGROUP_DEVICE = 15, 6
ALLOW_MULTI, REPLACE = 2, 4
INSTRUCTION_BYTES, ATTRIBUTE_BYTES, INFO_BYTES, TAG_BYTES = 8, 128, 256, 8
MOST_PROGRAMS = 64  # BPF_CGROUP_MAX_PROGS

_syscall = ctypes.CDLL(None, use_errno=True).syscall
_syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_uint)
_syscall.restype = ctypes.c_long


def replace(directory: int, old: bytes, new: bytes) -> None:
    """Put a device program in the place of the one with this code; raises OSError.

    Others on the same cgroup (systemd's, a device plugin's) stay. Where the only one there is has
    other code, somebody replaced ours: it goes. Where there is none, the new one is added.
    """
    added = load(new)
    try:
        attached = list(programs(directory))
        try:
            own = tag_of(old)
            present = next((fd for fd in attached if tag(fd) == own), None)
            if present is None and len(attached) > 1:
                raise OSError(errno.ENOENT, "none of the programs on it is the container's")
            if present is None and attached:
                present = attached[0]
            attach(directory, added, present)
        finally:
            for fd in attached:
                posix.close(fd)
    finally:
        posix.close(added)


def load(code: bytes) -> int:
    """Load a device program; the kernel's verifier has the last word."""
    body, licence = ctypes.create_string_buffer(code, len(code)), ctypes.c_char_p(b"GPL")
    address = ctypes.cast(licence, ctypes.c_void_p).value
    return call(
        PROG_LOAD,
        struct.pack(
            "=IIQQ",
            CGROUP_DEVICE_PROGRAM,
            len(code) // INSTRUCTION_BYTES,
            ctypes.addressof(body),
            address,
        ),
    )


def attach(directory: int, program: int, present: int | None) -> None:
    """Attach a program beside the others, or in the place of the present one."""
    flags = ALLOW_MULTI if present is None else ALLOW_MULTI | REPLACE
    row = (directory, program, CGROUP_DEVICE, flags, present or 0)
    call(PROG_ATTACH, struct.pack("=IIIII", *row))


def programs(directory: int) -> "Iterator[int]":
    """Yield a descriptor of each device program that is attached to a cgroup itself."""
    ids = (ctypes.c_uint32 * MOST_PROGRAMS)()
    query = struct.pack(
        "=IIIIQI", directory, CGROUP_DEVICE, 0, 0, ctypes.addressof(ids), MOST_PROGRAMS
    )
    answer = ctypes.create_string_buffer(query, ATTRIBUTE_BYTES)
    call_with(PROG_QUERY, answer)
    (count,) = struct.unpack_from("=I", answer, 24)
    for number in ids[:count]:
        yield call(PROG_GET_FD_BY_ID, struct.pack("=I", number))


def tag_of(code: bytes) -> bytes:
    """Return the kernel's tag for a program that is not attached; how it is made is its affair."""
    fd = load(code)
    try:
        return tag(fd)
    finally:
        posix.close(fd)


def tag(program: int) -> bytes:
    """Return the tag of a loaded program: a digest of its code."""
    info = ctypes.create_string_buffer(INFO_BYTES)
    call(OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", program, INFO_BYTES, ctypes.addressof(info)))
    return info.raw[8 : 8 + TAG_BYTES]  # behind type and id (struct bpf_prog_info)


def call(command: int, attributes: bytes) -> int:
    """Call bpf(2) with a union bpf_attr that begins so."""
    return call_with(command, ctypes.create_string_buffer(attributes, ATTRIBUTE_BYTES))


def call_with(command: int, attributes: "ctypes.Array[ctypes.c_char]") -> int:
    """Call bpf(2) with a union bpf_attr that the kernel may write into."""
    number = SYSTEM_CALLS.get(posix.uname().machine, GENERIC)
    result = _syscall(number, command, attributes, ATTRIBUTE_BYTES)
    if result < 0:
        raise OSError(ctypes.get_errno(), posix.strerror(ctypes.get_errno()))
    return int(result)
