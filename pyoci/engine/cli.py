# SPDX-License-Identifier: Apache-2.0
"""The command line of pypod: tables of commands, and the one place that catches.

A command is a module of pyoci.engine.commands with FLAGS and run(arguments, flags, places), which returns the exit status; it is
imported when it runs. It prints what was asked for on stdout, and everything else on stderr.
"""

import posix
import sys

from pyoci import __version__
from pyoci.engine import places
from pyoci.engine.errors import PlainError
from pyoci.engine.flags import AskedForHelp, FlagError, describe, parse
from pyoci.errors import PyociError, in_words, where_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

    Run = Callable[[list[str], Flags, Places], int]
    Row = tuple[str, str, int, int, bool]

ANY = -1
_BEGUN = "_ahead"  # with two words more, the launcher's: containers/ahead.py
_NAMES = "CONTAINER [CONTAINER...]"
# name -> usage, summary, least and most arguments, whether flags end at the first argument
COMMANDS: "dict[str, Row]" = {
    "_cleanup": ("CONTAINER", "Clean up after a container", 1, 1, False),
    "_compress": ("FILE", "Compress a file of a log", 1, 1, False),
    "_create": ("CONTAINER [NAMESPACE]", "Make a container that begins again", 1, 2, False),
    "_exec_die": (
        "CONTAINER rest PIDFD -1 PID:ID",
        "Tell of the end of a process that nobody waits for",
        5,
        5,
        True,
    ),
    "attach": (
        "[OPTIONS] CONTAINER",
        "Attach local standard input, output, and error streams to a running container",
        1,
        1,
        False,
    ),
    "build": ("[OPTIONS] PATH | URL | -", "Build an image from a Dockerfile", 1, 1, False),
    "builder prune": ("[OPTIONS]", "Remove build cache", 0, 0, False),
    "commit": (
        "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
        "Create a new image from a container's changes",
        1,
        2,
        False,
    ),
    "container inspect": (
        f"[OPTIONS] {_NAMES}",
        "Display detailed information on one or more containers",
        1,
        ANY,
        False,
    ),
    "container prune": ("[OPTIONS]", "Remove all stopped containers", 0, 0, False),
    "cp": (
        "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n[OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
        "Copy files/folders between a container and the local filesystem",
        2,
        2,
        False,
    ),
    "create": ("[OPTIONS] IMAGE [COMMAND] [ARG...]", "Create a new container", 1, ANY, True),
    "diff": (
        "CONTAINER",
        "Inspect changes to files or directories on a container's filesystem",
        1,
        1,
        False,
    ),
    "events": ("[OPTIONS]", "Get real time events from pypod", 0, 0, False),
    "exec": (
        "[OPTIONS] CONTAINER COMMAND [ARG...]",
        "Execute a command in a running container",
        2,
        ANY,
        True,
    ),
    "export": (
        "[OPTIONS] CONTAINER",
        "Export a container's filesystem as a tar archive",
        1,
        1,
        False,
    ),
    "history": ("[OPTIONS] IMAGE", "Show the history of an image", 1, 1, False),
    "image inspect": (
        "[OPTIONS] IMAGE [IMAGE...]",
        "Display detailed information on one or more images",
        1,
        ANY,
        False,
    ),
    "image prune": ("[OPTIONS]", "Remove unused images", 0, 0, False),
    "images": ("[OPTIONS] [REPOSITORY[:TAG]]", "List images", 0, 1, False),
    "import": (
        "[OPTIONS] file|- [REPOSITORY[:TAG]]",
        "Import the contents from a tarball to create a filesystem image",
        1,
        2,
        False,
    ),
    "info": ("[OPTIONS]", "Display system-wide information", 0, 0, False),
    "inspect": (
        "[OPTIONS] NAME|ID [NAME|ID...]",
        "Return low-level information on pypod objects",
        1,
        ANY,
        False,
    ),
    "kill": (f"[OPTIONS] {_NAMES}", "Kill one or more running containers", 1, ANY, False),
    "load": ("[OPTIONS]", "Load an image from a tar archive or STDIN", 0, 0, False),
    "login": ("[OPTIONS] [SERVER]", "Authenticate to a registry", 0, 1, False),
    "logout": ("[SERVER]", "Log out from a registry", 0, 1, False),
    "logs": ("[OPTIONS] CONTAINER", "Fetch the logs of a container", 1, 1, False),
    "network check": (
        "",
        "Tell what on this host keeps networks from working, and the remedy",
        0,
        0,
        False,
    ),
    "network connect": (
        "[OPTIONS] NETWORK CONTAINER",
        "Connect a container to a network",
        2,
        2,
        False,
    ),
    "network create": ("[OPTIONS] NETWORK", "Create a network", 1, 1, False),
    "network disconnect": (
        "[OPTIONS] NETWORK CONTAINER",
        "Disconnect a container from a network",
        2,
        2,
        False,
    ),
    "network inspect": (
        "[OPTIONS] NETWORK [NETWORK...]",
        "Display detailed information on one or more networks",
        1,
        ANY,
        False,
    ),
    "network ls": ("[OPTIONS]", "List networks", 0, 0, False),
    "network prune": ("[OPTIONS]", "Remove all unused networks", 0, 0, False),
    "network rm": (
        "[OPTIONS] NETWORK [NETWORK...]",
        "Remove one or more networks",
        1,
        ANY,
        False,
    ),
    "pause": (_NAMES, "Pause all processes within one or more containers", 1, ANY, False),
    "port": (
        "CONTAINER [PRIVATE_PORT[/PROTO]]",
        "List port mappings or a specific mapping for the container",
        1,
        2,
        False,
    ),
    "ps": ("[OPTIONS]", "List containers", 0, 0, False),
    "pull": ("[OPTIONS] NAME[:TAG|@DIGEST]", "Download an image from a registry", 1, 1, False),
    "push": ("[OPTIONS] NAME[:TAG]", "Upload an image to a registry", 1, 1, False),
    "rename": ("CONTAINER NEW_NAME", "Rename a container", 2, 2, False),
    "restart": (f"[OPTIONS] {_NAMES}", "Restart one or more containers", 1, ANY, False),
    "rm": (f"[OPTIONS] {_NAMES}", "Remove one or more containers", 1, ANY, False),
    "rmi": ("[OPTIONS] IMAGE [IMAGE...]", "Remove one or more images", 1, ANY, False),
    "run": (
        "[OPTIONS] IMAGE [COMMAND] [ARG...]",
        "Create and run a new container from an image",
        1,
        ANY,
        True,
    ),
    "save": (
        "[OPTIONS] IMAGE [IMAGE...]",
        "Save one or more images to a tar archive (streamed to STDOUT by default)",
        1,
        ANY,
        False,
    ),
    "start": (f"[OPTIONS] {_NAMES}", "Start one or more stopped containers", 1, ANY, False),
    "stats": (
        "[OPTIONS] [CONTAINER...]",
        "Display a live stream of container(s) resource usage statistics",
        0,
        ANY,
        False,
    ),
    "stop": (f"[OPTIONS] {_NAMES}", "Stop one or more running containers", 1, ANY, False),
    "system df": ("[OPTIONS]", "Show pypod disk usage", 0, 0, False),
    "system prune": ("[OPTIONS]", "Remove unused data", 0, 0, False),
    "tag": (
        "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
        "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
        2,
        2,
        False,
    ),
    "top": (
        "CONTAINER [ps OPTIONS]",
        "Display the running processes of a container",
        1,
        ANY,
        True,
    ),
    "unpause": (_NAMES, "Unpause all processes within one or more containers", 1, ANY, False),
    "update": (
        f"[OPTIONS] {_NAMES}",
        "Update configuration of one or more containers",
        1,
        ANY,
        False,
    ),
    "version": ("[OPTIONS]", "Show the version information", 0, 0, False),
    "volume create": ("[OPTIONS] [VOLUME]", "Create a volume", 0, 1, False),
    "volume inspect": (
        "[OPTIONS] VOLUME [VOLUME...]",
        "Display detailed information on one or more volumes",
        1,
        ANY,
        False,
    ),
    "volume ls": ("[OPTIONS]", "List volumes", 0, 0, False),
    "volume prune": ("[OPTIONS]", "Remove unused local volumes", 0, 0, False),
    "volume rm": (
        "[OPTIONS] VOLUME [VOLUME...]",
        "Remove one or more volumes. You cannot remove a volume that is in use by a container.",
        1,
        ANY,
        False,
    ),
    "wait": (
        _NAMES,
        "Block until one or more containers stop, then print their exit codes",
        1,
        ANY,
        False,
    ),
}
GROUPS: dict[str, str] = {
    "builder": "Manage builds",
    "container": "Manage containers",
    "image": "Manage images",
    "network": "Manage networks",
    "system": "Manage pypod",
    "volume": "Manage volumes",
}
# Second places of a command: one row, one module.
SAME: dict[str, str] = {
    **{
        f"container {name}": name
        for name in (
            "attach", "commit", "cp", "create", "diff", "exec", "export", "kill", "logs", "pause",
            "port", "rename", "restart", "rm", "run", "start", "stats", "stop", "top", "unpause",
            "update", "wait",
        )
    },
    "builder build": "build",
    "container ls": "ps",
    **{
        f"image {name}": name
        for name in ("build", "history", "import", "load", "pull", "push", "save", "tag")
    },
    "image ls": "images",
    "image rm": "rmi",
    "system events": "events",
    "system info": "info",
}  # fmt: skip
# Second names within a group.
NAMES: dict[str, str] = {
    "container list": "container ls",
    "container ps": "container ls",
    "container remove": "container rm",
    "image list": "image ls",
    "image remove": "image rm",
    "network list": "network ls",
    "network remove": "network rm",
    "volume list": "volume ls",
    "volume remove": "volume rm",
}
_SWARM = "it runs containers on this host alone"
# Commands of Docker that do not exist here, and what to do instead.
ABSENT = {
    **dict.fromkeys(("config", "node", "secret", "service", "stack", "swarm"), _SWARM),
    "buildx": "`build` is all there is, and needs no builder",
    "checkpoint": "`pyoci checkpoint` is a command of the runtime",
    "compose": "start containers one by one, in a network of their own (`network create`)",
    "context": "there is no daemon to connect to; --root chooses other images and containers",
    "manifest": "`pull --platform` and `push` take what a registry has of several platforms",
    "plugin": "its drivers of volumes and networks are built in",
    "search": "look on the registry's own pages",
    "trust": "digests are always verified; name an image by NAME@DIGEST",
}
# What must work on a full disk: there is no other way to have room again.
REMOVING = (
    "builder prune", "container prune", "image prune", "network prune", "network rm", "rm", "rmi", "system prune",
    "volume prune", "volume rm",
)  # fmt: skip
COMMON = (
    "run",
    "exec",
    "ps",
    "build",
    "pull",
    "push",
    "images",
    "login",
    "logout",
    "version",
    "info",
)
GLOBAL: "tuple[Flag, ...]" = (
    ("config", "", "string", "Location of client config files"),
    ("context", "c", "string", "Ignored: there is no daemon to connect to"),
    ("debug", "D", "", "Show where an error comes from"),
    ("host", "H", "list", "Ignored: there is no daemon to connect to"),
    ("log-level", "l", "string", "Ignored, for old callers"),
    ("root", "", "string", "Directory of images, containers and volumes"),
    ("run-root", "", "string", "Directory of what does not survive a boot"),
    ("version", "v", "", "Print version information and quit"),
)
_REFUSED = 125  # a command line that Docker's client refuses; and every failure of `run` that is not its program's
_COLUMNS = 80
_INTERRUPTED = 130


def main(argv: "Sequence[str] | None" = None) -> int:
    """Do what argv says and return the exit status; argv[0] is the name that we go by."""
    call = Call(sys.argv if argv is None else argv)
    try:
        status = call.run()
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        return 1  # nobody reads any more
    except PyociError as error:
        return call.fail(str(error), error.status, error)
    except OSError as error:
        return call.fail(in_words(error), 1, error)
    except Exception as error:  # noqa: BLE001 - the one place: a bug of ours is a line, too
        words = f"internal error: {where_from(error)}"
        if isinstance(error, ModuleNotFoundError):
            words = f"the package {error.name} is missing: pip install 'pyoci-runtime[engine]'"
        return call.fail(words, 1, error)
    return status


class Call:
    """One call of the program: its name, the command and the place at which it was found."""

    __slots__ = ("command", "debugging", "place", "program", "root", "state", "words")

    def __init__(self, argv: "Sequence[str]") -> None:
        self.program = (argv[0] if argv else "pypod").rpartition("/")[2]
        self.words = argv[4:] if argv[1:2] == [_BEGUN] else argv[1:]
        self.command = ""  # its row
        self.place = ""  # as it was called: container run
        self.debugging = False
        self.root = self.state = ""

    def run(self) -> int:
        """Read the global flags and go on to the command."""
        try:
            flags, words = parse(self.words, GLOBAL, ordered=True)
        except FlagError as error:
            return self.refuse(str(error), f"{self.program} [OPTIONS] COMMAND [ARG...]", "Run")
        except AskedForHelp:
            words, flags = [], None
        if flags is not None:
            if flags.is_on("version"):
                print(f"pypod version {__version__}")
                return 0
            self.debugging = flags.is_on("debug")
            self.root, self.state = flags.text("root"), flags.text("run-root")
        if words[:1] == ["help"]:
            words = [*words[1:], "--help"]
            if len(words) > 1 and words[0] not in (*COMMANDS, *GROUPS):
                say(f"unknown help topic: {' '.join(words[:-1])}")
                return 1
        if not words or words == ["--help"]:
            # Asked for it is an answer; else, as with Docker, an admonition.
            print(self.help(), end="", file=sys.stdout if words else sys.stderr)
            return 0
        return self.find(words)

    def find(self, words: list[str]) -> int:
        """Find the command, which may be in a group, and run it."""
        name, rest = words[0], words[1:]
        if name in GROUPS:
            if not rest or rest[0] in ("--help", "-h"):
                print(self.help_of_group(name), end="", file=sys.stdout if rest else sys.stderr)
                return 0
            name, rest = f"{name} {rest[0]}", rest[1:]
        self.place = NAMES.get(name, name)
        self.command = SAME.get(self.place, self.place)
        if self.command not in COMMANDS or name in GROUPS:
            return self.unknown(name)
        return self.start(rest)

    def start(self, words: list[str]) -> int:
        """Read the flags of the command and run it."""
        table, run = load(self.command)
        usage = self.usage()
        _, _, least, most, ordered = COMMANDS[self.command]
        try:
            flags, arguments = parse(words, table, ordered=ordered)
        except FlagError as error:
            return self.refuse(str(error), usage, "Run", self.place)
        except AskedForHelp:
            print(self.help_of(table), end="")
            return 0
        if not least <= len(arguments) <= (most if most != ANY else len(arguments)):
            problem = f"{self.program}: '{self.program} {self.place}' {how_many(least, most)}"
            self.refuse(problem, usage, "See" if most == ANY else "Run", self.place)
            return 1
        found = places.find(self.root, self.state)
        if posix.geteuid() != 0:
            from pyoci.engine import rootless

            rootless.enter(found, self.command)
        if self.command not in REMOVING:
            return run(arguments, flags, found)
        found.make_room()
        try:
            return run(arguments, flags, found)
        finally:
            found.keep_reserve()

    def refuse(self, problem: str, usage: str, verb: str, place: str = "") -> int:
        """Say what is wrong with the command line and how it is meant; returns 125."""
        name = f"{self.program} {place}" if place else self.program
        say(f"{problem}\n\nUsage:  {usage}\n\n{verb} '{name} --help' for more information")
        return 125

    def unknown(self, name: str) -> int:
        """Say that there is no such command; returns 1."""
        group = name.partition(" ")[0]
        where = f"{self.program} {group}" if group in GROUPS else self.program
        usage = f"Usage:  {where}\n\n" if group in GROUPS else ""
        reason = f"pypod has no {name}: {ABSENT[name]}\n\n" if name in ABSENT else ""
        say(
            f"{self.program}: unknown command: {self.program} {name}\n\n{reason}{usage}"
            f"Run '{where} --help' for more information"
        )
        return 1

    def fail(self, message: str, status: int, error: Exception) -> int:
        """Say why the command failed; what was printed before stands before. Returns the exit status."""
        sys.stdout.flush()
        if isinstance(error, PlainError):
            say(message)
        elif self.command == "run" or status == _REFUSED:
            say(
                f"{self.program}: {message}\n\n"
                f"Run '{self.program} {self.place} --help' for more information"
            )
            status = _REFUSED if status == 1 else status
        else:
            say(f"Error: {message}")
        if self.debugging:
            import traceback

            traceback.print_exception(error)
        return status

    def usage(self) -> str:
        """Return the usage line of the command, without its heading."""
        words = COMMANDS[self.command][0].replace("\n", f"\n\t{self.program} {self.place} ")
        return f"{self.program} {self.place} {words}".rstrip()

    def help_of(self, table: "Sequence[Flag]") -> str:
        """Return the help of the command."""
        text = f"Usage:  {self.usage()}\n\n{COMMANDS[self.command][1]}\n"
        places_ = [name for name, command in SAME.items() if command == self.command]
        others = [name for name, place in NAMES.items() if place in (self.command, *places_)]
        if places_ or others:
            names = dict.fromkeys((*places_, *others) if places_ else (self.command, *others))
            names |= {self.command: None}
            text += f"\nAliases:\n  {', '.join(f'{self.program} {name}' for name in names)}\n"
        if table:
            text += f"\nOptions:\n{describe(table, columns())}"
        return text

    def help_of_group(self, group: str) -> str:
        """Return the help of a group of commands."""
        members = {name for name in (*COMMANDS, *SAME) if name.startswith(f"{group} ")}
        rows = {
            name.partition(" ")[2]: COMMANDS[SAME.get(name, name)][1]
            for name in sorted(members)
            if SAME.get(name, name) in COMMANDS
        }
        return (
            f"Usage:  {self.program} {group} COMMAND\n\n{GROUPS[group]}\n\nCommands:\n{listed(rows)}\n"
            f"Run '{self.program} {group} COMMAND --help' for more information on a command.\n"
        )

    def help(self) -> str:
        """Return the help of the program."""
        common = {name: COMMANDS[name][1] for name in COMMON if name in COMMANDS}
        others = {
            name: COMMANDS[name][1]
            for name in sorted(COMMANDS)
            if " " not in name and name not in COMMON and not name.startswith("_")
        }
        return (
            f"Usage:  {self.program} [OPTIONS] COMMAND\n\nContainers without a daemon\n\n"
            f"Common Commands:\n{listed(common)}\n"
            f"Management Commands:\n{listed(GROUPS)}\n"
            f"Commands:\n{listed(others)}\n"
            f"Global Options:\n{describe(GLOBAL, columns())}\n"
            f"Run '{self.program} COMMAND --help' for more information on a command.\n"
        )


def load(name: str) -> "tuple[Sequence[Flag], Run]":
    """Import a command's module; returns its flags and its function."""
    module = __import__(
        f"pyoci.engine.commands.{name.replace(' ', '_')}", fromlist=("FLAGS", "run")
    )
    return module.FLAGS, module.run


def how_many(least: int, most: int) -> str:
    """Return Docker's words for a wrong number of arguments."""
    if most == 0:
        return "accepts no arguments"
    if most == ANY:
        return f"requires at least {least} argument{'s' * (least != 1)}"
    if least == most:
        return f"requires {least} argument{'s' * (least != 1)}"
    if least == 0:
        return f"requires at most {most} argument{'s' * (most != 1)}"
    return f"requires at least {least} and at most {most} arguments"


def listed(rows: "dict[str, str]") -> str:
    """Return names with their summaries in two columns."""
    return "".join(f"  {name.ljust(12)}{summary}\n" for name, summary in rows.items())


def columns() -> int:
    """Return the width of the terminal, 80 without one."""
    try:
        return posix.get_terminal_size(1).columns or _COLUMNS
    except OSError:
        return _COLUMNS


def say(text: str) -> None:
    """Tell the user on stderr."""
    print(text, file=sys.stderr, flush=True)
