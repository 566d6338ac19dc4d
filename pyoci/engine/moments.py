# SPDX-License-Identifier: Apache-2.0
"""Points in time, in nanoseconds since 1970: as Docker's documents write them, and as --since and --until name them."""

import time

from pyoci.engine import durations

_NEVER = "0001-01-01T00:00:00Z"
_BILLION = 1_000_000_000
_DAY = 86400


def text(moment: int) -> str:
    """Write a moment as RFC3339Nano, in UTC; 0 is Go's zero time."""
    if not moment:
        return _NEVER
    part = f"{moment % _BILLION:09d}".rstrip("0")
    return f"{_whole(moment)}{'.' + part if part else ''}Z"


def fixed(moment: int) -> str:
    """Write a moment as RFC 3339 with all nine digits, in UTC."""
    return f"{_whole(moment)}.{moment % _BILLION:09d}Z"


def seconds(moment: int) -> str:
    """Write a moment to the second, in UTC."""
    return f"{_whole(moment)}Z"


def spaced(moment: int) -> str:
    """Write a moment as Go's default format does, in UTC: what tables show."""
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(moment // _BILLION))} +0000 UTC"


def _whole(moment: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment // _BILLION))


def read(text_: str) -> int:
    """Read RFC 3339, parts of it (in local time without a zone), seconds since 1970, or how long ago (10m); raises ValueError."""
    if text_.replace(".", "", 1).isdecimal() and text_[0].isdecimal():
        whole, _, part = text_.partition(".")
        return int(whole) * _BILLION + int(part[:9].ljust(9, "0"))
    try:
        return time.time_ns() - durations.parse(text_)
    except ValueError:
        return _read_date(text_)


def _read_date(text_: str) -> int:
    date, _, clock = text_.partition("T")
    zone = None
    if clock.endswith("Z"):
        clock, zone = clock[:-1], 0
    elif "+" in clock or "-" in clock:
        sign = -1 if "-" in clock else 1
        clock, _, offset = clock.replace("-", "+").partition("+")
        hours, _, minutes = offset.partition(":")
        zone = sign * (int(hours) * 3600 + int(minutes or 0) * 60)
    clock, _, part = clock.partition(".")
    fields = [int(field) for field in (*date.split("-"), *(clock.split(":") if clock else ()))]
    if len(date.split("-")) != 3 or len(fields) > 6:
        raise ValueError(f'parsing time "{text_}": cannot parse')
    year, month, day, hour, minute, second = (*fields, 0, 0, 0)[:6]
    nanoseconds = int(part[:9].ljust(9, "0")) if part else 0
    if zone is None:
        whole = int(time.mktime((year, month, day, hour, minute, second, 0, 0, -1)))
    else:
        whole = _since_1970(year, month, day, hour, minute, second) - zone
    return whole * _BILLION + nanoseconds


def _since_1970(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int:
    """Return seconds since 1970 of a moment in UTC (days from civil, Howard Hinnant's arithmetic)."""
    year -= month <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    days = era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
    return days * _DAY + hour * 3600 + minute * 60 + second
