# SPDX-License-Identifier: Apache-2.0
"""`doctor`: what on this host would keep an engine from using the runtime; changes nothing."""

from pyoci.commands import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.commands.settings import Settings
    from pyoci.flags import Flag, Flags

FLAGS: "tuple[Flag, ...]" = ()
WELL = "nothing on this host keeps an engine from using pyoci\n"


def run(arguments: list[str], flags: "Flags", settings: "Settings") -> int:  # noqa: ARG001 - what every command gets
    """Print what is wrong, what it keeps from working and the command that mends it; return 1, or 0 for nothing."""
    from pyoci.doctor import examine

    found = list(examine())
    lines = (f"{wrong}\n  keeps: {what}\n  mend:  {mend}\n" for wrong, what, mend in found)
    output.write("".join(lines) or WELL)
    return 1 if found else 0
