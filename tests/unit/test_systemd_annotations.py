# SPDX-License-Identifier: Apache-2.0
"""Annotations org.systemd.property.NAME: the list, the types, GVariant's text format."""

import pytest

from pyoci.cgroup.systemd.annotations import KEY, properties
from pyoci.errors import SpecError


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("KillSignal", "2", ("KillSignal", ("i", 2))),
        ("KillSignal", "int32 0x0f", ("KillSignal", ("i", 15))),
        ("TimeoutStopUSec", "uint64 5000000", ("TimeoutStopUSec", ("t", 5_000_000))),
        ("TimeoutStopUSec", "5", ("TimeoutStopUSec", ("t", 5))),
        ("TimeoutStopSec", "5", ("TimeoutStopUSec", ("t", 5_000_000))),
        ("TimeoutStopSec", "uint64 123", ("TimeoutStopUSec", ("t", 123_000_000))),
        ("RuntimeMaxSec", "1.5", ("RuntimeMaxUSec", ("t", 1_500_000))),
        ("CollectMode", "'inactive-or-failed'", ("CollectMode", ("s", "inactive-or-failed"))),
        ("CollectMode", '"inactive"', ("CollectMode", ("s", "inactive"))),
        ("Description", "'it\\'s \\\\'", ("Description", ("s", "it's \\"))),
        ("DefaultDependencies", " true ", ("DefaultDependencies", ("b", True))),
        ("After", "['crio.service', 'b.target']", ("After", ("as", ["crio.service", "b.target"]))),
        ("Before", "[]", ("Before", ("as", []))),
        ("AllowedCPUs", "[byte 0x3, 1]", ("AllowedCPUs", ("ay", b"\x03\x01"))),
        (
            "IOReadBandwidthMax",
            "[('/dev/sda', uint64 100)]",
            ("IOReadBandwidthMax", ("a(st)", [("/dev/sda", 100)])),
        ),
    ],
)
def test_a_value_has_the_type_that_systemd_wants(
    name: str, text: str, expected: tuple[str, object]
) -> None:
    assert properties({KEY + name: text, "other": "x"}) == dict([expected])


@pytest.mark.parametrize(
    "name",
    # starts units, stops units, gives devices back, runs programs, moves it, is none, is not spelled so
    ["Wants", "OnFailure", "Conflicts", "DeviceAllow", "ExecStartPre", "Slice", "", "killSignal"],
)
def test_what_reaches_further_than_the_container_is_refused(name: str) -> None:
    with pytest.raises(SpecError, match="is not among the properties that a container may set"):
        properties({KEY + name: "['reboot.target']"})


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("KillSignal", "'9'", "is not of type int32"),
        ("KillSignal", "", "is not of type int32"),
        ("KillSignal", "uint64 9", "is not of type int32"),
        ("KillSignal", "9 9", "goes on after a value of type i"),
        ("TasksMax", "-1", "is out of the range of type uint64"),
        ("TasksMax", "18446744073709551616", "is out of the range of type uint64"),
        ("SendSIGHUP", "1", "is neither true nor false"),
        ("CollectMode", "inactive", "is not a string in quotes"),
        ("CollectMode", "'inactive", "has no closing quote"),
        ("CollectMode", "'inactive\\", "has no closing quote"),
        ("Description", "'a\nb'", "has a letter that cannot be printed"),
        ("After", "['a' 'b']", 'has no "," where one must be'),
        ("After", "['a'", 'has no "," where one must be'),
        ("After", "'a'", 'has no "\\[" where one must be'),
        ("TimeoutStopSec", "soon", "is not a number of seconds"),
        ("TimeoutStopSec", "inf", "is not a number of seconds"),
        ("TimeoutStopSec", "-1", "is not a number of seconds that systemd takes"),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(name: str, text: str, problem: str) -> None:
    with pytest.raises(SpecError, match=f"{problem}$") as refused:
        properties({KEY + name: text})
    assert refused.value.place == f"/annotations/{KEY}{name}"
