# SPDX-License-Identifier: Apache-2.0
"""`create`: make a container up to the point where only its program is missing."""

from pyoci.ids import check_id
from pyoci.linux.path import absolute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.commands.settings import Settings
    from pyoci.creation import CreateOptions
    from pyoci.flags import Flag, Flags

FLAGS: "tuple[Flag, ...]" = (
    ("bundle", "b", "DIR", "path to the bundle (default: the current directory)"),
    ("console-socket", "", "PATH", "unix socket that receives the terminal's master"),
    ("pidfd-socket", "", "PATH", "unix socket that receives a pidfd of the container's init"),
    ("pid-file", "", "FILE", "write the pid of init here"),
    ("no-pivot", "", "", "move the root instead of pivot_root(2), for a root on a ramdisk"),
    ("no-new-keyring", "", "", "stay in the caller's session keyring"),
    ("preserve-fds", "", "N", "pass N descriptors from 3 on to the container"),
)


def run(arguments: list[str], flags: "Flags", settings: "Settings") -> int:
    """Create a container, without starting its program."""
    from pyoci import container

    container.create(options(arguments[0], flags.text("bundle", "."), flags, settings))
    return 0


def options(identity: str, bundle: str, flags: "Flags", settings: "Settings") -> "CreateOptions":
    """Return what create and run are asked for; every path is absolute."""
    from pyoci.creation import CreateOptions

    check_id(identity)
    return CreateOptions(
        root=settings.root(),
        id=identity,
        bundle=absolute(bundle or "."),
        console_socket=path(flags, "console-socket"),
        pidfd_socket=path(flags, "pidfd-socket"),
        pid_file=path(flags, "pid-file"),
        no_pivot=flags.is_on("no-pivot"),
        no_new_keyring=flags.is_on("no-new-keyring"),
        preserve_fds=flags.number("preserve-fds"),
        systemd_cgroup=settings.is_on("systemd-cgroup"),
        rootless=settings.is_rootless(),
    )


def path(flags: "Flags", name: str) -> str:
    """Return the absolute path that a flag gives, "" without it."""
    text = flags.text(name)
    return absolute(text) if text else ""
