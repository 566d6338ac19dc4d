# SPDX-License-Identifier: Apache-2.0
"""`build`: an image from a Dockerfile and a context."""

import os
import sys

from pyoci.engine.errors import EngineError, PlainError
from pyoci.engine.reference import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.build.builder import Options
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (
    ("add-host", "", "add-host", "Add a custom host-to-IP mapping (host:ip)"),
    ("build-arg", "", "list", "Set build-time variables"),
    ("cache-from", "", "list", "Ignored: the cache is by content"),
    ("cgroup-parent", "", "string", "Set the parent cgroup for the RUN instructions during build"),
    ("compress", "", "", "Ignored: the context is read where it is"),
    ("cpu-period", "", "int", "Limit the CPU CFS (Completely Fair Scheduler) period"),
    ("cpu-quota", "", "int", "Limit the CPU CFS (Completely Fair Scheduler) quota"),
    ("cpu-shares", "c", "int", "CPU shares (relative weight)"),
    ("cpuset-cpus", "", "string", "CPUs in which to allow execution (0-3, 0,1)"),
    ("cpuset-mems", "", "string", "MEMs in which to allow execution (0-3, 0,1)"),
    ("disable-content-trust", "", "", "Ignored: there is no content trust"),
    ("file", "f", "string", 'Name of the Dockerfile (Default is "PATH/Dockerfile")'),
    ("force-rm", "", "", "Ignored: no container is left behind"),
    ("iidfile", "", "string", "Write the image ID to the file"),
    ("label", "", "label", "Set metadata for an image"),
    ("load", "", "", "Ignored: the image is always loaded"),
    ("memory", "m", "bytes", "Memory limit"),
    (
        "memory-swap",
        "",
        "bytes",
        "Swap limit equal to memory plus swap: -1 to enable unlimited swap",
    ),
    (
        "network",
        "",
        "string",
        'Set the networking mode for the RUN instructions during build (default "default")',
    ),
    ("no-cache", "", "", "Do not use cache when building the image"),
    ("platform", "", "string", "Set target platform for build"),
    (
        "progress",
        "",
        "string",
        'Set type of progress output (auto, plain, tty, quiet) (default "auto")',
    ),
    ("pull", "", "", "Always attempt to pull a newer version of the image"),
    ("quiet", "q", "", "Suppress the build output and print image ID on success"),
    ("rm", "", "", "Ignored: no container is left behind (default true)"),
    (
        "secret",
        "",
        "list",
        'Secret to expose to the build (format: "id=mysecret[,src=/local/secret|,env=NAME]")',
    ),
    ("shm-size", "", "bytes", 'Size of "/dev/shm"'),
    ("tag", "t", "list", 'Name and optionally a tag in the "name:tag" format'),
    ("target", "", "string", "Set the target build stage to build."),
    ("ulimit", "", "ulimit", "Ulimit options (default [])"),
)
# What holds for each RUN as for a container.
_OF_CONTAINERS = (
    "add-host", "cgroup-parent", "cpu-period", "cpu-quota", "cpu-shares", "cpuset-cpus", "cpuset-mems", "memory",
    "memory-swap", "shm-size", "ulimit",
)  # fmt: skip
_NETWORKS = ("default", "none", "host")


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Build, and print the id of the image where nothing else is printed."""
    from pyoci.engine.build import context, leftovers
    from pyoci.engine.build.builder import Builder
    from pyoci.engine.commands.build_progress import reporter
    from pyoci.engine.database import Database
    from pyoci.engine.images.store import Store
    from pyoci.engine.images.telling import tell

    options = read_options(flags)
    quiet = flags.is_on("quiet") or flags.text("progress") == "quiet"
    store = Store(Database(places), places)
    with store.session() as session:
        leftovers.remove_dead(places, store.database)
        dockerfile, source = context.prepare(session, arguments[0], flags.text("file"))
        progress = reporter(sys.stderr, flags.text("progress", "auto"), quiet=quiet)
        try:
            identity = Builder(session, options, dockerfile, source, progress).build()
        except EngineError:
            progress.fail()
            raise
        progress.end(identity, options.tags)
    for text in options.tags:
        tell(store, "tag", identity, parse(text).shown)
    if flags.text("iidfile"):
        with open(flags.text("iidfile"), "w", encoding="ascii") as file:
            file.write(identity)
    if flags.is_on("quiet"):
        print(identity)
    return 0


def read_options(flags: "Flags") -> "Options":
    """Return what the flags ask for. Raises EngineError in Docker's words."""
    from pyoci.engine.build.builder import Options
    from pyoci.engine.containers import environment

    options = Options()
    for text in flags.every("build-arg"):
        options.build_args.update(environment.pairs(environment.given([text], [])))
    options.container = {name: flags.every(name) for name in _OF_CONTAINERS if flags.is_given(name)}
    options.labels = environment.pairs(flags.every("label"))
    options.network = flags.text("network", "default")
    if options.network not in _NETWORKS:
        raise EngineError(
            f'network mode "{options.network}" not supported by build: default, none or host'
        )
    options.no_cache, options.pull = flags.is_on("no-cache"), flags.is_on("pull")
    options.platform, options.target = flags.text("platform"), flags.text("target")
    options.secrets = dict(map(_secret, flags.every("secret")))
    options.tags = flags.every("tag")
    for tag in options.tags:
        try:
            parse(tag)
        except EngineError as error:
            raise PlainError(f'invalid argument "{tag}" for "-t, --tag" flag: {error}') from error
    return options


def _secret(text: str) -> tuple[str, bytes]:
    """Read id=NAME[,src=FILE|,env=NAME]: without either, a variable of that name, or a file."""
    fields = dict(part.partition("=")[::2] for part in text.split(","))
    kind, name = fields.pop("type", ""), fields.pop("id", "")
    source = fields.pop("src", fields.pop("source", ""))
    variable = fields.pop("env", "")
    if fields or not name or kind not in ("", "file", "env"):
        raise PlainError(
            f'invalid argument "{text}" for "--secret" flag: id=NAME[,src=FILE|,env=NAME] is expected'
        )
    if variable or (not source and kind != "file" and name in os.environ):
        return name, os.environ.get(variable or name, "").encode("utf-8", "surrogateescape")
    try:
        with open(source or name, "rb") as file:
            return name, file.read()
    except OSError as error:
        raise EngineError(
            f"secret {name}: open {source or name}: {(error.strerror or '').lower()}"
        ) from error
