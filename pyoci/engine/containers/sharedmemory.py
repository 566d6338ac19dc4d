# SPDX-License-Identifier: Apache-2.0
"""/dev/shm of containers that share it: --ipc shareable, container:X, host.

That of a container that may be joined is a tmpfs in its run directory, mounted into it and into who joins: never is it looked for
below a root that is the container's own, where a link could lead anywhere.
"""

from pyoci.engine.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.containers.order import Surroundings
    from pyoci.engine.containers.record import Container, Records

HOST = "/dev/shm"
SHARED = "shm"  # the key in Surroundings.namespaces
_JOINS = "container:"


def path(container: "Container") -> str:
    """Return where the shared memory of a container that may be joined is."""
    return f"{container.run}/shm"


def join(records: "Records", container: "Container", found: "Surroundings") -> None:
    """Find the ipc namespace of a container and what is mounted on its /dev/shm; raises EngineError in Docker's words."""
    mode = container.host_config["IpcMode"]
    if mode == "shareable":
        found.namespaces[SHARED] = _mount(container)
    elif mode == "host":
        found.namespaces["ipc"], found.namespaces[SHARED] = "", HOST
    elif mode.startswith(_JOINS):
        _join(records, records.find(mode.removeprefix(_JOINS)), found)


def _join(records: "Records", other: "Container", found: "Surroundings") -> None:
    from pyoci.engine.containers import state

    fields = state.current(other)
    if fields["Status"] not in ("running", "paused"):
        raise _refused(other, f"container {other.id} is not running")
    owner = other
    while owner.host_config["IpcMode"].startswith(_JOINS):
        owner = records.find(owner.host_config["IpcMode"].removeprefix(_JOINS))
    mode = owner.host_config["IpcMode"]
    if mode not in ("shareable", "host"):
        words = "non-shareable IPC (hint: use IpcMode:shareable for the donor container)"
        raise _refused(other, words)
    if mode == "host":
        found.namespaces["ipc"], found.namespaces[SHARED] = "", HOST
        return
    found.namespaces["ipc"] = f"/proc/{fields['Pid']}/ns/ipc"
    found.namespaces[SHARED] = path(owner)


def _refused(other: "Container", words: str) -> EngineError:
    return EngineError(f"can't join IPC of container {other.id}: {words}")


def _mount(container: "Container") -> str:
    """Mount the shared memory of a new run, empty, and return where."""
    import posix

    from pyoci.engine import mounts

    target = path(container)
    unmount(container)
    try:
        posix.mkdir(target, 0o700)
    except FileExistsError:
        pass
    size = str(container.host_config["ShmSize"])
    mounts.mount("tmpfs", [("source", "shm"), ("mode", "1777"), ("size", size)], target)
    return target


def unmount(container: "Container") -> None:
    """Unmount it, where it is; who has joined keeps it."""
    if container.host_config["IpcMode"] == "shareable":
        from pyoci.engine import mounts

        while mounts.unmount(path(container)):
            pass
