# SPDX-License-Identifier: Apache-2.0
"""`version`: what this program is made of."""

import posix
import sys

from pyoci import SPEC_VERSION, __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = ()


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Print the versions of pypod, of the runtime's specification, of Python and of the kernel."""
    del arguments, flags, places
    host = posix.uname()
    rows = {
        "Version": __version__,
        "OCI runtime specification": SPEC_VERSION,
        "Python": sys.version.partition(" ")[0],
        "Kernel": host.release,
        "OS/Arch": f"{host.sysname.lower()}/{host.machine}",
    }
    print("pypod:")
    for name, value in rows.items():
        print(f" {name + ':':<27}{value}")
    return 0
