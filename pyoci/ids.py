# SPDX-License-Identifier: Apache-2.0
"""Which names a container may have; whatever takes an id asks here before it touches the disk."""

import posix

from pyoci.errors import StateError

MAX_BYTES = 255
_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-.")


def check_id(name: str) -> None:
    """Refuse a name that could leave the state directory, in runc's words."""
    if not name:
        raise StateError("container id cannot be empty")
    # A leading dot is ours (state.py), a leading dash a flag of whatever is called with the id.
    if not _LETTERS.issuperset(name) or name[0] in ".-" or len(name) > MAX_BYTES:
        raise StateError("invalid container ID format")


def make_id(bundle: str) -> str:
    """Make an id of a bundle's name and a random end."""
    return f"{name_of(bundle)}-{posix.urandom(3).hex()}"


def name_of(bundle: str) -> str:
    """Return the name of a bundle's directory as far as it may stand in an id."""
    kept = "".join(letter if letter in _LETTERS else "-" for letter in bundle.rpartition("/")[2])
    return kept.strip(".-")[:64] or "container"
