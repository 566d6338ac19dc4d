# SPDX-License-Identifier: Apache-2.0
"""A process of ours in a unit's cgroup: systemd removes that, and what the kernel has counted, as soon as nobody is in it.

It is an executor whose plan is one question, which nobody answers. It is at rest when it enters, so that nothing is
charged for it there, and it ends with the runtime.
"""

import posix

from pyoci.cgroup.directory import write
from pyoci.executor import Executor
from pyoci.plan import ops
from pyoci.plan.encode import encode
from pyoci.plan.program import Program

_NEVER = b"-1000"  # OOM_SCORE_ADJ_MIN of linux/oom.h: whoever is killed, it is somebody else


def spawn() -> Executor:
    """Return one that is at rest, as its `setup`, until it is closed."""
    program = Program()
    program.add("ask", ops.TOPICS.index("cgroups"))
    null = posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)
    try:
        keeper = Executor(encode(program, ops.START_SLOT + 1), (null,), 0)
    finally:
        posix.close(null)
    keeper.receive()
    try:
        write(f"/proc/{keeper.setup}/oom_score_adj", _NEVER)
    except PermissionError:
        pass  # an ordinary user's: then what is counted above its cgroup must do
    return keeper
