# SPDX-License-Identifier: Apache-2.0
"""`run`: create and start; in the foreground until the program ends, with its exit status."""

from pyoci.engine.commands import create

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = tuple(
    sorted(
        (
            *create.FLAGS,
            ("detach", "d", "", "Run container in background and print container ID"),
            ("detach-keys", "", "string", "Override the key sequence for detaching a container"),
            ("sig-proxy", "", "", "Proxy received signals to the process (default true)"),
        )
    )
)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Run a container; the status is its program's, 0 when detached."""
    from pyoci.engine.containers.ahead import Helpers

    helpers = Helpers()
    from pyoci.engine.containers import running
    from pyoci.engine.containers.record import Records

    running.check(flags)
    records = Records(places)
    return running.run(records, create.make(records, arguments, flags), flags, helpers)
