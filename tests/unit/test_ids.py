# SPDX-License-Identifier: Apache-2.0
"""Names of containers (security.md section 5, case 49)."""

import pytest

from pyoci.errors import StateError
from pyoci.ids import check_id, make_id, name_of


@pytest.mark.parametrize("name", ["a", "A.b_c+d-9", "9", "_", "+", "a.", "x" * 255])
def test_a_good_name(name: str) -> None:
    check_id(name)


@pytest.mark.parametrize(
    "name",
    [
        ".",
        "..",
        "../x",
        "a/b",
        "a b",
        "a\nb",
        "a\n",
        ";",
        "ü",
        "a:b",
        "-x",
        ".hidden",
        "a\0",
        "x" * 256,
        "\udcff",
        "²",
        "a\\b",
        "~",
        "*",
    ],
)
def test_a_bad_name(name: str) -> None:
    with pytest.raises(StateError, match="invalid container ID format"):
        check_id(name)


def test_no_name() -> None:
    with pytest.raises(StateError, match="container id cannot be empty"):
        check_id("")


@pytest.mark.parametrize(
    ("bundle", "name"),
    [
        ("/x/hello", "hello"),
        ("/x/web server", "web-server"),
        ("/x/.git", "git"),
        ("/", "container"),
        ("/x/ü", "container"),
        ("/" + "y" * 300, "y" * 64),
    ],
)
def test_the_name_of_a_bundle_is_a_good_one(bundle: str, name: str) -> None:
    assert name_of(bundle) == name
    check_id(name_of(bundle))


def test_a_made_id_is_good_and_another_each_time() -> None:
    made = {make_id("/x/hello") for _ in range(10)}
    assert len(made) == 10
    for name in made:
        assert name.startswith("hello-")
        check_id(name)
