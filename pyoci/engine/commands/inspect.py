# SPDX-License-Identifier: Apache-2.0
"""`inspect`: everything that is known of containers, images, volumes."""

from pyoci.engine.errors import PlainError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (
    ("format", "f", "string", "Format output using a custom template"),
    ("size", "s", "", "Display total file sizes if the type is container"),
    ("type", "", "string", "Only inspect objects of the given type"),
)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Print the documents as a JSON array, or each through a template."""
    from pyoci.engine.inspection import FINDERS, print_documents

    kind = flags.text("type")
    if kind and kind not in FINDERS:
        known = ", ".join(f'"{name}"' for name in FINDERS)
        raise PlainError(f'unknown type: "{kind}": must be one of {known}')
    kinds = [kind] if kind else [*FINDERS]
    size = flags.is_on("size")
    return print_documents(arguments, kinds, places, form=flags.text("format"), size=size)
