# SPDX-License-Identifier: Apache-2.0
"""What start, state, kill, delete, update, pause and resume will do, written down for the launcher (native/shortcut.c).

A line a fact:
  pyoci 1                 the form of this file
  boot UUID               of which boot the processes are
  record INODE CHANGED    state.json as it was: when it is another, all of this is void
  init PID START INODE    as identity.py has it
  start                   there is nothing to do but to write the byte
  delete                  there is nothing to do but to remove
  cgroup DIR              to be removed
  is FILE<TAB>LINE        a line that the file holds unless the container is frozen
  freeze FILE             what to write into for pause and resume
  limit FLAG PART KEY FILE  `update --FLAG` of linux.resources.PART.KEY alone is one value for this file
  state                   the rest is what `state` prints, with marks for the pid and the status
"""

import posix

from pyoci.cgroup import ROOMY
from pyoci.cgroup.resources import controller_of
from pyoci.jsontext import dumps
from pyoci.state import RECORD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from pyoci.cgroup import Cgroup, Resources
    from pyoci.state import Container, Record

NAME = "shortcut"
LONGEST = 256 << 10
# What is one number in one file, whatever the other limits are: flag, part and key of
# linux.resources, the file of version 1 and of version 2. A quota written alone leaves the period.
ORDINARY = (
    ("memory", "memory", "limit", "memory.limit_in_bytes", "memory.max"),
    ("memory-reservation", "memory", "reservation", "memory.soft_limit_in_bytes", "memory.low"),
    ("pids-limit", "pids", "limit", "pids.max", "pids.max"),
    ("cpu-share", "cpu", "shares", "cpu.shares", "cpu.weight"),
    ("cpu-quota", "cpu", "quota", "cpu.cfs_quota_us", "cpu.max"),
    ("cpu-period", "cpu", "period", "cpu.cfs_period_us", ""),
    ("cpu-burst", "cpu", "burst", "cpu.cfs_burst_us", "cpu.max.burst"),
    ("cpuset-cpus", "cpu", "cpus", "cpuset.cpus", "cpuset.cpus"),
    ("cpuset-mems", "cpu", "mems", "cpuset.mems", "cpuset.mems"),
)


def write(container: "Container", cgroup: "Cgroup", resources: "Resources | None") -> None:
    """Write the file where an ordinary way is known now; to be called behind the last save of the record."""
    record = container.known()
    if record["sharesPids"] or record["hook"] or not cgroup.parts:
        return
    memory = resources["memory"] if resources else None
    limit = memory["limit"] or 0 if memory else 0
    facts = _facts(container, record, limit, in_unit=bool(cgroup.unit))
    lines = ["pyoci 1", *facts, *_places(cgroup), *limits(cgroup, resources), "state", ""]
    if any("\n" in line or line.count("\t") > 1 for line in lines):
        return
    content = "\n".join(lines).encode("utf-8", "surrogateescape") + _state(container)
    if len(content) <= LONGEST:
        container.write(NAME, content)


def _facts(
    container: "Container", record: "Record", memory: int, *, in_unit: bool
) -> "Iterator[str]":
    """Say what is ordinary; a program may not even begin within little memory, and `start` has to say so."""
    status, init = posix.stat(RECORD, dir_fd=container.directory), record["init"]
    assert init is not None
    yield f"boot {record['boot']}"
    yield f"record {status.st_ino} {status.st_ctime_ns}"
    yield f"init {init['pid']} {init['start']} {init['inode']}"
    prepared = "notify" in posix.listdir(container.directory)
    if not (record["startHookSeconds"] or record["poststart"] or prepared or 0 < memory < ROOMY):
        yield "start"
    if not (record["poststop"] or record["rdt"] or prepared or in_unit):
        yield "delete"


def _places(cgroup: "Cgroup") -> "Iterator[str]":
    """Name each directory, and what tells there whether the container is frozen, by itself or by one above."""
    for part in cgroup.parts:
        yield f"cgroup {part.full_path}"
        if part.name == "":
            yield f"is {part.full_path}/cgroup.freeze\t0"
            yield f"is {part.full_path}/cgroup.events\tfrozen 0"
        elif "freezer" in part.name.split(","):
            yield f"is {part.full_path}/freezer.state\tTHAWED"
    freezer = cgroup.part("freezer") or cgroup.part("")  # as cgroup/freezer.py
    if freezer is not None:
        yield f"freeze {freezer.full_path}/{'freezer.state' if freezer.name else 'cgroup.freeze'}"


def limits(cgroup: "Cgroup", resources: "Resources | None") -> "Iterator[str]":
    """Name each limit that the launcher may change by itself now that these are in force."""
    memory = resources["memory"] if resources else None
    for flag, part, key, *files in () if cgroup.unit else ORDINARY:
        file = files[cgroup.version - 1]
        directory = cgroup.controller(controller_of(file)) if file else None
        if directory is None or (flag == "memory" and _is_coupled(memory, cgroup.version)):
            continue
        yield f"limit {flag} {part} {key} {directory.full_path}/{file}"


def _is_coupled(memory: "Mapping[str, Any] | None", version: int) -> bool:
    """Tell whether a limit of memory is more than one write: version 2 limits swap without memory."""
    return memory is not None and (
        memory["checkBeforeUpdate"] or (version == 2 and bool(memory["swap"]))
    )


def _state(container: "Container") -> bytes:
    """Return what `state` prints; a quote in a string is escaped, so these words are the keys."""
    text = dumps(container.report("stopped"), "  ").encode("utf-8", "surrogateescape")
    text = text.replace(b'"pid": 0,', b'"pid": \x01,', 1)
    return text.replace(b'"status": "stopped"', b'"status": "\x02"', 1)
