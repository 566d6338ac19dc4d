# SPDX-License-Identifier: Apache-2.0
"""tests/vm/run: any command in any machine."""

import argparse
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from vm import image, saved, session
from vm.errors import MachineError
from vm.machines import MACHINES
from vm.session import Request, Share

FAILED = 125  # the machine itself; as of env(1), nohup(1), docker-run(1)
INTERRUPTED = 130


def parser() -> argparse.ArgumentParser:
    """Return the flags."""
    made = argparse.ArgumentParser(
        prog="tests/vm/run",
        usage="%(prog)s [--machine NAME] [OPTION...] -- COMMAND...",
        description="Run a command in a fresh machine; nothing that it does there is kept.",
        epilog="Status: the command's own (128+N for signal N), 124 past --timeout, 125 where the machine failed.",
    )
    add = made.add_argument
    add("--machine", default="debian12", choices=MACHINES, metavar="NAME", help=", ".join(MACHINES))
    add(
        "--share",
        action="append",
        default=[],
        metavar="DIR[:PATH]",
        help="a copy of DIR at PATH (/src); up to 4",
    )
    add("--out", type=Path, metavar="DIR", help="what the command leaves in /out comes here")
    add("--user", default="root", help="root, or tester: in a delegated cgroup of its own systemd")
    add("--env", action="append", default=[], metavar="KEY=VALUE")
    add("--cwd", default="", metavar="PATH", help="default: where the first share is, or /")
    add("--timeout", type=float, default=600, metavar="SECONDS", help="default: %(default)s")
    add("--stdin", action="store_true", help="pass standard input on")
    add(
        "command",
        nargs=argparse.REMAINDER,
        metavar="-- COMMAND",
        help="none: make the machine only",
    )
    return made


def shares(texts: list[str]) -> list[Share]:
    """Return what DIR[:PATH] means; without PATH the first goes to /src, the others to /src2 and on."""
    found = []
    for number, text in enumerate(texts, 1):
        directory, _, path = text.partition(":")
        if not Path(directory).is_dir():
            raise MachineError(f"--share: no such directory: {directory}")
        found.append(Share(Path(directory), path or ("/src" if number == 1 else f"/src{number}")))
    return found


def stop(number: int, _frame: FrameType | None) -> None:
    """End by a signal the way that undoes what was begun."""
    sys.exit(128 + number)


def run(arguments: argparse.Namespace) -> int:
    """Do what the flags say."""
    machine = MACHINES[arguments.machine]
    command = arguments.command[arguments.command[:1] == ["--"] :]
    if not command:
        with image.use(machine) as root, saved.use(machine, root):
            return 0
    request = Request(
        command,
        shares(arguments.share),
        arguments.out,
        arguments.user,
        dict(text.partition("=")[::2] for text in arguments.env),
        arguments.cwd,
        arguments.timeout,
        arguments.stdin,
    )
    return session.run(machine, request)


def main() -> int:
    """Run the program; the one place that catches."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        return run(parser().parse_args())
    except KeyboardInterrupt:
        return INTERRUPTED
    except (MachineError, OSError, subprocess.CalledProcessError) as error:
        image.say(str(error))
        return FAILED
