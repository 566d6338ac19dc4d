# SPDX-License-Identifier: Apache-2.0
"""Durations and sizes: the examples of Go's and go-units' documentation, and what Docker refuses."""

import pytest

from pyoci.engine import durations, sizes


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("5s", 5 * 10**9),
        ("1m30s", 90 * 10**9),
        ("1.5h", 5400 * 10**9),
        ("-3ms", -3000000),
    ],
)
def test_a_duration_is_read(text: str, nanoseconds: int) -> None:
    assert durations.parse(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("5", 'time: missing unit in duration "5"'),
        ("x", 'time: invalid duration "x"'),
        ("", 'time: invalid duration ""'),
        ("5x", 'time: unknown unit "x" in duration "5x"'),
        ("1.2.3s", 'time: invalid duration "1.2.3s"'),
        (".s", 'time: invalid duration ".s"'),
    ],
)
def test_a_wrong_duration_is_refused_as_go_refuses_it(text: str, problem: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - its words are compared below
        durations.parse(text)
    assert str(caught.value) == problem


@pytest.mark.parametrize("text", ["0s", "1ns", "1.5µs", "500ms", "1m30s", "1h0m0s", "30s", "-1m0s"])
def test_a_duration_is_written_as_it_is_read(text: str) -> None:
    assert durations.show(durations.parse(text)) == text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (150, "2 minutes"),
        (3600, "About an hour"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (14 * 86400, "2 weeks"),
        (60 * 86400, "2 months"),
        (800 * 86400, "2 years"),
    ],
)
def test_people_are_told_about_how_long(seconds: float, words: str) -> None:
    assert durations.tell(seconds) == words


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512", 512),
        ("32k", 32768),
        ("1.5g", 1610612736),
        ("3 MiB", 3 << 20),
        ("2TB", 2 << 40),
        ("7b", 7),
    ],
)
def test_an_amount_of_memory_is_read(text: str, size: int) -> None:
    assert sizes.parse(text) == size


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("10x", "invalid suffix: 'x'"),
        ("x", "invalid size: 'x'"),
        ("1.5.5g", 'strconv.ParseFloat: parsing "1.5.5": invalid syntax'),
        ("-1", "invalid size: '-1'"),
        ("1kbb", "invalid suffix: 'kbb'"),
    ],
)
def test_a_wrong_amount_is_refused_as_go_units_refuses_it(text: str, problem: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - its words are compared below
        sizes.parse(text)
    assert str(caught.value) == problem


@pytest.mark.parametrize(
    ("text", "billionths"), [("2", 2 * 10**9), ("0.5", 5 * 10**8), ("1/2", 5 * 10**8)]
)
def test_a_number_of_processors_is_read(text: str, billionths: int) -> None:
    assert sizes.parse_processors(text) == billionths


@pytest.mark.parametrize("text", ["x", "1/0", "", "1_0", "0.1234567891"])
def test_a_wrong_number_of_processors_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="rational number|too precise"):
        sizes.parse_processors(text)


@pytest.mark.parametrize(
    ("size", "short", "long", "binary"),
    [
        (0, "0B", "0B", "0B"),
        (999, "999B", "999B", "999B"),
        (1536, "1.54kB", "1.536kB", "1.5KiB"),
        (50 << 20, "52.4MB", "52.43MB", "50MiB"),
        (3 << 40, "3.3TB", "3.299TB", "3TiB"),
    ],
)
def test_people_are_told_an_amount(size: int, short: str, long: str, binary: str) -> None:
    assert (sizes.tell_short(size), sizes.tell(size), sizes.tell_binary(size)) == (
        short,
        long,
        binary,
    )
