# SPDX-License-Identifier: Apache-2.0
"""Why a validation program can fail for another reason than the runtime, with the evidence.

Each row was found in the program's source, or is looked up on this host when the program fails. The programs are of
version 1.1.0 of the specification; what is cited here is 1.3.0. A row explains only the failures whose words it names.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

Evidence = str | Callable[[], str]


def _read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8") if Path(path).exists() else ""


def _no_controller(name: str) -> Callable[[], str]:
    def look() -> str:
        lines = _read("/proc/self/cgroup").splitlines()
        mounted = {word for line in lines for word in line.split(":")[1].split(",")}
        return "" if name in mounted else f"This host cannot: no hierarchy of version 1 has {name}"

    return look


def _no_leaf_weight() -> str:
    found = list(Path("/sys/fs/cgroup").glob("blkio*/blkio.leaf_weight"))
    return "" if found else "This host cannot: no blkio.leaf_weight (CFQ was removed in Linux 5.0)"


def _no_apparmor() -> str:
    on = _read("/sys/module/apparmor/parameters/enabled").startswith("Y")
    return "" if on else "This host cannot: the kernel has no AppArmor, or it is off"


def _no_selinux() -> str:
    on = Path("/sys/fs/selinux/enforce").exists()
    return (
        "" if on else "This host cannot: the kernel has no SELinux, whose option the test asks for"
    )


def _no_capability() -> str:
    lines = (line.partition(":\t") for line in _read("/proc/self/status").splitlines())
    bounding = int({name: value for name, _, value in lines}["CapBnd"], 16)
    last = int(_read("/proc/sys/kernel/cap_last_cap"))
    missing = [bit for bit in range(last + 1) if not bounding >> bit & 1]
    numbers = ", ".join(map(str, missing))
    return (
        f"This host cannot: root lacks the capabilities {numbers} of those that the test asks for"
        if missing
        else ""
    )


_BLKIO = (r"blkio\.(leaf_)?weight|blockIO|exit status 1", _no_leaf_weight)
_HUGETLB = (r"hugetlb|huge|exit status 1", _no_controller("hugetlb"))
_NETWORK = (r"net_cls|network|exit status 1", _no_controller("net_cls"))
_MEMORY = (
    r"memory kernel is set correctly",
    "This kernel cannot: memory.kmem.limit_in_bytes takes any value and has no effect since Linux 5.16; "
    "config-linux.md#memory: kernel is NOT RECOMMENDED",
)
_UNREAD = "its hooks may have ended before the state was written to them, an error to crun"
# Programs whose result depends on which of two processes is faster.
RACES = {
    "killsig": "it sends the signal once the state is `running`, and the container's shell may not have set its trap yet",
    "pidfile": "it wants `kill` to reach a process, `true`, that may have ended by then",
    "poststart": "it compares when the hook's shell and the container's, which both run, write to a file",
    "hooks": _UNREAD,
    "poststart_fail": _UNREAD,
    "poststop_fail": _UNREAD,
}
# program -> the failures that are explained, as a regular expression; the evidence, "" where a look-up finds none
ROWS: dict[str, tuple[str, Evidence]] = {
    "delete": (
        r"attempting to `delete` a container that is not `stopped`",
        "Every runtime deletes a container that was created and not started, without --force: it kills it first, and "
        "engines rely on it",
    ),
    "hooks": (
        r"Hooks MUST be called in the listed order",
        'The test is wrong: it compares what its hooks write ("post-start1 called") with other words ("post-start1"); '
        "tests/integration/test_hooks.py holds the order",
    ),
    "linux_cgroups_blkio": _BLKIO,
    "linux_cgroups_relative_blkio": _BLKIO,
    "linux_cgroups_hugetlb": _HUGETLB,
    "linux_cgroups_relative_hugetlb": _HUGETLB,
    "linux_cgroups_memory": _MEMORY,
    "linux_cgroups_relative_memory": _MEMORY,
    "linux_cgroups_network": _NETWORK,
    "linux_cgroups_relative_network": _NETWORK,
    "linux_mount_label": (r"context=", _no_selinux),
    "linux_process_apparmor_profile": (r"(?i)apparmor", _no_apparmor),
    "misc_props": (
        r"unknown annotation key",
        "The test is wrong: its bundle has no /runtimetest, the program that its config.json names",
    ),
    "pidfile": (
        r"create with '--pid-file' option works",
        "The test is wrong: it wants `kill` to succeed on a container whose process, `true`, has ended; "
        "runtime.md#kill: that MUST generate an error",
    ),
    "poststart": (
        r"called after the user-specified process is executed",
        "The test is a race: it compares when the hook's shell and the container's, which both run, write to a file; "
        "runtime.md#lifecycle asks for the hook after execve, not after what the program does then",
    ),
    "poststart_fail": (
        r"if any poststart hook fails, the runtime MUST log a warning",
        "The test is of version 1.1.0. runtime.md#lifecycle, step 9, of 1.3.0: if any poststart hook fails, the "
        "runtime MUST generate an error, stop the container",
    ),
    "prestart": (
        r"Pre-start hooks MUST be called after the `start` operation is called",
        "The test is of an older text. config.md#prestart of 1.3.0: the hooks MUST be called `as part of the create "
        "operation`",
    ),
    "process_capabilities": (r"CAP_SYS_RESOURCE|caps|capset", _no_capability),
    "process_capabilities_fail": (
        r"cannot be mapped to a relevant kernel interface MUST cause an error",
        "The test is of an older text. config.md#linux-process of 1.3.0: a capability that cannot be mapped to a "
        "kernel interface MUST be logged as a warning, and runtimes SHOULD NOT fail",
    ),
    "process_rlimits": (
        r"has expected soft RLIMIT_NOFILE",
        "The test is wrong: what looks at the limit is a Go program, and since Go 1.19 each raises its own soft "
        "RLIMIT_NOFILE before main",
    ),
    "start": (
        r"exit status 1",
        "The test is wrong: for `start` MUST generate an error if `process` was not set it wants `start` to succeed; "
        "here `create` refuses such a container already, as in runc",
    ),
}


def explain(program: str, failures: Sequence[str]) -> str:
    """Return why these failures, all of them, say nothing about the runtime; "" where they do."""
    if program not in ROWS:
        return ""
    pattern, evidence = ROWS[program]
    if not all(re.search(pattern, failure) for failure in failures):
        return ""
    return evidence if isinstance(evidence, str) else evidence()
