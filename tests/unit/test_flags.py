# SPDX-License-Identifier: Apache-2.0
"""The command line is read as runc's library reads it (cli.md section 1)."""

import pytest

from pyoci.errors import UsageError
from pyoci.flags import Flags, describe, is_number, parse

TABLE = (
    ("bundle", "b", "DIR", "the bundle"),
    ("detach", "d", "", "detach"),
    ("env", "e", "NAME=VALUE...", "environment"),
    ("preserve-fds", "", "N", "descriptors"),
)


def read(*words: str, ordered: bool = False) -> tuple[Flags, list[str]]:
    return parse(words, TABLE, ordered=ordered)


@pytest.mark.parametrize(
    "words",
    [
        ("--bundle", "x"),
        ("--bundle=x",),
        ("-bundle", "x"),
        ("-bundle=x",),
        ("-b", "x"),
        ("-b=x",),
        ("--b", "x"),
    ],
)
def test_every_spelling_of_a_value(words: tuple[str, ...]) -> None:
    flags, arguments = read(*words, "id")
    assert (flags.text("bundle"), arguments) == ("x", ["id"])


def test_the_last_value_counts() -> None:
    assert read("-b", "x", "-b", "y")[0].text("bundle") == "y"


def test_a_value_may_hold_an_equals_sign_and_may_look_like_a_flag() -> None:
    flags, _ = read("--env", "A=1=2", "--env=B=", "--env", "-x")
    assert flags.every("env") == ["A=1=2", "B=", "-x"]


def test_a_repeated_flag_is_not_split_on_commas() -> None:
    assert read("-e", "A=1,2")[0].every("env") == ["A=1,2"]


@pytest.mark.parametrize(
    ("word", "on"), [("-d", True), ("--detach=true", True), ("-d=1", True), ("-d=F", False)]
)
def test_a_switch_takes_a_value_only_behind_an_equals_sign(word: str, *, on: bool) -> None:
    flags, arguments = read(word, "false")
    assert (flags.is_on("detach"), arguments) == (on, ["false"])


def test_flags_may_follow_arguments() -> None:
    flags, arguments = read("id", "-d", "more")
    assert (flags.is_on("detach"), arguments) == (True, ["id", "more"])


def test_an_ordered_command_stops_at_its_first_argument() -> None:
    """cli.md: `exec ID ls -la`, `ps ID -ef`."""
    flags, arguments = read("-d", "id", "ls", "-e", "--", "-d", ordered=True)
    assert flags.is_on("detach")
    assert arguments == ["id", "ls", "-e", "--", "-d"]


def test_two_dashes_end_the_flags() -> None:
    assert read("--", "-d", "--")[1] == ["-d", "--"]


def test_one_dash_is_an_argument() -> None:
    assert read("-")[1] == ["-"]


def test_what_is_not_given_is_empty() -> None:
    flags, arguments = read()
    assert arguments == []
    assert (flags.text("bundle"), flags.text("bundle", "."), flags.every("env")) == ("", ".", [])
    assert (flags.is_on("detach"), flags.number("preserve-fds")) == (False, 0)
    assert not flags.is_given("bundle")


def test_an_empty_value_is_given() -> None:
    flags, _ = read("--bundle=")
    assert flags.is_given("bundle")
    assert flags.text("bundle", ".") == ""


def test_a_number() -> None:
    assert read("--preserve-fds=007")[0].number("preserve-fds") == 7


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--bundle",), "flag needs an argument: --bundle"),
        (("-b",), "flag needs an argument: -b"),
        (("--nope",), "flag provided but not defined: -nope"),
        (("-x=1",), "flag provided but not defined: -x"),
        (("--=1",), "bad flag syntax: --=1"),
        (("---d",), "bad flag syntax: ---d"),
        (("-=",), "bad flag syntax: -="),
        (("-d=maybe",), 'invalid boolean value "maybe" for -d: parse error'),
        (
            ("--preserve-fds", "-1"),
            'invalid value "-1" for flag -preserve-fds: parse error',
        ),
        (("--preserve-fds=",), 'invalid value "" for flag -preserve-fds: parse error'),
    ],
)
def test_what_is_wrong_is_said_in_runcs_words(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        read(*words)
    assert str(raised.value) == message


@pytest.mark.parametrize("text", ["", "-1", "1_0", "²", " 1", "1 ", "0x1", "2147483648", "9" * 5000])  # fmt: skip
def test_what_is_no_number(text: str) -> None:
    assert not is_number(text)


def test_the_help_lists_every_flag_in_two_columns() -> None:
    lines = describe(TABLE).splitlines()
    assert lines[0].startswith("   --bundle DIR, -b DIR  ")
    assert [line.split()[0].strip(",") for line in lines] == [
        "--bundle",
        "--detach",
        "--env",
        "--preserve-fds",
        "--help",
    ]
    texts = ["the bundle", "detach", "environment", "descriptors", "show help"]
    starts = {line.rindex(text) for line, text in zip(lines, texts, strict=True)}
    assert len(starts) == 1
