# SPDX-License-Identifier: Apache-2.0
"""Amounts of bytes as Docker reads ("512m", "1.5GiB") and writes them ("1.2MB", "3.4GiB"), and numbers of processors."""

_POWERS = {"b": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_LETTERS = "01234567890. "
_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")
_NANO, _BILLION = 9, 1_000_000_000
_LONGEST_SUFFIX = 3


def parse(text: str) -> int:
    """Read an amount of memory into bytes, k being 1024; raises ValueError with the words of go-units."""
    end = max(text.rfind(letter) for letter in _LETTERS)
    if end < 0:
        raise ValueError(f"invalid size: '{text}'")
    number = text[:end] if text[end] == " " else text[: end + 1]
    suffix = text[end + 1 :]
    try:
        size = float(number)
        if "_" in number:
            raise ValueError
    except ValueError:
        raise ValueError(f'strconv.ParseFloat: parsing "{number}": invalid syntax') from None
    if size < 0:
        raise ValueError(f"invalid size: '{text}'")
    unit = suffix.lower()
    if not unit:
        return int(size)
    if unit[0] not in _POWERS or unit[1:] not in ("", "b", "ib") or unit in ("bb", "bib"):
        raise ValueError(f"invalid suffix: '{suffix}'")
    return int(size * (1 << 10 * _POWERS[unit[0]]))


def parse_swap(text: str) -> int:
    """Read a limit of memory plus swap: as parse, and -1 is without limit."""
    return -1 if text == "-1" else parse(text)


def parse_processors(text: str) -> int:
    """Read a number of processors ("1.5", "1/2") into billionths of one; raises ValueError with Docker's words."""
    whole, _, parts = text.partition("/")
    try:
        if "_" in text:
            raise ValueError
        if parts:
            billionths, rest = divmod(int(whole) * _BILLION, int(parts))
        else:
            billionths, rest = _billionths(whole)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"failed to parse {text} as a rational number") from None
    if rest:
        raise ValueError("value is too precise")
    return billionths


def _billionths(text: str) -> tuple[int, int]:
    """Return a decimal number in billionths, and what is lost by that."""
    sign = -1 if text.startswith("-") else 1
    whole, _, part = text.removeprefix("-").removeprefix("+").partition(".")
    if not (whole + part).isdecimal():
        raise ValueError(text)
    return sign * int(whole + part[:_NANO].ljust(_NANO, "0")), int(part[_NANO:] or "0")


def tell(size: float) -> str:
    """Write bytes for people with four digits and powers of 1000, as go-units' HumanSize."""
    return _tell(size, 1000.0, _DECIMAL, 4)


def tell_short(size: float) -> str:
    """Write bytes with three digits and powers of 1000, as Docker does in tables."""
    return _tell(size, 1000.0, _DECIMAL, 3)


def tell_binary(size: float) -> str:
    """Write bytes with four digits and powers of 1024, as go-units' BytesSize."""
    return _tell(size, 1024.0, _BINARY, 4)


def _tell(size: float, base: float, units: tuple[str, ...], digits: int) -> str:
    power = 0
    while size >= base and power < len(units) - 1:
        size /= base
        power += 1
    return f"{size:.{digits}g}{units[power]}"
