# SPDX-License-Identifier: Apache-2.0
"""overlayfs by the new mount API: as many layers as the kernel takes (500), one option each, where one list has 4095 bytes.

Without the host's root the marks of overlayfs are user.* attributes (`userxattr`). No attribute of a layer can lead out of it:
unpack.py sets none, and redirects are not followed.
"""

import posix

from pyoci.engine import mounts
from pyoci.engine.errors import EngineError
from pyoci.engine.places import is_rootless
from pyoci.linux.mount import FSCONFIG_VALUE_MAX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def mount_layer(directory: str, below: "Sequence[str]", *, volatile: bool = False) -> None:
    """Mount the writable layer in a directory, unless it is.

    A `volatile` one is not written to its disk when it is unmounted, with all else that waits there. Nothing of it can be relied on
    after a crash of the host, so overlayfs refuses it from then on, until what marks it is taken away.
    """
    if is_mounted(directory):
        return
    upper, work = f"{directory}/upper", f"{directory}/work"
    mount_overlay(below, f"{directory}/merged", upper, work, volatile=volatile)


def is_mounted(directory: str) -> bool:
    """Tell whether something is mounted on `merged`."""
    try:
        return posix.stat(f"{directory}/merged").st_dev != posix.stat(directory).st_dev
    except FileNotFoundError:
        identity = directory.rpartition("/")[2]
        raise EngineError(f"container {identity} has no writable layer") from None


def mount_overlay(
    lowers: "Sequence[str]", target: str, upper: str = "", work: str = "", *, volatile: bool = False
) -> None:
    """Mount layers, the uppermost first, on each other; without an upper directory read-only, and at least two."""
    options = [("lowerdir+", lower) for lower in lowers]
    if upper:
        options += [("upperdir", upper), ("workdir", work)]
    options += [("index", "off"), ("metacopy", "off"), ("redirect_dir", "nofollow")]
    if is_rootless():
        options.append(("userxattr", ""))
    if volatile:
        options.append(("volatile", ""))
    for _, value in options:
        if len(value) > FSCONFIG_VALUE_MAX:
            raise EngineError(
                f"{value}: longer than {FSCONFIG_VALUE_MAX} bytes: choose a shorter --root"
            )
    mounts.mount("overlay", [("source", "overlay"), *options], target)
