# SPDX-License-Identifier: Apache-2.0
"""What a process must be to be startable (config.md#process): for create and for exec."""

from pyoci.errors import SpecError
from pyoci.linux.process import CAPABILITY_BITS, LIMITS
from pyoci.linux.scheduling import SCHEDULER_FLAGS, mask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

    from pyoci.spec.types import Process

MAX_GROUPS = 65536  # NGROUPS_MAX
MAX_IO_PRIORITY = 7
MAX_ID = (1 << 32) - 2  # setresuid(2): -1 is no change


def problems(
    process: "Process", place: str, note: "Callable[[str, str], None]"
) -> "Iterator[SpecError]":
    """Yield the first problem that each rule finds; make the names of capabilities canonical."""
    for rule in RULES:
        try:
            rule(process, place)
        except SpecError as error:
            yield error
    _name_capabilities(process, place, note)


def _check_command(process: "Process", place: str) -> None:
    if not process["cwd"]:
        raise SpecError(f"{place}/cwd", "Cwd property must not be empty")
    if not process["cwd"].startswith("/"):
        raise SpecError(f"{place}/cwd", "Cwd must be an absolute path")
    if not process["args"]:
        raise SpecError(f"{place}/args", "args must not be empty")


def _check_environment(process: "Process", place: str) -> None:
    for index, entry in enumerate(process["env"]):
        if entry.find("=") <= 0:
            reason = "its name is empty" if entry.startswith("=") else "it has no '='"
            problem = f'invalid environment variable "{entry[:80]}": {reason}'
            raise SpecError(f"{place}/env/{index}", problem)


def _check_console(process: "Process", place: str) -> None:
    if not process["terminal"]:
        process["consoleSize"] = None  # config.md#process: MUST be ignored
    size = process["consoleSize"]
    if size and max(size["height"], size["width"]) > 65535:
        raise SpecError(f"{place}/consoleSize", "a terminal has at most 65535 rows and columns")


def _check_user(process: "Process", place: str) -> None:
    user, umask = process["user"], process["user"]["umask"]
    for number in (user["uid"], user["gid"], *user["additionalGids"]):
        if not 0 <= number <= MAX_ID:  # as the tables say; but exec takes them from flags
            raise SpecError(f"{place}/user", f"an id must be from 0 to {MAX_ID}, not {number}")
    if umask is not None and umask > 0o777:
        raise SpecError(f"{place}/user/umask", f"must be at most 511 (octal 777), not {umask}")
    if len(user["additionalGids"]) > MAX_GROUPS:
        raise SpecError(f"{place}/user/additionalGids", f"are more than {MAX_GROUPS}")


def _check_oom_score(process: "Process", place: str) -> None:
    score = process["oomScoreAdj"]
    if score is not None and not -1000 <= score <= 1000:
        raise SpecError(f"{place}/oomScoreAdj", f"must be from -1000 to 1000, not {score}")


def _check_rlimits(process: "Process", place: str) -> None:
    seen = set()
    for index, limit in enumerate(process["rlimits"]):
        here, kind = f"{place}/rlimits/{index}", limit["type"]
        if kind not in LIMITS:
            raise SpecError(f"{here}/type", f"wrong rlimit value: {kind[:80]}")
        if kind in seen:
            raise SpecError(f"{here}/type", f"duplicate rlimit {kind}")
        if limit["soft"] > limit["hard"]:
            raise SpecError(f"{here}/soft", f"must not be above the hard limit {limit['hard']}")
        seen.add(kind)


def _check_scheduler(process: "Process", place: str) -> None:
    scheduler, place = process["scheduler"], f"{place}/scheduler"
    if scheduler is None:
        return
    policy, nice, priority = scheduler["policy"], scheduler["nice"], scheduler["priority"]
    if nice is not None and not -20 <= nice <= 19:
        raise SpecError(f"{place}/nice", f"invalid scheduler.nice: {nice} (-20 to 19)")
    if priority and policy not in ("SCHED_FIFO", "SCHED_RR"):
        problem = "scheduler.priority can only be specified for SchedFIFO or SchedRR policy"
        raise SpecError(f"{place}/priority", problem)
    for key in ("runtime", "deadline", "period"):
        if scheduler[key] and policy != "SCHED_DEADLINE":
            raise SpecError(f"{place}/{key}", "can only be specified for SCHED_DEADLINE")
    check_flags(scheduler["flags"], SCHEDULER_FLAGS, place)


def _check_io_priority(process: "Process", place: str) -> None:
    io = process["ioPriority"]
    if io and not 0 <= (io["priority"] or 0) <= MAX_IO_PRIORITY:
        problem = f"must be from 0 to {MAX_IO_PRIORITY}, not {io['priority']}"
        raise SpecError(f"{place}/ioPriority/priority", problem)


def _check_affinity(process: "Process", place: str) -> None:
    affinity = process["execCPUAffinity"]
    for key, text in affinity.items() if affinity else ():
        check_list(text, f"{place}/execCPUAffinity/{key}")


def check_flags(flags: list[str], known: "Container[str]", place: str) -> None:
    """Refuse a flag that is not one of these."""
    for index, flag in enumerate(flags):
        if flag not in known:
            raise SpecError(f"{place}/flags/{index}", f'"{flag[:80]}" is no flag that is known')


def check_list(text: object, place: str) -> None:
    """Refuse what is no list of processors or nodes, such as 0-3,7; null and "" ask for nothing."""
    try:
        mask(str(text or "0"))
    except ValueError as error:
        raise SpecError(place, str(error)) from None


RULES: "tuple[Callable[[Process, str], None], ...]" = (
    _check_command,
    _check_environment,
    _check_console,
    _check_user,
    _check_oom_score,
    _check_rlimits,
    _check_scheduler,
    _check_io_priority,
    _check_affinity,
)


def _name_capabilities(process: "Process", place: str, note: "Callable[[str, str], None]") -> None:
    """Drop unknown names, and say so: they SHOULD NOT fail (config.md#linux-process)."""
    sets = process["capabilities"]
    if sets is None:
        return
    for kind in ("bounding", "effective", "permitted", "inheritable", "ambient"):
        names = [name.upper() for name in sets[kind]]
        unknown = [name for name in names if name not in CAPABILITY_BITS]
        if unknown:
            problem = f"ignoring unknown or unavailable capabilities: [{' '.join(unknown)}]"
            note(f"{place}/capabilities/{kind}", problem)
        sets[kind] = [name for name in names if name in CAPABILITY_BITS]
