# SPDX-License-Identifier: Apache-2.0
"""Labels of a process, read back: what a security module accepts in silence is not yet in force (CVE-2019-16884)."""

from pyoci.errors import StepError
from pyoci.identity import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec import Process


def check(process: "Process", pid: int) -> None:
    """Refuse to go on unless the next execve of a process changes its labels to those asked for.

    Looks through the host's own /proc, not through what init sees. Where the module is absent, the plan has refused.
    """
    profile, label = process["apparmorProfile"], process["selinuxLabel"]
    if profile and profile != "unconfined":
        # "NAME (MODE)": a name may hold spaces, the mode never does.
        found = _pending(pid, "apparmor/exec").rpartition(" (")[0]
        _compare("apparmorProfile", profile, found)
    if label:
        _compare("selinuxLabel", label, _pending(pid, "exec"))


def _pending(pid: int, name: str) -> str:
    return read(f"/proc/{pid}/attr/{name}").rstrip(b"\0\n").decode("utf-8", "surrogateescape")


def _compare(key: str, wanted: str, found: str) -> None:
    if found != wanted:
        problem = f'process.{key}: the kernel has "{found}" for the next execve, not "{wanted}"'
        raise StepError(problem, f"/process/{key}")
