# SPDX-License-Identifier: Apache-2.0
"""`system prune`: remove whatever nothing uses."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (
    ("all", "a", "", "Remove all unused images not just dangling ones"),
    ("filter", "", "filter", 'Provide filter values (e.g. "label=<key>=<value>")'),
    ("force", "f", "", "Do not prompt for confirmation"),
    ("volumes", "", "", "Prune anonymous volumes"),
)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Ask, remove, and print what went."""
    del arguments
    from pyoci.engine import sizes
    from pyoci.engine.build import cache
    from pyoci.engine.commands import container_prune, network_prune, volume_prune
    from pyoci.engine.containers.record import Records
    from pyoci.engine.errors import PlainError
    from pyoci.engine.images.listing import parse_filters
    from pyoci.engine.images.removal import prune
    from pyoci.engine.images.store import Store
    from pyoci.engine.prompts import confirm
    from pyoci.engine.volumes import Volumes

    filters = flags.every("filter")
    if flags.is_on("volumes") and any(text.startswith("until=") for text in filters):
        raise PlainError('ERROR: The "until" filter is not supported with "--volumes"')
    check = container_prune.parse_filters(filters)
    plain = [text for text in filters if not text.startswith("label!")]
    everything = flags.is_on("all")
    if not flags.is_on("force") and not confirm(warning(flags)):
        return 0
    records = Records(places)
    store = Store(records.database, places)
    names, freed = container_prune.remove(records, check)
    told = listed("Deleted Containers:", names)
    told += listed("Deleted Networks:", network_prune.prune(places, plain))
    if flags.is_on("volumes"):
        names, more = volume_prune.remove(Volumes(places, records.database), {}, every=False)
        told, freed = told + listed("Deleted Volumes:", names), freed + more
    _, more = cache.prune(store)
    done, last = prune(store, parse_filters(plain), everything=everything)
    told += listed("Deleted Images:", [f"{what.lower()}: {which}" for what, which in done])
    print(f"{told}Total reclaimed space: {sizes.tell(freed + more + last)}")
    return 0


def listed(title: str, names: list[str]) -> str:
    """Return what went, one a line; nothing for nothing."""
    return f"{title}\n" + "".join(f"{name}\n" for name in names) + "\n" if names else ""


def warning(flags: "Flags") -> str:
    """Return what will go, in Docker's words."""
    images = (
        "all images without at least one container associated to them"
        if flags.is_on("all")
        else "all dangling images"
    )
    lines = ["all stopped containers", "all networks not used by at least one container"]
    if flags.is_on("volumes"):
        lines.append("all anonymous volumes not used by at least one container")
    lines += [images, "all build cache" if flags.is_on("all") else "unused build cache"]
    return "WARNING! This will remove:\n" + "".join(f"  - {line}\n" for line in lines)
