# SPDX-License-Identifier: Apache-2.0
"""`ps`: the processes of a container, by the host's ps(1) or as a list of pids."""

import posix

from pyoci.commands import output
from pyoci.errors import PyociError, StepError, UsageError
from pyoci.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyoci.commands.settings import Settings
    from pyoci.flags import Flag, Flags

FLAGS: "tuple[Flag, ...]" = (("format", "f", "FORMAT", "table or json (default: table)"),)
# Absolute: our environment may hold no PATH, and a program of root's must not be led by one.
PROGRAMS = ("/usr/bin/ps", "/bin/ps")
THREAD = "-"  # ps -m: a thread of the process in the row above
_IGNORED_BY_PYTHON = (13, 25)  # SIGPIPE, SIGXFSZ


def run(arguments: list[str], flags: "Flags", settings: "Settings") -> int:
    """Print host pids as JSON, null for a stopped container; or the lines of ps(1) with them."""
    from pyoci import container

    form = flags.text("format", "table")
    if form not in ("table", "json"):
        raise UsageError("invalid format option")
    pids = container.processes(settings.root(), arguments[0])
    if form == "json":
        output.write(dumps(pids) + "\n")
    else:
        output.write(select_rows(ask_ps(arguments[1:] or ["-ef"]), frozenset(pids or ())))
    return 0


def select_rows(listing: str, pids: "frozenset[int]") -> str:
    """Return the header and the rows whose PID column holds one of the pids, with their threads."""
    header, _, body = listing.partition("\n")
    columns = header.split()
    if "PID" not in columns:
        raise PyociError("couldn't find PID field in ps output")
    column = columns.index("PID")
    lines = [header]
    shown = False
    for line in body.splitlines():
        fields = line.split()
        if not fields:
            continue
        pid = fields[column] if column < len(fields) else ""
        if pid != THREAD:
            if not (pid.isascii() and pid.isdigit()):
                raise PyociError(f"unexpected pid '{pid}' in ps output")
            shown = int(pid) in pids
        if shown:
            lines.append(line)
    return "\n".join(lines) + "\n"


def ask_ps(options: "Sequence[str]") -> str:
    """Run ps(1) and return what it prints; what it complains of goes into the error."""
    read, write = posix.pipe2(posix.O_CLOEXEC)
    try:
        pid = _spawn(options, write)
    finally:
        posix.close(write)
    text = b""
    while chunk := posix.read(read, 65536):
        text += chunk
    posix.close(read)
    status = posix.waitstatus_to_exitcode(posix.waitpid(pid, 0)[1])
    listing = text.decode("utf-8", "replace")
    if status != 0:
        raise StepError(f"ps: exit status {status}: {listing.strip()}")
    return listing


def _spawn(options: "Sequence[str]", out: int) -> int:
    actions = [(posix.POSIX_SPAWN_DUP2, out, 1), (posix.POSIX_SPAWN_DUP2, out, 2)]
    for program in PROGRAMS:
        try:
            return posix.posix_spawn(
                program,
                ["ps", *options],
                posix.environ,
                file_actions=actions,
                setsigdef=_IGNORED_BY_PYTHON,
            )
        except FileNotFoundError:
            continue
    raise StepError('exec: "ps": executable file not found')
