# SPDX-License-Identifier: Apache-2.0
"""`start`: let the program of a created container begin."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.commands.settings import Settings
    from pyoci.flags import Flag, Flags

FLAGS: "tuple[Flag, ...]" = ()


def run(arguments: list[str], flags: "Flags", settings: "Settings") -> int:  # noqa: ARG001 - what every command gets
    """Start a created container; returns when its program runs."""
    from pyoci import container

    container.start(settings.root(), arguments[0])
    return 0
