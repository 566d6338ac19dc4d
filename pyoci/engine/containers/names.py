# SPDX-License-Identifier: Apache-2.0
"""Names of containers: which are legal, and what one is called that was given none."""

import posix

from pyoci.engine.errors import EngineError

_FIRST = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_LETTERS = _FIRST | frozenset("_.-")
_MANNERS = """
able amber brave brisk calm candid clever cosmic crisp daring eager early fair fancy fresh gentle glad golden happy honest
humble jolly keen kind lively loyal lucid lucky mellow merry mighty modest neat noble patient plain proud quick quiet rapid
ready serene sharp silent smart smooth steady sunny swift tidy tender true vivid warm wise witty young zesty
"""
_PEOPLE = """
allen backus bartik borg boole cerf church codd cox curie diffie dijkstra easley engelbart floyd galois gauss goldberg hamilton
hamming hellman hoare hopper huffman jemison kay kernighan kilby kleene knuth lamarr lamport liskov lovelace mccarthy milner
naur noether perlis perlman pike rhodes ritchie shannon snyder stallman sutherland tarjan thompson torvalds turing wiener wing
wirth yao zuse
"""


def check(name: str) -> None:
    """Refuse a name that Docker refuses."""
    if len(name) < 2 or name[0] not in _FIRST or not _LETTERS.issuperset(name):
        raise EngineError(
            f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        )


def invent(attempt: int) -> str:
    """Return a name for a container that was given none; later attempts end in a digit."""
    manners, people = _MANNERS.split(), _PEOPLE.split()
    dice = int.from_bytes(posix.urandom(8), "little")
    name = f"{manners[dice % len(manners)]}_{people[(dice >> 32) % len(people)]}"
    return f"{name}{(dice >> 16) % 10}" if attempt else name


def make_id() -> str:
    """Return the id of a new container: 64 hexadecimal digits, the first 12 of which are no number."""
    while True:
        identity = posix.urandom(32).hex()
        if not identity[:12].isdecimal():  # a host name of digits alone is taken for an address
            return identity
