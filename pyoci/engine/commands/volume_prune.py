# SPDX-License-Identifier: Apache-2.0
"""`volume prune`: remove volumes that no container uses."""

from pyoci.engine import events
from pyoci.engine.commands.volume_ls import matches, parse_filters
from pyoci.engine.containers.record import Records
from pyoci.engine.volumes import Volumes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (
    ("all", "a", "", "Remove all unused volumes, not just anonymous ones"),
    ("filter", "", "filter", 'Provide filter values (e.g. "label=<label>")'),
    ("force", "f", "", "Do not prompt for confirmation"),
)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Remove what is not used, and print what was."""
    del arguments
    from pyoci.engine import sizes
    from pyoci.engine.prompts import confirm

    every = flags.is_on("all")
    kind = "all" if every else "anonymous"
    if not flags.is_on("force") and not confirm(
        f"WARNING! This will remove {kind} local volumes not used by at least one container."
    ):
        return 0
    check = parse_filters(flags.every("filter"))
    removed, freed = remove(Volumes(places, Records(places).database), check, every=every)
    if removed:
        print("Deleted Volumes:\n" + "".join(f"{name}\n" for name in removed))
    print(f"Total reclaimed space: {sizes.tell(freed)}")
    return 0


def remove(volumes: Volumes, check: dict[str, list[str]], *, every: bool) -> tuple[list[str], int]:
    """Remove the volumes that no container uses, anonymous ones or every; returns their names and their bytes."""
    from pyoci.engine import trees

    removed, freed = [], 0
    for volume in volumes.unused(every=every or check.get("all") == ["1"]):
        if not matches(volume, check):
            continue
        size = trees.measure(f"{volumes.places.root}/volumes/{volume.name}/_data")
        volumes.remove(volume.name)
        removed.append(volume.name)
        freed += size
    events.of_prune(volumes.places, events.VOLUME, freed)
    return removed, freed
