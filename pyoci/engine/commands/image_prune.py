# SPDX-License-Identifier: Apache-2.0
"""`image prune`: remove the images that nothing needs."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags


FLAGS: "tuple[Flag, ...]" = (
    ("all", "a", "", "Remove all unused images, not just dangling ones"),
    ("filter", "", "filter", 'Provide filter values (e.g. "until=<timestamp>")'),
    ("force", "f", "", "Do not prompt for confirmation"),
)
WARNINGS = {
    False: "WARNING! This will remove all dangling images.",
    True: "WARNING! This will remove all images without at least one container associated to them.",
}


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Ask, remove, and print what went."""
    del arguments
    from pyoci.engine import sizes
    from pyoci.engine.database import Database
    from pyoci.engine.images.listing import parse_filters
    from pyoci.engine.images.removal import prune
    from pyoci.engine.images.store import Store
    from pyoci.engine.prompts import confirm

    everything = flags.is_on("all")
    filters = parse_filters(flags.every("filter"), ("label", "until", "dangling"))
    if not flags.is_on("force") and not confirm(WARNINGS[everything]):
        return 0
    done, freed = prune(Store(Database(places), places), filters, everything=everything)
    if done:
        print("Deleted Images:")
        print("".join(f"{what.lower()}: {which}\n" for what, which in done))
    print(f"Total reclaimed space: {sizes.tell(freed)}")
    return 0
