# SPDX-License-Identifier: Apache-2.0
"""What builds that were killed have left: a container that may still run, and its place in the list and on the network."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.database import Database
    from pyoci.engine.places import Places

PREFIX = "build-"  # then the session's name, and what the container's own is


def remove_dead(places: "Places", database: "Database") -> None:
    """Remove all of it; what belongs to a session that lives stays."""
    runtime = f"{places.run}/runtime"
    names = os.listdir(runtime) if os.path.isdir(runtime) else []
    for identity in filter(lambda name: _is_dead(places, name), names):
        from pyoci import runtime as runtimes

        runtimes.delete(runtime, identity)
    if not database.row("SELECT 1 FROM sqlite_master WHERE name = 'container'"):
        return
    rows = database.rows("SELECT id FROM container WHERE id GLOB ?", f"{PREFIX}*")
    for identity in filter(lambda name: _is_dead(places, name), [str(row[0]) for row in rows]):
        from pyoci.engine.build import network
        from pyoci.engine.containers.record import Records
        from pyoci.engine.trees import remove_tree

        records = Records(places)
        network.remove(records, records.find(identity))
        remove_tree(f"{places.run}/containers/{identity}")


def _is_dead(places: "Places", identity: str) -> bool:
    """Tell whether a container is that of a build whose session has gone."""
    session = identity.removeprefix(PREFIX).partition("-")[0]
    return identity.startswith(PREFIX) and not os.path.exists(f"{places.root}/staging/{session}")
