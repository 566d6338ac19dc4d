# SPDX-License-Identifier: Apache-2.0
"""`run` and `start -a`: a container made or found, started, and stayed with."""

import posix
import sys

from pyoci.engine import events
from pyoci.engine.containers import life, making
from pyoci.engine.containers.foreground import DETACHED, Foreground, read_keys
from pyoci.engine.containers.record import Records
from pyoci.engine.containers.session import Session
from pyoci.engine.errors import EngineError, PlainError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.containers.ahead import Helpers
    from pyoci.engine.containers.record import Container
    from pyoci.flags import Flags


def check(flags: "Flags") -> None:
    """Refuse what our own terminal cannot do, before anything is made."""
    read_keys(flags.text("detach-keys"))
    if not flags.is_on("detach"):
        check_terminal(tty=flags.is_on("tty"), stdin=flags.is_on("interactive"))


def run(records: "Records", container: "Container", flags: "Flags", helpers: "Helpers") -> int:
    """Start a new container; returns its exit status, 0 when it goes on without us."""
    if flags.is_on("detach"):
        return _detached(records, container, helpers)
    own = container.config
    foreground = Foreground(
        Session(),
        stdin=own["AttachStdin"],
        tty=own["Tty"],
        proxy=is_proxy(container, flags),
        detach_keys=read_keys(flags.text("detach-keys")),
    )
    foreground.keep(stdout=own["AttachStdout"], stderr=own["AttachStderr"])
    return stay(records, container, foreground, helpers)


def is_proxy(container: "Container", flags: "Flags") -> bool:
    """Tell whether our signals are the container's; one with a terminal gets them as keys."""
    asked = not flags.is_given("sig-proxy") or flags.is_on("sig-proxy")
    return asked and not container.config["Tty"]


def check_terminal(*, tty: bool, stdin: bool) -> None:
    """Refuse to give a container's terminal an input that is none."""
    if tty and stdin and not posix.isatty(0):
        raise PlainError("the input device is not a TTY")


def _detached(records: Records, container: "Container", helpers: "Helpers") -> int:
    print_id(container)
    session = Session()
    try:
        life.start(records, container, session, helpers)
    except EngineError:
        remove_failed(records, container)
        raise
    session.close()
    return 0


def print_id(container: "Container") -> None:
    """Print the id at once: it is known even when the start fails."""
    sys.stdout.write(f"{container.id}\n")
    sys.stdout.flush()


def remove_failed(records: Records, container: "Container") -> None:
    """Remove a container that could not be started, where --rm was given."""
    if container.host_config["AutoRemove"]:
        making.discard(records, container, volumes=True)


def stay(
    records: Records, container: "Container", foreground: Foreground, helpers: "Helpers"
) -> int:
    """Start a container and stay with it to its end; then clean up."""
    session = foreground.session
    events.of_container(container, "attach")
    try:
        life.start(records, container, session, helpers)
    except EngineError:
        remove_failed(records, container)
        raise
    code = foreground.run()
    if not foreground.is_over:
        session.close()
        return 0 if code == DETACHED else code
    life.clean_up(records, container)
    session.done()
    return code
