# SPDX-License-Identifier: Apache-2.0
"""Addresses and name questions as bytes and numbers: nothing of a network is touched."""

import ipaddress
import random
import struct
from types import SimpleNamespace
from typing import Any

import pytest

from pyoci.engine.monitor import names
from pyoci.engine.networks.addresses import Subnet, lowest_free, number, text_of
from pyoci.jsontext import dumps

SUBNETS = (
    "10.0.0.0/8",
    "172.17.5.9/16",
    "192.0.2.4/30",
    "192.0.2.4/31",
    "192.0.2.4/32",
    "fd00::9/64",
    "::/0",
)


@pytest.mark.parametrize("text", SUBNETS)
def test_a_subnet_is_what_the_library_says(text: str) -> None:
    ours, theirs = Subnet(text), ipaddress.ip_network(text, strict=False)
    assert ours.text() == str(theirs)
    assert (ours.first, ours.last) == (int(theirs[0]), int(theirs[-1]))
    low, high = ours.hosts()
    if theirs.version == 4 and theirs.prefixlen < 31:
        assert (low, high) == (int(theirs[1]), int(theirs[-2]))
    assert text_of(ours.family, low) == str(
        ipaddress.ip_address(low) if ours.family == 2 else ipaddress.IPv6Address(low)
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10.0.0.0",
        "10.0.0/8",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "fd00::/129",
        "x/8",
        "1.2.3.4/",
        "/8",
    ],
)
def test_what_is_no_subnet_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid CIDR address"):
        Subnet(text)


def test_subnets_overlap_as_the_library_says() -> None:
    texts = [
        "10.0.0.0/8",
        "10.1.0.0/16",
        "10.255.255.255/32",
        "11.0.0.0/8",
        "fd00::/8",
        "fd00:1::/64",
    ]
    for one in texts:
        for other in texts:
            theirs = ipaddress.ip_network(one), ipaddress.ip_network(other)
            same = theirs[0].version == theirs[1].version
            wanted = same and theirs[0].overlaps(theirs[1])  # type: ignore[arg-type]  # of one kind both
            assert Subnet(one).overlaps(Subnet(other)) == wanted


def test_the_lowest_that_is_free() -> None:
    assert lowest_free((2, 5), {2, 3, 5}) == 4
    assert lowest_free((2, 3), {2, 3}) is None
    assert lowest_free((2, 3), set()) == 2


def question(name: str, kind: int = 1, *, count: int = 1, flags: int = 0x0100) -> bytes:
    """Return a question as a resolver asks it."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return (
        struct.pack("!HHHHHH", 7, flags, count, 0, 0, 0)
        + labels
        + b"\0"
        + struct.pack("!HH", kind, 1)
    )


@pytest.fixture
def server(tmp_path: Any) -> names.Names:
    """A name server of container "me", in one of two networks."""
    for network, members in (("one", ("me", "web")), ("two", ("other",))):
        rows = [
            {
                "id": name,
                "addresses": [f"172.17.0.{len(name)}", f"fd00::{len(name)}"],
                "names": [name, f"{name}-alias"],
            }
            for name in members
        ]
        document = {"internal": False, "network": network, "members": rows}
        (tmp_path / network).write_text(dumps(document))
    settings = {"names": str(tmp_path), "servers": [], "links": {"near": "web", "far": "nosuch"}}
    return names.Names(SimpleNamespace(settings={"id": "me"}), settings)  # type: ignore[arg-type]  # of the monitor only its settings


@pytest.mark.parametrize("name", ["web", "WEB", "web.one", "web-alias", "near"])
def test_a_name_of_ones_network_has_addresses(name: str, server: names.Names) -> None:
    for kind, address in ((1, "172.17.0.3"), (28, "fd00::3")):
        answer = server.answer(question(name, kind))
        assert answer is not None
        assert answer.endswith(number(address).to_bytes(4 if kind == 1 else 16, "big"))
        assert answer[:2] == b"\0\7"
        assert answer[3] & 0xF == 0


def test_a_known_name_without_such_a_record_is_no_unknown_name(server: names.Names) -> None:
    """highlevel.md 3.4: NXDOMAIN for AAAA breaks musl."""
    answer = server.answer(question("web", 15))
    assert answer is not None
    assert (answer[3] & 0xF, answer[6:8]) == (0, b"\0\0")


@pytest.mark.parametrize("name", ["other", "nosuch", "far", "web.two"])
def test_others_are_not_known(name: str, server: names.Names) -> None:
    answer = server.answer(question(name))
    assert answer is not None
    assert answer[3] & 0xF == 3
    server.servers = ["192.0.2.1"]
    assert server.answer(question(name)) is None


def test_an_address_has_a_name(server: names.Names) -> None:
    for address in ("172.17.0.3", "fd00::3"):
        answer = server.answer(question(ipaddress.ip_address(address).reverse_pointer, 12))
        assert answer is not None
        assert answer.endswith(b"\3web\3one\0")


def test_what_is_no_question_has_no_answer(server: names.Names) -> None:
    good = question("web")
    for bad in (b"", good[:-1], question("web", count=2), question("web", flags=0x8180), good[:12]):
        assert server.answer(bad) == b""


def test_any_bytes_are_survived(server: names.Names) -> None:
    dice = random.Random(1)
    good = question("web.one")
    for _ in range(5000):
        message = bytearray(good[: dice.randrange(len(good) + 1)])
        for _ in range(dice.randrange(4)):
            if message:
                message[dice.randrange(len(message))] = dice.randrange(256)
        answer = server.answer(bytes(message))
        assert answer is None or answer == b"" or answer[:2] == message[:2]
