# SPDX-License-Identifier: Apache-2.0
"""The mounts of config.json as operations: each kind of mount, its source, its place in the root.

First every mount is made, in order and attached nowhere: a source is cloned, with every attribute
that it is to have, while nothing of the image can be seen (CVE-2021-30465). Then each is attached;
what is looked up for that is looked up inside the root. Linux 6.8 and later list mounts in the
order of their making (docs/adr/0013).
"""

import errno
import posix

from pyoci.errors import SpecError, Unsupported
from pyoci.linux.mount import (
    AT_RECURSIVE,
    AT_SYMLINK_NOFOLLOW,
    FSCONFIG_CMD_CREATE,
    FSCONFIG_CMD_RECONFIGURE,
    FSCONFIG_SET_FLAG,
    FSCONFIG_SET_STRING,
    MOUNT_ATTR_IDMAP,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    MS_PRIVATE,
    MS_SHARED,
    MS_SLAVE,
    OPEN_TREE_CLOEXEC,
    OPEN_TREE_CLONE,
    PROC_SUPER_MAGIC,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    S_IFREG,
)
from pyoci.linux.path import clean
from pyoci.plan import namespaces, ops, options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.plan.facts import Facts
    from pyoci.plan.options import Options, Parameter
    from pyoci.plan.program import Program
    from pyoci.spec.types import Mount, Spec

CLONE = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC
IN_ROOT = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
DIRECTORY, FILE = 0, 1  # kinds of `create`
ID_MAP = "idmap "  # how the slots of id-mapped mounts' user namespaces begin

# What may be mounted inside /proc, as runc allows it: the files that lxcfs shows (CVE-2019-16884).
PROC_FILES = frozenset(
    {
        "/proc/cpuinfo",
        "/proc/diskstats",
        "/proc/loadavg",
        "/proc/meminfo",
        "/proc/slabinfo",
        "/proc/stat",
        "/proc/swaps",
        "/proc/sys/crypto/fips_enabled",
        "/proc/sys/kernel/ns_last_pid",
        "/proc/uptime",
    }
)

# File systems of a namespace: its name and where the host shows them. Without an own namespace
# root of a user namespace may not mount them anew and gets the host's.
NAMESPACED = {
    "proc": ("pid", "/proc"),
    "sysfs": ("network", "/sys"),
}

# Their instances are shared with the host or writable to begin with: read-only is the mount alone.
PSEUDO = frozenset(
    {
        "bpf",
        "cgroup",
        "cgroup2",
        "configfs",
        "debugfs",
        "devpts",
        "devtmpfs",
        "efivarfs",
        "fusectl",
        "hugetlbfs",
        "mqueue",
        "proc",
        "pstore",
        "ramfs",
        "securityfs",
        "selinuxfs",
        "sysfs",
        "tmpfs",
        "tracefs",
    }
)

UNLABELLED = frozenset({"mqueue", "proc", "sysfs"})

_CONTEXT_TYPE = "run.oci.mount_context_type"  # podman's annotation


class Entry:
    """One of `mounts`, read: its kind, where it comes from and where it goes."""

    __slots__ = ("destination", "index", "kind", "options", "place", "source", "type")

    def __init__(self, index: int, mount: "Mount", facts: "Facts") -> None:
        self.index = index
        self.place = f"/mounts/{index}"
        self.destination = clean(mount["destination"])
        self.options: Options = options.parse(mount["options"], f"{self.place}/options")
        self.type = mount["type"] or ""
        self.source = mount["source"] or ""
        self.kind = _kind(self)
        if self.kind == "bind":
            if not self.source:
                raise SpecError(f"{self.place}/source", "a bind mount needs a source")
            if not self.source.startswith("/"):
                self.source = f"{facts.bundle}/{self.source}"
            if self.options.copy_link and self.source in facts.links:
                self.kind, self.source = "link", facts.links[self.source]

    @property
    def slot(self) -> str:
        """The name of the slot that holds the mount before it is attached."""
        return f"source{self.index}"

    @property
    def inherits_mode(self) -> bool:
        """Whether it gets the mode of the directory that it covers: a tmpfs without mode= (as runc)."""
        has_mode = any(key == "mode" for _, key, _ in self.options.data)
        return self.kind == "new" and self.type == "tmpfs" and not has_mode

    @property
    def read_only_last(self) -> bool:
        """Whether it is filled first: tmpfs, and a /dev that gets devices (config.md#mounts)."""
        fills = self.type == "tmpfs" or self.destination == "/dev"
        read_only = self.options.attributes & MOUNT_ATTR_RDONLY
        return self.kind == "new" and fills and bool(read_only)


def _kind(entry: Entry) -> str:
    """Return how a mount is made; where the options say bind, the type means nothing."""
    if entry.options.remount:
        return "remount"
    if entry.options.bind or entry.type == "bind":
        return "bind"
    if not entry.type:
        raise SpecError(f"{entry.place}/type", "is missing, and no option says bind or rbind")
    return "cgroup" if entry.type == "cgroup" else "new"


def read(spec: "Spec", facts: "Facts") -> list[Entry]:
    """Return the mounts in order. Raises SpecError for what may not be mounted."""
    entries = [Entry(i, mount, facts) for i, mount in enumerate(spec["mounts"])]
    for entry, mount in zip(entries, spec["mounts"], strict=True):
        _check_destination(entry)
        _check_data(entry)
        if mount["uidMappings"] or entry.options.idmap:
            _check_id_maps(entry, mount, spec, facts)
    return entries


def _check_destination(entry: Entry) -> None:
    place, path = f"{entry.place}/destination", entry.destination
    if path == "/":
        raise SpecError(place, "the root itself cannot be mounted over")
    if path == "/proc" and entry.kind == "new" and entry.type != "proc":
        raise SpecError(place, f'"{path}" cannot be mounted because it is not of type proc')
    if path.startswith("/proc/") and path not in PROC_FILES:
        raise SpecError(place, f'"{path}" cannot be mounted because it is inside /proc')


def _check_data(entry: Entry) -> None:
    """Refuse data for a cgroup mount; of a bind mount create warns (docs/adr/0013)."""
    if not entry.options.data or entry.kind != "cgroup":
        return
    index, key, _ = entry.options.data[0]
    problem = f"a cgroup mount does not take the option {key}"
    raise SpecError(f"{entry.place}/options/{index}", problem)


def _check_id_maps(entry: Entry, mount: "Mount", spec: "Spec", facts: "Facts") -> None:
    if entry.kind != "bind":
        problem = "id-mapped mounts are only supported for bind-mounts"
        raise SpecError(entry.place, problem)
    if not facts.privileged:
        raise Unsupported(f"mounts[{entry.index}]: an id-mapped mount needs root on the host")
    if mount["uidMappings"] or entry.options.id_maps or namespaces.has_user(spec):
        return
    problem = "idmap without mappings takes the container's, which has no user namespace"
    raise SpecError(f"{entry.place}/options", problem)


def in_user_namespace(spec: "Spec", facts: "Facts") -> bool:
    """Tell whether init lacks privilege on the host: it makes no devices, no proc of the host's."""
    return not facts.privileged or namespaces.has_user(spec)


def default_propagation(spec: "Spec") -> int:
    """Return the propagation of what comes from the host (linux.rootfsPropagation), 0: as it is."""
    kind, _ = options.PROPAGATION[spec["linux"]["rootfsPropagation"] or "rslave"]
    if kind == MS_SHARED:
        return 0
    return MS_SLAVE if kind == MS_SLAVE else MS_PRIVATE


def pass_over(program: "Program", count: int) -> None:
    """Go on `count` operations later: the root is never a regular file."""
    root = program.slot("root")
    program.add("verify_type", root, S_IFREG, 0, ignore=(errno.ENODEV,), skip=count)


# --- making: before anything of the image can be seen -------------------------------------------


def open_map(program: "Program", entry: Entry, spec: "Spec") -> int:
    """Return the slot of the user namespace of an id-mapped mount, NO_SLOT for another.

    It is made, or opened, where there is none with equal maps yet.
    """
    if not (entry.options.idmap or spec["mounts"][entry.index]["uidMappings"]):
        return ops.NO_SLOT
    from pyoci.plan import idmaps

    program.at(f"{entry.place}/options")
    return idmaps.user_namespace(program, entry, spec)


def close_maps(program: "Program") -> None:
    """Close the user namespaces of id-mapped mounts, which no mount needs once it has its ids."""
    for name in program.slots:
        if name.startswith(ID_MAP):
            program.add("close", program.slots[name])


def open_source(program: "Program", entry: Entry, spec: "Spec", facts: "Facts") -> None:
    """Clone what comes from the host, with its attributes, ids and propagation."""
    if entry.kind == "bind":
        program.at(f"{entry.place}/source")
        whole = _clone(program, entry, facts)
        if entry.destination == "/proc":
            program.add("verify_filesystem", program.slot(entry.slot), PROC_SUPER_MAGIC)
        program.at(f"{entry.place}/options")
        _apply(program, entry, spec, whole=whole)
    elif entry.kind == "new" and entry.type in NAMESPACED and _needs_host(entry, spec, facts):
        _clone_host(program, entry)


def _clone(program: "Program", entry: Entry, facts: "Facts") -> bool:
    """Clone the source of a bind mount; return whether mounts below it may have come along.

    Mounts that a user namespace has inherited hide what they cover, so that the kernel clones them
    only with all that lie below (mount_namespaces(7)): there, the mount alone is only tried.
    """
    slot = program.slot(entry.slot)
    flags = CLONE | (AT_SYMLINK_NOFOLLOW if entry.options.nofollow else 0)
    if entry.options.recursive or not facts.privileged:
        program.add("open_tree", slot, ops.CWD_SLOT, entry.source, flags | AT_RECURSIVE)
    if not entry.options.recursive:
        ignore = () if facts.privileged else (errno.EINVAL,)
        program.add("open_tree", slot, ops.CWD_SLOT, entry.source, flags, ignore=ignore)
    return entry.options.recursive or not facts.privileged


def _apply(program: "Program", entry: Entry, spec: "Spec", *, whole: bool) -> None:
    """Give a cloned tree attributes, ids and propagation; what no option mentions stays."""
    user = open_map(program, entry, spec)
    mapped = MOUNT_ATTR_IDMAP if user != ops.NO_SLOT else 0
    steps = _propagations(entry.options, default_propagation(spec))
    if not whole:
        # A single mount: recursively is the same, and one call does for both.
        more, less = options.merged(entry.options)
        _set(program, entry, (True, more | mapped, less), steps, user)
        return
    everywhere = entry.options.idmap_recursive
    top = (False, entry.options.set | (0 if everywhere else mapped), entry.options.clear)
    more, less = entry.options.recursive_set, entry.options.recursive_clear
    if entry.source == "/sys" and entry.options.set & MOUNT_ATTR_RDONLY:
        more |= MOUNT_ATTR_RDONLY  # or the host's cgroups below are writable (CVE-2023-25809)
    tree = (True, more | (mapped if everywhere else 0), less)
    _set(program, entry, top, [], user)
    _set(program, entry, tree, steps, user)


def _set(
    program: "Program",
    entry: Entry,
    change: tuple[bool, int, int],
    steps: list[tuple[int, bool]],
    user: int,
) -> None:
    """Change attributes, at once with the first step of propagation where that fits."""
    recursive, more, less = change
    slot, user = program.slot(entry.slot), user if more & MOUNT_ATTR_IDMAP else ops.NO_SLOT
    first = 0
    if steps and steps[0][1] == recursive:
        first, steps = steps[0][0], steps[1:]
    if more or less or first:
        flags = AT_RECURSIVE if recursive else 0
        program.add("mount_setattr", slot, flags, more, less, first, user)
    propagate(program, slot, steps)


def propagate(program: "Program", slot: int, steps: list[tuple[int, bool]]) -> None:
    """Change propagation step by step: slave, then shared is both (mount_namespaces(7))."""
    for kind, recursive in steps:
        flags = AT_RECURSIVE if recursive else 0
        program.add("mount_setattr", slot, flags, 0, 0, kind, ops.NO_SLOT)


def _propagations(of: "Options", default: int) -> list[tuple[int, bool]]:
    """Return the steps of a tree's propagation, first what keeps it apart from the host."""
    steps = of.propagation
    if not default or (steps and steps[0] in ((MS_PRIVATE, True), (default, True))):
        return steps
    return [(default, True), *steps]


def _needs_host(entry: Entry, spec: "Spec", facts: "Facts") -> bool:
    """Tell whether the kernel may refuse a new instance: the namespace is not the container's."""
    kind = NAMESPACED[entry.type][0]
    return in_user_namespace(spec, facts) and not namespaces.is_new(spec, kind)


def _clone_host(program: "Program", entry: Entry) -> None:
    """Clone the host's own instance; a new one takes its place where the kernel allows one.

    Read-only goes for all of it: below /sys are the cgroups of the host (CVE-2023-25809).
    """
    slot = program.slot(entry.slot)
    program.at(entry.place)
    path = NAMESPACED[entry.type][1]
    program.add("open_tree", slot, ops.CWD_SLOT, path, CLONE | AT_RECURSIVE)
    isolate(program, slot, entry.options)


def isolate(program: "Program", slot: int, of: "Options") -> None:
    """Give a clone of the host's all attributes, recursively, and keep it apart from the host."""
    more, less = options.merged(of)
    program.add("mount_setattr", slot, AT_RECURSIVE, more, less, MS_PRIVATE, ops.NO_SLOT)


# --- attaching: in init, below the new root ----------------------------------------------------


def attach(program: "Program", entry: Entry) -> None:
    """Attach a mount to the target that is open, with what it is to have of what it covers."""
    program.at(entry.place)
    if entry.options.copy_up and entry.kind == "new":
        program.add("copy_up", program.slot("target"), program.slot(entry.slot))
    if entry.inherits_mode:
        covered = program.slot("covered")
        nothing = (errno.EBADF,)
        program.add("copy_mode", covered, program.slot(entry.slot), ignore=nothing, skip=1)
        program.add("close", covered)
    move(program, entry)


def open_target(program: "Program", entry: Entry, entries: list[Entry], facts: "Facts") -> None:
    """Open the place of a mount inside the root, making it where it is missing (CVE-2024-45310)."""
    program.at(f"{entry.place}/destination")
    root, target = program.slot("root"), program.slot("target")
    is_file = entry.kind == "bind" and entry.source not in facts.directories
    if entry.type in {"proc", "sysfs"} or entry.destination in {"/proc", "/sys"}:
        # No link may lead elsewhere (CVE-2023-27561): an ELOOP or ENOTDIR ends here. The path is
        # made only when it is missing, and then looked up again in the same strict way.
        flags = posix.O_PATH | posix.O_DIRECTORY | posix.O_NOFOLLOW
        strict = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS
        path = entry.destination
        program.add("open", target, root, path, flags, 0, strict, ignore=(errno.ENOENT,))
        program.add("create", target, root, path, DIRECTORY, 0o755)
        program.add("open", target, root, path, flags, 0, strict)
        return
    kind, mode = (FILE, 0o644) if is_file else (DIRECTORY, 0o755)
    if entry.inherits_mode:
        # Before it may be made: a directory of our own has no mode to give.
        covered = program.slot("covered")
        flags = posix.O_PATH | posix.O_DIRECTORY
        missing = (errno.ENOENT,)
        program.add("open", covered, root, entry.destination, flags, 0, IN_ROOT, ignore=missing)
    if entry.options.onto_link:
        _open_or_create(program, entry, kind, mode)
    else:
        program.add("create", target, root, entry.destination, kind, mode)
    _refuse_procfs(program, entry, entries)


def _open_or_create(program: "Program", entry: Entry, kind: int, mode: int) -> None:
    """Open what is at the place itself, a link as well; make only what is missing (dest-nofollow)."""
    root, target, path = program.slot("root"), program.slot("target"), entry.destination
    flags, missing = posix.O_PATH | posix.O_NOFOLLOW, (errno.ENOENT,)
    program.add("open", target, root, path, flags, 0, IN_ROOT, ignore=missing, skip=1)
    pass_over(program, 1)
    program.add("create", target, root, path, kind, mode)


def _refuse_procfs(program: "Program", entry: Entry, entries: list[Entry]) -> None:
    """Fail where the target lies in a procfs, unless config.json itself says so."""
    target = program.slot("target")
    if not (entry.destination.startswith("/proc/") or _is_below_procfs(entry, entries)):
        # A link of the image may lead into /proc all the same (CVE-2025-52881). There is no
        # operation for "is not": the second fails whenever the first does not.
        ignore = (errno.EINVAL,)
        program.add("verify_filesystem", target, PROC_SUPER_MAGIC, ignore=ignore, skip=1)
        program.add("verify_filesystem", target, 0)


def _is_below_procfs(entry: Entry, entries: list[Entry]) -> bool:
    """Tell whether config.json itself shows a procfs elsewhere than at /proc and mounts into it."""
    for other in entries[: entry.index]:
        below = entry.destination.startswith(other.destination + "/")
        if below and other.destination != "/proc" and _shows_procfs(other):
            return True
    return False


def _shows_procfs(entry: Entry) -> bool:
    if entry.kind == "new":
        return entry.type == "proc"
    return entry.source == "/" or clean(entry.source).startswith("/proc")


def move(program: "Program", entry: Entry) -> None:
    """Attach what lies in the entry's slot; a new mount then gets the propagation asked for."""
    slot = program.slot(entry.slot)
    program.add("move_mount", slot, program.slot("target"))
    if entry.kind != "bind":
        propagate(program, slot, entry.options.propagation)
    if not entry.read_only_last:
        program.add("close", slot)


def remount(program: "Program", entry: Entry, entries: list[Entry]) -> None:
    """Change the attributes of a mount that is there already, and its file system where it is our own."""
    target = program.slot("target")
    program.at(f"{entry.place}/destination")
    program.add("open", target, program.slot("root"), entry.destination, posix.O_PATH, 0, IN_ROOT)
    of = entry.options
    if of.flags or of.data:
        _reconfigure(program, entry, entries)
    program.at(f"{entry.place}/options")
    program.add("mount_setattr", target, 0, of.set, of.clear, 0, ops.NO_SLOT)
    if of.recursive_set or of.recursive_clear:
        more, less = of.recursive_set, of.recursive_clear
        program.add("mount_setattr", target, AT_RECURSIVE, more, less, 0, ops.NO_SLOT)
    propagate(program, target, of.propagation)


def _reconfigure(program: "Program", entry: Entry, entries: list[Entry]) -> None:
    """Change the file system behind a mount; all its mounts show that, so it must be the container's own."""
    rows = entry.options.parameters()
    there = [other for other in entries[: entry.index] if other.destination == entry.destination]
    mounted = next((other.kind for other in reversed(there) if other.kind != "remount"), "bind")
    if mounted != "new":
        index, _, name, _, _ = rows[0]
        problem = f'"{name}" would change a file system of the host: only one of mounts can be remounted so'
        raise SpecError(f"{entry.place}/options/{index}", problem)
    fs = program.slot("fs")
    program.at(entry.place).add("fspick", fs, program.slot("target"))
    _configure(program, entry, rows)
    program.at(entry.place).add("fsconfig", fs, FSCONFIG_CMD_RECONFIGURE, None, None)


def _configure(program: "Program", entry: Entry, rows: "list[Parameter]") -> None:
    """Give options to the file system in slot "fs", each with its place."""
    for index, command, key, value, offered in rows:
        program.at(f"{entry.place}/options/{index}" if index >= 0 else entry.place)
        ignore = (errno.EINVAL,) if offered else ()
        program.add("fsconfig", program.slot("fs"), command, key, value, ignore=ignore)


def make_new(program: "Program", entry: Entry, spec: "Spec", facts: "Facts") -> None:
    """Make a new file system; where the kernel may refuse one, the host's stays in the slot."""
    program.at(entry.place)
    attributes = entry.options.attributes
    if entry.read_only_last:
        attributes &= ~MOUNT_ATTR_RDONLY
    refusals: tuple[int, ...] = ()
    if entry.type in NAMESPACED and _needs_host(entry, spec, facts):
        refusals = (errno.EPERM,)
    make_filesystem(program, entry, _label(entry, spec, facts), attributes, refusals)
    if entry.type == "mqueue" and spec["linux"]["mountLabel"] and facts.selinux and not refusals:
        _label_root(program, entry, spec["linux"]["mountLabel"])


def make_filesystem(
    program: "Program",
    entry: Entry,
    label: tuple[str, str] | None,
    attributes: int,
    refusals: tuple[int, ...],
) -> None:
    """Make a file system in the entry's slot, which keeps what it has on one of `refusals`."""
    rows = entry.options.parameters()
    if attributes & MOUNT_ATTR_RDONLY and entry.type not in PSEUDO:
        rows.insert(0, (-1, FSCONFIG_SET_FLAG, "ro", None, False))
    if label and not any(key == label[0] for _, key, _ in entry.options.data):
        rows.append((-1, FSCONFIG_SET_STRING, *label, False))
    fs, type_ = program.slot("fs"), "cgroup2" if entry.kind == "cgroup" else entry.type
    program.add("fsopen", fs, type_, ignore=refusals, skip=len(rows) + 3)
    program.add("fsconfig", fs, FSCONFIG_SET_STRING, "source", entry.source or type_)
    _configure(program, entry, rows)
    program.at(entry.place)
    program.add("fsconfig", fs, FSCONFIG_CMD_CREATE, None, None, ignore=refusals, skip=1)
    program.add("fsmount", program.slot(entry.slot), fs, attributes, ignore=refusals)


def _label(entry: Entry, spec: "Spec", facts: "Facts") -> tuple[str, str] | None:
    """Return the SELinux option of a file system; no comma splits it (linux.mountLabel)."""
    label = spec["linux"]["mountLabel"]
    if not label or not facts.selinux or entry.type in UNLABELLED:
        return None
    annotations = spec["annotations"]
    key = "context"
    if _CONTEXT_TYPE in annotations:
        key = annotations[_CONTEXT_TYPE]
    if key not in options.LABELS:
        raise SpecError(f"/annotations/{_CONTEXT_TYPE}", f'"{key}" is no kind of context')
    return key, label


def _label_root(program: "Program", entry: Entry, label: str) -> None:
    """Label a new file system that takes no such option through its root directory (linux.mountLabel)."""
    root = program.slot("labelled")
    flags = posix.O_RDONLY | posix.O_DIRECTORY
    program.add("open", root, program.slot(entry.slot), ".", flags, 0, 0)
    value = label.encode(errors="surrogateescape") + b"\0"
    program.add("attribute", root, "security.selinux", value, ignore=(errno.EROFS,))
    program.add("close", root)


def make_tmpfs(
    program: "Program", slot: str, data: tuple[tuple[str, str], ...], attributes: int
) -> None:
    """Make a tmpfs of the runtime's own in this slot."""
    fs = program.slot("fs")
    program.add("fsopen", fs, "tmpfs")
    program.add("fsconfig", fs, FSCONFIG_SET_STRING, "source", "tmpfs")
    for key, value in data:
        program.add("fsconfig", fs, FSCONFIG_SET_STRING, key, value)
    program.add("fsconfig", fs, FSCONFIG_CMD_CREATE, None, None)
    program.add("fsmount", program.slot(slot), fs, attributes)


EMPTY_ATTRIBUTES = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC
