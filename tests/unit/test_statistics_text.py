# SPDX-License-Identifier: Apache-2.0
"""Parsers of the kernel's statistics, with texts of real files (Linux 6.1 and 6.18)."""

import pytest

from pyoci.cgroup import statistics_text as text


def test_a_number() -> None:
    assert text.number("4096\n") == 4096


def test_max_is_the_greatest_number() -> None:
    assert text.number("max\n") == 18446744073709551615


def test_numbers_of_a_line() -> None:
    assert text.numbers("4873160184214 5626005179349 \n") == [4873160184214, 5626005179349]


def test_flat_keyed_files_are_sorted_as_go_sorts_maps() -> None:
    found = text.keyed("usage_usec 19231\nuser_usec 0\nsystem_usec 19231\nnice_usec 0\n")
    assert list(found.items()) == [
        ("nice_usec", 0),
        ("system_usec", 19231),
        ("usage_usec", 19231),
        ("user_usec", 0),
    ]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [("0-1\n", [0, 1]), ("0\n", [0]), ("\n", []), ("0-2,5,7-8\n", [0, 1, 2, 5, 7, 8])],
)
def test_lists_of_processors(line: str, wanted: list[int]) -> None:
    assert text.ranges(line) == wanted


def test_usage_by_mode() -> None:
    """cpuacct.usage_all."""
    given = "cpu user system\n0 2778084182680 1958677526800\n1 0 16000000\n"
    assert text.usage_by_mode(given) == ([2778084182680, 0], [1958677526800, 16000000])


def test_pressure() -> None:
    given = (
        "some avg10=14.92 avg60=3.00 avg300=0.63 total=1932637\n"
        "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
    )
    assert text.pressure(given) == {
        "some": {"avg10": 14.92, "avg60": 3, "avg300": 0.63, "total": 1932637},
        "full": {"avg10": 0, "avg60": 0, "avg300": 0, "total": 0},
    }


def test_pressure_of_processors_before_linux_5_13_has_no_full() -> None:
    found = text.pressure("some avg10=0.00 avg60=0.00 avg300=0.00 total=5\n")
    assert found["full"]["total"] == 0
    assert found["some"]["total"] == 5


def test_whole_numbers_have_no_fraction() -> None:
    """encoding/json writes 3, not 3.0."""
    assert repr(text.as_go(3.0)) == "3"
    assert repr(text.as_go(0.63)) == "0.63"


def test_a_table_of_version_1() -> None:
    """blkio.throttle.io_service_bytes_recursive."""
    given = "8:0 Read 1282048\n8:0 Write 2195456\n8:0 Total 3477504\n0:38 Sync 0\nTotal 3477504\n"
    assert text.device_table(given) == [
        {"major": 8, "op": "Read", "value": 1282048},
        {"major": 8, "op": "Write", "value": 2195456},
        {"major": 8, "op": "Total", "value": 3477504},
        {"minor": 38, "op": "Sync"},
    ]


def test_a_table_without_operations() -> None:
    """blkio.sectors_recursive."""
    assert text.device_table("8:16 6792\n") == [{"major": 8, "minor": 16, "value": 6792}]


def test_a_table_of_nothing() -> None:
    assert text.device_table("Total 0\n") == []


def test_io_stat_becomes_two_tables() -> None:
    given = (
        "254:0 rbytes=4386816 wbytes=0 rios=11 wios=0 dbytes=0 dios=0\n"
        "7:1 \n"  # Linux 6.1 names devices that did nothing
        "8:16 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=530485248 dios=2 "
        "cost.vrate=100.00\n"
    )
    moved, served = text.io_tables(given)
    assert moved == [
        {"major": 254, "op": "Read", "value": 4386816},
        {"major": 254, "op": "Write"},
        {"major": 254, "op": "Discard"},
        {"major": 8, "minor": 16, "op": "Read", "value": 1459200},
        {"major": 8, "minor": 16, "op": "Write", "value": 314773504},
        {"major": 8, "minor": 16, "op": "Discard", "value": 530485248},
    ]
    assert [entry.get("value") for entry in served] == [11, None, None, 192, 353, 2]


def test_network_interfaces_without_the_loopback() -> None:
    given = (
        "Inter-|   Receive                                                |  Transmit\n"
        " face |bytes    packets errs drop fifo frame compressed multicast"
        "|bytes    packets errs drop fifo colls carrier compressed\n"
        "    lo:    1200      12    0    0    0     0          0         0"
        "     1200      12    0    0    0     0       0          0\n"
        "  eth0: 5100     51    1    2    0     0          0         0"
        "     4200      42    3    4    0     0       0          0\n"
        "  a:b:       0       0    0    0    0     0          0         0"
        "        0       0    0    0    0     0       0          0\n"
    )
    found = text.interfaces(given)
    assert found[0] == {
        "Name": "eth0",
        "RxBytes": 5100,
        "RxPackets": 51,
        "RxErrors": 1,
        "RxDropped": 2,
        "TxBytes": 4200,
        "TxPackets": 42,
        "TxErrors": 3,
        "TxDropped": 4,
    }
    assert [row["Name"] for row in found] == ["eth0", "a:b"]


@pytest.mark.parametrize(
    ("parser", "given"),
    [
        (text.number, "many"),
        (text.keyed, "one 2 3\n"),
        (text.keyed, "one two\n"),
        (text.pressure, "some avg10=x avg60=0 avg300=0 total=0\n"),
        (text.device_table, "8:0 Read many\n"),
        (text.io_tables, "8:0 rbytes=many\n"),
    ],
)
def test_a_malformed_text_is_a_value_error(parser: object, given: str) -> None:
    with pytest.raises(ValueError):
        parser(given)
