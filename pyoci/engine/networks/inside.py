# SPDX-License-Identifier: Apache-2.0
"""Another network namespace for a moment: sockets that are made there stay there (setns(2), network_namespaces(7))."""

import posix

from pyoci.engine.libc import call
from pyoci.linux.process import CLONE_NEWNET

_OWN = "/proc/thread-self/ns/net"
_FLAGS = posix.O_RDONLY | posix.O_CLOEXEC


class Inside:
    """A with block within a network namespace, which is a path or a descriptor. Nothing of an image is touched in it."""

    __slots__ = ("_namespace", "_own")

    def __init__(self, namespace: int) -> None:
        self._namespace = namespace
        self._own = -1

    def __enter__(self) -> None:
        self._own = posix.open(_OWN, _FLAGS)
        call("setns", self._namespace, CLONE_NEWNET)

    def __exit__(self, *_: object) -> None:
        call("setns", self._own, CLONE_NEWNET)
        posix.close(self._own)
