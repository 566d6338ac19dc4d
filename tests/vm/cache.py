# SPDX-License-Identifier: Apache-2.0
"""What is kept between runs: images and saved machines, each under a key of what it is made of."""

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

UNUSED = 7 * 86400  # seconds after which what nobody used is removed
USED = "used"  # the file that tells of the last use, and is locked by those at it
SCRATCH = "pyoci-machine-"


def directory() -> Path:
    """Return the cache, made if need be: $XDG_CACHE_HOME/pyoci-machines."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    home = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
    path = home / "pyoci-machines"
    path.mkdir(parents=True, exist_ok=True)
    return path


def key(*parts: object) -> str:
    """Return a name that no other parts have."""
    state = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        state.update(b"%d:" % len(data) + data)
    return state.hexdigest()[:16]


@contextmanager
def lock(path: Path, kind: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold flock(2) on a file, waiting for it; it ends with this process, however that ends."""
    with open(path, "ab") as file:
        fcntl.flock(file, kind)
        yield


@contextmanager
def scratch(parent: Path | None = None) -> Iterator[Path]:
    """Make a directory, and remove it at the end; those of processes that were killed go too."""
    place = parent or Path(tempfile.gettempdir())
    for old in place.glob(f"{SCRATCH}*"):
        with suppress(OSError), open(old / "lock", "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(old, ignore_errors=True)
    unlocked = Path(tempfile.mkdtemp(prefix=f".{SCRATCH}", dir=place))
    path = place / unlocked.name[1:]
    try:
        with lock(unlocked / "lock"):
            unlocked.rename(path)  # only now may others look at the lock
            yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def use(path: Path, make: Callable[[Path], None]) -> Iterator[None]:
    """Hold a directory of the cache, made first if it is not there: nobody removes it while this lasts.

    `make` is called by one process at a time, and must let the directory appear whole or not at all.
    """
    with ExitStack() as held:
        with lock(path.with_suffix(".lock")):
            if not path.exists():
                remove_unused(path.parent, path.name.partition("-")[0])
                make(path)
            (path / USED).touch()
            held.enter_context(lock(path / USED, fcntl.LOCK_SH))
        yield


def remove_unused(parent: Path, kind: str) -> None:
    """Remove the directories of one kind that nobody has used for long and none uses now."""
    for stamp in parent.glob(f"{kind}-*/{USED}"):
        with suppress(OSError):
            if time.time() - stamp.stat().st_mtime < UNUSED:
                continue
            with open(stamp, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(stamp.parent)
