# SPDX-License-Identifier: Apache-2.0
"""linux.cgroupsPath as the name of a unit of systemd's, and where its cgroup lies."""

import pytest

from pyoci.cgroup.systemd import unit
from pyoci.errors import SpecError


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("machine.slice:docker:1", ("machine.slice", "docker-1.scope")),
        ("a-b.slice:libpod:x", ("a-b.slice", "libpod-x.scope")),
        (":docker:1", ("system.slice", "docker-1.scope")),
        ("machine.slice::1", ("machine.slice", "1.scope")),
        ("-.slice:crio:1", ("-.slice", "crio-1.scope")),
        ("a.slice:unused:a-pod.slice", ("a.slice", "a-pod.slice")),
        ("", ("system.slice", "pyoci-id.scope")),
        (None, ("system.slice", "pyoci-id.scope")),
    ],
)
def test_a_path_names_slice_and_unit(path: str | None, expected: tuple[str, str]) -> None:
    assert unit.parse(path, "id", rootless=False) == expected


def test_a_users_own_systemd_has_another_default() -> None:
    assert unit.parse(None, "id", rootless=True) == ("user.slice", "pyoci-id.scope")
    assert unit.parse(":p:n", "id", rootless=True) == ("user.slice", "p-n.scope")


@pytest.mark.parametrize("path", ["/docker/1", "docker", "a.slice:b", "a.slice:b:c:d"])
def test_a_path_that_names_none_is_refused_in_runcs_words(path: str) -> None:
    words = 'expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got "'
    with pytest.raises(SpecError) as refused:
        unit.parse(path, "id", rootless=False)
    assert refused.value.problem == f'{words}{path}" instead'


@pytest.mark.parametrize(
    "path",
    "a:p:n .slice:p:n a--b.slice:p:n -a.slice:p:n a-.slice:p:n a/b.slice:p:n a.slice:p:a--b.slice".split(),
)
def test_an_invalid_slice_is_refused(path: str) -> None:
    with pytest.raises(SpecError, match=r"linux\.cgroupsPath: invalid slice name: "):
        unit.parse(path, "id", rootless=False)


@pytest.mark.parametrize(
    "path",
    ["a.slice:p:", "a.slice:p:x/../y", "a.slice:p:" + "x" * 250, "a.slice:p:ä", "ä.slice::x"],
)
def test_a_name_that_no_unit_has_is_refused(path: str) -> None:
    with pytest.raises(SpecError, match=r"linux\.cgroupsPath"):
        unit.parse(path, "id", rootless=False)


def test_an_id_may_have_what_a_unit_must_not() -> None:
    with pytest.raises(SpecError, match=r'cannot be the name of a unit: it has "\+" in it'):
        unit.parse(None, "a+b", rootless=False)


@pytest.mark.parametrize(
    ("above", "name", "expected"),
    [
        ("system.slice", "p-n.scope", "/system.slice/p-n.scope"),
        ("a-b-c.slice", "n.scope", "/a.slice/a-b.slice/a-b-c.slice/n.scope"),
        ("-.slice", "n.scope", "/n.scope"),
        ("a.slice", "a-b.slice", "/a.slice/a-b.slice"),
        ("a.slice", "memory.scope", "/a.slice/_memory.scope"),
        ("a.slice", "_x.scope", "/a.slice/__x.scope"),
        ("a.slice", "memory-x.scope", "/a.slice/memory-x.scope"),
    ],
)
def test_the_path_is_that_of_the_slices(above: str, name: str, expected: str) -> None:
    assert unit.path(above, name) == expected
