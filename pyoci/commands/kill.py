# SPDX-License-Identifier: Apache-2.0
"""`kill`: send a signal to a container."""

from pyoci.errors import UsageError
from pyoci.linux.signals import number_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.commands.settings import Settings
    from pyoci.flags import Flag, Flags

FLAGS: "tuple[Flag, ...]" = (
    # Obsolete in runc; containerd, podman and cri-o send it where a pid namespace is shared.
    ("all", "a", "", "send the signal to every process of the container"),
)


def run(arguments: list[str], flags: "Flags", settings: "Settings") -> int:
    """Send a signal to init, or to every process."""
    from pyoci import container

    name = arguments[1] if len(arguments) > 1 else "TERM"
    number = number_of(name)
    if number is None:
        raise UsageError(f'unknown signal "{name}"')
    container.kill(settings.root(), arguments[0], number, everything=flags.is_on("all"))
    return 0
