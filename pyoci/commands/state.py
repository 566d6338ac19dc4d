# SPDX-License-Identifier: Apache-2.0
"""`state`: what a container is, as JSON (runtime.md#query-state)."""

from pyoci.commands import output
from pyoci.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.commands.settings import Settings
    from pyoci.flags import Flag, Flags

FLAGS: "tuple[Flag, ...]" = ()


def run(arguments: list[str], flags: "Flags", settings: "Settings") -> int:  # noqa: ARG001 - what every command gets
    """Print the state, indented by two spaces and without a newline at its end, as runc does."""
    from pyoci import container

    output.write(dumps(container.state(settings.root(), arguments[0]), "  "))
    return 0
