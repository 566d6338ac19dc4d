# SPDX-License-Identifier: Apache-2.0
"""A plan for people and as JSON: operations, arguments by name, places in config.json."""

import errno

from pyoci.errors import readable
from pyoci.linux import mount
from pyoci.linux.process import NAMESPACES
from pyoci.plan import ops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.plan.program import Argument, Operation, Program

    Value = int | str | list[str] | None

_WELL_KNOWN = {
    ops.NO_SLOT: "none",
    ops.CWD_SLOT: "cwd",
    ops.REPORT_SLOT: "report",
    ops.START_SLOT: "start",
    ops.STATE_SLOT: "state",
}

_OPEN_FLAGS = {
    "WRONLY": 0o1,
    "RDWR": 0o2,
    "DIRECTORY": 0o200000,
    "NOFOLLOW": 0o400000,
    "PATH": 0o10000000,
    "CLOEXEC": mount.OPEN_TREE_CLOEXEC,
}
_RESOLVE = {
    "NO_XDEV": mount.RESOLVE_NO_XDEV,
    "NO_MAGICLINKS": mount.RESOLVE_NO_MAGICLINKS,
    "NO_SYMLINKS": mount.RESOLVE_NO_SYMLINKS,
    "BENEATH": mount.RESOLVE_BENEATH,
    "IN_ROOT": mount.RESOLVE_IN_ROOT,
}
_TREE_FLAGS = {
    "CLONE": mount.OPEN_TREE_CLONE,
    "CLOEXEC": mount.OPEN_TREE_CLOEXEC,
    "SYMLINK_NOFOLLOW": mount.AT_SYMLINK_NOFOLLOW,
    "EMPTY_PATH": mount.AT_EMPTY_PATH,
    "RECURSIVE": mount.AT_RECURSIVE,
}
_ATTRIBUTES = {
    "RDONLY": mount.MOUNT_ATTR_RDONLY,
    "NOSUID": mount.MOUNT_ATTR_NOSUID,
    "NODEV": mount.MOUNT_ATTR_NODEV,
    "NOEXEC": mount.MOUNT_ATTR_NOEXEC,
    "ATIME": mount.MOUNT_ATTR__ATIME,
    "NOATIME": mount.MOUNT_ATTR_NOATIME,
    "STRICTATIME": mount.MOUNT_ATTR_STRICTATIME,
    "NODIRATIME": mount.MOUNT_ATTR_NODIRATIME,
    "IDMAP": mount.MOUNT_ATTR_IDMAP,
    "NOSYMFOLLOW": mount.MOUNT_ATTR_NOSYMFOLLOW,
}
_PROPAGATION = {
    "UNBINDABLE": mount.MS_UNBINDABLE,
    "PRIVATE": mount.MS_PRIVATE,
    "SLAVE": mount.MS_SLAVE,
    "SHARED": mount.MS_SHARED,
}
_NAMESPACES = {f"NEW{name.upper()}": flag for flag, name in NAMESPACES.values()}
_TYPES = {
    "FIFO": mount.S_IFIFO,
    "CHARACTER": mount.S_IFCHR,
    "DIRECTORY": mount.S_IFDIR,
    "BLOCK": mount.S_IFBLK,
    "REGULAR": mount.S_IFREG,
}
_COMMANDS = {
    "SET_FLAG": mount.FSCONFIG_SET_FLAG,
    "SET_STRING": mount.FSCONFIG_SET_STRING,
    "CREATE": mount.FSCONFIG_CMD_CREATE,
    "RECONFIGURE": mount.FSCONFIG_CMD_RECONFIGURE,
}
_TOPICS = {name: number for number, name in enumerate(ops.TOPICS)}

# (operation, argument) -> bits by name; what has no name stays a number.
FLAGS = {
    ("clone", "flags"): _NAMESPACES,
    ("unshare", "flags"): _NAMESPACES,
    ("setns", "nstype"): _NAMESPACES,
    ("open", "flags"): _OPEN_FLAGS,
    ("open", "resolve"): _RESOLVE,
    ("open_tree", "flags"): _TREE_FLAGS,
    ("fsmount", "attributes"): _ATTRIBUTES,
    ("mount_setattr", "flags"): _TREE_FLAGS,
    ("mount_setattr", "set"): _ATTRIBUTES,
    ("mount_setattr", "clear"): _ATTRIBUTES,
    ("mount_setattr", "propagation"): _PROPAGATION,
    ("slave_root", "flags"): _TREE_FLAGS,
    ("slave_root", "propagation"): _PROPAGATION,
}

# (operation, argument) -> whole values by name.
NAMES = {
    ("ask", "topic"): _TOPICS,
    ("tell", "topic"): _TOPICS,
    ("pass_fd", "topic"): _TOPICS,
    ("fsconfig", "command"): _COMMANDS,
    ("verify_type", "type"): _TYPES,
    ("create", "kind"): {"directory": 0, "file": 1},
}

_OCTAL = frozenset({"mode", "mask"})
_WIDTH = 28  # of a place
INDENT = 4 + 2 + _WIDTH + 2  # before the operation
_LONGEST = 60  # characters of text or bytes that are shown


def text(program: "Program") -> str:
    """Return the plan as lines: number, place in config.json, operation with its arguments."""
    slots = _slot_names(program)
    return "".join(
        f"{number:4}  {readable(operation.place):{_WIDTH}}  {_line(operation, slots)}\n"
        for number, operation in enumerate(program.operations)
    )


def document(program: "Program") -> list[dict[str, object]]:
    """Return the plan as JSON takes it; bytes are hexadecimal, places are JSON pointers."""
    slots = _slot_names(program)
    return [
        {
            "number": number,
            "operation": operation.name,
            "arguments": {
                name: _value(kind, argument, slots)
                for name, kind, argument in _arguments(operation)
            },
            "place": operation.place,
            "ignore": [errno.errorcode[code] for code in operation.ignore],
            "skip": operation.skip,
        }
        for number, operation in enumerate(program.operations)
    ]


def _slot_names(program: "Program") -> dict[int, str]:
    return {**_WELL_KNOWN, **{number: name for name, number in program.slots.items()}}


def _arguments(operation: "Operation") -> "list[tuple[str, str, Argument]]":
    """Return name, kind and value of each argument."""
    _, signature, names, _ = ops.OPERATIONS[ops.CODES[operation.name]]
    return list(zip(names.split(), signature, operation.arguments, strict=True))


def _value(kind: str, argument: "Argument", slots: dict[int, str]) -> "Value":
    if isinstance(argument, int):
        return slots[argument] if kind in "so" else argument
    if isinstance(argument, bytes):
        return argument.hex()
    if argument is None or isinstance(argument, str):
        return argument
    return list(argument)


def _line(operation: "Operation", slots: dict[int, str]) -> str:
    words = [operation.name]
    for name, kind, argument in _arguments(operation):
        if argument is not None:
            words.append(f"{name}={_word(operation.name, name, kind, argument, slots)}")
    if operation.ignore:
        words.append("ignore=" + "|".join(errno.errorcode[code] for code in operation.ignore))
    if operation.skip:
        words.append(f"skip={operation.skip}")
    return " ".join(words)


def _word(operation: str, name: str, kind: str, argument: "Argument", slots: dict[int, str]) -> str:
    """Return one argument as people read it."""
    if isinstance(argument, bytes):
        return f"{len(argument)} bytes" if len(argument) > _LONGEST else repr(argument)[1:]
    if not isinstance(argument, int):
        return _quoted(argument)
    if kind in "so":
        return _quoted(slots[argument]) if " " in slots[argument] else slots[argument]
    if (operation, name) in FLAGS:
        return _bits(argument, FLAGS[operation, name])
    if (operation, name) in NAMES:
        for symbol, number in NAMES[operation, name].items():
            if number == argument:
                return symbol
    return f"{argument:#o}" if name in _OCTAL else str(argument)


def _quoted(value: object) -> str:
    words = repr(list(value)) if isinstance(value, (list, tuple)) else repr(value)
    return words if len(words) <= _LONGEST else words[: _LONGEST - 3] + "..."


def _bits(value: int, names: dict[str, int]) -> str:
    """Return bits by name, a field of several bits before its parts; what is left is a number."""
    found = []
    for name, bit in names.items():
        if value & bit == bit:
            found.append(name)
            value &= ~bit
    if value or not found:
        found.append(f"{value:#x}" if value else "0")
    return "|".join(found)
