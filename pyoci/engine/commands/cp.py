# SPDX-License-Identifier: Apache-2.0
"""`cp`: copy files between a container and the host."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (
    ("archive", "a", "", "Archive mode (copy all uid/gid information)"),
    ("follow-link", "L", "", "Always follow symbol link in SRC_PATH"),
    ("quiet", "q", "", "Suppress progress output during copy"),
)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Copy a file or a tree; - is a tar archive on standard input or output."""
    from pyoci.engine.containers import copying
    from pyoci.engine.containers.record import Records

    follow, owners = flags.is_on("follow-link"), flags.is_on("archive")
    source, target = arguments
    return copying.copy(
        Records(places), source, target, follow=follow, owners=owners, quiet=flags.is_on("quiet")
    )
