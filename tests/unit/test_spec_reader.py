# SPDX-License-Identifier: Apache-2.0
"""The strict reader: security.md section 5 C, cases 58 to 63 and 65, and what JSON forbids."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pyoci.errors import SpecError
from pyoci.spec import reader

TOP = Path(__file__).resolve().parents[2]


def refused(data: bytes) -> str:
    with pytest.raises(SpecError) as caught:
        reader.parse_untrusted(data)
    return str(caught.value)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "config.json: is empty"),
        (b" \n\t\r", "config.json: is empty"),
        (b"[]", "config.json: must be a JSON object"),
        (b"null", "config.json: must be a JSON object"),
        (b'"text"', "config.json: must be a JSON object"),
        (b'{"a": 1', "config.json: line 1, column 8: expecting ',' delimiter"),
        (b'{"a":', "config.json: line 1, column 6: a value is missing"),
        (b'{\n  "a": [1,\n   x]}', "config.json: line 3, column 4: a value is missing"),
        (b"{} {}", "config.json: line 1, column 4: something follows the JSON object"),
        (b"{}\0", "config.json: line 1, column 3: something follows the JSON object"),
        (b'{"a": NaN}', "config.json: NaN is not a JSON number"),
        (b'{"a": -Infinity}', "config.json: -Infinity is not a JSON number"),
        (b"{'a': 1}", "config.json: line 1, column 2: expecting property name"),
        (b"\xef\xbb\xbf{}", "config.json: line 1, column 1: a value is missing"),
        (b'{"a": "\xff"}', "config.json: is not UTF-8: byte 7 is 0xff"),
        (b'{"a": "\xed\xa0\x80"}', "config.json: is not UTF-8: byte 7 is 0xed"),
        (b'{"a": "tab\there"}', "config.json: line 1, column 11: invalid control character at"),
    ],
)
def test_what_is_not_json_is_refused_with_its_place(data: bytes, reason: str) -> None:
    assert refused(data).startswith(reason)


@pytest.mark.parametrize("opening", [b'{"a":', b"["])
def test_deep_nesting_is_a_clean_error(opening: bytes) -> None:
    assert refused(b'{"a":' + opening * 200_000) == "config.json: is nested too deeply"


def test_a_number_of_too_many_digits_is_a_clean_error() -> None:
    assert refused(b'{"a": ' + b"9" * 5000 + b"}") == "config.json: an integer has too many digits"


def test_too_many_values_are_refused_before_they_cost_memory() -> None:
    assert "has more than 131072 values" in refused(b'{"a": [' + b"{}," * 131_072 + b"{}]}")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"process": {"env": ["A=1", "A=\\u0000"]}}', "process.env[1]: contains a NUL character"),
        (b'{"mounts": [{"source": "a\\u0000b"}]}', "mounts[0].source: contains a NUL character"),
        (b'{"annotations": {"a\\u0000": "b"}}', "annotations: contains a NUL character"),
        (b'{"hostname": "\\ud800"}', "hostname: contains half of a surrogate pair"),
        (b'{"hostname": "\\uDC00x"}', "hostname: contains half of a surrogate pair"),
        (b'{"unknown": ["\\u0000"]}', "unknown[0]: contains a NUL character"),
    ],
)
def test_no_string_holds_nul_or_half_a_character(data: bytes, reason: str) -> None:
    assert refused(data) == f"config.json: {reason}"


def test_a_surrogate_pair_is_a_character() -> None:
    assert reader.parse_untrusted(b'{"a": "\\ud83d\\ude00"}') == {"a": "\U0001f600"}


def test_the_last_of_duplicate_keys_wins() -> None:
    assert reader.parse_untrusted(b'{"a": 1, "a": 2}') == {"a": 2}


def test_space_around_the_object_is_fine() -> None:
    assert reader.parse_untrusted(b"\r\n\t {} \n") == {}


def test_our_own_records_may_hold_bytes_that_are_no_utf_8() -> None:
    assert reader.parse_object(b'{"bundle": "\\udcff"}') == {"bundle": "\udcff"}


def test_a_fifo_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(SpecError, match="is not a regular file"):
        reader.read_object(str(tmp_path / "config.json"), regular=True)


def test_a_process_may_come_through_a_pipe() -> None:
    reading, writing = os.pipe()
    os.write(writing, b'{"a": 1}')
    os.close(writing)
    try:
        assert reader.read_object(f"/proc/self/fd/{reading}", regular=False) == {"a": 1}
    finally:
        os.close(reading)


def test_a_file_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "LIMIT", 1 << 20)
    with pytest.raises(SpecError, match="is larger than 1 MB"):
        reader.read_bytes("/dev/zero", regular=False)


def test_a_config_of_30_mb_is_read_within_300_mb(tmp_path: Path) -> None:
    """security.md 5 C 65; in a fresh interpreter, whose peak is its own."""
    path = tmp_path / "config.json"
    entries = ",".join(f'"key{number}": "{"v" * 990}"' for number in range(30_000))
    path.write_text(
        '{"ociVersion": "1.0.0", "root": {"path": "rootfs"}, '
        f'"process": {{"cwd": "/", "args": ["x"]}}, "annotations": {{{entries}}}}}'
    )
    assert path.stat().st_size > 30_000_000
    program = (
        "import resource, sys; sys.path.append(sys.argv[1]); from pyoci.spec import load;"
        "assert len(load(sys.argv[2])['annotations']) == 30000;"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    command = [sys.executable, "-I", "-S", "-c", program, str(TOP), str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    assert int(ran.stdout) < 300 << 10


def test_reading_imports_nothing_but_the_interpreters_own() -> None:
    """style.md 2.3: `json` alone would cost 6 ms."""
    program = (
        "import sys; sys.path.append(sys.argv[1]); before = set(sys.modules);"
        "from pyoci.spec import reader; reader.parse_untrusted(b'{}');"
        "print(*sorted(set(sys.modules) - before))"
    )
    command = [sys.executable, "-I", "-S", "-c", program, str(TOP)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    ours = ["pyoci", "pyoci.errors", "pyoci.spec", "pyoci.spec.reader"]
    assert sorted({*ran.stdout.split(), "_stat", "gc"}) == ["_json", "_stat", "gc", *ours]


@pytest.mark.parametrize("data", ["{]", '{"a" 1}', '{"a": "', '{"a": "\\x"}', "[1,]", '{"a": 1,}'])
def test_syntax_errors_have_words_in_a_fresh_interpreter_too(tmp_path: Path, data: str) -> None:
    """The scanner of Python 3.11 raises SystemError where nobody has imported json.decoder."""
    path = tmp_path / "config.json"
    path.write_text(data)
    program = (
        "import sys; sys.path.append(sys.argv[1]); from pyoci.spec import load\n"
        "from pyoci.errors import SpecError\n"
        "try: load(sys.argv[2])\n"
        "except SpecError as error: print(error)"
    )
    command = [sys.executable, "-I", "-S", "-c", program, str(TOP), str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("config.json: line 1, column ")
