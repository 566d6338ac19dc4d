# SPDX-License-Identifier: Apache-2.0
"""`top`: the processes of a container."""

import sys

from pyoci.engine.errors import EngineError
from pyoci.engine.tables import align

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (
    ("live", "", "", "Display them anew every second, until Ctrl-C (before the container)"),
)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Print what ps(1) says of the container's processes; live until it ends."""
    from pyoci.engine import events
    from pyoci.engine.containers import processes, state, usage
    from pyoci.engine.containers.record import Records

    container = Records(places).find(arguments[0])
    rows = processes.table(container, arguments[1:])
    events.of_container(container, "top")
    clear = usage.CLEAR if flags.is_on("live") and sys.stdout.isatty() else ""
    while True:
        text = align(["\t".join(row) for row in rows], least=20)
        print(clear + text, end="", flush=True)
        if not flags.is_on("live"):
            return 0
        usage.pause()
        try:
            rows = processes.table(container, arguments[1:])
        except EngineError:
            if state.is_running(container):
                raise
            return 0
