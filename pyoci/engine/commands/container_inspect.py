# SPDX-License-Identifier: Apache-2.0
"""`container inspect`: everything that is known of containers."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (
    ("format", "f", "string", "Format output using a custom template"),
    ("size", "s", "", "Display total file sizes"),
)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Print the documents as a JSON array, or each through a template."""
    from pyoci.engine.inspection import print_documents

    size = flags.is_on("size")
    return print_documents(arguments, ["container"], places, form=flags.text("format"), size=size)
