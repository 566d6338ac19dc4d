# SPDX-License-Identifier: Apache-2.0
"""What a container finds when it starts: namespaces of others, links to those that run, its own files."""

from pyoci.engine.containers import hostfiles, links, network, root, state
from pyoci.engine.containers.order import Surroundings
from pyoci.engine.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.containers.record import Container, Records

_JOINS = "container:"


def look_around(records: "Records", container: "Container", namespace: str = "") -> Surroundings:
    """Return what the container joins; raises EngineError when that does not run. Writes its files as far as they are known.

    `namespace` is the network namespace of a container that begins again.
    """
    root.trust(container)
    found = Surroundings(root.place(container), root.layers(records, container))
    host = container.host_config
    other = network.joined(records, container)
    if other is not None:
        pid = _pid(other, "cannot join network of a non running container")
        found.namespaces["network"] = f"/proc/{pid}/ns/net"
    elif host["NetworkMode"] == "host":
        found.namespaces["network"] = ""
    elif namespace:
        found.namespaces["network"] = namespace
    _join(records, found, "pid", host["PidMode"])
    if host["IpcMode"] not in ("private", "none"):
        from pyoci.engine.containers import sharedmemory

        sharedmemory.join(records, container, found)
    if host["UTSMode"] == "host":
        found.namespaces["uts"] = ""
    targets = links.targets(records, container)
    found.link_variables = links.variables(container, targets)
    if other is None:
        hostfiles.write(container, links.hosts(targets))
    return found


def _join(records: "Records", found: Surroundings, kind: str, mode: str) -> None:
    if mode == "host":
        found.namespaces[kind] = ""
    elif mode.startswith(_JOINS):
        other = records.find(mode.removeprefix(_JOINS))
        pid = _pid(other, f"cannot join {kind.upper()} of a non running container")
        found.namespaces[kind] = f"/proc/{pid}/ns/{kind}"


def _pid(other: "Container", words: str) -> int:
    fields = state.current(other)
    if fields["Status"] not in ("running", "paused"):
        raise EngineError(f"{words}: {other.id}")
    return int(fields["Pid"])
