# SPDX-License-Identifier: Apache-2.0
"""The command line: a table of commands, and the one place that catches.

A command is a module of pyoci.commands with FLAGS and run(arguments, flags, settings), which returns
the exit status; it is imported when it runs.
"""

import posix
import sys

from pyoci import SPEC_VERSION, __version__, log
from pyoci.commands import output
from pyoci.commands.settings import FLAGS as GLOBAL_FLAGS
from pyoci.commands.settings import Settings
from pyoci.errors import PyociError, StepError, UsageError, in_words, where_from
from pyoci.flags import describe, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyoci.flags import Flag, Flags

    Run = Callable[[list[str], Flags, Settings], int]

ANY = -1
# name -> usage, summary, least and most arguments, whether flags end at the first argument
COMMANDS: dict[str, tuple[str, str, int, int, bool]] = {
    "check": (
        "[bundle]",
        "say everything that is wrong with a bundle, without running it",
        0,
        1,
        False,
    ),
    "checkpoint": ("<container-id>", "save a running container in files", 1, 1, False),
    "create": ("<container-id>", "create a container", 1, 1, False),
    "delete": ("<container-id>", "remove a container and everything that it holds", 1, 1, False),
    "doctor": (
        "",
        "say what on this host keeps engines from using it, and what mends it",
        0,
        0,
        False,
    ),
    "exec": (
        "<container-id> <command> [arguments]",
        "run one more process in a container",
        1,
        ANY,
        True,
    ),
    "events": (
        "<container-id>",
        "report a container's use of resources, and when it ran out of memory",
        1,
        1,
        False,
    ),
    "features": ("", "show what this program supports, as JSON", 0, 0, False),
    "kill": (
        "<container-id> [signal]",
        "send a signal (default: TERM) to a container's init",
        1,
        2,
        True,
    ),
    "list": ("", "list the containers below the root", 0, 0, False),
    "pause": ("<container-id>", "freeze the processes of a container", 1, 1, False),
    "plan": ("<bundle>", "print the kernel operations that a bundle compiles to", 1, 1, False),
    "ps": ("<container-id> [ps options]", "show the processes of a container", 1, ANY, True),
    "restore": ("<container-id>", "make a container from a checkpoint", 1, 1, False),
    "resume": ("<container-id>", "let a paused container go on", 1, 1, False),
    "run": ("<container-id> | <bundle>/", "create and start a container", 1, 1, False),
    "spec": ("", "write a config.json to begin with", 0, 0, False),
    "start": ("<container-id>", "let the program of a created container begin", 1, 1, False),
    "state": ("<container-id>", "print the state of a container, as JSON", 1, 1, False),
    "update": ("<container-id>", "change the limits of a container while it runs", 1, 1, False),
}
# Their help fails without it: by that engines ask whether there is checkpoint and restore.
NEEDING_CRIU = ("checkpoint", "restore")
# What goes before a failure, and the exit status where it is not the error's (cli.md section 1.3).
FAILURES = {
    "create": ("{} create failed: ", 0),
    "run": ("{} run failed: ", 0),
    "exec": ("exec failed: ", 255),
}
INTERRUPTED = 130
LIBSECCOMP = "libseccomp.so.2"
LIBRARIES = ("/usr/lib/{0}-linux-gnu", "/lib/{0}-linux-gnu", "/usr/lib64", "/usr/lib", "/lib64")


def main(argv: "Sequence[str] | None" = None) -> int:
    """Do what argv says and return the exit status; argv[0] is the name that we go by."""
    call = Call(sys.argv if argv is None else argv)
    try:
        status = call.run()
        log.flush()
        output.flush()
    except KeyboardInterrupt:
        log.error("interrupted")
        return INTERRUPTED
    except PyociError as error:
        return call.fail(str(error), error.status, error)
    except OSError as error:
        return call.fail(in_words(error), 1, error)
    except Exception as error:  # noqa: BLE001 - the one place: a bug of ours is a line, too
        return call.fail(f"internal error: {where_from(error)}", 1, error)
    return status


class Call:
    """One call of the program: its name, and the command once it runs."""

    __slots__ = ("argv0", "program", "running", "words")

    def __init__(self, argv: "Sequence[str]") -> None:
        self.argv0 = argv[0] if argv else "pyoci"
        self.words = argv[1:]
        self.program = "runc" if self.argv0.rpartition("/")[2] == "runc" else "pyoci"
        self.running = ""

    def run(self) -> int:
        """Read the global options and go on to the command."""
        try:
            flags, rest = parse(self.words, GLOBAL_FLAGS, ordered=True)
        except UsageError as error:
            output.write(f"Incorrect Usage: {error}\n\n{self.help()}")
            raise
        settings = Settings(flags, self.program)
        if settings.is_on("version"):
            output.write(version(self.program))
            return 0
        if settings.is_on("help") or not rest:
            output.write(self.help())
            return 0
        form = settings.text("log-format")
        log.configure(settings.text("log"), form, debug=settings.is_on("debug"))
        if settings.is_given("criu"):
            log.warning("--criu is ignored")
        return self.command(rest[0], rest[1:], settings)

    def command(self, name: str, words: list[str], settings: Settings) -> int:
        """Read the flags of a command, import its module, run it."""
        if name in ("help", "h"):
            output.write(self.help_of(words[0]) if words else self.help())
            return 0
        flags_of, run = load(name)
        _, _, least, most, ordered = COMMANDS[name]
        try:
            flags, arguments = parse(words, flags_of, ordered=ordered)
        except UsageError as error:
            output.write(f"Incorrect Usage: {error}\n\n{self.help_of(name)}")
            raise
        if flags.is_on("help"):
            output.write(self.help_of(name))
            return 0
        if not least <= len(arguments) <= (most if most != ANY else len(arguments)):
            output.write(f"Incorrect Usage.\n\n{self.help_of(name)}")
            raise UsageError(f'{self.argv0}: "{name}" requires {how_many(least, most, arguments)}')
        self.running = name
        return run(arguments, flags, settings)

    def fail(self, message: str, status: int, error: Exception) -> int:
        """Say why, once, where engines look for it; returns the exit status."""
        if self.running in FAILURES:
            prefix, own = FAILURES[self.running]
            message = prefix.format(self.program) + message
            status = own or status
        try:
            output.flush()  # what was printed before stands before
        except StepError as second:
            log.debug(str(second))
        log.error(message)
        if log.is_debugging():
            import traceback

            traceback.print_exception(error)
        return status

    def help(self) -> str:
        """Return the help of the program."""
        width = max(map(len, COMMANDS)) + 2
        rows = [f"   {name.ljust(width)}{row[1]}\n" for name, row in COMMANDS.items()]
        return (
            f"NAME:\n   {self.program} - Open Container Initiative runtime\n\n"
            f"USAGE:\n   {self.program} [global options] command [command options] [arguments...]\n"
            "\n"
            f"COMMANDS:\n{''.join(rows)}\n"
            f"GLOBAL OPTIONS:\n{describe(GLOBAL_FLAGS)}"
        )

    def help_of(self, name: str) -> str:
        """Return the help of a command."""
        flags = load(name)[0]
        usage, summary = COMMANDS[name][:2]
        return (
            f"NAME:\n   {self.program} {name} - {summary}\n\n"
            f"USAGE:\n   {self.program} {name} [command options] {usage}".rstrip()
            + f"\n\nOPTIONS:\n{describe(flags)}"
        )


def load(name: str) -> "tuple[Sequence[Flag], Run]":
    """Import a command's module; returns its flags and its function."""
    if name not in COMMANDS:
        raise UsageError(f"No help topic for '{name}'")
    module = __import__(f"pyoci.commands.{name}", fromlist=("FLAGS", "run"))
    if name in NEEDING_CRIU:
        module.check()
    return module.FLAGS, module.run


def how_many(least: int, most: int, arguments: list[str]) -> str:
    """Return runc's words for a wrong number of arguments."""
    if least == most:
        return f"exactly {least} argument(s)"
    if len(arguments) < least:
        return f"a minimum of {least} argument(s)"
    return f"a maximum of {most} argument(s)"


def version(program: str) -> str:
    """Return what engines read: only the first line may hold the word, moby takes the last."""
    lines = [f"{program} version {__version__}", f"commit: v{__version__}", f"spec: {SPEC_VERSION}"]
    libseccomp = libseccomp_version()
    if libseccomp:
        lines.append(f"libseccomp: {libseccomp}")
    return "\n".join(lines) + "\n"


def libseccomp_version() -> str:
    """Return the number in the library's file name, without loading it; "" without the file."""
    machine = posix.uname().machine
    for directory in LIBRARIES:
        try:
            target = posix.readlink(f"{directory.format(machine)}/{LIBSECCOMP}")
        except OSError:
            continue
        return target.rpartition(".so.")[2]
    return ""
