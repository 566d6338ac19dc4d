# SPDX-License-Identifier: Apache-2.0
"""`attach`: be in the foreground of a container that runs."""

from pyoci.engine.errors import PlainError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (
    ("detach-keys", "", "string", "Override the key sequence for detaching a container"),
    ("no-stdin", "", "", "Do not attach STDIN"),
    ("sig-proxy", "", "", "Proxy all received signals to the process (default true)"),
)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Attach to a container; the status is its program's."""
    from pyoci.engine import events
    from pyoci.engine.containers import running, state
    from pyoci.engine.containers.foreground import DETACHED, Foreground, read_keys
    from pyoci.engine.containers.record import Records
    from pyoci.engine.containers.session import Session

    records = Records(places)
    container = records.find(arguments[0])
    fields = state.current(container)
    if fields["Status"] == "paused":
        raise PlainError("You cannot attach to a paused container, unpause it first")
    if fields["Status"] == "restarting":
        raise PlainError("You cannot attach to a restarting container, wait until it is running")
    if fields["Status"] != "running":
        raise PlainError("You cannot attach to a stopped container, start it first")
    own = container.config
    stdin = own["OpenStdin"] and not flags.is_on("no-stdin")
    running.check_terminal(tty=own["Tty"], stdin=stdin)
    session = Session()
    session.connect(container)
    session.pid = fields["Pid"]
    proxy = running.is_proxy(container, flags)
    keys = read_keys(flags.text("detach-keys"))
    foreground = Foreground(session, stdin=stdin, tty=own["Tty"], proxy=proxy, detach_keys=keys)
    events.of_container(container, "attach")
    foreground.ready()
    code = foreground.run()
    session.close()
    return 0 if code == DETACHED else code
