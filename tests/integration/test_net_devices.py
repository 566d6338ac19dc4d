# SPDX-License-Identifier: Apache-2.0
"""config.json: linux.netDevices: devices of the host that move into the container."""

import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from blackbox.bundle import MakeBundle
from blackbox.runtime import Runtime

pytestmark = [pytest.mark.expect_fail_on("runc", "runc 1.1 does not know netDevices", strict=False)]


class Device:
    """One end of a veth pair; the other stays on the host."""

    def __init__(self, name: str, peer: str) -> None:
        self.name = name
        self.peer = peer

    def inside(self, pid: int, name: str) -> dict[str, Any]:
        """Describe a device as a process sees it."""
        argv = ["nsenter", f"--net=/proc/{pid}/ns/net", "ip", "-j", "addr", "show", "dev", name]
        found: list[dict[str, Any]] = json.loads(subprocess.check_output(argv))
        return found[0]

    def outside(self) -> dict[str, Any]:
        """Describe it as the host sees it."""
        return self.inside(os.getpid(), self.name)

    def exists(self) -> bool:
        """Tell whether the host has it."""
        return os.path.exists(f"/sys/class/net/{self.name}")


def addresses(device: dict[str, Any]) -> set[str]:
    """Return the addresses of global scope."""
    rows = [row for row in device["addr_info"] if row["scope"] == "global"]
    return {f"{row['local']}/{row['prefixlen']}" for row in rows}


def ip(*words: str) -> None:
    """Run ip(8)."""
    subprocess.run(["ip", *words], check=True)


@pytest.fixture
def device() -> Iterator[Device]:
    """A device that is up, with addresses of two families."""
    made = Device(f"pt{os.getpid() % 100000}a", f"pt{os.getpid() % 100000}b")
    ip("link", "add", made.name, "mtu", "1400", "type", "veth", "peer", "name", made.peer)
    ip("addr", "add", "192.0.2.7/24", "brd", "192.0.2.255", "dev", made.name)
    ip("addr", "add", "2001:db8::7/64", "dev", made.name, "nodad")
    ip("link", "set", made.name, "up")
    yield made
    subprocess.run(["ip", "link", "del", made.peer], check=False, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize(("asked", "name"), [({}, ""), ({"name": "eth7"}, "eth7")])
def test_a_device_moves_with_what_it_has(
    runtime: Runtime, bundle: MakeBundle, device: Device, asked: dict[str, str], name: str
) -> None:
    """MUST preserve attributes and permanent addresses of global scope, and set it up."""
    before = device.outside()
    container = runtime.create(bundle("sleep", "1000", netDevices={device.name: asked}))
    assert not device.exists()
    after = device.inside(container.pid, name or device.name)
    assert addresses(after) == addresses(before) == {"192.0.2.7/24", "2001:db8::7/64"}
    assert (after["mtu"], after["address"]) == (1400, before["address"])
    assert "UP" in after["flags"]


def test_a_template_is_filled_by_the_kernel(
    runtime: Runtime, bundle: MakeBundle, device: Device
) -> None:
    """MUST allow the move: a name that ends in %d."""
    made = bundle("sleep", "1000", netDevices={device.name: {"name": "net%d"}})
    assert device.inside(runtime.create(made).pid, "net0")["mtu"] == 1400


def test_it_moves_into_the_network_of_a_user_namespace(
    runtime: Runtime, bundle: MakeBundle, device: Device
) -> None:
    """It is the runtime that has the right, not the container."""
    made = bundle("sleep", "1000", netDevices={device.name: {"name": "eth0"}})
    made.map_users()
    container = runtime.create(made.write())
    assert addresses(device.inside(container.pid, "eth0")) == {"192.0.2.7/24", "2001:db8::7/64"}


def test_a_name_that_is_taken_is_refused_and_the_device_stays(
    runtime: Runtime, bundle: MakeBundle, device: Device
) -> None:
    """MUST generate an error when the name exists in the container's namespace."""
    before = device.outside()
    made = bundle("sleep", "1000", netDevices={device.name: {"name": "lo"}})
    message = runtime.refuses(made)
    assert f"linux.netDevices: cannot move {device.name} as lo: file exists" in message
    after = device.outside()
    assert addresses(after) == addresses(before)
    assert "UP" in after["flags"]


def test_a_device_that_is_missing_gives_the_others_back(
    runtime: Runtime, bundle: MakeBundle, device: Device
) -> None:
    """All of them or none."""
    before = device.outside()
    made = bundle("true", netDevices={device.name: {"name": "eth0"}, "nosuch0": {}})
    assert "there is no network device nosuch0" in runtime.refuses(made)
    after = device.outside()
    assert addresses(after) == addresses(before)
    assert "UP" in after["flags"]


def test_a_container_that_fails_later_gives_it_back(
    runtime: Runtime, bundle: MakeBundle, device: Device
) -> None:
    """A refusal leaves the host as it was."""
    made = bundle("/nosuch", netDevices={device.name: {"name": "eth0"}})
    assert "/nosuch" in runtime.refuses(made)
    assert addresses(device.outside()) == {"192.0.2.7/24", "2001:db8::7/64"}
