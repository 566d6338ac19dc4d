# SPDX-License-Identifier: Apache-2.0
"""`stats`: what containers use, once or again and again."""

import sys

from pyoci.engine.tables import render

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (
    ("all", "a", "", "Show all containers (default shows just running)"),
    ("format", "", "string", "Format output: 'table', 'table TEMPLATE', 'json' or a Go template"),
    ("no-stream", "", "", "Disable streaming stats and only pull the first result"),
    ("no-trunc", "", "", "Do not truncate output"),
)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Print what each container uses; on a terminal anew every second."""
    from pyoci.engine.commands.several import warn
    from pyoci.engine.containers import usage
    from pyoci.engine.containers.record import Records

    records = Records(places)
    live = not flags.is_on("no-stream")
    truncated = not flags.is_on("no-trunc")
    before: dict[str, usage.Sample] = {}
    while True:
        found = usage.chosen(records, arguments, warn, every=flags.is_on("all"))
        if not before:
            before = {container.id: usage.sample(container) for container in found}
            usage.pause()
        samples = {container.id: usage.sample(container) for container in found}
        rows = [
            usage.row(
                container, before.get(container.id), samples[container.id], truncated=truncated
            )
            for container in found
        ]
        for row, given in zip(rows, arguments, strict=False):
            row["Container"] = given
        text = render(flags.text("format"), rows, usage.HEADERS, usage.DEFAULT, usage.KIND)
        print(usage.CLEAR + text if live and sys.stdout.isatty() else text, end="", flush=True)
        if not live:
            return 0
        before = samples
        usage.pause()
