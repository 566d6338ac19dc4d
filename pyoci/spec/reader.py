# SPDX-License-Identifier: Apache-2.0
"""Read a JSON object from an untrusted file, strictly.

The interpreter's C scanner does it; `json` around it would cost 6 ms at each start (ADR 0004).
"""

import gc
import posix
from _json import make_scanner
from _stat import S_ISREG

from pyoci.errors import SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

LIMIT = 64 << 20
VALUES = 1 << 17
_CHUNK = 1 << 18
_SPACE = " \t\n\r"


class _ConstantError(ValueError):
    """NaN or an infinity, which JSON does not have."""


def _refuse_constant(name: str) -> "NoReturn":
    raise _ConstantError(name)


class _Settings:
    """What the scanner asks for: plain types, strict strings, and the last of duplicate keys."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = staticmethod(_refuse_constant)


def read_object(path: str, *, regular: bool) -> dict[str, object]:
    """Return the JSON object in a file, or raise SpecError; `regular` never waits for a FIFO."""
    return parse_untrusted(read_bytes(path, regular=regular))


def read_config(path: str, *, regular: bool) -> bytes:
    """Return the bytes of a config.json; one that cannot be read is a SpecError, too."""
    try:
        return read_bytes(path, regular=regular)
    except FileNotFoundError:
        raise SpecError(
            "", f"JSON specification file {path} not found: no such file or directory"
        ) from None
    except OSError as error:
        raise SpecError("", f"{path}: {(error.strerror or '').lower()}") from error


def read_bytes(path: str, *, regular: bool) -> bytes:
    """Return a whole file of at most LIMIT bytes."""
    flags = posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NOCTTY
    fd = posix.open(path, flags | posix.O_NONBLOCK if regular else flags)
    try:
        if regular and not S_ISREG(posix.fstat(fd).st_mode):
            raise SpecError("", "is not a regular file")
        return read_fd(fd)
    finally:
        posix.close(fd)


def read_fd(fd: int) -> bytes:
    """Return all that can be read from a descriptor, at most LIMIT bytes."""
    data = bytearray()
    while part := posix.read(fd, _CHUNK):
        data += part
        if len(data) > LIMIT:
            raise SpecError("", f"is larger than {LIMIT >> 20} MB")
    return bytes(data)


def parse_untrusted(data: bytes) -> dict[str, object]:
    """Return an object that somebody else wrote: no string holds NUL or a lone surrogate."""
    value = parse_object(data)
    # Only an escape brings one of these into a string: raw, they pass neither decoder nor scanner.
    if b"\\u0000" in data or b"\\ud" in data or b"\\uD" in data:
        _check_strings(value)
    return value


def parse_object(data: bytes) -> dict[str, object]:
    """Return the object that these bytes are, or raise SpecError; for what pyoci wrote."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8: byte {error.start} is {data[error.start]:#04x}"
        raise SpecError("", problem) from None
    # Each value but the first of its object or array has a comma before it: 30 MB of "{}," would
    # become a gigabyte.
    if data.count(b",") >= VALUES:
        raise SpecError("", f"has more than {VALUES} values")
    value = _scan(text)
    if type(value) is not dict:
        raise SpecError("", "must be a JSON object")
    return value


def _scan(text: str) -> object:
    start = _skip_space(text, 0)
    if start == len(text):
        raise SpecError("", "is empty")
    collecting = gc.isenabled()
    gc.disable()  # parsing makes no cycles, and looking for them doubles its time
    try:
        value, end = _scan_value(text, start)
    except StopIteration as error:
        raise SpecError("", f"{_position(text, error.value)}: a value is missing") from None
    except RecursionError:
        raise SpecError("", "is nested too deeply") from None
    except _ConstantError as error:
        raise SpecError("", f"{error} is not a JSON number") from None
    except ValueError as error:
        raise SpecError("", _explain(text, error)) from None
    finally:
        if collecting:
            gc.enable()
    end = _skip_space(text, end)
    if end != len(text):
        raise SpecError("", f"{_position(text, end)}: something follows the JSON object")
    return value


def _scan_value(text: str, start: int) -> tuple[object, int]:
    scan = make_scanner(_Settings)  # type: ignore[arg-type]  # the stub wants a protocol
    try:
        return scan(text, start)
    except SystemError:
        # Until Python 3.12 the scanner has no words for a syntax error unless these are there.
        import json.decoder  # noqa: F401 - registers what the scanner needs

        return scan(text, start)


def _skip_space(text: str, index: int) -> int:
    while index < len(text) and text[index] in _SPACE:
        index += 1
    return index


def _explain(text: str, error: ValueError) -> str:
    """Put the scanner's complaint into our form; without a position it is int's limit on digits."""
    position = getattr(error, "pos", None)
    if position is None:
        return "an integer has too many digits"
    reason = str(getattr(error, "msg", error))
    return f"{_position(text, position)}: {reason[:1].lower()}{reason[1:]}"


def _position(text: str, index: int) -> str:
    line = text.count("\n", 0, index) + 1
    return f"line {line}, column {index - text.rfind(chr(10), 0, index)}"


def _check_strings(document: dict[str, object]) -> None:
    """Refuse NUL and lone surrogates in every string, also in those that nobody will read."""
    left: list[tuple[object, str]] = [(document, "")]
    while left:
        value, place = left.pop()
        if type(value) is str:
            _check_string(value, place)
        elif type(value) is list:
            left += ((item, f"{place}/{index}") for index, item in enumerate(value))
        elif type(value) is dict:
            for key, item in value.items():
                _check_string(key, place)
                left.append((item, pointer(place, key)))


def _check_string(text: str, place: str) -> None:
    if "\0" in text:
        raise SpecError(place, "contains a NUL character")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise SpecError(place, "contains half of a surrogate pair") from None


def pointer(place: str, key: str) -> str:
    """Return the JSON pointer (RFC 6901) of a key in the object at `place`."""
    return f"{place}/{key.replace('~', '~0').replace('/', '~1')}"
