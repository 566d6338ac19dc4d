# SPDX-License-Identifier: Apache-2.0
"""The default network for a RUN: for as long as it runs, its container has a row and a place on the bridge, as every container."""

import posix

from pyoci.engine.containers import attachment, hostfiles, network, networking, status
from pyoci.engine.containers.record import Records
from pyoci.engine.places import make_private
from pyoci.engine.trees import remove_tree
from pyoci.flags import Flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.containers.record import Container


class Attached:
    """A container of a build that is to be on the network; its lock says that it is alive, and goes with us."""

    __slots__ = ("container", "lock", "records", "run")

    def __init__(self, container: "Container") -> None:
        self.container = container
        self.records = Records(container.places)
        self.run = f"{container.places.run}/containers/{container.id}"
        make_private(self.run)
        lock = status.lock(self.run)
        assert lock is not None, "an id is used once"
        self.lock = lock
        asked = networking.asked(Flags({}), container.id)
        container.document["NetworkSettings"] = network.settings(asked)
        with self.records.database.writing():
            self.records.add(container, named=True)

    def attach(self, pid: int) -> None:
        """Give the container its address, before its program begins."""
        for _, given in attachment.attach(self.records, self.container, pid):
            given.close()
        hostfiles.write(self.container, [])

    def close(self) -> None:
        """Take it away again."""
        remove(self.records, self.container)
        remove_tree(self.run)
        posix.close(self.lock)


def remove(records: Records, container: "Container") -> None:
    """Remove a container of a build from the network and from the list."""
    attachment.detach(records, container)
    records.remove(container)
