# SPDX-License-Identifier: Apache-2.0
"""Network devices of the host that move into a container (config-linux.md#network-devices).

A device keeps its link-layer address, its MTU and its permanent addresses of global scope. What does not
work is taken back: either all devices have moved, or all are where they were.
"""

import posix

from pyroute2 import IPRoute, NetlinkError, NetNS

from pyoci.errors import StepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.spec import NetDevice

    Message = Any  # what pyroute2 made of a netlink message

IFF_UP = 0x1
IFA_F_PERMANENT = 0x80
SCOPE_GLOBAL = 0  # RT_SCOPE_UNIVERSE


class Moved:
    """A device that has moved: its name in both namespaces, and what it had."""

    __slots__ = ("addresses", "inside", "outside", "was_up")

    def __init__(self, outside: str) -> None:
        self.outside = outside
        self.inside = ""
        self.was_up = False
        self.addresses: list[dict[str, Any]] = []


class Devices:
    """The devices of one container while it is made; pins its network namespace, which may lose its processes."""

    __slots__ = ("moved", "namespace", "path")

    def __init__(self, pid: int) -> None:
        flags = posix.O_RDONLY | posix.O_CLOEXEC
        self.namespace = posix.open(f"/proc/{pid}/ns/net", flags)
        self.path = f"/proc/{posix.getpid()}/fd/{self.namespace}"  # pyroute2 may ask in a child
        self.moved: list[Moved] = []

    def move(self, devices: "dict[str, NetDevice]") -> None:
        """Move devices by their names; raises StepError with the host as it was."""
        try:
            for name, device in devices.items():
                self._move_one(name, device["name"] or name)
        except BaseException:
            self.take_back()
            raise

    def _move_one(self, name: str, wanted: str) -> None:
        place = "/linux/netDevices/" + name.replace("~", "~0").replace("/", "~1")
        device = Moved(name)
        with IPRoute() as host, NetNS(self.path) as inside:
            found = host.link_lookup(ifname=name)
            if not found:
                raise StepError(f"linux.netDevices: there is no network device {name}", place)
            index = found[0]
            device.was_up = bool(host.get_links(index)[0]["flags"] & IFF_UP)
            device.addresses = [
                _address(row) for row in host.get_addr(index=index) if _is_kept(row)
            ]
            before = _names(inside)
            try:
                host.link("set", index=index, state="down")
                host.link("set", index=index, net_ns_fd=self.namespace, ifname=wanted)
            except NetlinkError as error:
                self._restore(device, host, _names(inside) - before)
                reason = posix.strerror(error.code).lower()
                problem = f"linux.netDevices: cannot move {name} as {wanted}: {reason}"
                raise StepError(problem, place, error.code) from error
            # The name may have been made from a template such as eth%d.
            (device.inside,) = _names(inside) - before
            self.moved.append(device)
            _furnish(inside, device.inside, device.addresses, up=True)

    def _restore(self, device: Moved, host: IPRoute, new: set[str]) -> None:
        """Undo a move that failed: the kernel may have moved the device and refused only its new name."""
        if new:
            (device.inside,) = new
            self.moved.append(device)
        else:
            _furnish(host, device.outside, device.addresses, up=device.was_up)

    def take_back(self) -> None:
        """Give what has moved back to the host, as it was."""
        flags = posix.O_RDONLY | posix.O_CLOEXEC
        while self.moved:
            device = self.moved.pop()
            own = posix.open("/proc/self/ns/net", flags)
            try:
                with NetNS(self.path) as inside:
                    index = inside.link_lookup(ifname=device.inside)[0]
                    inside.link("set", index=index, state="down")
                    inside.link("set", index=index, net_ns_fd=own, ifname=device.outside)
            finally:
                posix.close(own)
            with IPRoute() as host:
                _furnish(host, device.outside, device.addresses, up=device.was_up)

    def close(self) -> None:
        """Let the namespace go; the devices are the container's from now on."""
        posix.close(self.namespace)


def _names(route: IPRoute) -> set[str]:
    return {str(row.get_attr("IFLA_IFNAME")) for row in route.get_links()}


def _furnish(route: IPRoute, name: str, addresses: "list[dict[str, Any]]", *, up: bool) -> None:
    """Give a device its addresses and set it up."""
    index = route.link_lookup(ifname=name)[0]
    for address in addresses:
        route.addr("replace", index=index, **address)
    if up:
        route.link("set", index=index, state="up")


def _is_kept(row: "Message") -> bool:
    flags = row.get_attr("IFA_FLAGS") or row["flags"]
    return bool(flags & IFA_F_PERMANENT) and row["scope"] == SCOPE_GLOBAL


def _address(row: "Message") -> "dict[str, Any]":
    """Return an address as it is added again, without the flags that the kernel gave it."""
    address = {
        "family": row["family"],
        "prefixlen": row["prefixlen"],
        "address": row.get_attr("IFA_LOCAL") or row.get_attr("IFA_ADDRESS"),
    }
    broadcast = row.get_attr("IFA_BROADCAST")
    return address | ({"broadcast": broadcast} if broadcast else {})
