# SPDX-License-Identifier: Apache-2.0
"""References: Docker's rules and Docker's words."""

import pytest

from pyoci.engine.errors import EngineError
from pyoci.engine.reference import from_name, parse

DIGEST = "sha256:" + "0123456789abcdef" * 4
LOWER = "invalid reference format: repository name ({}) must be lowercase"


@pytest.mark.parametrize(
    ("text", "name", "shown"),
    [
        ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("index.docker.io/a/b:1", "docker.io/a/b:1", "a/b:1"),
        (
            "dockerinaction/ch2_mailer",
            "docker.io/dockerinaction/ch2_mailer:latest",
            "dockerinaction/ch2_mailer:latest",
        ),
        ("library/x", "docker.io/library/x:latest", "x:latest"),
        ("localhost/x", "localhost/x:latest", None),
        ("localhost:5000/a/b/c:T_1.x-", "localhost:5000/a/b/c:T_1.x-", None),
        ("Reg/x", "Reg/x:latest", None),
        ("127.0.0.1:5000/x", "127.0.0.1:5000/x:latest", None),
        ("[::1]:5000/x", "[::1]:5000/x:latest", None),
        ("a__b/c---d/e.f", "docker.io/a__b/c---d/e.f:latest", "a__b/c---d/e.f:latest"),
        (f"x@{DIGEST}", f"docker.io/library/x@{DIGEST}", f"x@{DIGEST}"),
        (f"x:1@{DIGEST}", f"docker.io/library/x@{DIGEST}", f"x:1@{DIGEST}"),
        ("library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
    ],
)
def test_a_name_is_normalized(text: str, name: str, shown: str | None) -> None:
    reference = parse(text)
    assert reference.name == name
    assert reference.shown == (shown or name)
    if "@" not in name:
        assert from_name(name).name == name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "invalid reference format"),
        ("BUSYBOX", LOWER.format("library/BUSYBOX")),
        ("Bad/Name:x", LOWER.format("Name")),
        ("a:", "invalid reference format"),
        ("a:-x", "invalid reference format"),
        ("a:" + "x" * 129, "invalid reference format"),
        ("a..b", "invalid reference format"),
        ("a___b", "invalid reference format"),
        ("-a", "invalid reference format"),
        ("a/", "invalid reference format"),
        ("a//b", "invalid reference format"),
        ("../etc/passwd", "invalid reference format"),
        ("a b", "invalid reference format"),
        ("a\nb", "invalid reference format"),
        ("a:80:90/x", "invalid reference format"),
        ("a.b:/x", "invalid reference format"),
        ("x@sha256:00", "invalid reference format"),
        ("x@md5:" + "0" * 32, "unsupported digest algorithm"),
        ("x@sha256:" + "0" * 63, "invalid checksum digest length"),
        ("x@sha256:" + "A" * 64, "invalid checksum digest format"),
        ("a/" * 127 + "ab", "repository name must not be more than 255 characters"),
        (
            "0" * 64,
            f"invalid repository name ({'0' * 64}), cannot specify 64-byte hexadecimal strings",
        ),
    ],
)
def test_what_is_no_reference_is_refused_in_dockers_words(text: str, words: str) -> None:
    with pytest.raises(EngineError) as refused:
        parse(text)
    assert str(refused.value) == words
