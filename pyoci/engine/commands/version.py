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

FLAGS: "tuple[Flag, ...]" = (("format", "f", "string", "Format output: 'json' or a Go template"),)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Print the versions of pypod, of the runtime's specification, of Python and of the kernel; or those fields that Docker has."""
    del arguments, places
    if flags.text("format"):
        from pyoci.engine.tables import print_fields

        return print_fields(document(), flags.text("format"), "system.versionInfo", "version")
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


def document() -> dict[str, object]:
    """Return what there is of Docker's document: client and server are one program, which has no API and was not made with Go."""
    from pyoci.engine.images.manifests import host_platform

    machine = host_platform().architecture
    both = {"Version": __version__, "Os": "linux", "Arch": machine}
    server = {
        "Platform": {"Name": "pypod"},
        **both,
        "KernelVersion": posix.uname().release,
    }
    return {"Client": both, "Server": server}
