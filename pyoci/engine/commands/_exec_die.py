# SPDX-License-Identifier: Apache-2.0
"""`_exec_die`: tell of the end of a process that nobody waits for; the launcher has waited for it (containers/executed.py)."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = ()


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Tell of it, unless its container has been removed meanwhile."""
    del flags
    from pyoci.engine.containers.executed import tell_of_end
    from pyoci.engine.containers.record import Records
    from pyoci.engine.errors import NotFoundError
    from pyoci.engine.monitor.ended import exit_status

    container, _, pidfd, _, process = arguments
    pid, _, identity = process.partition(":")
    code = exit_status(int(pidfd), int(pid))
    try:
        tell_of_end(Records(places).find(container), identity, code)
    except NotFoundError:
        return 0
    return 0
