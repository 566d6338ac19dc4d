# SPDX-License-Identifier: Apache-2.0
"""The digests of a context's files, kept from one build to the next for as long as a file's inode, size and times are the same.

As git's index, with the change time, which no program can set: a file that was changed and given its old size and time back is read
again. A change time counts to the granularity of the file system's clock, so a file that was changed shortly before it was read is
not remembered: it could change once more without a trace. What a program writes through a mapping that it had made and written
to before counts when the kernel says so: when it is synced (mmap(2)).

    ROOT/build/known/NAME       device inode size mtime ctime digest     a line a file, then a last line; NAME: the context's place
"""

import os
import time
from _blake2 import blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.places import Places

_LAST = "."
_GRANULARITY = 2_000_000_000  # ns: FAT's, the coarsest
_NAME_BYTES = 16


class Known:
    """The digests of one context."""

    __slots__ = ("_digests", "_is_new", "_path", "_used")

    def __init__(self, places: "Places", context: str) -> None:
        name = blake2b(os.fsencode(context), digest_size=_NAME_BYTES).hexdigest()
        self._path = f"{places.directory('build', 'known')}/{name}"
        self._digests = _read(self._path)
        self._used: dict[str, str] = {}
        self._is_new = False

    def find(self, status: os.stat_result) -> str:
        """Return the digest of a file that is as it was, "" for one that may be another."""
        key = _key(status)
        found = self._digests.get(key, "")
        if found:
            self._used[key] = found
        return found

    def keep(self, status: os.stat_result, digest: str, begun: int) -> None:
        """Remember the digest of a file whose status was this before and after it was read, from `begun` (ns) on."""
        if status.st_ctime_ns + _GRANULARITY < begun:
            key = _key(status)
            self._digests[key] = self._used[key] = digest
            self._is_new = True

    def write(self) -> None:
        """Write down what this build has used, if there is anything new."""
        if not self._is_new:
            return
        lines = [f"{key} {digest}" for key, digest in self._used.items()]
        temporary = f"{self._path}.{os.urandom(4).hex()}"
        with open(temporary, "xb", buffering=0) as file:
            file.write("\n".join([*lines, _LAST]).encode("ascii"))
        os.rename(temporary, self._path)
        self._is_new = False


def _key(status: os.stat_result) -> str:
    return f"{status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def _read(path: str) -> dict[str, str]:
    """Return what is known; nothing where a power cut has left half a file."""
    try:
        with open(path, "rb", buffering=0) as file:
            *lines, last = file.read().decode("ascii", "replace").split("\n")
    except FileNotFoundError:
        return {}
    if last != _LAST:
        return {}
    found = {}
    for line in lines:
        key, _, digest = line.rpartition(" ")
        found[key] = digest
    return found


def now() -> int:
    """Return this moment as times of files count: nanoseconds since 1970."""
    return time.time_ns()


def prune(places: "Places", before: int) -> None:
    """Forget the contexts of which nothing new was learnt since a moment (ns)."""
    top = places.directory("build", "known")
    for name in os.listdir(top):
        if os.stat(f"{top}/{name}").st_mtime_ns < before:
            os.unlink(f"{top}/{name}")
