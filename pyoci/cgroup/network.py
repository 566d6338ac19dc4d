# SPDX-License-Identifier: Apache-2.0
"""linux.resources.network as writes, for version 1 alone (config-linux.md#network).

The kernel looks an interface up where the writer is: priorities are for interfaces of the host.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pyoci.cgroup.resources import Writes


def writes(network: "Mapping[str, Any]") -> "Writes":
    """Return the class of the packets and the priority on each interface."""
    number, rows = network["classID"], network["priorities"]
    found = [("net_cls.classid", str(number))] if number else []
    return found + [("net_prio.ifpriomap", f"{row['name']} {row['priority']}") for row in rows]
