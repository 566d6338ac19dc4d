# SPDX-License-Identifier: Apache-2.0
"""What the compiler is told of the host."""

import os
from pathlib import Path
from typing import Any

import pytest
from plans import bind, mount, spec

from pyoci import host
from pyoci.linux.process import CLONE_NEWNS, NAMESPACES


@pytest.mark.parametrize(("content", "on"), [("Y\n", True), ("N\n", False), (None, False)])
def test_apparmor_may_be_there_and_off(tmp_path: Path, content: str | None, on: bool) -> None:
    switch = tmp_path / "enabled"
    if content is not None:
        switch.write_text(content)
    assert host._apparmor_is_on(str(switch)) == on


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    (tmp_path / "dir").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("dir")
    (tmp_path / "gone").symlink_to("nothing")
    return str(tmp_path)


def sources(bundle: str, *entries: dict[str, Any]) -> tuple[set[str], set[str]]:
    found = host.bind_sources(spec(*entries), bundle)
    return {Path(path).name for path in found.directories}, {
        Path(path).name for path in found.missing
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dir", ({"dir"}, set())),
        ("link", ({"link"}, set())),
        ("file", (set(), set())),
        ("nothing", (set(), {"nothing"})),
        ("gone", (set(), {"gone"})),
    ],
)
def test_bind_sources_are_directories_or_missing_or_neither(
    bundle: str, name: str, expected: tuple[set[str], set[str]]
) -> None:
    assert sources(bundle, bind("/m", f"{bundle}/{name}")) == expected
    assert sources(bundle, bind("/m", name, "rbind")) == expected
    assert sources(bundle, mount("/m", "bind", source=name)) == expected


def test_what_is_no_bind_mount_has_no_source_on_the_host(bundle: str) -> None:
    entries = (mount("/t", "tmpfs", source="dir"), mount("/n", None, "bind", source=None))
    assert sources(bundle, *entries) == (set(), set())


def test_sources_are_absolute(bundle: str) -> None:
    assert host.bind_sources(spec(bind("/m", "dir")), bundle).directories == [f"{bundle}/dir"]


@pytest.mark.parametrize(
    ("name", "links"), [("link", {"dir"}), ("gone", {"nothing"}), ("dir", set())]
)
def test_a_link_that_is_to_be_copied_is_read(bundle: str, name: str, links: set[str]) -> None:
    """crun's copy-symlink; a link to nothing is as good."""
    found = host.bind_sources(spec(bind("/m", name, "bind", "copy-symlink")), bundle)
    assert {*found.links.values()} == links
    assert found.missing == []


def test_a_source_that_runs_through_a_file_is_the_mounts_to_refuse(bundle: str) -> None:
    """stat(2): ENOTDIR, ELOOP, ENAMETOOLONG; the mount says so, with its place."""
    (Path(bundle) / "loop").symlink_to("loop")
    for source in ("file/below", "loop", "x" * 5000):
        assert sources(bundle, bind("/m", source))[0] == set()


def test_we_share_every_namespace_with_ourselves() -> None:
    everything = 0
    for flag, name in NAMESPACES.values():
        everything |= flag if os.path.exists(f"/proc/self/ns/{name}") else 0
    assert host.shared_namespaces(os.getpid()) == everything
    assert everything & CLONE_NEWNS


def test_in_another_user_namespace_every_capability_can_be_given() -> None:
    assert host.grantable(in_user=True) == -1
    assert host.grantable(in_user=False) >= 0
