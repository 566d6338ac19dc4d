# SPDX-License-Identifier: Apache-2.0
"""The SELinux label of a process, read back: what was accepted in silence is not yet in force (CVE-2019-16884).

Of AppArmor only the process itself can read its next profile; there the kernel refuses to take one that it does not know.
"""

from pyoci.errors import StepError
from pyoci.identity import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec import Process


def check(process: "Process", pid: int) -> None:
    """Refuse to go on unless the next execve of a process gives it the label that was asked for.

    Looks through the host's own /proc, not through what init sees. Where SELinux is absent, the plan has refused.
    """
    wanted = process["selinuxLabel"]
    if not wanted:
        return
    found = read(f"/proc/{pid}/attr/exec").rstrip(b"\0\n").decode("utf-8", "surrogateescape")
    if found != wanted:
        problem = f'the kernel has "{found}" for the next execve, not "{wanted}"'
        raise StepError(f"process.selinuxLabel: {problem}", "/process/selinuxLabel")
