# SPDX-License-Identifier: Apache-2.0
"""config.md#mounts: every option name, and the difference between cleared and not mentioned."""

import pytest

from pyoci.errors import SpecError, Unsupported
from pyoci.linux.mount import (
    MOUNT_ATTR__ATIME,
    MOUNT_ATTR_NOATIME,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    MOUNT_ATTR_STRICTATIME,
    MS_PRIVATE,
    MS_SHARED,
    MS_SLAVE,
)
from pyoci.plan import options

PLACE = "/mounts/0/options"

EVERY_NAME = """
async atime bind defaults dev diratime dirsync exec iversion lazytime loud mand noatime nodev
nodiratime noexec noiversion nolazytime nomand norelatime nostrictatime nosuid nosymfollow private
ratime rbind rdev rdiratime relatime remount rexec rnoatime rnodev rnodiratime rnoexec rnorelatime
rnostrictatime rnosuid rnosymfollow ro rprivate rrelatime rro rrw rshared rslave rstrictatime rsuid
rsymfollow runbindable rw shared silent slave strictatime suid symfollow sync tmpcopyup unbindable
idmap ridmap acl noacl rsync rasync rdirsync rmand rnomand src-nofollow
""".split()


@pytest.mark.parametrize("name", EVERY_NAME)
def test_every_option_is_known(name: str) -> None:
    assert options.parse([name], PLACE).data == []


def test_an_option_that_is_not_mentioned_changes_nothing() -> None:
    parsed = options.parse(["rbind"], PLACE)
    assert (parsed.set, parsed.clear, parsed.recursive_set, parsed.recursive_clear) == (0, 0, 0, 0)


def test_an_option_that_is_taken_back_is_cleared() -> None:
    parsed = options.parse(["rw", "suid"], PLACE)
    assert (parsed.set, parsed.clear) == (0, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID)


def test_the_last_of_two_opposites_wins() -> None:
    parsed = options.parse(["ro", "noexec", "rw"], PLACE)
    assert (parsed.set, parsed.clear) == (MOUNT_ATTR_NOEXEC, MOUNT_ATTR_RDONLY)
    parsed = options.parse(["rrw", "rro"], PLACE)
    assert (parsed.recursive_set, parsed.recursive_clear) == (MOUNT_ATTR_RDONLY, 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [("noatime", MOUNT_ATTR_NOATIME), ("strictatime", MOUNT_ATTR_STRICTATIME), ("relatime", 0)],
)
def test_the_access_time_is_changed_as_a_whole(name: str, value: int) -> None:
    """mount_setattr(2): attr_clr must hold all of MOUNT_ATTR__ATIME."""
    for before in ("strictatime", "noatime", "atime", "nodev"):
        parsed = options.parse([before, name], PLACE)
        assert parsed.set & MOUNT_ATTR__ATIME == value
        assert parsed.clear & MOUNT_ATTR__ATIME == MOUNT_ATTR__ATIME


def test_recursive_attributes_come_last_on_a_single_mount() -> None:
    parsed = options.parse(["ro", "nodev", "rrw"], PLACE)
    assert options.merged(parsed) == (MOUNT_ATTR_NODEV, MOUNT_ATTR_RDONLY)
    assert parsed.attributes == MOUNT_ATTR_NODEV


def test_propagation_keeps_its_order() -> None:
    parsed = options.parse(["rslave", "shared", "private"], PLACE)
    assert parsed.propagation == [(MS_SLAVE, True), (MS_SHARED, False), (MS_PRIVATE, False)]


def test_unknown_options_are_flags_and_strings_of_the_file_system() -> None:
    parsed = options.parse(["nosuid", "newinstance", "mode=0620", "x=a=b", "y="], PLACE)
    assert parsed.parameters() == [
        (1, 0, "newinstance", None, False),
        (2, 1, "mode", "0620", False),
        (3, 1, "x", "a=b", False),
        (4, 1, "y", "", False),
    ]


def test_a_comma_splits_nothing() -> None:
    """A label or a source must not smuggle options in."""
    parsed = options.parse(["size=1m,suid"], PLACE)
    assert parsed.parameters() == [(0, 1, "size", "1m,suid", False)]


def test_a_label_loses_its_quotes_and_keeps_its_commas() -> None:
    parsed = options.parse(['context="u:r:t:s0:c1,c2"'], PLACE)
    assert parsed.parameters() == [(0, 1, "context", "u:r:t:s0:c1,c2", False)]


def test_flags_of_file_systems_are_offered_or_demanded() -> None:
    parsed = options.parse(["sync", "iversion", "rnomand"], PLACE)
    assert parsed.parameters() == [
        (0, 0, "sync", None, False),
        (1, 0, "iversion", None, True),
        (2, 0, "nomand", None, False),
    ]


def test_many_layers_of_overlay_go_one_by_one() -> None:
    """fsconfig(2) takes strings of 255 bytes."""
    layers = [f"/layers/{'x' * 60}{i}" for i in range(8)]
    parsed = options.parse(["lowerdir=" + ":".join(layers)], PLACE)
    assert parsed.parameters() == [(0, 1, "lowerdir+", layer, False) for layer in layers]


@pytest.mark.parametrize("option", ["workdir=" + "x" * 256, "lowerdir=" + "x" * 256])
def test_a_string_too_long_for_the_kernel_is_refused_by_name(option: str) -> None:
    with pytest.raises(Unsupported, match="longer than 255 bytes"):
        options.parse([option], PLACE).parameters()


def test_an_option_without_a_name_is_refused_at_its_place() -> None:
    with pytest.raises(SpecError) as caught:
        options.parse(["ro", "=x"], PLACE)
    assert caught.value.place == "/mounts/0/options/1"


def test_id_maps_of_an_option_become_lines() -> None:
    parsed = options.parse(["idmap=uids=0-1-10#10-11-5;gids=0-2-15"], PLACE)
    assert parsed.idmap
    assert parsed.id_maps == {
        "uids": [(0, 1, 10, False), (10, 11, 5, False)],
        "gids": [(0, 2, 15, False)],
    }


@pytest.mark.parametrize(
    "text", ["uids=0-1;gids=0-1-1", "uids=@0;gids=0-1-1", "uids=a-1-1;gids=0-1-1", "pids=0-1-1", ""]
)
def test_malformed_id_maps_are_refused(text: str) -> None:
    with pytest.raises(SpecError):
        options.parse([f"idmap={text}"], PLACE)


def test_a_range_may_be_relative_to_the_container() -> None:
    parsed = options.parse(["idmap=uids=@1000-0-1"], PLACE)
    assert parsed.id_maps == {"uids": [(1000, 0, 1, True)]}
