# SPDX-License-Identifier: Apache-2.0
"""`logout`: forget the password for a registry."""

from pyoci.engine.commands.login import domain_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags


FLAGS: "tuple[Flag, ...]" = ()


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Remove what is kept."""
    del flags, places
    from pyoci.engine.images import credentials

    domain = domain_of(arguments[0] if arguments else "")
    if credentials.forget(domain):
        print(f"Removing login credentials for {credentials.key_of(domain)}")
    else:
        print(f"Not logged in to {credentials.key_of(domain)}")
    return 0
