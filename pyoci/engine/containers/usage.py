# SPDX-License-Identifier: Apache-2.0
"""What a container uses of processors, memory, network, disks and processes, from its cgroups and /proc, as `stats` shows it."""

import posix
import select
import time

from pyoci import runtime
from pyoci.engine import sizes
from pyoci.engine.containers import launch, state
from pyoci.engine.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyoci.engine.containers.record import Container, Records
    from pyoci.engine.containers.state import Warn

KIND = "*container.statsContext"
DEFAULT = "{{.ID}}\\t{{.Name}}\\t{{.CPUPerc}}\\t{{.MemUsage}}\\t{{.MemPerc}}\\t{{.NetIO}}\\t{{.BlockIO}}\\t{{.PIDs}}"
HEADERS = {
    "Container": "CONTAINER",
    "ID": "CONTAINER ID",
    "Name": "NAME",
    "CPUPerc": "CPU %",
    "MemUsage": "MEM USAGE / LIMIT",
    "MemPerc": "MEM %",
    "NetIO": "NET I/O",
    "BlockIO": "BLOCK I/O",
    "PIDs": "PIDS",
}
CLEAR = "\x1b[2J\x1b[H"
_BILLION = 1_000_000_000
_UNLIMITED = 1 << 62
_INTERVAL = 1.0  # seconds between two samples


class Sample:
    """Counters of one moment: processor and clock in nanoseconds, everything else in bytes or numbers."""

    __slots__ = (
        "clock",
        "limit",
        "memory",
        "pids",
        "processor",
        "read",
        "received",
        "sent",
        "written",
    )

    def __init__(self) -> None:
        self.clock = time.monotonic_ns()
        self.processor = self.memory = self.limit = self.pids = 0
        self.received = self.sent = self.read = self.written = 0


def chosen(
    records: "Records", names: "Sequence[str]", warn: "Warn", *, every: bool
) -> "list[Container]":
    """Return the containers that are named, or all that run, or all."""
    if names:
        return [records.find(name) for name in names]
    found = records.all()
    return (
        found
        if every
        else [each for each in found if state.seen(each, warn)["Status"] in state.RUNNING]
    )


def sample(container: "Container") -> Sample:
    """Read the counters of a container; one that does not run has none."""
    found = Sample()
    fields = state.seen(container)
    if fields["Status"] not in ("running", "paused"):
        return found
    try:
        places = runtime.cgroup_directories(launch.runtime_root(container), container.id)
    except EngineError:
        return found
    if "cpuacct" in places:
        _read_v1(found, places)
    elif "" in places:
        _read_v2(found, places[""])
    found.limit = min(found.limit or _UNLIMITED, _total_memory())
    if container.host_config["NetworkMode"] != "host":
        found.received, found.sent = _network(int(fields["Pid"]))
    return found


def _read_v1(found: Sample, places: dict[str, str]) -> None:
    found.processor = _number(f"{places['cpuacct']}/cpuacct.usage")
    if "memory" in places:
        found.memory = _number(f"{places['memory']}/memory.usage_in_bytes")
        found.memory -= _field(f"{places['memory']}/memory.stat", "total_inactive_file")
        found.limit = _number(f"{places['memory']}/memory.limit_in_bytes")
    if "pids" in places:
        found.pids = _number(f"{places['pids']}/pids.current")
    if "blkio" in places:
        text = _text(f"{places['blkio']}/blkio.throttle.io_service_bytes")
        rows = [line.split() for line in text.splitlines()]
        found.read = sum(int(row[2]) for row in rows if len(row) == 3 and row[1] == "Read")
        found.written = sum(int(row[2]) for row in rows if len(row) == 3 and row[1] == "Write")


def _read_v2(found: Sample, place: str) -> None:
    found.processor = _field(f"{place}/cpu.stat", "usage_usec") * 1000
    inactive = _field(f"{place}/memory.stat", "inactive_file")
    found.memory = _number(f"{place}/memory.current") - inactive
    found.limit = _number(f"{place}/memory.max")
    found.pids = _number(f"{place}/pids.current")
    for word in _text(f"{place}/io.stat").split():
        name, _, value = word.partition("=")
        found.read += int(value) if name == "rbytes" else 0
        found.written += int(value) if name == "wbytes" else 0


def _network(pid: int) -> tuple[int, int]:
    """Return bytes received and sent by the interfaces of a process' network, but for the loopback."""
    received = sent = 0
    for line in _text(f"/proc/{pid}/net/dev").splitlines()[2:]:
        name, _, counters = line.partition(":")
        words = counters.split()
        if name.strip() != "lo" and len(words) > 8:
            received += int(words[0])
            sent += int(words[8])
    return received, sent


def _text(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _number(path: str) -> int:
    text = _text(path).strip()
    return int(text) if text.isdecimal() else 0


def _field(path: str, name: str) -> int:
    words = _text(path).split()
    return int(words[words.index(name) + 1]) if name in words else 0


def _total_memory() -> int:
    return posix.sysconf("SC_PHYS_PAGES") * posix.sysconf("SC_PAGE_SIZE")


def row(
    container: "Container", before: Sample | None, now: Sample, *, truncated: bool
) -> dict[str, object]:
    """Return what a table or a template can show; the share of processors is that since the sample before."""
    passed = now.clock - before.clock if before else 0
    used = now.processor - before.processor if before and now.processor else 0
    share = 100 * used / passed if passed > 0 else 0.0
    identity = container.short_id if truncated else container.id
    part = 100 * now.memory / now.limit if now.limit else 0.0
    return {
        "Container": identity,
        "ID": identity,
        "Name": container.name,
        "CPUPerc": f"{max(share, 0.0):.2f}%",
        "MemUsage": f"{sizes.tell_binary(now.memory)} / {sizes.tell_binary(now.limit)}",
        "MemPerc": f"{part:.2f}%",
        "NetIO": f"{sizes.tell_short(now.received)} / {sizes.tell_short(now.sent)}",
        "BlockIO": f"{sizes.tell_short(now.read)} / {sizes.tell_short(now.written)}",
        "PIDs": str(now.pids),
    }


def pause() -> None:
    """Wait for the next sample."""
    select.select([], [], [], _INTERVAL)
