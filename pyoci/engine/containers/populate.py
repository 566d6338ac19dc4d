# SPDX-License-Identifier: Apache-2.0
"""Copy-up: a volume that is new gets what the image has in its place, with owner, mode and all that is below.

The image's paths are followed in a process that has changed its root to the image: no link leads out of it. The volume is an open
directory by then.
"""

import posix

from pyoci.engine.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from pyoci.engine.containers.record import Container

_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC


def fill_volumes(container: "Container", root: str) -> None:
    """Fill those volumes of a container that are empty and want it."""
    for made in container.document["Mounts"]:
        if made["Type"] == "volume" and made["copy"] and not posix.listdir(made["Source"]):
            _fill(root, made["Destination"], made["Source"])


def _fill(root: str, inside: str, target: str) -> None:
    pid = posix.fork()
    if pid == 0:
        _copy(root, inside, target)
    if posix.waitstatus_to_exitcode(posix.waitpid(pid, 0)[1]):
        raise EngineError(f"failed to copy the image's {inside} into volume {target}")


def _copy(root: str, inside: str, target: str) -> "NoReturn":
    status = 1
    try:
        from pyoci.engine.trees import copy_tree

        volume = posix.open(target, _DIRECTORY)
        posix.chroot(root)
        posix.chdir("/")
        try:
            source = posix.open(inside, _DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            status = 0  # the image has no such directory
        else:
            copy_tree(source, volume)
            status = 0
    finally:
        posix._exit(status)  # noqa: SLF001 - this process was forked from a command
