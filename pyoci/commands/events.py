# SPDX-License-Identifier: Apache-2.0
"""`events`: what a container uses and when it ran out of memory, a line of JSON each."""

from pyoci.commands import output
from pyoci.errors import UsageError
from pyoci.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.commands.settings import Settings
    from pyoci.flags import Flag, Flags

FLAGS: "tuple[Flag, ...]" = (
    ("interval", "", "DURATION", "time between two reports of statistics (default: 5s)"),
    ("stats", "", "", "report the statistics once"),
)
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def run(arguments: list[str], flags: "Flags", settings: "Settings") -> int:
    """Print the statistics of now, or all events until the container ends."""
    interval = seconds(flags.text("interval", "5s"))
    if interval <= 0:
        raise UsageError("duration interval must be greater than 0")
    from pyoci import events

    root = settings.root()
    if flags.is_on("stats"):
        output.write(dumps(events.once(root, arguments[0])) + "\n")
        return 0
    for event in events.stream(root, arguments[0], interval):
        output.write(dumps(event) + "\n")
    return 0


def seconds(duration: str) -> float:
    """Return the seconds that a duration of Go's says: 5s, 1m30s, 100ms, -1.5h, 0."""
    sign, rest, total = 1.0, duration, 0.0
    if rest[:1] in ("-", "+"):
        sign, rest = (-1.0 if rest[0] == "-" else 1.0), rest[1:]
    if rest == "0":
        return 0.0
    while rest:
        number = rest[: len(rest) - len(rest.lstrip("0123456789."))]
        rest = rest[len(number) :]
        unit = rest[: len(rest) - len(rest.lstrip("nuµmsh"))]
        rest = rest[len(unit) :]
        if unit not in UNITS or number.count(".") > 1 or not number.strip("."):
            break
        total += float(number) * UNITS[unit]
    else:
        if duration.strip("+-"):
            return sign * total
    raise UsageError(f'invalid value "{duration}" for flag -interval: parse error')
