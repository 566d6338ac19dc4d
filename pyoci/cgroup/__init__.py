# SPDX-License-Identifier: Apache-2.0
"""The cgroups of a container in every hierarchy: made, limited, frozen, ended, removed.

layout.py     what the host has mounted, and where in it a container belongs
directory.py  one cgroup in one hierarchy, by descriptor
make.py       making the directories; what a rootless container goes without
resources.py  limits as writes, pure; with blockio.py, hugetlb.py, network.py, rdma.py
limits.py     carrying them out;  remedy.py  explaining what the kernel refuses
devices.py    device rules as version 1 writes or as a BPF program, pure
update.py     changing limits in use, all or none;  merge.py  what new ones make of old, pure
freezer.py    freezing and thawing;  kill.py  signals to all;  wait.py  deadlines
statistics.py what was used, in runc's shape;  statistics_text.py its parsers, pure
oom.py        lack of memory, told and explained
exec.py       the cgroups that exec may name
systemd/      the cgroup as a unit of systemd's: the other driver
v1.py v2.py   what only that version has

A command imports of these what it uses.
"""

import posix

from pyoci.cgroup.directory import Directory, refuse
from pyoci.errors import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pyoci.cgroup.layout import Layout
    from pyoci.cgroup.oom import Witness
    from pyoci.cgroup.wait import Deadline as _Deadline

    Record = dict[str, Any]
    Resources = Mapping[str, Any]
    # How many processes were killed, the limit (None: no limit), the peak (None: not known); "", or
    # the unit above in which they were killed where nobody can tell any more that it was here.
    Shortage = tuple[int, int | None, int | None, str]

SIGKILL = 9
ROOMY = 8 << 20  # execve(2) takes at most 6 MiB of arguments, and some pages: any program may begin
REMOVE_SECONDS = 10.0  # how long killed processes may take to die
# Which version 1 hierarchy says what processes there are: those that containers leave alone first.
MEMBERS = ("pids", "devices", "freezer", "memory")
LAYOUTS = ("v1", "hybrid", "v2", "none")
# By version: where the limit of memory stands, the most that was in use, how many were killed.
LIMIT = ("", "memory.limit_in_bytes", "memory.max")
PEAK = ("", "memory.max_usage_in_bytes", "memory.peak")
KILLS = ("", "memory.oom_control", "memory.events")


def locate(cgroups_path: str | None, container_id: str, *, rootless: bool) -> "Cgroup":
    """Return a container's place on this host; nothing is made (config-linux.md#cgroups-path)."""
    from pyoci.cgroup import layout

    kind, hierarchies, available = layout.find(own=not (cgroups_path or "").startswith("/"))
    version = 2 if kind == "v2" else 1
    parts = [
        Directory(name, mount, layout.place(cgroups_path, container_id, own, version=version))
        for name, mount, own in hierarchies
    ]
    cgroup = Cgroup(kind, parts, rootless=rootless, asked_for=bool(cgroups_path))
    cgroup.available = available
    return cgroup


def of_process(pid: int) -> "Cgroup":
    """Return the cgroup that a process is in now, for exec where init left the container's own."""
    from pyoci.cgroup import layout

    try:
        membership = layout.read(f"/proc/{pid}/cgroup")
    except OSError as error:
        raise refuse(f"cannot read the cgroup of process {pid}", error) from error
    kind, hierarchies = layout.parse(layout.read("/proc/self/mountinfo"), membership)
    parts = [Directory(name, mount, own.rstrip("/")) for name, mount, own in hierarchies]
    return Cgroup(kind, parts, rootless=False, asked_for=True)


class Cgroup:
    """A container's cgroup; `parts` are its directories, that of version 2 (name "") first."""

    __slots__ = (
        "asked_for",
        "available",
        "files",
        "layout",
        "parts",
        "rootless",
        "unit",
        "version",
    )

    def __init__(
        self, kind: "Layout", parts: list[Directory], *, rootless: bool, asked_for: bool
    ) -> None:
        self.layout = kind
        self.version = 2 if kind == "v2" else 1  # that the controllers have: 1 on a hybrid layout
        self.parts = parts
        self.rootless = rootless
        self.asked_for = asked_for  # by a path in config.json, not for want of one
        self.available: bytes | None = None  # what controllers version 2 has, where that is known
        self.files: list[tuple[str, int]] = []
        self.unit = ""  # of systemd's, which makes it around the set-up process; "" none

    # What it is

    @property
    def directories(self) -> dict[str, str]:
        """Return the directory of each controller and named hierarchy; "" is version 2."""
        return {key: part.full_path for part in self.parts for key in part.name.split(",")}

    def mounts(self) -> tuple[tuple[str, str], ...]:
        """Return the directories by the names of their mount points below /sys/fs/cgroup."""
        from pyoci.cgroup.layout import ROOT

        return tuple(
            (f"{part.mount}/".removeprefix(f"{ROOT}/").strip("/"), part.full_path)
            for part in self.parts
        )

    def part(self, controller: str) -> Directory | None:
        """Return the directory of a version 1 controller, or of version 2 by the name ""."""
        for part in self.parts:
            name = part.name  # of one controller, mostly
            if controller == name or ("," in name and controller in name.split(",")):
                return part
        return None

    def controller(self, name: str) -> Directory | None:
        """Return the directory with the files of a controller, whichever version it has."""
        if self.version == 1:
            return self.part(name)
        return self.parts[0] if self.parts else None

    def record(self) -> "Record":
        """Return what `from_record` needs, as JSON has it."""
        return {
            "layout": self.layout,
            "rootless": self.rootless,
            "directories": [[part.name, part.mount, part.path] for part in self.parts],
        }

    @classmethod
    def from_record(cls, record: "Record") -> "Cgroup":
        """Return the cgroup of a record; one that is damaged is a CgroupError."""
        try:
            rows = [Directory(name, mount, path) for name, mount, path in record["directories"]]
            kind, rootless = record["layout"], bool(record["rootless"])
            unit = record.get("unit", "")
            intact = kind in LAYOUTS and all(map(is_intact, rows)) and isinstance(unit, str)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CgroupError("the record of the cgroup is damaged") from error
        if not intact:
            raise CgroupError("the record of the cgroup is damaged")
        if unit:
            from pyoci.cgroup.systemd.scope import Scope

            cgroup: Cgroup = Scope(kind, rows, rootless=rootless, asked_for=True)
        else:
            cgroup = cls(kind, rows, rootless=rootless, asked_for=True)
        cgroup.unit = unit
        return cgroup

    # Making it

    def may_kill_init(self, resources: "Resources | None") -> bool:
        """Tell whether init may be killed for want of memory, and the cgroup be gone before we know."""
        del resources
        return False

    def adopt(self, processes: list[int]) -> None:
        """Name the set-up process, for a cgroup that is made around one, and a keeper."""

    def check(self) -> None:
        """Refuse directories that exist and hold processes or are frozen (runtime.md#create).

        For the moment before the path is written down: what is ours by the record may be killed.
        """
        from pyoci.cgroup.make import check_unused

        check_unused(self)

    def make(self, resources: "Resources | None") -> None:
        """Make every directory with its controllers; without permission a rootless one has none.

        When this fails, what it made is gone again, and the cgroup has no directories.
        """
        from pyoci.cgroup.make import make

        make(self, resources)

    def into(self) -> int | None:
        """Return a descriptor of the version 2 directory for CLONE_INTO_CGROUP, on hybrid, too.

        It stays ours, and so do those of `procs_fds`: `close` closes them.
        """
        part = self.part("")
        return None if part is None else opened(part)

    def procs_fds(self) -> list[tuple[str, int]]:
        """Return (hierarchy, descriptor) of each version 1 cgroup.procs, for init to write "0"."""
        if not self.files:
            self.files = [(part.name, open_procs(part)) for part in self.parts if part.name]
        return self.files

    def below(self, arguments: list[str]) -> "Cgroup":
        """Return the cgroups of `exec --cgroup`, where those that are not named are our own."""
        from pyoci.cgroup.exec import below

        parts = below(self, arguments)
        return Cgroup(self.layout, parts, rootless=self.rootless, asked_for=True)

    def close(self) -> None:
        """Close every descriptor; the directories stay."""
        for _, fd in self.files:
            posix.close(fd)
        self.files = []
        for part in self.parts:
            part.close()

    def is_entered_by_systemd(self) -> bool:
        """Tell whether a further process must be put there by systemd: we may not do so ourselves."""
        return False

    def attach(self, process: int, below: list[str]) -> None:
        """Have systemd put a process there, or into the cgroups of `exec --cgroup` below."""

    def is_inner(self) -> bool:
        """Tell whether no process may enter: version 2 has its controllers enabled for children."""
        part = self.part("") if self.version == 2 else None
        return part is not None and bool(part.read("cgroup.subtree_control").strip())

    # Limits

    def apply(self, resources: "Resources | None") -> list[str]:
        """Write the limits and version 1's device rules; return warnings for what is not done."""
        from pyoci.cgroup.limits import apply

        return apply(self, resources)

    def set_properties(self, resources: "Resources | None") -> None:
        """Tell systemd of changed limits where the cgroup is its; they stand in the files already.

        Only what is not None is told, so that the resources may be the changes alone.
        """

    def tighten(self) -> None:
        """Take back what only the set-up process needed, once that is gone."""

    def device_program(self, resources: "Resources | None") -> bytes | None:
        """Return the device rules as a BPF program for `into()`; None where version 1 has them."""
        if self.version == 1 or not self.parts:
            return None
        from pyoci.cgroup.devices import program

        return program(None if resources is None else resources["devices"])

    # Looking at it

    def pids(self) -> list[int]:
        """Return every process of the container, also in cgroups below; none when it is gone."""
        for name in MEMBERS if self.version == 1 else ("",):
            part = self.part(name)
            if part is not None:
                return part.pids()
        return self.parts[0].pids() if self.parts else []

    def all_pids(self) -> list[int]:
        """Return the processes in every hierarchy: with a writable mount of one, they differ."""
        return sorted({pid for part in self.parts for pid in part.pids()})

    def oom_kills(self) -> int:
        """Return how many processes the kernel killed for the memory limit."""
        part = self.controller("memory")
        if part is None:
            return 0
        return part.value(KILLS[self.version], b"oom_kill") or 0

    def memory_peak(self) -> int | None:
        """Return the most memory, in bytes, that was in use; None where the kernel does not say."""
        part = self.controller("memory")
        if part is None:
            return None
        return part.number(PEAK[self.version])

    def may_kill_program(self) -> bool:
        """Tell whether `start` may kill init for want of memory, and the cgroup be gone before we know."""
        return False

    def admit(self, keeper: int) -> None:
        """Put a keeper where systemd looks; `tighten` when it is gone."""

    def watch(self) -> "Witness | None":
        """Return what remembers a shortage, where the cgroup may be gone before anybody asks for it."""
        return None

    def shortage(self) -> "Shortage | None":
        """Return what the kernel says of those that it killed for want of memory; None: it killed none."""
        part = self.controller("memory")
        if part is None:
            return None
        limit = part.number(LIMIT[self.version])
        kills = self.oom_kills()
        return (kills, limit, self.memory_peak(), "") if kills else None

    # Freezing and ending it

    def freeze(self) -> None:
        """Freeze every process and wait until they are, at most ten seconds."""
        from pyoci.cgroup.freezer import freeze

        freeze(self)

    def thaw(self) -> None:
        """Let every process go on, whichever hierarchy holds it; what is gone is thawed."""
        from pyoci.cgroup.freezer import thaw

        thaw(self)

    def resume(self) -> None:
        """Thaw, and return when the kernel says that it is done."""
        from pyoci.cgroup.freezer import resume

        resume(self)

    def is_frozen(self) -> bool:
        """Tell whether the processes are frozen, in whichever hierarchy."""
        from pyoci.cgroup.freezer import is_frozen

        return any(is_frozen(part) for part in self.parts)

    def kill(self, signal: int) -> None:
        """Send a signal to every process in the cgroup and below, those forked meanwhile, too."""
        from pyoci.cgroup.kill import kill

        kill(self, signal)

    def destroy(self) -> None:
        """Remove the directories, with whatever still lives in them; may be repeated."""
        self.close()
        # Where nothing lives, and that is the rule, this is all: nothing is read or killed.
        if not all(rmdir(part) for part in self.parts):
            self.kill(SIGKILL)
            self.remove()

    def remove(self, seconds: float = REMOVE_SECONDS) -> None:
        """Remove every directory and those below, waiting for what dies; what is gone is fine."""
        self.close()
        deadline: "_Deadline | None" = None
        for part in self.parts:
            if rmdir(part):
                continue
            if deadline is None:
                from pyoci.cgroup.wait import Deadline

                deadline = Deadline(seconds)
            remove_busy(part, deadline)


def is_intact(part: Directory) -> bool:
    """Tell whether a recorded directory is one that we can have made."""
    return part.mount[:1] == part.path[:1] == "/" and ".." not in part.path.split("/")


def opened(part: Directory) -> int:
    """Return the descriptor of a directory that must be there."""
    try:
        return part.open()
    except OSError as error:
        raise refuse(f"error adding pid 0 to cgroups: open {part.full_path}", error) from error


def open_procs(part: Directory) -> int:
    """Open a cgroup.procs for writing."""
    try:
        return part.open_file("cgroup.procs", posix.O_WRONLY)
    except OSError as error:
        raise refuse(
            f"error adding pid 0 to cgroups: open {part.full_path}/cgroup.procs", error
        ) from error


def rmdir(part: Directory) -> bool:
    """Remove a directory and those below; return False where it is busy."""
    try:
        return part.rmdir()
    except OSError as error:
        raise refuse(f"cannot remove cgroup {part.full_path}", error) from error
    finally:
        part.close()


def remove_busy(part: Directory, deadline: "_Deadline") -> None:
    """Remove a directory once its processes are gone."""
    from pyoci.cgroup import v1, v2
    from pyoci.cgroup.wait import until

    (v1 if part.name else v2).wait_empty(part, deadline)
    if not until(lambda: rmdir(part), [], 0, deadline):
        count = len(part.pids())
        part.close()
        raise CgroupError(
            f"cannot remove cgroup {part.full_path}: {count} process(es) are still in it"
        )
