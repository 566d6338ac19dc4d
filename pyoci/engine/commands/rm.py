# SPDX-License-Identifier: Apache-2.0
"""`rm`: remove containers."""

from pyoci.engine.commands.several import each_name
from pyoci.engine.containers.record import Records
from pyoci.engine.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (
    ("force", "f", "", "Force the removal of a running container (uses SIGKILL)"),
    ("link", "l", "", "Remove the specified link"),
    ("volumes", "v", "", "Remove anonymous volumes associated with the container"),
)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Remove each container and print its name; with --force one that is not there is said, and no error."""
    from pyoci.engine.containers import life, orphans

    if flags.is_on("link"):
        return each_name(arguments, lambda name: remove_link(name, places))
    force, volumes = flags.is_on("force"), flags.is_on("volumes")
    records = Records(places)

    def remove(reference: str) -> None:
        container = records.find(reference)
        life.remove(records, container, force=force, volumes=volumes)

    status = each_name(arguments, remove)
    orphans.remove(records)
    return 0 if force and status and not any(map(records.has, arguments)) else status


def remove_link(name: str, places: "Places") -> None:
    """Remove a link, named as container/alias."""
    from pyoci.engine.containers import links

    parent, slash, alias = name.removeprefix("/").partition("/")
    if not slash:
        raise EngineError(f"Cannot get parent for link: /{parent}")
    records = Records(places)
    links.remove(records, records.find(parent), alias)
