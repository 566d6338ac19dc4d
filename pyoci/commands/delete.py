# SPDX-License-Identifier: Apache-2.0
"""`delete`: remove a container and everything that was made for it."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.commands.settings import Settings
    from pyoci.flags import Flag, Flags

FLAGS: "tuple[Flag, ...]" = (
    ("force", "f", "", "kill the container first, and do not mind when there is none"),
)


def run(arguments: list[str], flags: "Flags", settings: "Settings") -> int:
    """Delete a container that has stopped or was never started; with --force any."""
    from pyoci import container

    container.delete(settings.root(), arguments[0], force=flags.is_on("force"))
    return 0
