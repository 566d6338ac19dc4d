# SPDX-License-Identifier: Apache-2.0
"""On which processors, when and with which memory a process runs, in a plan (config.md#linux-process)."""

import _struct

from pyoci.linux.scheduling import (
    IO_CLASS_SHIFT,
    IO_CLASSES,
    MEMORY_FLAGS,
    MEMORY_MODES,
    POLICIES,
    SCHEDULER_FLAGS,
    mask,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.plan.program import Program
    from pyoci.spec import Process, Spec

_ATTRIBUTES = _struct.Struct("<IIQiIQQQ")  # struct sched_attr, its first version (sched_setattr(2))


def settle(program: "Program", spec: "Spec", process: "Process") -> None:
    """Set what needs the runtime's privilege, in the final cgroup: its cpuset limits the rest."""
    scheduler = process["scheduler"]
    if scheduler:
        flags = sum({SCHEDULER_FLAGS[flag] for flag in scheduler["flags"]})
        attributes = _ATTRIBUTES.pack(
            _ATTRIBUTES.size,
            POLICIES[scheduler["policy"]],
            flags,
            scheduler["nice"] or 0,
            scheduler["priority"] or 0,
            scheduler["runtime"] or 0,
            scheduler["deadline"] or 0,
            scheduler["period"] or 0,
        )
        program.at("/process/scheduler").add("scheduler", attributes)
    io = process["ioPriority"]
    if io:
        priority = IO_CLASSES[io["class"]] << IO_CLASS_SHIFT | (io["priority"] or 0)
        program.at("/process/ioPriority").add("io_priority", priority)
    policy = spec["linux"]["memoryPolicy"]
    if policy and policy["mode"]:
        mode = MEMORY_MODES[policy["mode"]] | sum({MEMORY_FLAGS[flag] for flag in policy["flags"]})
        nodes = mask(policy["nodes"]) if policy["nodes"] else b""
        program.at("/linux/memoryPolicy").add("memory_policy", mode, nodes)


def affinity(program: "Program", process: "Process", when: str) -> None:
    """Bind a process of exec to processors: `initial` outside the container's cgroup, `final` in it."""
    wanted = process["execCPUAffinity"]
    processors = wanted and (wanted["initial"] if when == "initial" else wanted["final"])
    if processors:
        program.at(f"/process/execCPUAffinity/{when}").add("affinity", mask(processors))
