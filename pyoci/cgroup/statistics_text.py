# SPDX-License-Identifier: Apache-2.0
"""What the kernel's files of statistics say, parsed; pure. A text that is malformed is a ValueError.

Sources: Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/*.rst, accounting/psi.rst, proc_pid_net(5).
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    Entry = dict[str, object]

UNLIMITED = (1 << 64) - 1  # what engines read for "max"
_OPERATIONS = {"r": "Read", "w": "Write", "d": "Discard"}
_LOOPBACK = "lo"
_RECEIVED, _SENT = 0, 8  # where bytes, packets, errors, drops begin in /proc/PID/net/dev


def number(text: str) -> int:
    """Return the number that is all of a file; "max" is the greatest that there is."""
    return UNLIMITED if text.strip() == "max" else int(text)


def numbers(text: str) -> list[int]:
    """Return the numbers of a line."""
    return [int(word) for word in text.split()]


def keyed(text: str) -> dict[str, int]:
    """Return the flat keyed form: a name and a number a line, in the order of the names."""
    return {name: int(value) for name, value in sorted(map(str.split, text.splitlines()))}


def ranges(text: str) -> list[int]:
    """Return what a list such as 0-3,8 names."""
    found: list[int] = []
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        found.extend(range(int(first), int(last or first) + 1))
    return found


def usage_by_mode(text: str) -> tuple[list[int], list[int]]:
    """Return nanoseconds in user and in kernel mode of each processor: cpuacct.usage_all."""
    rows = [numbers(line) for line in text.splitlines()[1:]]
    return [user for _, user, _ in rows], [kernel for _, _, kernel in rows]


def pressure(text: str) -> dict[str, dict[str, float]]:
    """Return the stall information of one resource; "full" is zero where the kernel has none."""
    nothing = dict.fromkeys(("avg10", "avg60", "avg300", "total"), 0.0)
    found = {"some": nothing, "full": nothing}
    for line in text.splitlines():
        kind, *pairs = line.split()
        values = dict(pair.split("=") for pair in pairs)
        found[kind] = {name: float(values[name]) for name in nothing}
    return {
        kind: {name: as_go(value) for name, value in row.items()} for kind, row in found.items()
    }


def as_go(value: float) -> float:
    """Return a number that is written without a fraction where it has none, as encoding/json does."""
    return int(value) if value == int(value) else value


def device_table(text: str) -> "list[Entry]":
    """Return the entries of a version 1 blkio file: "MAJOR:MINOR [OPERATION] VALUE" a line."""
    entries = []
    for line in text.splitlines():
        device, *operation, value = line.split()
        if device != "Total":
            entries.append(entry(device, operation[0] if operation else "", int(value)))
    return entries


def io_tables(text: str) -> "tuple[list[Entry], list[Entry]]":
    """Return bytes and operations of io.stat as version 1 had them, in tables by direction."""
    moved: list[Entry] = []
    served: list[Entry] = []
    for line in text.splitlines():
        device, *pairs = line.split()
        for name, _, value in (pair.partition("=") for pair in pairs):
            operation, kind = _OPERATIONS.get(name[:1], ""), name[1:]
            if operation and kind in ("bytes", "ios"):
                table = moved if kind == "bytes" else served
                table.append(entry(device, operation, int(value)))
    return moved, served


def entry(device: str, operation: str, value: int) -> "Entry":
    """Return one entry of a table of block devices; what is zero is left out."""
    major, _, minor = device.partition(":")
    return sparse(major=int(major), minor=int(minor), op=operation, value=value)


def interfaces(text: str) -> "list[Entry]":
    """Return the counters of each network interface but the loopback: /proc/PID/net/dev."""
    found = []
    for line in text.splitlines()[2:]:
        name, _, rest = line.strip().rpartition(":")
        counters = numbers(rest)
        if name != _LOOPBACK:
            found.append(
                {"Name": name}
                | direction("Rx", counters[_RECEIVED:])
                | direction("Tx", counters[_SENT:])
            )
    return found


def direction(prefix: str, counters: list[int]) -> "Entry":
    """Return the first four counters under the names that runc gives them."""
    names = ("Bytes", "Packets", "Errors", "Dropped")
    return {f"{prefix}{name}": count for name, count in zip(names, counters, strict=False)}


def sparse(**fields: object) -> "Entry":
    """Return the fields that are not zero or empty: Go's omitempty."""
    return {name: value for name, value in fields.items() if value}
