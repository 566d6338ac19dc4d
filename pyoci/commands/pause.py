# SPDX-License-Identifier: Apache-2.0
"""`pause`: freeze every process of a container."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.commands.settings import Settings
    from pyoci.flags import Flag, Flags

FLAGS: "tuple[Flag, ...]" = ()


def run(arguments: list[str], flags: "Flags", settings: "Settings") -> int:  # noqa: ARG001 - what every command gets
    """Freeze the container."""
    from pyoci import container

    container.pause(settings.root(), arguments[0])
    return 0
