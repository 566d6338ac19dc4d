# SPDX-License-Identifier: Apache-2.0
"""`start`: start containers that were created or have ended."""

from pyoci.engine.commands.several import complain
from pyoci.engine.errors import EngineError, PlainError
from pyoci.errors import PyociError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.containers.ahead import Helpers
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (
    ("attach", "a", "", "Attach STDOUT/STDERR and forward signals"),
    ("detach-keys", "", "string", "Override the key sequence for detaching a container"),
    ("interactive", "i", "", "Attach container's STDIN"),
)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Start each container and print its name; attached, the status is its program's."""
    from pyoci.engine.containers.ahead import Helpers

    helpers = [Helpers()]  # for the first
    from pyoci.engine.containers import life
    from pyoci.engine.containers.record import Records
    from pyoci.engine.containers.session import Session

    if flags.is_on("attach") or flags.is_on("interactive"):
        return attached(arguments, flags, places, helpers.pop())
    records = Records(places)
    failed = []
    for reference in arguments:
        session = Session()
        try:
            life.start(
                records, records.find(reference), session, helpers.pop() if helpers else None
            )
        except PyociError as error:
            complain(error)
            failed.append(reference)
        else:
            print(reference)
        finally:
            session.close()
    if failed:
        raise EngineError(f"failed to start containers: {', '.join(failed)}")
    return 0


def attached(arguments: list[str], flags: "Flags", places: "Places", helpers: "Helpers") -> int:
    """Start one container and stay with it."""
    from pyoci.engine.containers import running
    from pyoci.engine.containers.foreground import Foreground, read_keys
    from pyoci.engine.containers.record import Records
    from pyoci.engine.containers.session import Session

    if len(arguments) > 1:
        raise PlainError("you cannot start and attach multiple containers at once")
    records = Records(places)
    container = records.find(arguments[0])
    own = container.config
    stdin = flags.is_on("interactive") and own["OpenStdin"]
    running.check_terminal(tty=own["Tty"], stdin=stdin)
    keys = read_keys(flags.text("detach-keys"))
    foreground = Foreground(
        Session(), stdin=stdin, tty=own["Tty"], proxy=not own["Tty"], detach_keys=keys
    )
    return running.stay(records, container, foreground, helpers)
