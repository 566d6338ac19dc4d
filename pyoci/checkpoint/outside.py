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


class Mounted:
    """A mount as mountinfo shows it: its place, its device and the directory of that device that is its root."""

    __slots__ = ("device", "place", "root")

    def __init__(self, line: str) -> None:
        _, _, self.device, root, place, *_ = line.split()
        self.root, self.place = _plain(root), _plain(place)


def mounted(pid: int) -> "list[Mounted]":
    """Return the mounts of a process, a lower one first (proc_pid_mountinfo(5))."""
    return [Mounted(line) for line in read_all(f"/proc/{pid}/mountinfo").splitlines()]


def _plain(text: str) -> str:
    for code, character in _OCTAL:
        text = text.replace(code, character)
    return text


def read_all(path: str) -> str:
    """Read a file of /proc that may be long."""
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def external_mounts(pid: int, spec: "Spec", bundle: str) -> "list[Pair]":
    """Return the mounts of a container whose file system the host has mounted, too: place and name.

    By the name restore finds the source. It is the destination in config.json, as a link of the image may have led
    the mount elsewhere; else the place. cgroup2 criu mounts itself.
    """
    ours = mounted(posix.getpid())
    host = {mount.device for mount in ours} | {_root_device()}
    kinds = {clean(row["destination"]): row["type"] for row in spec["mounts"]}
    names = {_shown(ours, source): name for name, source in _binds(spec, bundle).items()}
    v2 = _is_cgroup2()
    found = []
    for mount in mounted(pid):
        place = mount.place
        is_own = mount.device not in host or (v2 and kinds.get(place) == "cgroup")
        if place != "/" and not is_own:
            linked = names.get((mount.device, mount.root), place)
            found.append({"key": place, "val": place if place in kinds else linked})
    return found


def _binds(spec: "Spec", bundle: str) -> "dict[str, str]":
    """Return the source of each bind mount by its destination."""
    found = {}
    for row in spec["mounts"]:
        if row["type"] == "bind" or {"bind", "rbind"} & set(row["options"]):
            source = row["source"] or ""
            whole = source if source.startswith("/") else f"{bundle}/{source}"
            found[clean(row["destination"])] = whole
    return found


def _shown(mounts: "list[Mounted]", path: str) -> tuple[str, str]:
    """Return the device and the root that a bind mount of a path of the host has in mountinfo; of none, nothing's."""
    try:
        fd = posix.open(path, posix.O_PATH | posix.O_CLOEXEC)
    except OSError:
        return "", ""
    try:
        real = posix.readlink(f"/proc/self/fd/{fd}")  # without links, as the mount table has it
    finally:
        posix.close(fd)
    # Of two in one place the first is hidden.
    over = [one for one in reversed(mounts) if f"{real}/".startswith(f"{one.place.rstrip('/')}/")]
    nearest = max(over, key=lambda mount: len(mount.place))
    return nearest.device, clean(f"{nearest.root}/{real[len(nearest.place) :]}")


def _root_device() -> str:
    device = posix.stat("/").st_dev
    return f"{posix.major(device)}:{posix.minor(device)}"


def _is_cgroup2() -> bool:
    return posix.access("/sys/fs/cgroup/cgroup.controllers", posix.F_OK)


def mount_sources(spec: "Spec", bundle: str, cgroup: "Cgroup | None") -> "list[Pair]":
    """Return for every name that may be external its source on this host; criu ignores what it does not know."""
    found = {f"/dev/{device}": f"/dev/{device}" for device in _DEVICES}
    found |= {clean(made["path"]): made["path"] for made in spec["linux"]["devices"]}
    found |= {clean(path): "/dev/null" for path in spec["linux"]["maskedPaths"]}
    for row in spec["mounts"]:
        place = clean(row["destination"])
        if row["type"] == "cgroup":
            mounts = cgroup.mounts() if cgroup else ()
            found |= {f"{place}/{name}" if name else place: path for name, path in mounts}
        elif row["type"] in _OWN:
            found[place] = _OWN[row["type"]]
    ours = mounted(posix.getpid())
    for place, source in _binds(spec, bundle).items():
        found[place] = source
        above = source.rstrip("/")
        for mount in ours:  # rbind takes along what is mounted below the source
            if mount.place.startswith(f"{above}/"):
                found[place + mount.place[len(above) :]] = mount.place
    return [{"key": name, "val": source} for name, source in found.items()]


_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_OWN: "dict[str | None, str]" = {"proc": "/proc", "sysfs": "/sys", "mqueue": "/dev/mqueue"}


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
