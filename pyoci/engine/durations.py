# SPDX-License-Identifier: Apache-2.0
"""Durations as Go writes and reads them ("1m30s", in nanoseconds), and as Docker tells them to people ("2 hours")."""

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
SECOND = _UNITS["s"]
_DIGITS = "0123456789"
_LONGEST = 1 << 63


def parse(text: str) -> int:
    """Read a duration of Go into nanoseconds; raises ValueError with the words of time.ParseDuration."""
    rest = text[1:] if text[:1] in ("+", "-") and text else text
    if rest == "0":
        return 0
    if not rest:
        raise ValueError(f'time: invalid duration "{text}"')
    total = 0.0
    while rest:
        number = _leading(rest, _DIGITS + ".")
        rest = rest[len(number) :]
        if not number.strip(".") or number.count(".") > 1:
            raise ValueError(f'time: invalid duration "{text}"')
        unit = _until(rest, _DIGITS + ".")
        rest = rest[len(unit) :]
        if not unit:
            raise ValueError(f'time: missing unit in duration "{text}"')
        if unit not in _UNITS:
            raise ValueError(f'time: unknown unit "{unit}" in duration "{text}"')
        total += float(number) * _UNITS[unit]
    if total >= _LONGEST:
        raise ValueError(f'time: invalid duration "{text}"')
    return -round(total) if text.startswith("-") else round(total)


def _leading(text: str, letters: str) -> str:
    return text[: len(text) - len(text.lstrip(letters))]


def _until(text: str, letters: str) -> str:
    end = 0
    while end < len(text) and text[end] not in letters:
        end += 1
    return text[:end]


def show(nanoseconds: int) -> str:
    """Write nanoseconds as Go does: 1m30s, 500ms, 0s."""
    if nanoseconds < 0:
        return f"-{show(-nanoseconds)}"
    for unit in ("ns", "µs", "ms"):
        if 0 < nanoseconds < min(SECOND, _UNITS[unit] * 1000):
            return f"{_decimal(nanoseconds / _UNITS[unit])}{unit}"
    minutes, rest = divmod(nanoseconds, _UNITS["m"])
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}h" if hours else ""
    if hours or minutes:
        text += f"{minutes}m"
    return f"{text}{_decimal(rest / SECOND)}s"


def _decimal(number: float) -> str:
    return f"{number:.9f}".rstrip("0").rstrip(".")


def tell(seconds: float) -> str:
    """Tell people about how long, in the words of go-units' HumanDuration."""
    whole = int(seconds)
    minutes, hours = whole // 60, round(seconds / 3600)
    if whole < 60:
        return _tell_seconds(whole)
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    if hours == 1:
        return "About an hour"
    for limit, size, unit in ((48, 1, "hours"), (336, 24, "days"), (1440, 168, "weeks")):
        if hours < limit:
            return f"{hours // size} {unit}"
    return f"{hours // 720} months" if hours < 17520 else f"{int(seconds / 31536000)} years"


def _tell_seconds(seconds: int) -> str:
    if seconds < 1:
        return "Less than a second"
    return "1 second" if seconds == 1 else f"{seconds} seconds"
