# SPDX-License-Identifier: Apache-2.0
"""`run`: create and start in one; in the foreground until the program ends."""

import posix

from pyoci.commands import create
from pyoci.errors import StateError
from pyoci.ids import make_id
from pyoci.linux.path import absolute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.commands.settings import Settings
    from pyoci.flags import Flag, Flags

FLAGS: "tuple[Flag, ...]" = (
    *create.FLAGS,
    ("detach", "d", "", "return when the program has been started"),
    ("keep", "", "", "do not delete the container when it has ended"),
    ("no-subreaper", "", "", "do not adopt the container's orphans"),
)


def run(arguments: list[str], flags: "Flags", settings: "Settings") -> int:
    """Create and start a container; the status is that of its program, 0 when detached."""
    from pyoci import container

    identity, bundle = arguments[0], flags.text("bundle", ".")
    if not flags.is_given("bundle") and is_bundle(identity):
        bundle = absolute(identity)
        identity = make_id(bundle)
    elif "/" in identity and not flags.is_given("bundle"):
        problem = f"no bundle either: there is no {identity.rstrip('/')}/config.json"
        raise StateError(f"invalid container ID format: {identity} is {problem}")
    options = create.options(identity, bundle, flags, settings)
    # --no-subreaper is for the launcher: the interpreter has no prctl(2) among its own modules.
    return container.run(options, detach=flags.is_on("detach"), keep=flags.is_on("keep"))


def is_bundle(argument: str) -> bool:
    """Tell whether an argument that no id can be is a directory with a config.json."""
    if "/" not in argument and argument not in (".", ".."):
        return False
    try:
        posix.stat(f"{argument}/config.json")
    except (OSError, ValueError):
        return False
    return True
