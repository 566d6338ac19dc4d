# SPDX-License-Identifier: Apache-2.0
"""`network rm`: remove networks."""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (("force", "f", "", "Do not error if the network does not exist"),)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Remove each network and print its name; with --force one that is not there is no error."""
    from pyoci.engine.commands.several import each_name
    from pyoci.engine.containers.attachment import heal
    from pyoci.engine.containers.record import Records
    from pyoci.engine.errors import NotFoundError
    from pyoci.engine.networks.creation import remove
    from pyoci.engine.networks.records import Networks

    records = Records(places)
    networks = Networks(records.database)
    heal(records)

    def remove_one(name: str) -> None:
        try:
            remove(places, networks, networks.find(name))
        except NotFoundError:
            if not flags.is_on("force"):
                raise

    code = each_name(arguments, remove_one)
    if code:
        print(f"exit status {code}", file=sys.stderr)  # Docker's own last word here
    return code
