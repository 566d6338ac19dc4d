# SPDX-License-Identifier: Apache-2.0
"""`rmi`: remove names of images, and images."""

import sys

from pyoci.engine.errors import EngineError, NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags


FLAGS: "tuple[Flag, ...]" = (
    ("force", "f", "", "Force removal of the image"),
    ("no-prune", "", "", "Ignored: there are no untagged parents"),
)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Remove each, and print what went; a missing image is no failure with --force."""
    from pyoci.engine.containers import state
    from pyoci.engine.containers.record import Records
    from pyoci.engine.images.removal import remove
    from pyoci.engine.images.store import Store

    records = Records(places)
    store = Store(records.database, places)

    def is_running(container: str) -> bool:
        return records.has(container) and state.is_running(records.find(container))

    force = flags.is_on("force")
    status = 0
    for name in arguments:
        try:
            for what, which in remove(store, name, force=force, is_running=is_running):
                print(f"{what}: {which}")
        except EngineError as error:
            sys.stdout.flush()
            print(f"Error: {error}", file=sys.stderr, flush=True)
            status = status if force and isinstance(error, NotFoundError) else 1
    return status
