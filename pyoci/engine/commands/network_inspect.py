# SPDX-License-Identifier: Apache-2.0
"""`network inspect`: everything that is known of networks."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (
    ("format", "f", "string", "Format output: 'json' or a Go template"),
    ("verbose", "v", "", "Verbose output for diagnostics"),
)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Print the documents as a JSON array, or each through a template."""
    from pyoci.engine.inspection import print_documents

    return print_documents(arguments, ["network"], places, form=flags.text("format"), size=False)
