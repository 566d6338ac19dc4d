# SPDX-License-Identifier: Apache-2.0
"""What a container's mount table says."""

from blackbox.bundle import Bundle
from blackbox.runtime import Runtime

OPTIONS = "awk '$5 == \"{}\" {{print $6}}' /proc/self/mountinfo | tail -1"


def flags_of(runtime: Runtime, made: Bundle, place: str = "/mnt") -> set[str]:
    """Return the per-mount flags of a mount point in the container."""
    made.edit(sh=OPTIONS.format(place))
    return set(runtime.output(made.write()).strip().split(","))
