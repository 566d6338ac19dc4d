# SPDX-License-Identifier: Apache-2.0
"""Limits and devices: from flags to HostConfig, from HostConfig to linux.resources."""

import posix
from _stat import S_ISBLK, S_ISCHR, S_ISDIR

from pyoci.engine import sizes
from pyoci.engine.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pyoci.flags import Flags

    Document = dict[str, Any]

_LEAST_MEMORY = 6 << 20
_BILLION = 1_000_000_000
_MILLISECOND, _SECOND = 1000, 1_000_000  # in microseconds
_PERIOD = 100_000  # microseconds: the kernel's own period of cpu.cfs_period_us
_ULIMITS = (
    "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio", "rttime",
    "sigpending", "stack",
)  # fmt: skip
_ACCESS = frozenset("rwm")
# flag -> key of HostConfig, for what is a plain number
_NUMBERS = {
    "cpu-shares": "CpuShares",
    "cpu-period": "CpuPeriod",
    "cpu-quota": "CpuQuota",
    "cpu-rt-period": "CpuRealtimePeriod",
    "cpu-rt-runtime": "CpuRealtimeRuntime",
    "blkio-weight": "BlkioWeight",
}
_SIZES = {
    "memory": "Memory",
    "memory-reservation": "MemoryReservation",
    "kernel-memory": "KernelMemory",
    "memory-swap": "MemorySwap",
}
_RATES = {
    "blkio-weight-device": "BlkioWeightDevice",
    "device-read-bps": "BlkioDeviceReadBps",
    "device-write-bps": "BlkioDeviceWriteBps",
    "device-read-iops": "BlkioDeviceReadIOps",
    "device-write-iops": "BlkioDeviceWriteIOps",
}


def document(flags: "Flags", configured: "Document") -> "Document":
    """Return the part of HostConfig that the flags ask for; `configured` are resource limits of whom none is given, by name."""
    swappiness = flags.number("memory-swappiness") if flags.is_given("memory-swappiness") else None
    found: Document = changes(flags, every=True)
    found.update(
        {
            "MemorySwappiness": None if swappiness == -1 else swappiness,
            "OomKillDisable": flags.is_on("oom-kill-disable"),
            "OomScoreAdj": flags.number("oom-score-adj"),
            "CgroupParent": flags.text("cgroup-parent"),
            "Devices": [_device(text) for text in flags.every("device")],
            "DeviceCgroupRules": flags.every("device-cgroup-rule") or None,
            "Ulimits": _ulimits([ulimit(text) for text in flags.every("ulimit")], configured),
        }
    )
    for flag, key in _RATES.items():
        found[key] = [_rate(flag, text) for text in flags.every(flag)]
    check(found)
    return found


def changes(flags: "Flags", *, every: bool) -> "Document":
    """Return the limits that can be changed later, too: all, or those which are given."""
    found: Document = {}
    for flag, key in _NUMBERS.items():
        if every or flags.is_given(flag):
            found[key] = flags.number(flag)
    for flag, key in _SIZES.items():
        if every or flags.is_given(flag):
            found[key] = sizes.parse_swap(flags.text(flag, "0"))
    if every or flags.is_given("cpus"):
        found["NanoCpus"] = sizes.parse_processors(flags.text("cpus", "0"))
    for flag, key in (("cpuset-cpus", "CpusetCpus"), ("cpuset-mems", "CpusetMems")):
        if every or flags.is_given(flag):
            found[key] = flags.text(flag)
    if flags.is_given("pids-limit"):
        found["PidsLimit"] = flags.number("pids-limit")
    elif every:
        found["PidsLimit"] = None
    return found


def check(host: "Document") -> None:
    """Refuse limits that make no sense, in the words of Docker's daemon."""
    _check_memory(host)
    if not -1000 <= host["OomScoreAdj"] <= 1000:
        raise EngineError(
            f"Invalid value {host['OomScoreAdj']}, range for oom score adj is [-1000, 1000]"
        )
    _check_time(host)
    _check_processors(host)
    if host["BlkioWeight"] and not 10 <= host["BlkioWeight"] <= 1000:
        raise EngineError("Range of blkio weight is from 10 to 1000")


def _check_memory(host: "Document") -> None:
    memory, swap, reserved = host["Memory"], host["MemorySwap"], host["MemoryReservation"]
    if 0 < memory < _LEAST_MEMORY:
        raise EngineError("Minimum memory limit allowed is 6MB")
    if memory > 0 and 0 < swap < memory:
        raise EngineError("Minimum memoryswap limit should be larger than memory limit, see usage")
    if memory == 0 and swap > 0:
        raise EngineError(
            "You should always set the Memory limit when using Memoryswap limit, see usage"
        )
    if 0 < reserved < _LEAST_MEMORY:
        raise EngineError("Minimum memory reservation allowed is 6MB")
    if 0 < memory < reserved:
        raise EngineError(
            "Minimum memory limit can not be less than memory reservation limit, see usage"
        )
    if host["MemorySwappiness"] is not None and not 0 <= host["MemorySwappiness"] <= 100:
        raise EngineError(
            f"invalid value: {host['MemorySwappiness']}. Valid memory swappiness range is 0-100"
        )


def _check_time(host: "Document") -> None:
    period, quota = host["CpuPeriod"], host["CpuQuota"]
    if host["NanoCpus"] and (period or quota):
        other = "CPU Period" if period else "CPU Quota"
        raise EngineError(f"Conflicting options: Nano CPUs and {other} cannot both be set")
    if period and not _MILLISECOND <= period <= _SECOND:
        raise EngineError(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"
        )
    if 0 < quota < _MILLISECOND:
        raise EngineError("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    if host["CpuShares"] < 0:
        raise EngineError("shares: invalid argument")


def _check_processors(host: "Document") -> None:
    count = len(posix.sched_getaffinity(0))
    nano = host["NanoCpus"]
    if nano < 0 or nano > count * _BILLION:
        raise EngineError(
            f"Range of CPUs is from 0.01 to {count}.00, as there are only {count} CPUs available"
        )
    online = posix.sysconf("SC_NPROCESSORS_ONLN")
    asked = host["CpusetCpus"]
    if asked:
        try:
            highest = max(int(part.partition("-")[2] or part) for part in asked.split(","))
        except ValueError:
            raise EngineError(
                f"Invalid value {asked} for cpuset cpus: invalid format: {asked}"
            ) from None
        if highest >= online:
            raise EngineError(
                f"Requested CPUs are not available - requested {asked}, available: 0-{online - 1}"
            )


def _ulimits(given: "list[Document]", configured: "Document") -> "list[Document]":
    """Return the limits that are given, then those that are configured of other names (moby: mergeUlimits)."""
    names = {row["Name"] for row in given}
    others = [(name, row) for name, row in configured.items() if name not in names]
    return [*given, *(_configured(name, row) for name, row in others)]


def _configured(name: str, row: "Document") -> "Document":
    soft, hard = row.get("Soft"), row.get("Hard")
    try:
        return ulimit(f"{name}={soft}:{hard}")
    except ValueError as error:
        raise EngineError(f"default-ulimits: {error}") from None


def ulimit(text: str) -> "Document":
    """Read name=soft[:hard]; raises ValueError with the words of go-units."""
    name, equals, values = text.partition("=")
    if not equals:
        raise ValueError(f"invalid ulimit argument: {text}")
    if name not in _ULIMITS:
        raise ValueError(f"invalid ulimit type: {name}")
    soft, colon, hard = values.partition(":")
    numbers = []
    for part in (soft, hard) if colon else (soft,):
        try:
            numbers.append(int(part))
        except ValueError:
            raise ValueError(f'strconv.ParseInt: parsing "{part}": invalid syntax') from None
    if numbers[-1] != -1 and (numbers[0] > numbers[-1] or numbers[0] == -1):
        raise ValueError(
            f"ulimit soft limit must be less than or equal to hard limit: {numbers[0]} > {numbers[-1]}"
        )
    return {"Name": name, "Hard": numbers[-1], "Soft": numbers[0]}


def _rate(flag: str, text: str) -> "Document":
    path, colon, value = text.partition(":")
    if not colon or not path.startswith("/dev/"):
        raise EngineError(f"bad format: {text}", 125)
    if flag == "blkio-weight-device":
        return {"Path": path, "Weight": int(value)}
    try:
        return {"Path": path, "Rate": sizes.parse(value) if flag.endswith("bps") else int(value)}
    except ValueError:
        raise EngineError(f"invalid rate for device: {text}", 125) from None


def _device(text: str) -> "Document":
    """Read HOST[:CONTAINER][:rwm]."""
    parts = text.split(":")
    if len(parts) > 3 or not parts[0]:
        raise EngineError(f"bad format for path: {text}", 125)
    access = "rwm"
    if len(parts) > 1 and parts[-1] and _ACCESS.issuperset(parts[-1]):
        access = parts.pop()
    elif len(parts) == 3 or (len(parts) == 2 and not parts[1].startswith("/")):
        raise EngineError(f"bad mode specified: {parts[-1]}", 125)
    return {"PathOnHost": parts[0], "PathInContainer": parts[-1], "CgroupPermissions": access}


def resources(host: "Document") -> "Document":
    """Return linux.resources without its devices."""
    period, quota = host["CpuPeriod"], host["CpuQuota"]
    if host["NanoCpus"]:
        period, quota = _PERIOD, host["NanoCpus"] * _PERIOD // _BILLION
    memory, swap = host["Memory"], host["MemorySwap"]
    if memory > 0 and swap == 0:
        swap = 2 * memory
    found: Document = {
        "memory": _some(
            limit=memory,
            reservation=host["MemoryReservation"],
            swap=swap,
            kernel=host["KernelMemory"],
            swappiness=host["MemorySwappiness"],
            disableOOMKiller=host["OomKillDisable"] or None,
        ),
        "cpu": _some(
            shares=host["CpuShares"],
            quota=quota,
            period=period,
            realtimeRuntime=host["CpuRealtimeRuntime"],
            realtimePeriod=host["CpuRealtimePeriod"],
            cpus=host["CpusetCpus"],
            mems=host["CpusetMems"],
        ),
        "blockIO": _block(host),
    }
    if host["PidsLimit"]:
        found["pids"] = {"limit": host["PidsLimit"]}
    return {key: value for key, value in found.items() if value}


def _some(**fields: object) -> "Document":
    """Return the fields that are set."""
    return {key: value for key, value in fields.items() if value not in (0, "", None)}


def _block(host: "Document") -> "Document":
    found = _some(weight=host["BlkioWeight"])
    for key, name in (
        ("BlkioDeviceReadBps", "throttleReadBpsDevice"),
        ("BlkioDeviceWriteBps", "throttleWriteBpsDevice"),
        ("BlkioDeviceReadIOps", "throttleReadIOPSDevice"),
        ("BlkioDeviceWriteIOps", "throttleWriteIOPSDevice"),
    ):
        if host[key]:
            found[name] = [{**_numbers(row["Path"]), "rate": row["Rate"]} for row in host[key]]
    if host["BlkioWeightDevice"]:
        found["weightDevice"] = [
            {**_numbers(row["Path"]), "weight": row["Weight"]} for row in host["BlkioWeightDevice"]
        ]
    return found


def _numbers(path: str) -> "Document":
    try:
        number = posix.stat(path).st_rdev
    except OSError as error:
        raise EngineError(f"stat {path}: {(error.strerror or '').lower()}") from error
    return {"major": posix.major(number), "minor": posix.minor(number)}


def devices(host: "Document") -> "tuple[list[Document], list[Document]]":
    """Return linux.devices and the rules of the device cgroup that go with them; a directory stands for what is in it."""
    made, rules = [], []
    for row in host["Devices"]:
        for path, inside in _expanded(row["PathOnHost"], row["PathInContainer"]):
            device = _node(path, inside)
            made.append(device)
            numbers = {key: device[key] for key in ("type", "major", "minor")}
            rules.append({"allow": True, **numbers, "access": row["CgroupPermissions"]})
    rules += [_rule(text) for text in host["DeviceCgroupRules"] or ()]
    return made, rules


def _expanded(path: str, inside: str) -> "Sequence[tuple[str, str]]":
    words = f'error gathering device information while adding custom device "{path}"'
    try:
        if not S_ISDIR(posix.stat(path).st_mode):
            return [(path, inside)]
        names = sorted(posix.listdir(path))
    except OSError as error:
        # Docker's client takes every "no such file" for a program that is not there.
        code = 127 if isinstance(error, FileNotFoundError) else 125
        raise EngineError(f"{words}: {(error.strerror or '').lower()}", code) from error
    found = [
        (f"{path}/{name}", f"{inside}/{name}") for name in names if is_device(f"{path}/{name}")
    ]
    if not found:
        raise EngineError(f"{words}: not a device node")
    return found


def is_device(path: str) -> bool:
    """Tell whether a path is a device node."""
    mode = posix.stat(path).st_mode
    return S_ISCHR(mode) or S_ISBLK(mode)


def _node(path: str, inside: str) -> "Document":
    status = posix.stat(path)
    if not is_device(path):
        raise EngineError(
            f'error gathering device information while adding custom device "{path}": not a device node'
        )
    return {
        "path": inside,
        "type": "b" if S_ISBLK(status.st_mode) else "c",
        "major": posix.major(status.st_rdev),
        "minor": posix.minor(status.st_rdev),
        "fileMode": status.st_mode & 0o7777,
        "uid": status.st_uid,
        "gid": status.st_gid,
    }


def _rule(text: str) -> "Document":
    """Read a rule of the device cgroup: c 1:3 rwm, b *:* m."""
    parts = text.split()
    numbers = parts[1].split(":") if len(parts) == 3 else []
    good = len(numbers) == 2 and parts[0] in "abc" and _ACCESS.issuperset(parts[2])
    if not good or not all(part == "*" or part.isdecimal() for part in numbers):
        raise EngineError(f"invalid device cgroup rule format: '{text}'", 125)
    rule: Document = {"allow": True, "type": parts[0], "access": parts[2]}
    for key, part in zip(("major", "minor"), numbers, strict=True):
        if part != "*":
            rule[key] = int(part)
    return rule
