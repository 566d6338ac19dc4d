# SPDX-License-Identifier: Apache-2.0
"""What a process must be to be startable (config.md#process): for create and for exec."""

from pyoci.errors import SpecError, Unsupported
from pyoci.linux.process import CAPABILITY_BITS, LIMITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyoci.spec.types import Process

MAX_GROUPS = 65536  # NGROUPS_MAX
MAX_ID = (1 << 32) - 2  # setresuid(2): -1 is no change


def problems(
    process: "Process", place: str, note: "Callable[[str, str], None]"
) -> "Iterator[SpecError | Unsupported]":
    """Yield the first problem that each rule finds; make the names of capabilities canonical."""
    for rule in RULES:
        try:
            rule(process, place)
        except SpecError as error:
            yield error
    _name_capabilities(process, place, note)
    for key in ("scheduler", "ioPriority", "execCPUAffinity"):
        if asks(process[key]):
            yield Unsupported(f"process.{key} is not supported yet")


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


RULES: "tuple[Callable[[Process, str], None], ...]" = (
    _check_command,
    _check_environment,
    _check_console,
    _check_user,
    _check_oom_score,
    _check_rlimits,
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


def asks(value: object) -> bool:
    """Tell whether a value asks for anything: null, false, 0, "" and collections of them do not."""
    if isinstance(value, dict):
        return any(map(asks, value.values()))
    if isinstance(value, list):
        return any(map(asks, value))
    return bool(value)
