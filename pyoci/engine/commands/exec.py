# SPDX-License-Identifier: Apache-2.0
"""`exec`: run one more process in a container that runs."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (
    ("detach", "d", "", "Detached mode: run command in the background"),
    ("detach-keys", "", "string", "Override the key sequence for detaching a container"),
    ("env", "e", "env", "Set environment variables"),
    ("env-file", "", "list", "Read in a file of environment variables"),
    ("interactive", "i", "", "Keep STDIN open even if not attached"),
    ("privileged", "", "", "Give extended privileges to the command"),
    ("tty", "t", "", "Allocate a pseudo-TTY"),
    ("user", "u", "string", "Username or UID (format: <name|uid>[:<group|gid>])"),
    ("workdir", "w", "string", "Working directory inside the container"),
)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Run a process; the status is its own, 126 or 127 when it cannot be run."""
    from pyoci.engine.containers import executing
    from pyoci.engine.containers.record import Records

    return executing.execute(Records(places).find(arguments[0]), arguments[1:], flags)
