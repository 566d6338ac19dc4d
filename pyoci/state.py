# SPDX-License-Identifier: Apache-2.0
"""The record of a container on disk: journal, lock, status.

A container is a directory below the root, made by an exclusive mkdir. Whatever is made on the host is written there first,
into `journal.json`; what becomes of it, into `state.json`. The directory itself carries the lock (flock(2)); it is held while
somebody creates, starts or deletes, hooks included, and goes with its owner. `state`, `list`, `kill` and `exec` never wait
for it.
"""

import errno
import fcntl
import posix
import select
import time

from pyoci import identity
from pyoci.cgroup import Cgroup
from pyoci.errors import SpecError, StateError
from pyoci.ids import check_id
from pyoci.jsontext import dumps
from pyoci.linux import tree
from pyoci.spec.reader import parse_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypedDict

    from pyoci.identity import Recorded
    from pyoci.rdt import Groups
    from pyoci.spec import Hook

    class Record(TypedDict):
        """What state.json holds."""

        ociVersion: str
        id: str
        status: str
        bundle: str
        rootfs: str
        created: str
        annotations: dict[str, str]
        boot: str
        holder: Recorded
        init: Recorded | None
        cgroup: dict[str, Any] | None
        rdt: Groups | None
        hook: Recorded | None
        sharesPids: bool
        startHooksAt: int
        startHookSeconds: list[int | None]
        poststart: list[Hook]
        poststop: list[Hook]


TAKEN = "container with given ID already exists"
RECORD, JOURNAL = "state.json", "journal.json"
FIFO, CONFIG = "exec.fifo", "config.json"
LOCK_SECONDS = 10
WRITE_FIFO = posix.O_WRONLY | posix.O_NONBLOCK | posix.O_CLOEXEC | posix.O_NOFOLLOW
_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
_LIMIT = 64 << 20


class Container:
    """One container's directory and record; the descriptor `directory` pins it against a new one of the same id."""

    __slots__ = ("directory", "id", "record", "root")

    def __init__(self, root: str, identity_: str, directory: int, record: "Record | None") -> None:
        self.root = root
        self.id = identity_
        self.directory = directory
        self.record = record

    # The record -----------------------------------------------------------------------------

    def save(self) -> None:
        """Write the record, whole or not at all."""
        self.write(RECORD, dumps(self.record).encode())

    def write(self, name: str, content: bytes) -> None:
        """Replace a file of the container's directory in one step."""
        temporary = f".{name}.new"
        flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_NOFOLLOW | posix.O_CLOEXEC
        fd = posix.open(temporary, flags, 0o600, dir_fd=self.directory)
        try:
            done = 0
            while done < len(content):
                done += posix.write(fd, content[done:])
        finally:
            posix.close(fd)
        posix.rename(temporary, name, src_dir_fd=self.directory, dst_dir_fd=self.directory)

    def read(self, name: str) -> bytes:
        """Read a file of the container's directory."""
        flags = posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_CLOEXEC | posix.O_NONBLOCK
        fd = posix.open(name, flags, dir_fd=self.directory)
        try:
            return posix.read(fd, min(posix.fstat(fd).st_size, _LIMIT))
        finally:
            posix.close(fd)

    def journal_hook(self, pid: int) -> None:
        """Write down a hook that runs, 0 none, so that `delete --force` finds it if we are killed."""
        self.known()["hook"] = identity.record(pid) if pid else None
        self.save()

    def run_poststop(self) -> None:
        """Run the poststop hooks, where there are any."""
        if self.record is not None and self.record["poststop"]:
            from pyoci import hooks

            hooks.run_poststop(self.record["poststop"], self.state("stopped"))

    def known(self) -> "Record":
        """Return the record of a container that has one."""
        if self.record is None:
            raise StateError(
                f"the record of container {self.id} is missing or damaged (delete --force removes it)"
            )
        return self.record

    def cgroup(self) -> Cgroup | None:
        """Return the journalled cgroup; None after a reboot, when its place may be a stranger's."""
        if self.record is None or self.record["cgroup"] is None:
            return None
        if self.record["boot"] != identity.boot_id():
            return None
        return Cgroup.from_record(self.record["cgroup"])

    def leave_rdt(self) -> None:
        """Remove the container's resctrl groups, where it has some."""
        if self.record is not None and self.record["rdt"] is not None:
            from pyoci import rdt

            rdt.remove(self.record["rdt"])

    # Status ---------------------------------------------------------------------------------

    def open_init(self) -> int | None:
        """Return a pidfd of init; None when it has ended or belongs to another boot."""
        if self.record is None or self.record["boot"] != identity.boot_id():
            return None
        return identity.open_same(self.record["init"])

    def status(self) -> str:
        """Derive creating, created, running, paused or stopped (runtime.md#state)."""
        if self.record is None:
            return "stopped"
        if self.record["status"] == "creating":
            alive = self.record["boot"] == identity.boot_id()
            return "creating" if alive and identity.is_alive(self.record["holder"]) else "stopped"
        pidfd = self.open_init()
        if pidfd is None:
            return "stopped"
        posix.close(pidfd)
        if self.is_frozen():
            return "paused"
        return "created" if self.is_waiting() else "running"

    def is_frozen(self) -> bool:
        """Tell whether the cgroup is frozen; its descriptors are closed again: `list` asks many containers."""
        cgroup = self.cgroup()
        if cgroup is None:
            return False
        try:
            return cgroup.is_frozen()
        finally:
            cgroup.close()

    def is_waiting(self) -> bool:
        """Tell whether init still holds the exec fifo: a program that runs does not, whatever became of `start`."""
        try:
            posix.close(posix.open(FIFO, WRITE_FIFO, dir_fd=self.directory))
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENXIO):
                return False
            raise
        return True

    def report(self, status: str) -> dict[str, object]:
        """Return the state as the command line prints it, keys in runc's order (cli.md 2)."""
        record = self.known()
        init = record["init"]
        fields: dict[str, object] = {
            "ociVersion": record["ociVersion"],
            "id": record["id"],
            "pid": init["pid"] if init and status != "stopped" else 0,
            "status": status,
            "bundle": record["bundle"],
            "rootfs": record["rootfs"],
            "created": record["created"],
        }
        if record["annotations"]:
            fields["annotations"] = record["annotations"]
        fields["owner"] = ""
        return fields

    def document(self, status: str) -> dict[str, object]:
        """Return the state as hooks and agents read it (runtime.md#state)."""
        record = self.known()
        init = record["init"]
        fields: dict[str, object] = {
            "ociVersion": record["ociVersion"],
            "id": record["id"],
            "status": status,
            "pid": init["pid"] if init and status != "stopped" else 0,
            "bundle": record["bundle"],
        }
        if record["annotations"]:
            fields["annotations"] = record["annotations"]
        return fields

    def state(self, status: str) -> bytes:
        """Return the same as text."""
        return dumps(self.document(status)).encode()

    # Lock -----------------------------------------------------------------------------------

    def lock(self, seconds: float = LOCK_SECONDS) -> bool:
        """Take the lock, False when another holds it past the deadline; raises when the container is gone."""
        deadline = time.monotonic() + seconds
        pause = select.poll()
        while True:
            try:
                fcntl.flock(self.directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    return False
                pause.poll(5)
                continue
            if posix.fstat(self.directory).st_nlink == 0:
                raise StateError("container does not exist")
            self.reload()
            return True

    def unlock(self) -> None:
        """Give the lock back; the container stays open."""
        fcntl.flock(self.directory, fcntl.LOCK_UN)

    def begin_journal(self) -> None:
        """Write the record for the first time; no `save` replaces this state of it, which `recover` needs.

        Nor does the first `save` replace anything: ext4 writes a file to the disk that replaces another.
        """
        self.write(JOURNAL, dumps(self.record).encode())

    def recover(self) -> None:
        """Go back to the first record where the last one is damaged: it names what must be removed."""
        if self.record is None:
            try:
                self.record = _record(self.read(JOURNAL))
            except FileNotFoundError:
                return

    def reload(self) -> None:
        """Read the record again: it may have changed while we waited."""
        self.record = None
        for name in (RECORD, JOURNAL):
            try:
                self.record = _record(self.read(name))
            except FileNotFoundError:
                continue
            return

    # The end --------------------------------------------------------------------------------

    def remove(self) -> None:
        """Take the directory away: renamed first, so that the id is free at once and a crash leaves no half container."""
        gone = f".del.{posix.getpid()}.{time.monotonic_ns()}"
        path = f"{self.root}/{self.id}"
        try:
            posix.rename(path, f"{self.root}/{gone}")
        except FileNotFoundError:
            return
        tree.empty(self.directory)
        posix.rmdir(f"{self.root}/{gone}")

    def close(self) -> None:
        """Let go of the directory and of the lock."""
        posix.close(self.directory)


def make_root(root: str) -> None:
    """Make the root directory of all containers, 0700, with its parents."""
    missing = []
    path = root
    while path and not _exists(path):
        missing.append(path)
        path = path.rpartition("/")[0]
    for path in reversed(missing):
        try:
            posix.mkdir(path, 0o700 if path == root else 0o755)
        except FileExistsError:
            continue


def _exists(path: str) -> bool:
    try:
        posix.stat(path)
    except FileNotFoundError:
        return False
    return True


def make(root: str, identity_: str) -> Container:
    """Claim the id: an exclusive mkdir, then the lock."""
    check_id(identity_)
    make_root(root)
    path = f"{root}/{identity_}"
    try:
        posix.mkdir(path, 0o700)
    except FileExistsError:
        raise StateError(TAKEN) from None
    container = Container(root, identity_, posix.open(path, _DIRECTORY), None)
    if not container.lock():
        raise StateError(f"container {identity_} is busy: another command holds it")
    return container


def load(root: str, identity_: str) -> Container:
    """Open a container; raises StateError "container does not exist". A damaged record is None."""
    check_id(identity_)
    try:
        directory = posix.open(f"{root}/{identity_}", _DIRECTORY)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise StateError("container does not exist") from None
        raise
    container = Container(root, identity_, directory, None)
    container.reload()
    return container


def names(root: str) -> list[str]:
    """Return the ids below the root, sorted; names that begin with a dot are ours."""
    return sorted(name for name in posix.listdir(root) if not name.startswith("."))


def _record(text: bytes) -> "Record | None":
    """Parse a record; None when it is damaged."""
    try:
        record = parse_object(text)
    except SpecError:
        return None
    if not set(record) >= set(_FIELDS):
        return None
    if not all(isinstance(record[key], kinds) for key, kinds in _FIELDS.items()):
        return None
    return record  # type: ignore[return-value]  # its keys were just compared


_NONE = type(None)
_FIELDS: "dict[str, tuple[type, ...]]" = {
    "ociVersion": (str,),
    "id": (str,),
    "status": (str,),
    "bundle": (str,),
    "rootfs": (str,),
    "created": (str,),
    "annotations": (dict,),
    "boot": (str,),
    "holder": (dict,),
    "init": (dict, _NONE),
    "cgroup": (dict, _NONE),
    "rdt": (dict, _NONE),
    "hook": (dict, _NONE),
    "sharesPids": (bool,),
    "startHooksAt": (int,),
    "startHookSeconds": (list,),
    "poststart": (list,),
    "poststop": (list,),
}


def timestamp() -> str:
    """Return the time now as RFC 3339 with nanoseconds, UTC."""
    now = time.time_ns()
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 10**9))
    return f"{seconds}.{now % 10**9:09d}Z"
