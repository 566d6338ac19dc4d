# SPDX-License-Identifier: Apache-2.0
"""`_compress`: for the monitor, compress a file of a log that is full."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = ()
_CHUNK = 1 << 18


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Put FILE.gz in the place of FILE: at any moment the lines are in one of them. Where there is no room FILE stays."""
    del flags, places
    import zlib

    (path,) = arguments
    target, temporary = f"{path}.gz", f"{path}.gz.new"
    form = zlib.compressobj(wbits=31)  # gzip's
    try:
        with open(path, "rb") as source, open(temporary, "wb") as made:
            os.fchmod(made.fileno(), 0o640)
            while part := source.read(_CHUNK):
                made.write(form.compress(part))
            made.write(form.flush())
        os.rename(temporary, target)
        os.unlink(path)
    except OSError:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
    return 0
