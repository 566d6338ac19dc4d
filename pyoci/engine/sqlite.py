# SPDX-License-Identifier: Apache-2.0
"""Import _sqlite3 without functools, which it asks for one thing that is built in: 2 ms of each command, for collections.

The module takes lru_cache when it is loaded, and calls it as lru_cache(size)(function). Whoever imports functools later gets the
real one; where that is loaded already, or where the module wants more of it than this, the import is the usual one.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _sqlite3
    from collections.abc import Callable

_FUNCTOOLS = "functools"
_UNTYPED = (False, None)  # keys by equality alone, and nobody asks for statistics


def _lru_cache(size: int) -> "Callable[[object], object]":
    from _functools import _lru_cache_wrapper as wrapper  # type: ignore[import-not-found]  # no stubs

    return lambda function: wrapper(function, size, *_UNTYPED)


def _load() -> None:
    if _FUNCTOOLS in sys.modules:
        return
    stand_in = type(sys)(_FUNCTOOLS)
    stand_in.__dict__["lru_cache"] = _lru_cache
    sys.modules[_FUNCTOOLS] = stand_in
    try:
        __import__("_sqlite3")
    except (AttributeError, ImportError):
        return
    finally:
        del sys.modules[_FUNCTOOLS]


_load()
if not TYPE_CHECKING:
    import _sqlite3

__all__ = ("_sqlite3",)
