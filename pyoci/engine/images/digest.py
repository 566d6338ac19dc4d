# SPDX-License-Identifier: Apache-2.0
"""SHA-256 of what is small, by the interpreter itself: OpenSSL takes 3 ms to load. Streams go through hashlib, which is faster."""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from hashlib import _Hash as HASH


def _find() -> "Callable[[bytes], HASH]":
    """Return the built-in function; hashlib's where an interpreter was built without."""
    name = "_sha2" if sys.version_info >= (3, 12) else "_sha256"
    try:
        found: Callable[[bytes], HASH] = __import__(name).sha256
    except ImportError:
        from hashlib import sha256 as found
    return found


_sha256 = _find()


def digest_of(content: bytes) -> str:
    """Return the digest by which a blob is named."""
    return f"sha256:{_sha256(content).hexdigest()}"
