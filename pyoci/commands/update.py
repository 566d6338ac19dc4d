# SPDX-License-Identifier: Apache-2.0
"""`update`: change the limits of a container while it runs."""

from pyoci.errors import SpecError, StepError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.commands.settings import Settings
    from pyoci.flags import Flag, Flags
    from pyoci.spec import Resources

FLAGS: "tuple[Flag, ...]" = (
    ("resources", "r", "FILE", "read linux.resources from FILE, - is stdin; the rest is ignored"),
    ("blkio-weight", "", "WEIGHT", "share of the disks, 10 to 1000"),
    ("cpu-period", "", "MICROSECONDS", "period of the processor quota"),
    ("cpu-quota", "", "MICROSECONDS", "processor time in each period; -1 is no limit"),
    ("cpu-burst", "", "MICROSECONDS", "unused quota that may be saved up"),
    ("cpu-share", "", "SHARES", "share of the processors, 1024 is normal"),
    ("cpu-rt-period", "", "MICROSECONDS", "period of the real-time budget (cgroup v1)"),
    ("cpu-rt-runtime", "", "MICROSECONDS", "real-time budget in each period (cgroup v1)"),
    ("cpuset-cpus", "", "LIST", "processors that may be used, such as 0-2,7"),
    ("cpuset-mems", "", "LIST", "memory nodes that may be used"),
    ("memory", "", "BYTES", "limit of memory, such as 64m; -1 is no limit"),
    ("memory-reservation", "", "BYTES", "memory that is reclaimed last"),
    ("memory-swap", "", "BYTES", "limit of memory and swap together; -1 is no limit"),
    ("cpu-idle", "", "0|1", "run only when no other cgroup wants to"),
    ("pids-limit", "", "NUMBER", "limit of processes; -1 is no limit"),
    ("unified", "", "FILE=VALUE...", "write a file of cgroup v2, such as memory.high=64m"),
    ("l3-cache-schema", "", "SCHEMA", "Intel RDT: share of the L3 cache"),
    ("mem-bw-schema", "", "SCHEMA", "Intel RDT: share of the memory bandwidth"),
    ("kernel-memory", "", "BYTES", "ignored, for old callers"),
    ("kernel-memory-tcp", "", "BYTES", "ignored, for old callers"),
)
# flag -> part and key of linux.resources
NUMBERS = {
    "blkio-weight": ("blockIO", "weight"),
    "cpu-period": ("cpu", "period"),
    "cpu-quota": ("cpu", "quota"),
    "cpu-burst": ("cpu", "burst"),
    "cpu-share": ("cpu", "shares"),
    "cpu-rt-period": ("cpu", "realtimePeriod"),
    "cpu-rt-runtime": ("cpu", "realtimeRuntime"),
    "cpu-idle": ("cpu", "idle"),
    "pids-limit": ("pids", "limit"),
}
TEXTS = {"cpuset-cpus": ("cpu", "cpus"), "cpuset-mems": ("cpu", "mems")}
SIZES = {
    "memory": ("memory", "limit"),
    "memory-reservation": ("memory", "reservation"),
    "memory-swap": ("memory", "swap"),
}
UNITS = ("b", "k", "m", "g", "t", "p")
SCHEMATA = (("l3-cache-schema", "L3:"), ("mem-bw-schema", "MB:"))
STDIN = 0


def run(arguments: list[str], flags: "Flags", settings: "Settings") -> int:
    """Change what is asked for; everything else stays."""
    from pyoci import updating

    updating.update(settings.root(), arguments[0], wanted(flags), schemata(flags))
    return 0


def wanted(flags: "Flags") -> "Resources":
    """Return what is asked for, as linux.resources has it."""
    from pyoci import log, spec

    file = flags.text("resources")
    if file:
        return spec.parse_resources(read(file), file, log.warning)
    for name in ("kernel-memory", "kernel-memory-tcp"):
        if flags.text(name):
            log.warning(f"--{name} is ignored: kernel memory has no limit of its own any more")
    from pyoci.jsontext import dumps

    return spec.parse_resources(dumps(by_flags(flags)).encode(), "update")


def read(file: str) -> bytes:
    """Return the bytes of a file, or of standard input."""
    from pyoci.spec import reader

    if file == "-":
        return reader.read_fd(STDIN)
    try:
        return reader.read_bytes(file, regular=False)
    except OSError as error:
        raise StepError(f"open {file}: {(error.strerror or '').lower()}") from error
    except SpecError as error:
        raise SpecError(error.place, error.problem, file) from None


def by_flags(flags: "Flags") -> "dict[str, dict[str, Any]]":
    """Return the resources that the flags name; an empty value names none."""
    found: dict[str, dict[str, Any]] = {}
    for table, value_of in ((NUMBERS, number), (TEXTS, text), (SIZES, size)):
        for name, (part, key) in table.items():
            if flags.text(name):
                found.setdefault(part, {})[key] = value_of(name, flags.text(name))
    for row in flags.every("unified"):
        file, equals, value = row.partition("=")
        if not (file and equals and value):
            raise UsageError(f'invalid value for unified: "{row}" is not FILE=VALUE')
        found.setdefault("unified", {})[file] = value
    return found


def number(name: str, value: str) -> int:
    """Return a whole number, negative or not."""
    digits = value.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        raise UsageError(f'invalid value for {name}: parsing "{value}": invalid syntax')
    return int(value)


def text(name: str, value: str) -> str:
    """Return a value as it is."""
    del name
    return value


def size(name: str, value: str) -> int:
    """Return bytes: 64m, 1.5GiB, 512 kB; units are powers of 1024, and -1 is no limit."""
    if value == "-1":
        return -1
    word = value.strip().lower()
    amount = word.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = word[len(amount) :]
    unit = unit.removesuffix("ib") if unit.endswith("ib") else unit.removesuffix("b") or "b"
    whole, _, part = amount.strip().partition(".")
    digits = whole + part
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20 and unit in UNITS and whole):
        raise UsageError(f"invalid value for {name}: invalid size: '{value}'")
    return int(digits) * (1 << 10 * UNITS.index(unit)) // int("1" + "0" * len(part))


def schemata(flags: "Flags") -> list[str]:
    """Return the lines for resctrl; a schema may come with the name of its resource or without."""
    if flags.text("resources"):
        return []
    lines = ((prefix, flags.text(name)) for name, prefix in SCHEMATA)
    return [line if line.startswith(prefix) else prefix + line for prefix, line in lines if line]
