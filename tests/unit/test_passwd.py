# SPDX-License-Identifier: Apache-2.0
"""Where a user is at home, by a passwd file that an image made (passwd(5))."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pyoci import passwd

Home = Callable[[bytes, int], bytes]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Ask for the home of a uid by a file with this content."""

    def ask(content: bytes, uid: int) -> bytes:
        path = tmp_path / "passwd"
        path.write_bytes(content)
        fd = os.open(path, os.O_RDONLY)
        try:
            return passwd.home(fd, uid)
        finally:
            os.close(fd)

    return ask


def entry(uid: object, directory: str, name: str = "u") -> bytes:
    return f"{name}:x:{uid}:100:A User:{directory}:/bin/sh\n".encode()


def test_the_home_of_a_uid(home: Home) -> None:
    assert home(entry(0, "/root") + entry(7, "/home/u"), 7) == b"/home/u"


def test_a_uid_without_an_entry_is_at_home_in_the_root(home: Home) -> None:
    assert home(entry(70, "/a") + entry("07", "/b") + entry("7 ", "/c"), 7) == b"/"


def test_the_first_of_two_entries_counts(home: Home) -> None:
    assert home(entry(7, "/first") + entry(7, "/second"), 7) == b"/first"
    assert home(entry(7, "relative") + entry(7, "/second"), 7) == b"/"


def test_a_last_line_without_its_end_counts(home: Home) -> None:
    assert home(entry(7, "/home/u").rstrip(b"\n"), 7) == b"/home/u"
    assert home(b"u:x:7:100::/home/u", 7) == b"/home/u"


@pytest.mark.parametrize("directory", ["", "relative", "~", "./x", " /x"])
def test_a_home_that_is_no_path_is_none(home: Home, directory: str) -> None:
    assert home(entry(7, directory), 7) == b"/"


def test_a_home_too_long_for_a_path_is_none(home: Home) -> None:
    assert home(entry(7, "/" + "x" * 3999), 7) == b"/" + b"x" * 3999
    assert home(entry(7, "/" + "x" * 4000), 7) == b"/"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b":::::\n",
        b"u\n",
        b"u:x:7:100\n",
        b"u:x:7:100:gecos\n",
        b"\0" * 4096,
        bytes(range(256)) * 64,
        b"u:x:7:100::/home\0/../../etc:/bin/sh\n",
    ],
)
def test_what_is_no_passwd_file_gives_nothing(home: Home, content: bytes) -> None:
    assert home(content, 7) == b"/"


def test_bytes_that_are_no_text_survive(home: Home) -> None:
    assert home(b"\xff:x:7:100::/home/\xfe\xff:/bin/sh\n", 7) == b"/home/\xfe\xff"


def test_a_very_long_line_does_no_harm(home: Home) -> None:
    long = b"u:" + b"x" * 900_000 + b":8:8::/long:\n"
    assert home(long + entry(7, "/home/u"), 7) == b"/home/u"


def test_only_the_first_mebibyte_is_read(home: Home) -> None:
    """An image may hold a file of any size, sparse ones too."""
    filler = b"#" * (1 << 20)
    assert home(filler + b"\n" + entry(7, "/beyond"), 7) == b"/"
    assert home(entry(7, "/home/u") + filler, 7) == b"/home/u"


def test_an_entry_that_is_cut_off_at_the_limit_is_no_path_of_the_file(home: Home) -> None:
    """The limit never makes a shorter directory of a longer one."""
    head = b"u:x:7:100::/home/u"
    filler = b"#" * ((1 << 20) - len(head) - 1) + b"\n"
    assert home(filler + head + b"ser:/bin/sh\n", 7) in {b"/", b"/home/user"}


def test_an_endless_file_ends() -> None:
    """A descriptor that never says end of file, as of a device, is read to the limit."""
    fd = os.open("/dev/zero", os.O_RDONLY)
    try:
        assert passwd.home(fd, 0) == b"/"
    finally:
        os.close(fd)


def test_what_is_read_in_parts_is_read_whole() -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        for part in (entry(0, "/root"), entry(7, "/ho")[:-9], b"me/u:/bin/sh\n"):
            os.write(writing, part)
        os._exit(0)
    os.close(writing)
    try:
        assert passwd.home(reading, 7) == b"/home/u"
    finally:
        os.close(reading)
        os.waitpid(child, 0)


def test_the_name_of_a_uid_of_the_host() -> None:
    assert passwd.name(0) == "root"
    assert passwd.name(4_000_000_000) == "#4000000000"
