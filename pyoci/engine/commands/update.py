# SPDX-License-Identifier: Apache-2.0
"""`update`: change limits and restart policy of containers, also of those that run."""

from pyoci.engine.commands.create import FLAGS as CREATE_FLAGS
from pyoci.engine.commands.several import each
from pyoci.engine.errors import PlainError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

_NAMES = (
    "blkio-weight", "cpu-period", "cpu-quota", "cpu-rt-period", "cpu-rt-runtime", "cpu-shares", "cpus", "cpuset-cpus",
    "cpuset-mems", "kernel-memory", "memory", "memory-reservation", "memory-swap", "pids-limit", "restart",
)  # fmt: skip
FLAGS: "tuple[Flag, ...]" = tuple(row for row in CREATE_FLAGS if row[0] in _NAMES)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Change each container and print its name."""
    from pyoci.engine.containers import updating

    if not flags.values:
        raise PlainError("you must provide one or more flags when using this command")
    return each(
        arguments, places, lambda records, container: updating.update(records, container, flags)
    )
