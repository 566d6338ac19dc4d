# SPDX-License-Identifier: Apache-2.0
"""`builder prune`: forget what builds have made, and free what nothing else needs."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (
    ("all", "a", "", "Remove all unused build cache, not just dangling ones"),
    ("filter", "", "filter", 'Provide filter values (e.g. "until=24h")'),
    ("force", "f", "", "Do not prompt for confirmation"),
)
WARNING = "WARNING! This will remove all build cache."


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Ask, remove, and print what went."""
    del arguments
    from pyoci.engine import sizes
    from pyoci.engine.build.cache import prune
    from pyoci.engine.database import Database
    from pyoci.engine.images.store import Store
    from pyoci.engine.prompts import confirm

    before = read_filters(flags.every("filter"))
    if not flags.is_on("force") and not confirm(WARNING):
        return 0
    keys, freed = prune(Store(Database(places), places), before)
    if keys:
        print("Deleted build cache objects:\n" + "".join(f"{key}\n" for key in keys))
    print(f"Total reclaimed space: {sizes.tell(freed)}")
    return 0


def read_filters(texts: list[str]) -> int | None:
    """Return the moment (ns) of --filter until=, None without it. Raises EngineError."""
    from pyoci.engine import moments
    from pyoci.engine.errors import EngineError

    before = None
    for text in texts:
        name, _, value = text.partition("=")
        if name not in ("until", "unused-for"):
            raise EngineError(f"Invalid filter '{name}'")
        before = moments.read(value)
    return before
