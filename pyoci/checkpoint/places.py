# SPDX-License-Identifier: Apache-2.0
"""The places of mounts in a root that lacks them: an exported checkpoint brings only what its container has changed."""

import posix

from pyoci import diagnosis, executor
from pyoci.errors import StepError
from pyoci.plan import ops
from pyoci.plan.encode import encode
from pyoci.plan.mounts import DIRECTORY, FILE, Entry
from pyoci.plan.program import Program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.plan.facts import Facts
    from pyoci.spec import Spec

_MODES = {DIRECTORY: 0o755, FILE: 0o644}  # as create makes them
_ROOT = ops.START_SLOT  # the one descriptor that the executor gets


def make(root: str, spec: "Spec", facts: "Facts") -> None:
    """Have the executor make them inside the root, as create would; raises what says why it cannot."""
    program = compile_plan(spec, facts)
    directory = posix.open(root, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        working = executor.Executor(encode(program, _ROOT + 1).fill(()), (directory,), 0)
    finally:
        posix.close(directory)
    try:
        working.receive()
        status = working.reap()
    except executor.Failure as failure:
        raise diagnosis.explain(failure, program, spec) from failure
    finally:
        working.close()
    if status:
        raise StepError(f"the places of mounts could not be made (exit status {status})")


def compile_plan(spec: "Spec", facts: "Facts") -> Program:
    """Return the plan: a place in another mount is among criu's images, or the host's own."""
    entries = [Entry(index, mount, facts) for index, mount in enumerate(spec["mounts"])]
    program = Program()
    made = program.slot("target")
    for entry in entries:
        if entry.kind in ("link", "remount"):
            continue
        if any(entry.destination.startswith(f"{other.destination}/") for other in entries):
            continue
        kind = FILE if entry.kind == "bind" and entry.source not in facts.directories else DIRECTORY
        program.at(f"{entry.place}/destination")
        program.add("create", made, _ROOT, entry.destination, kind, _MODES[kind])
    return program
