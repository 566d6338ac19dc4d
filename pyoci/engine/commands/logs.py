# SPDX-License-Identifier: Apache-2.0
"""`logs`: what a container has written."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (
    ("details", "", "", "Show extra details provided to logs"),
    ("follow", "f", "", "Follow log output"),
    (
        "since",
        "",
        "string",
        'Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)',
    ),
    ("tail", "n", "string", 'Number of lines to show from the end of the logs (default "all")'),
    ("timestamps", "t", "", "Show timestamps"),
    (
        "until",
        "",
        "string",
        'Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)',
    ),
)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Write a container's output where it wrote it: stdout to stdout, stderr to stderr."""
    from pyoci.engine.containers import logs
    from pyoci.engine.containers.record import Records
    from pyoci.engine.containers.session import write_all

    container = Records(places).find(arguments[0])
    wanted = logs.Wanted(flags.text("since"), flags.text("until"), flags.text("tail", "all"))
    stamped, detailed = flags.is_on("timestamps"), flags.is_on("details")
    found = (logs.follow if flags.is_on("follow") else logs.entries)(container, wanted)
    pending, last = b"", 1
    for entry in found:
        target = last if entry is None else 2 if entry[1] == b"stderr" else 1
        if pending and (entry is None or target != last or len(pending) > 1 << 16):
            write_all(last, pending)
            pending = b""
        if entry is None:
            logs.pause()
            continue
        last = target
        pending += logs.prefix(entry[0]) if stamped else b""
        pending += logs.details(entry[3]) if detailed else b""
        pending += entry[2]
    write_all(last, pending)
    return 0
