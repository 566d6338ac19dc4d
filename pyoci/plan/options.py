# SPDX-License-Identifier: Apache-2.0
"""The options of a mount: what each name means to the kernel (config.md#linux-mount-options).

Attributes belong to a mount and are set or cleared; what no option mentions stays as it is. Flags
and data belong to the file system behind it and go to fsconfig(2) one by one: a comma splits
nothing.
"""

from pyoci.errors import SpecError, Unsupported
from pyoci.linux.mount import (
    FSCONFIG_SET_FLAG,
    FSCONFIG_SET_STRING,
    FSCONFIG_VALUE_MAX,
    MOUNT_ATTR__ATIME,
    MOUNT_ATTR_NOATIME,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NODIRATIME,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_NOSYMFOLLOW,
    MOUNT_ATTR_RDONLY,
    MOUNT_ATTR_RELATIME,
    MOUNT_ATTR_STRICTATIME,
    MS_PRIVATE,
    MS_SHARED,
    MS_SLAVE,
    MS_UNBINDABLE,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Parameter = tuple[int, int, str, str | None, bool]
    Range = tuple[int, int, int, bool]  # id in the file system, id outside, length; is relative

# Option -> attributes set, attributes cleared. The access time is one field of three values.
ATTRIBUTES = {
    "ro": (MOUNT_ATTR_RDONLY, 0),
    "rw": (0, MOUNT_ATTR_RDONLY),
    "nosuid": (MOUNT_ATTR_NOSUID, 0),
    "suid": (0, MOUNT_ATTR_NOSUID),
    "nodev": (MOUNT_ATTR_NODEV, 0),
    "dev": (0, MOUNT_ATTR_NODEV),
    "noexec": (MOUNT_ATTR_NOEXEC, 0),
    "exec": (0, MOUNT_ATTR_NOEXEC),
    "nosymfollow": (MOUNT_ATTR_NOSYMFOLLOW, 0),
    "symfollow": (0, MOUNT_ATTR_NOSYMFOLLOW),
    "nodiratime": (MOUNT_ATTR_NODIRATIME, 0),
    "diratime": (0, MOUNT_ATTR_NODIRATIME),
    "noatime": (MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME),
    "strictatime": (MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME),
    "relatime": (MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME),
    # What is left when one of them is taken back is relatime, the kernel's default (mount(2)).
    "atime": (MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME),
    "nostrictatime": (MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME),
    "norelatime": (0, 0),
}

# The same for a mount and every mount below it (mount_setattr(2), AT_RECURSIVE).
RECURSIVE = {f"r{name}": change for name, change in ATTRIBUTES.items()}

# Option -> kind of propagation, for the whole tree.
PROPAGATION = {
    "shared": (MS_SHARED, False),
    "slave": (MS_SLAVE, False),
    "private": (MS_PRIVATE, False),
    "unbindable": (MS_UNBINDABLE, False),
    "rshared": (MS_SHARED, True),
    "rslave": (MS_SLAVE, True),
    "rprivate": (MS_PRIVATE, True),
    "runbindable": (MS_UNBINDABLE, True),
}

# Flags that only some file systems take; to the others they mean nothing, as with mount(2).
OFFERED = frozenset({"iversion", "noiversion", "acl", "noacl"})

# Option -> flag of the file system, which every kind of it knows. The recursive names are crun's.
FLAGS = {
    "sync": "sync",
    "async": "async",
    "dirsync": "dirsync",
    "lazytime": "lazytime",
    "nolazytime": "nolazytime",
    "mand": "mand",
    "nomand": "nomand",
    "rsync": "sync",
    "rasync": "async",
    "rdirsync": "dirsync",
    "rmand": "mand",
    "rnomand": "nomand",
    **{name: name for name in OFFERED},
}

# What says how to mount; the recursive forms set two.
SWITCHES = {
    "bind": ("bind",),
    "rbind": ("bind", "recursive"),
    "remount": ("remount",),
    "tmpcopyup": ("copy_up",),
    "idmap": ("idmap",),
    "ridmap": ("idmap", "idmap_recursive"),
    "src-nofollow": ("nofollow",),
    "dest-nofollow": ("onto_link",),
    "copy-symlink": ("copy_link",),
}

# `loud` and `silent` are about the kernel's log alone, which fsconfig(2) hands to its caller.
NOTHING = frozenset({"defaults", "loud", "silent"})

# Labels of SELinux hold commas, so that callers put them in quotes (mount(8)).
LABELS = frozenset({"context", "fscontext", "defcontext", "rootcontext"})

_ID_MAP = "idmap="


class Options:
    """The options of one mount, sorted by whom they concern."""

    __slots__ = (
        "bind",
        "clear",
        "copy_link",
        "copy_up",
        "data",
        "flags",
        "id_maps",
        "idmap",
        "idmap_recursive",
        "nofollow",
        "onto_link",
        "propagation",
        "recursive",
        "recursive_clear",
        "recursive_set",
        "remount",
        "set",
    )

    def __init__(self) -> None:
        self.bind = self.recursive = self.remount = self.copy_up = False
        self.nofollow = self.onto_link = self.copy_link = False
        self.idmap = self.idmap_recursive = False
        self.id_maps: dict[str, list[Range]] = {}  # of crun's idmap=: uids, gids
        self.set = self.clear = 0
        self.recursive_set = self.recursive_clear = 0
        self.propagation: list[tuple[int, bool]] = []
        self.flags: list[tuple[int, str]] = []  # index of the option, name
        self.data: list[tuple[int, str, str | None]] = []  # index, key, value

    @property
    def attributes(self) -> int:
        """The attributes of a new mount, which has none to clear and no mount below it."""
        return self.set & ~self.recursive_clear | self.recursive_set

    def parameters(self) -> "list[Parameter]":
        """Return what fsconfig(2) gets: index of the option, command, key, value, is offered."""
        rows: list[Parameter] = [
            (index, FSCONFIG_SET_FLAG, name, None, name in OFFERED) for index, name in self.flags
        ]
        for index, key, value in self.data:
            if value is None:
                rows.append((index, FSCONFIG_SET_FLAG, key, None, False))
            else:
                rows += [(index, FSCONFIG_SET_STRING, *row, False) for row in _strings(key, value)]
        return rows


def parse(options: "Sequence[str]", place: str) -> Options:
    """Sort options; a later one wins over an earlier. Unknown ones are the file system's."""
    result = Options()
    for index, option in enumerate(options):
        if option in ATTRIBUTES:
            change = ATTRIBUTES[option]
            result.set, result.clear = _combined(result.set, result.clear, change)
        elif option in RECURSIVE:
            result.recursive_set, result.recursive_clear = _combined(
                result.recursive_set, result.recursive_clear, RECURSIVE[option]
            )
        elif option in PROPAGATION:
            result.propagation.append(PROPAGATION[option])
        elif option in FLAGS:
            result.flags.append((index, FLAGS[option]))
        elif option in SWITCHES:
            for name in SWITCHES[option]:
                setattr(result, name, True)
        elif option and option not in NOTHING:
            _take_data(result, index, option, place)
    return result


def merged(options: Options) -> tuple[int, int]:
    """Return attributes to set and to clear on a single mount; recursive ones come last."""
    change = (options.recursive_set, options.recursive_clear)
    return _combined(options.set, options.clear, change)


def _combined(set_: int, clear: int, change: tuple[int, int]) -> tuple[int, int]:
    """Return the attributes after one more change; the kernel clears first, then sets."""
    more, less = change
    return set_ & ~less | more, clear & ~more | less


def _take_data(result: Options, index: int, option: str, place: str) -> None:
    if option.startswith(_ID_MAP):
        result.idmap = True
        result.id_maps = _id_maps(option.removeprefix(_ID_MAP), f"{place}/{index}")
        return
    key, equals, value = option.partition("=")
    if not key:
        raise SpecError(f"{place}/{index}", f'the option "{option}" has no name')
    if key in LABELS:
        value = value.strip('"')
    result.data.append((index, key, value if equals else None))


def _strings(key: str, value: str) -> list[tuple[str, str]]:
    """Return a parameter as fsconfig(2) takes it; many layers of overlay go one by one."""
    if len(value.encode("utf-8", "surrogateescape")) <= FSCONFIG_VALUE_MAX:
        return [(key, value)]
    layers = value.split(":") if key == "lowerdir" and "\\" not in value else []
    if not layers or not all(0 < len(layer.encode()) <= FSCONFIG_VALUE_MAX for layer in layers):
        raise Unsupported(f"the mount option {key}= is longer than {FSCONFIG_VALUE_MAX} bytes")
    return [("lowerdir+", layer) for layer in layers]


def _id_maps(text: str, place: str) -> "dict[str, list[Range]]":
    """Read crun's uids=FS-HOST-LENGTH#...;gids=...; with @ before a triplet HOST is an id of the container."""
    found: dict[str, list[Range]] = {}
    for part in text.split(";"):
        name, _, triplets = part.partition("=")
        if name not in {"uids", "gids"}:
            raise SpecError(place, f'an id map is for uids or gids, not "{name}"')
        found[name] = [_range(triplet, place) for triplet in triplets.split("#")]
    return found


def _range(triplet: str, place: str) -> "Range":
    numbers = triplet.removeprefix("@").split("-")
    if len(numbers) != 3 or not all(n.isascii() and n.isdigit() for n in numbers):
        raise SpecError(place, f'"{triplet}" is not of the form FS-HOST-LENGTH')
    first, outside, length = map(int, numbers)
    return first, outside, length, triplet.startswith("@")
