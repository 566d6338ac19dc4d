# SPDX-License-Identifier: Apache-2.0
"""`network prune`: remove networks to which no container is attached."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (
    ("filter", "", "filter", 'Provide filter values (e.g. "until=<timestamp>")'),
    ("force", "f", "", "Do not prompt for confirmation"),
)
_WARNING = "WARNING! This will remove all custom networks not used by at least one container."


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Remove what is not used, and print what was."""
    del arguments
    from pyoci.engine.prompts import confirm

    if not flags.is_on("force") and not confirm(_WARNING):
        return 0
    removed = prune(places, flags.every("filter"))
    if removed:
        print("Deleted Networks:\n" + "".join(f"{name}\n" for name in removed))
    return 0


def prune(places: "Places", filters: list[str]) -> list[str]:
    """Remove the networks of one's own that nobody uses; returns their names."""
    from pyoci.engine import events
    from pyoci.engine.commands.network_ls import matches, parse_filters
    from pyoci.engine.containers.attachment import heal
    from pyoci.engine.containers.record import Records
    from pyoci.engine.moments import read
    from pyoci.engine.networks.creation import remove
    from pyoci.engine.networks.records import Networks

    records = Records(places)
    heal(records)
    networks = Networks(records.database)
    until = [text.partition("=")[2] for text in filters if text.startswith("until=")]
    others = [text for text in filters if not text.startswith("until=")]
    check = {**parse_filters(others), "dangling": ["true"]}
    removed = []
    for network in networks.all():
        if (
            not network.is_configuration
            and all(network.created < read(text) for text in until)
            and matches(networks, network, check)
        ):
            remove(places, networks, network)
            removed.append(network.name)
    events.of_prune(places, events.NETWORK)
    return removed
