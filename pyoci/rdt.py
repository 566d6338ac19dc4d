# SPDX-License-Identifier: Apache-2.0
"""Cache and memory bandwidth of a container: its groups in resctrl (config-linux.md#intelrdt, filesystems/resctrl.rst)."""

import errno
import posix

from pyoci.errors import StepError
from pyoci.identity import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypedDict

    from pyoci.spec import IntelRdt

    class Groups(TypedDict):
        """The groups of a container, as its record holds them."""

        directory: str  # whose class of service it has
        own: bool  # made for it alone, and removed with it
        monitoring: str  # its monitoring group, "" none


def plan(rdt: "IntelRdt", identity: str) -> "Groups":
    """Return which groups a container will have; nothing is made. Raises StepError where there is no resctrl."""
    root = find()
    if not root:
        problem = (
            "intelRdt: no resctrl file system is mounted (mount -t resctrl resctrl /sys/fs/resctrl)"
        )
        raise StepError(f"linux.{problem}", "/linux/intelRdt")
    name = rdt["closID"] or identity
    directory = root if name == "/" else f"{root}/{name}"
    monitoring = f"{directory}/mon_groups/{identity}" if rdt["enableMonitoring"] else ""
    return {"directory": directory, "own": not rdt["closID"], "monitoring": monitoring}


def find() -> str:
    """Return where resctrl is mounted, "" nowhere (proc_pid_mountinfo(5))."""
    for line in read("/proc/self/mountinfo").split(b"\n"):
        before, _, behind = line.partition(b" - ")
        if behind.startswith(b"resctrl "):
            return before.split()[4].decode("utf-8", "surrogateescape")
    return ""


def make(rdt: "IntelRdt", groups: "Groups", pid: int) -> None:
    """Make the groups, write their schemata and put a process into them; its children stay there."""
    place, directory = "/linux/intelRdt", groups["directory"]
    lines = [line for line in (rdt["l3CacheSchema"], rdt["memBwSchema"], *rdt["schemata"]) if line]
    is_new = not _exists(directory)
    if is_new and rdt["closID"] and not lines:
        raise StepError(f"linux.intelRdt: there is no group {directory} (closID)", place)
    if not is_new and groups["own"]:
        raise StepError(f"linux.intelRdt: {directory} exists already", place)
    try:
        if is_new:
            posix.mkdir(directory, 0o755)
            for line in lines:
                _write(f"{directory}/schemata", line)
        else:
            _compare(lines, directory)
        if groups["monitoring"]:
            posix.mkdir(groups["monitoring"], 0o755)
        enter(groups, pid)
    except OSError as error:
        remove(groups)
        raise _explain(error, directory) from error


def enter(groups: "Groups", pid: int) -> None:
    """Put a process into the groups of a container."""
    _write(f"{groups['directory']}/tasks", str(pid))
    if groups["monitoring"]:
        _write(f"{groups['monitoring']}/tasks", str(pid))


def change(groups: "Groups | None", lines: list[str]) -> list[str]:
    """Write other schemata for a running container; return the lines that would undo it. The words are runc's."""
    for line in lines:
        resource, words = _UPDATED[line.partition(":")[0].startswith("MB")]
        if not _exists(f"{find()}/info/{resource}"):
            raise StepError(f"Intel RDT/{words} is not enabled", "/linux/intelRdt")
    if groups is None:
        problem = "updating a non-existent Intel RDT configuration is not supported"
        raise StepError(problem, "/linux/intelRdt")
    file = f"{groups['directory']}/schemata"
    before: list[str] = []
    try:
        before = [line.strip() for line in read(file).decode().splitlines()]
        for line in lines:
            _write(file, line)
    except OSError as error:
        restore(groups, before)
        raise _explain(error, groups["directory"]) from error
    return before


_UPDATED = {
    False: ("L3", "CAT: l3 cache schema"),
    True: ("MB", "MBA: memory bandwidth schema"),
}


def restore(groups: "Groups", lines: list[str]) -> None:
    """Write back what `change` has changed."""
    for line in lines:
        _write(f"{groups['directory']}/schemata", line)


def remove(groups: "Groups") -> None:
    """Remove what was made for the container; what is gone already is no error."""
    for directory in (groups["monitoring"], groups["directory"] if groups["own"] else ""):
        if directory:
            try:
                posix.rmdir(directory)
            except FileNotFoundError:
                continue


def _compare(lines: list[str], directory: str) -> None:
    """Refuse a group whose schemata are not those asked for: it belongs to others, too."""
    present = _domains(read(f"{directory}/schemata").decode().splitlines())
    wanted = _domains(lines)
    for key, value in wanted.items():
        if present.get(key) != value:
            resource, domain = key
            problem = f"has {resource}:{domain}={present.get(key, '')}, not {value}"
            raise StepError(f"linux.intelRdt: {directory} {problem}", "/linux/intelRdt")


def _domains(lines: list[str]) -> dict[tuple[str, str], str]:
    """Return the value of each domain of each resource: L3:0=7ff;1=7ff has two."""
    found = {}
    for line in lines:
        resource, _, domains = line.strip().partition(":")
        for part in domains.split(";"):
            domain, _, value = part.partition("=")
            found[resource, domain.strip()] = value.strip().lower().lstrip("0") or "0"
    return found


def _write(path: str, text: str) -> None:
    fd = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC)
    try:
        posix.write(fd, text.encode() + b"\n")
    finally:
        posix.close(fd)


def _exists(path: str) -> bool:
    try:
        posix.stat(path)
    except FileNotFoundError:
        return False
    return True


def _explain(error: OSError, directory: str) -> StepError:
    """Say why the kernel refused, in its own words where resctrl left some."""
    try:
        said = read(f"{find()}/info/last_cmd_status").decode().strip()
    except OSError:
        said = ""
    reason = said if said and said != "ok" else posix.strerror(error.errno or 0).lower()
    if error.errno == errno.ENOSPC:
        reason += " (no class of service or monitoring group is left)"
    return StepError(f"linux.intelRdt: {directory}: {reason}", "/linux/intelRdt", error.errno or 0)
