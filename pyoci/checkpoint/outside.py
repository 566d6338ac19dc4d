# SPDX-License-Identifier: Apache-2.0
"""What of a container lies outside of it, so that criu neither saves nor makes it: mounts, namespaces, pipes."""

import posix

from pyoci.jsontext import dumps
from pyoci.linux.path import clean
from pyoci.linux.process import NAMESPACES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyoci.cgroup import Cgroup
    from pyoci.spec import Spec

    Pair = dict[str, str]

DESCRIPTORS = "descriptors.json"  # beside the images, as runc has it
STANDARD = (0, 1, 2)
# Namespaces that criu takes as they are, when they are joined by path.
_JOINABLE = ("network", "pid")
_OCTAL = ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\"))


def mounted(pid: int) -> "dict[str, str]":
    """Return of each mount of a process its place and its device, but of the root (proc_pid_mountinfo(5))."""
    found = {}
    for line in read_all(f"/proc/{pid}/mountinfo").splitlines():
        _, _, device, _, place, *_ = line.split()
        for code, character in _OCTAL:
            place = place.replace(code, character)
        if place != "/":
            found[place] = device
    return found


def read_all(path: str) -> str:
    """Read a file of /proc that may be long."""
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def external_mounts(pid: int, spec: "Spec") -> "list[Pair]":
    """Return the mounts of a container whose file system the host has mounted, too: key and value are the place.

    cgroup2 criu mounts itself.
    """
    host = set(mounted(posix.getpid()).values()) | {_root_device()}
    kinds = {clean(row["destination"]): row["type"] for row in spec["mounts"]}
    v2 = _is_cgroup2()
    return [
        {"key": place, "val": place}
        for place, device in mounted(pid).items()
        if device in host and not (v2 and kinds.get(place) == "cgroup")
    ]


def _root_device() -> str:
    device = posix.stat("/").st_dev
    return f"{posix.major(device)}:{posix.minor(device)}"


def _is_cgroup2() -> bool:
    return posix.access("/sys/fs/cgroup/cgroup.controllers", posix.F_OK)


def mount_sources(spec: "Spec", bundle: str, cgroup: "Cgroup | None") -> "Iterator[Pair]":
    """Yield for every place that may have been external its source on this host; criu ignores what it does not know."""
    for row in spec["mounts"]:
        place, source = clean(row["destination"]), row["source"] or ""
        if row["type"] == "cgroup":
            for name, directory in cgroup.mounts() if cgroup else ():
                yield {"key": f"{place}/{name}" if name else place, "val": directory}
        elif row["type"] == "bind" or {"bind", "rbind"} & set(row["options"]):
            yield {"key": place, "val": source if source.startswith("/") else f"{bundle}/{source}"}
        elif row["type"] in ("proc", "sysfs", "mqueue"):
            yield {"key": place, "val": _OWN[str(row["type"])]}
    for path in spec["linux"]["maskedPaths"]:
        yield {"key": clean(path), "val": "/dev/null"}
    for device in ("null", "zero", "full", "random", "urandom", "tty"):
        yield {"key": f"/dev/{device}", "val": f"/dev/{device}"}
    for made in spec["linux"]["devices"]:
        yield {"key": clean(made["path"]), "val": made["path"]}


_OWN = {"proc": "/proc", "sysfs": "/sys", "mqueue": "/dev/mqueue"}


def external_namespaces(spec: "Spec", pid: int) -> "Iterator[tuple[str, str, str]]":
    """Yield of each namespace that was joined by path criu's word for it, its inode and the path."""
    for row in spec["linux"]["namespaces"]:
        if row["path"] and row["type"] in _JOINABLE:
            name = NAMESPACES[row["type"]][1]
            inode = posix.readlink(f"/proc/{pid}/ns/{name}").partition("[")[2].rstrip("]")
            yield f"extRoot{name.capitalize()}NS", f"{name}[{inode}]", row["path"]


def save_descriptors(directory: int, pid: int) -> None:
    """Write down what the standard descriptors are, for restore to give others in their places."""
    names = [posix.readlink(f"/proc/{pid}/fd/{number}") for number in STANDARD]
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC
    fd = posix.open(DESCRIPTORS, flags, 0o600, dir_fd=directory)
    try:
        posix.write(fd, dumps(names).encode())
    finally:
        posix.close(fd)


def load_descriptors(directory: int) -> "Sequence[str]":
    """Return what the standard descriptors were; images without the file had none that matters."""
    import json

    try:
        fd = posix.open(DESCRIPTORS, posix.O_RDONLY | posix.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return ()
    try:
        names = json.loads(posix.read(fd, 1 << 16))
    except ValueError:
        return ()
    finally:
        posix.close(fd)
    return [str(name) for name in names] if isinstance(names, list) else ()
