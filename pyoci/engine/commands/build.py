# SPDX-License-Identifier: Apache-2.0
"""`build`: an image from a Dockerfile and a context."""

import sys

from pyoci.engine.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.build.builder import Builder
    from pyoci.engine.build.options import Options
    from pyoci.engine.flags import Flag
    from pyoci.engine.images.store import Store
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (
    ("add-host", "", "add-host", "Add a custom host-to-IP mapping (host:ip)"),
    ("allow", "", "list", "Entitlements: network.host, which changes nothing, and no other"),
    ("annotation", "", "list", "Refused: annotations are not written"),
    ("attest", "", "list", "Refused: no attestation is made"),
    ("build-arg", "", "list", "Set build-time variables"),
    ("build-context", "", "list", "Additional build contexts (e.g., name=path)"),
    ("builder", "", "string", "Ignored: there is one builder"),
    ("cache-from", "", "list", "Ignored: the cache is by content"),
    ("cache-to", "", "list", "Ignored: the cache is the store's"),
    ("call", "", "string", "Set method for evaluating build: build, and no other"),
    ("cgroup-parent", "", "string", "Set the parent cgroup for the RUN instructions during build"),
    ("check", "", "", "Refused: no checks are known beyond those of each build"),
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
    ("isolation", "", "string", "Container isolation technology: default, and no other"),
    ("label", "", "label", "Set metadata for an image"),
    ("load", "", "", 'Shorthand for "--output=type=docker"'),
    ("memory", "m", "bytes", "Memory limit"),
    (
        "memory-swap",
        "",
        "bytes",
        "Swap limit equal to memory plus swap: -1 to enable unlimited swap",
    ),
    ("metadata-file", "", "string", "Write build result metadata to a file"),
    (
        "network",
        "",
        "string",
        'Set the networking mode for the RUN instructions during build (default "default")',
    ),
    ("no-cache", "", "", "Do not use cache when building the image"),
    ("no-cache-filter", "", "list", "Do not cache specified stages"),
    (
        "output",
        "o",
        "list",
        'Output destination (format: "type=local,dest=path")',
    ),
    ("platform", "", "string", "Set target platform for build"),
    (
        "progress",
        "",
        "string",
        'Set type of progress output (auto, plain, tty, quiet) (default "auto")',
    ),
    ("provenance", "", "string", "Refused but for false: no attestation is made"),
    ("pull", "", "", "Always attempt to pull a newer version of the image"),
    ("push", "", "", 'Shorthand for "--output=type=registry"'),
    ("quiet", "q", "", "Suppress the build output and print image ID on success"),
    ("rm", "", "", "Ignored: no container is left behind (default true)"),
    ("sbom", "", "string", "Refused but for false: no attestation is made"),
    (
        "secret",
        "",
        "list",
        'Secret to expose to the build (format: "id=mysecret[,src=/local/secret|,env=NAME]")',
    ),
    ("security-opt", "", "list", "Security options"),
    ("shm-size", "", "bytes", 'Size of "/dev/shm"'),
    ("squash", "", "", "Refused: copy everything into a stage FROM scratch"),
    (
        "ssh",
        "",
        "list",
        'SSH agent socket or keys to expose to the build (format: "default|<id>[=<socket>|<key>[,<key>]]")',
    ),
    ("tag", "t", "list", 'Name and optionally a tag in the "name:tag" format'),
    ("target", "", "string", "Set the target build stage to build."),
    ("ulimit", "", "ulimit", "Ulimit options (default [])"),
)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Build, and print the id of the image where nothing else is printed."""
    from pyoci.engine.build import context, leftovers
    from pyoci.engine.build.builder import Builder
    from pyoci.engine.build.options import read_options
    from pyoci.engine.commands.build_progress import reporter
    from pyoci.engine.database import Database
    from pyoci.engine.images.store import Store

    options = read_options(flags)
    quiet = flags.is_on("quiet") or flags.text("progress") in ("quiet", "none")
    store = Store(Database(places), places)
    with store.reader() as session:
        leftovers.remove_dead(places, store.database)
        dockerfile, source = context.prepare(
            session, arguments[0], flags.text("file"), options.secrets
        )
        progress = reporter(sys.stderr, flags.text("progress", "auto"), quiet=quiet)
        builder = Builder(session, options, dockerfile, source, progress)
        try:
            identity = builder.build()
            if options.outputs:
                _export(builder, identity)
        except EngineError:
            progress.fail()
            raise
        if identity:
            progress.end(identity, options.tags)
    if identity:
        _tell(store, options, identity)
    if options.pushes:
        _push(store, options, quiet=quiet)
    if flags.text("iidfile") and identity:
        _write(flags.text("iidfile"), identity)
    if flags.text("metadata-file"):
        _write(flags.text("metadata-file"), _metadata(identity, options))
    if flags.is_on("quiet") and identity:
        print(identity)
    return 0


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _export(builder: "Builder", identity: str) -> None:
    """Write the result to where --output says."""
    from pyoci.engine.build import exporting
    from pyoci.engine.commands.save import write
    from pyoci.engine.images.archive import save

    builder.leave_host()
    for output in builder.options.outputs:
        if output.kind not in ("local", "tar", "archive"):
            continue
        told = {"local": "client directory", "tar": "client tarball"}.get(
            output.kind, "image archive"
        )
        builder.progress.step(f"exporting to {told}")
        if output.kind == "local":
            exporting.copy(builder.session, builder.result, output.path)
        else:
            chunks = (
                exporting.archive(builder.session, builder.result)
                if output.kind == "tar"
                else save(builder.store, builder.options.tags or [identity])
            )
            write(chunks, output.path.removeprefix("-"), "export the image")
        builder.progress.done()


def _tell(store: "Store", options: "Options", identity: str) -> None:
    """Tell `pypod events` of the image's names."""
    from pyoci.engine.images.telling import tell
    from pyoci.engine.reference import parse

    for text in options.tags:
        tell(store, "tag", identity, parse(text).shown)


def _push(store: "Store", options: "Options", *, quiet: bool) -> None:
    from pyoci.engine.commands.push import send
    from pyoci.engine.reference import parse

    for tag in options.tags:
        send(store, parse(tag), quiet=quiet)


def _metadata(identity: str, options: "Options") -> str:
    """Return what buildx tells of a result."""
    from pyoci.engine.reference import parse
    from pyoci.jsontext import dumps

    found = {"containerimage.config.digest": identity} if identity else {}
    names = ",".join(parse(tag).name for tag in options.tags)
    return dumps(found | ({"image.name": names} if names else {}), "  ") + "\n"
