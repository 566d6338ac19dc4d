# SPDX-License-Identifier: Apache-2.0
"""`restore`: make a container from a checkpoint; it goes on where it was."""

from pyoci.commands import checkpoint, create
from pyoci.ids import check_id
from pyoci.linux.path import absolute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.commands.settings import Settings
    from pyoci.flags import Flag, Flags

check = checkpoint.check
FLAGS: "tuple[Flag, ...]" = (
    *checkpoint.BOTH,
    ("bundle", "b", "DIR", "path to the bundle (default: the current directory)"),
    ("console-socket", "", "PATH", "unix socket that receives the terminal's master"),
    ("pid-file", "", "FILE", "write the pid of init here"),
    ("detach", "d", "", "return when the container runs"),
    ("no-pivot", "", "", "accepted: criu decides how the root is entered"),
    ("no-subreaper", "", "", "do not adopt the container's orphans"),
    ("lsm-profile", "", "TYPE:NAME", "label the processes otherwise than they were"),
    ("lsm-mount-context", "", "CONTEXT", "label the mounts otherwise than they were"),
)


def run(arguments: list[str], flags: "Flags", settings: "Settings") -> int:
    """Restore a container; the status is that of its program, 0 when detached."""
    from pyoci import container
    from pyoci.creation import CreateOptions

    check_id(arguments[0])
    options = CreateOptions(
        root=settings.root(),
        id=arguments[0],
        bundle=absolute(flags.text("bundle") or "."),
        console_socket=create.path(flags, "console-socket"),
        pid_file=create.path(flags, "pid-file"),
        systemd_cgroup=settings.is_on("systemd-cgroup"),
        rootless=settings.is_rootless(),
    )
    images = checkpoint.options(flags)
    return container.restore(options, images, detach=flags.is_on("detach"))
