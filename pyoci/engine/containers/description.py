# SPDX-License-Identifier: Apache-2.0
"""A container as `inspect` shows it: Docker's document, in Docker's order."""

from pyoci.engine import moments, trees
from pyoci.engine.containers import links, logconfig, mounts, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.engine.containers.record import Container, Records

    Document = dict[str, Any]

_NOT_OURS = {
    "Cgroup": "",
    "ConsoleSize": [0, 0],
    "CpuCount": 0,
    "CpuPercent": 0,
    "DeviceRequests": None,
    "IOMaximumBandwidth": 0,
    "IOMaximumIOps": 0,
    "Isolation": "",
    "KernelMemoryTCP": 0,
    "VolumeDriver": "",
}


def describe(records: "Records", container: "Container", *, size: bool) -> "Document":
    """Return everything that is known of a container."""
    own, host, fields = container.config, container.host_config, state.seen(container)
    program = [*(own["Entrypoint"] or ()), *(own["Cmd"] or ())]
    files = container.document["files"]
    found: Document = {
        "Id": container.id,
        "Created": moments.text(container.created),
        "Path": program[0],
        "Args": program[1:],
        "State": state.document(fields),
        "Image": container.image,
        "ResolvConfPath": f"{files}/resolv.conf",
        "HostnamePath": f"{files}/hostname",
        "HostsPath": f"{files}/hosts",
        "LogPath": logconfig.path(container)
        if host["LogConfig"]["Type"] in logconfig.FILES
        else "",
        "Name": f"/{container.name}",
        "RestartCount": fields["RestartCount"],
        "Driver": "overlay2",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": None,
        "HostConfig": _host_config(host, links.shown(records, container)),
        "GraphDriver": {"Data": _directories(records, container), "Name": "overlay2"},
        "Mounts": [
            mounts.shown(made) for made in container.document["Mounts"] if mounts.is_shown(made)
        ],
        "Config": _config(own),
        "NetworkSettings": network_settings(container, fields["Status"]),
    }
    if size:
        found["SizeRw"] = writable_size(container)
        found["SizeRootFs"] = found["SizeRw"] + image_size(records, container)
    return found


def _host_config(host: "Document", linked: list[str] | None) -> "Document":
    """Return HostConfig with what only Docker has."""
    found = {**host, **_NOT_OURS, "Links": linked}
    if host["Memory"] > 0 and not host["MemorySwap"]:
        found["MemorySwap"] = 2 * host["Memory"]  # which is what the limit is then
    return found


def _config(own: "Document") -> "Document":
    """Return Config without what Docker leaves out when it is empty."""
    optional = ("ExposedPorts", "Healthcheck", "MacAddress", "StopSignal", "StopTimeout")
    found = {key: value for key, value in own.items() if key not in optional or value}
    found["Volumes"] = own["Volumes"] or None
    return {**found, "OnBuild": None}


def network_settings(container: "Container", name: str) -> "Document":
    """Return NetworkSettings; a container that does not run has no addresses and no ports."""
    found: Document = container.document["NetworkSettings"]
    if name in state.RUNNING:
        return found
    from pyoci.engine.containers import network

    return network.settings(found["Networks"])


def writable_size(container: "Container") -> int:
    """Return how many bytes the container has written into its root."""
    return trees.measure(f"{container.places.root}/snapshots/{container.id}/upper")


def image_size(records: "Records", container: "Container") -> int:
    """Return how many bytes the layers of a container's image hold."""
    row = records.database.row("SELECT bytes FROM image WHERE id = ?", container.image)
    return int(str(row[0])) if row else 0


def _directories(records: "Records", container: "Container") -> dict[str, str]:
    """Return what overlayfs is made of: the layers of the image, the uppermost first, and the container's own."""
    rows = records.database.rows(
        "SELECT diff_id FROM image_layer WHERE image = ? ORDER BY position DESC", container.image
    )
    root = container.places.root
    own = f"{root}/snapshots/{container.id}"
    return {
        "LowerDir": ":".join(f"{root}/layers/{str(row[0]).partition(':')[2]}" for row in rows),
        "MergedDir": f"{own}/merged",
        "UpperDir": f"{own}/upper",
        "WorkDir": f"{own}/work",
    }
