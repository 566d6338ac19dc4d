# SPDX-License-Identifier: Apache-2.0
"""A cgroup that systemd makes: a scope around the set-up process, in which init is then born.

systemd knows the limits as well, as properties, so that it sets none back; files and controllers that
it has no property for are written as without it. On a version 1 host it makes some of the directories,
we the others.
"""

import posix

from pyoci import log
from pyoci.cgroup import KILLS, LIMIT, REMOVE_SECONDS, ROOMY, SIGKILL, Cgroup, layout
from pyoci.cgroup.directory import GONE, Directory
from pyoci.cgroup.systemd import properties, unit
from pyoci.errors import CgroupError, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import override

    from pyoci.cgroup import Record, Resources, Shortage
    from pyoci.cgroup.layout import Layout
    from pyoci.cgroup.oom import Witness
    from pyoci.cgroup.resources import Writes
    from pyoci.cgroup.systemd.manager import Manager
    from pyoci.cgroup.systemd.properties import Properties
else:

    def override(method: object) -> object:
        """Stand in for typing's, which costs 8 ms to import."""
        return method


BOOTED = "/run/systemd/system"  # sd_booted(3)
# The set-up process, one between it and init where a pid namespace is joined, and a keeper are gone
# when the program is there; until then they must not be what the limit of processes is spent on.
SPARE_PIDS = 3
# Controllers of which systemd knows nothing: it neither enables them nor minds that they are.
FOREIGN = frozenset(("hugetlb", "rdma", "misc"))


def locate(
    cgroups_path: str | None, container_id: str, annotations: "Mapping[str, str]", *, rootless: bool
) -> "Scope":
    """Return the cgroup that systemd will make; it is asked where, but makes nothing yet."""
    if not posix.access(BOOTED, posix.F_OK):
        raise Unsupported(
            "systemd cgroup flag passed, but systemd support for managing cgroups is not available: "
            f"there is no {BOOTED}"
        )
    above, name = unit.parse(cgroups_path, container_id, rootless=rootless)
    wanted = annotated(annotations)
    kind, hierarchies, _ = layout.find()
    if not hierarchies:
        raise Unsupported("--systemd-cgroup: no cgroup file system is mounted")
    scope = Scope(kind, [], rootless=rootless, asked_for=True)
    scope.unit, scope.slice, scope.annotated = name, above, wanted
    scope.description = f"pyoci container {container_id}"
    path = scope.manager.root.rstrip("/") + unit.path(above, name)
    scope.parts = [Directory(hierarchy, mount, path) for hierarchy, mount, _ in hierarchies]
    return scope


def annotated(annotations: "Mapping[str, str]") -> "Properties":
    """Return what annotations say of the unit; most containers have none."""
    from pyoci.cgroup.systemd import annotations as words

    return words.properties(annotations)


class Scope(Cgroup):
    """A container's cgroup that is a unit of systemd's."""

    __slots__ = ("_manager", "_pids", "annotated", "description", "processes", "slice", "witness")

    def __init__(
        self, kind: "Layout", parts: list[Directory], *, rootless: bool, asked_for: bool
    ) -> None:
        super().__init__(kind, parts, rootless=rootless, asked_for=asked_for)
        self._manager: Manager | None = None
        self._pids = ""
        self.annotated: Properties = {}
        self.description = ""
        self.slice = ""
        self.processes: list[int] = []
        self.witness: Witness | None = None

    @property
    def manager(self) -> "Manager":
        """The systemd that the unit belongs to: the user's own when rootless."""
        if self._manager is None:
            from pyoci.cgroup.systemd.manager import Manager

            self._manager = Manager(rootless=self.rootless)
        return self._manager

    @property
    def is_slice(self) -> bool:
        """Tell whether the unit is a slice, which systemd starts without a process."""
        return self.unit.endswith(unit.SLICE)

    @property
    def looked_at(self) -> Directory:
        """The directory by which systemd knows whether anybody is left."""
        return self.part("") or self.part("name=systemd") or self.parts[0]

    @override
    def record(self) -> "Record":
        """Return what `from_record` needs, as JSON has it."""
        return {**super().record(), "unit": self.unit}

    @override
    def adopt(self, processes: list[int]) -> None:
        """Name the set-up process, around which the unit is made, and any other that it begins with."""
        self.processes = processes

    @override
    def make(self, resources: "Resources | None") -> None:
        """Have systemd start the unit, and make the directories that it does not make.

        A unit of this name that is somebody else's stays as it is; after any other failure none is
        left.
        """
        from pyoci.cgroup.resources import check, controllers

        check(resources, self.version)
        try:
            self.manager.start(self.unit, self.unit_properties(resources))
        except FileExistsError as error:
            self.unit, self.parts = "", []
            raise CgroupError(
                f"unable to apply cgroup configuration: {error}: another container or service has "
                "the unit, choose another linux.cgroupsPath"
            ) from error
        self.find_process()
        if self.version == 2 and controllers(resources, 2) & FOREIGN:
            from pyoci.cgroup.v2 import inherit

            self.parts[0].make(None)
            inherit(self.parts[0], None)
        if self.version == 1:
            from pyoci.cgroup.make import level_of

            for part in self.parts:
                if part.name:
                    part.make(level_of(part))

    @override
    def is_entered_by_systemd(self) -> bool:
        """Tell whether a user is outside of what its systemd was given, as in a login session.

        A process changes its cgroup only by the leave of whom both are below (cgroups(7)).
        """
        if not self.rootless or self.version == 1:
            return False
        own = layout.memberships(layout.read("/proc/self/cgroup"))[""].split("/")
        there = self.parts[0].path.split("/")
        same = 0
        while same < min(len(own), len(there)) and own[same] == there[same]:
            same += 1
        above = self.parts[0].mount + "/".join(there[:same])
        return not posix.access(f"{above}/cgroup.procs", posix.W_OK)

    @override
    def attach(self, process: int, below: list[str]) -> None:
        """Have systemd put a process there, or into the cgroup of `exec --cgroup` below."""
        from pyoci.cgroup.exec import sub_paths

        path = sub_paths(below, self.directories, self.version).get("", "")
        self.manager.attach(self.unit, path, process)

    def find_process(self) -> None:
        """Check that the process is where we think that systemd put it: init will be born there."""
        if self.is_slice:
            return
        missing = set(self.processes) - set(self.looked_at.pids())
        if missing:
            raise CgroupError(
                f"unable to apply cgroup configuration: systemd did not put process {min(missing)} of "
                f'unit "{self.unit}" into {self.looked_at.full_path}'
            )

    def unit_properties(self, resources: "Resources | None") -> "Properties":
        """Return the whole unit; annotations overrule what is ours, limits overrule them."""
        found: Properties = {
            "Description": ("s", self.description),
            "Slice" if not self.is_slice else "Wants": (
                ("s", self.slice) if not self.is_slice else ("as", [self.slice])
            ),
            "DefaultDependencies": ("b", False),
            "CollectMode": ("s", "inactive-or-failed"),
        }
        if not self.is_slice:
            found["Delegate"] = ("b", True)
            found["PIDs"] = ("au", self.processes)
        io = "IOAccounting" if self.version == 2 else "BlockIOAccounting"
        for name in ("MemoryAccounting", "CPUAccounting", io, "TasksAccounting"):
            found[name] = ("b", True)
        found = properties.known(found, self.manager.version)
        return found | self.annotated | self.limits(resources)

    def limits(self, resources: "Resources | None") -> "Properties":
        """Return the limits as properties."""
        return properties.of(self.writes(resources), self.manager.version)

    def writes(self, resources: "Resources | None") -> "Writes":
        """Return the limits as values for files."""
        from pyoci.cgroup.resources import v1_writes, v2_writes

        return v2_writes(resources) if self.version == 2 else v1_writes(resources)

    def written(self, file: str, resources: "Resources | None") -> str:
        """Return the limit that one file is to have, "" if none."""
        limits = dict(self.writes(resources))
        return limits.get(file, "")

    @override
    def set_properties(self, resources: "Resources | None") -> None:
        """Tell systemd of changed limits; the files have the last word, for systemd rounds."""
        from pyoci.cgroup.limits import write_all

        changed = self.limits(resources)
        if changed:
            self.manager.set_properties(self.unit, changed)
            write_all(self, self.writes(resources), lenient=self.rootless)

    @override
    def apply(self, resources: "Resources | None") -> list[str]:
        """Write the limits; that of processes leaves room for the set-up process until `tighten`."""
        warnings = super().apply(resources)
        if self.processes:
            self.loosen(self.written("pids.max", resources))
        return warnings

    @override
    def may_kill_init(self, resources: "Resources | None") -> bool:
        """Tell whether memory will be limited; a slice stays when nobody is in it."""
        limit = self.written(LIMIT[self.version], resources)
        return limit not in ("", "-1", "max") and not self.is_slice

    @override
    def may_kill_program(self) -> bool:
        """Tell whether a program may not even begin within the limit of memory."""
        part = self.controller("memory")
        limit = part.number(LIMIT[self.version]) if part else None
        return limit is not None and limit < ROOMY and not self.is_slice

    @override
    def admit(self, keeper: int) -> None:
        """Put a keeper where systemd looks; no process of the container's has to make room for it."""
        part = self.controller("pids")
        self.loosen(str(part.number("pids.max")) if part else "")
        if self.is_entered_by_systemd():
            self.attach(keeper, [])
        else:
            self.looked_at.write("cgroup.procs", str(keeper))

    @override
    def watch(self) -> "Witness | None":
        """Watch the counters, which systemd removes with the last process."""
        part = self.controller("memory")
        if self.witness is None and part is not None and part.has(KILLS[self.version]):
            from pyoci.cgroup.oom import Witness

            self.witness = Witness(part, self.version)
        return self.witness

    @override
    def shortage(self) -> "Shortage | None":
        """Return what the kernel has said of it, also where the cgroup is gone by now."""
        return super().shortage() if self.witness is None else self.witness.found()

    @override
    def tighten(self) -> None:
        """Limit processes to what was asked for: those that are ours are gone."""
        self.limit_pids(0)

    def loosen(self, limit: str) -> None:
        """Leave room for processes of ours until `tighten`."""
        self._pids = limit
        self.limit_pids(SPARE_PIDS)

    def limit_pids(self, spare: int) -> None:
        """Write the limit of processes, if there is one, which the kernel took once already."""
        part = self.controller("pids")
        if part is None or not self._pids.isdigit():
            return
        try:
            part.write("pids.max", str(int(self._pids) + spare))
        except OSError as error:
            if error.errno not in GONE:
                raise

    @override
    def destroy(self) -> None:
        """End every process, stop the unit, remove what systemd leaves; may be repeated."""
        if any(posix.access(part.full_path, posix.F_OK) for part in self.parts):
            self.kill(SIGKILL)
        self.remove()

    @override
    def remove(self, seconds: float = REMOVE_SECONDS) -> None:
        """Stop the unit and remove the directories that are left."""
        try:
            self.stop()
        finally:
            super().remove(seconds)

    def stop(self) -> None:
        """Stop the unit; where systemd cannot be reached any more its cgroup is removed all the same."""
        if not self.unit:
            return
        try:
            self.manager.stop(self.unit)
        except CgroupError as error:
            log.warning(f"{error} (its cgroup is removed without systemd)")

    @override
    def close(self) -> None:
        """Close every descriptor; directories and unit stay."""
        super().close()
        if self.witness is not None:
            self.witness.close()
            self.witness = None
        if self._manager is not None:
            self._manager.close()
            self._manager = None
