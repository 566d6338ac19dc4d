# SPDX-License-Identifier: Apache-2.0
"""The host as a test must leave it: cgroups, mounts, directories."""

import contextlib
import os
import shutil
import socket
import stat
import subprocess
from pathlib import Path

from blackbox import kernel
from blackbox.processes import kill_child, reap, text, until
from blackbox.runtime import Runtime

CGROUPS = "/sys/fs/cgroup"


def mounts() -> list[str]:
    """Return the mount points of this process, unescaped."""
    lines = text("/proc/self/mountinfo").splitlines()
    return [line.split()[4].encode().decode("unicode_escape") for line in lines]


def network() -> list[str]:
    """Return the devices of this network namespace, and the tables of nftables where nft(8) is there."""
    found = [f"device {name}" for _, name in socket.if_nameindex()]
    program = shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin")
    if program is not None and os.geteuid() == 0:
        ran = subprocess.run(
            [program, "list", "tables"], capture_output=True, text=True, check=True
        )
        found += ran.stdout.splitlines()
    return found


def hierarchies() -> list[str]:
    """Return the roots of all cgroup hierarchies."""
    found = []
    for line in text("/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        if after.split()[0] in ("cgroup", "cgroup2") and before.split()[4].startswith(CGROUPS):
            found.append(before.split()[4])
    return found


def cgroups(name: str) -> list[str]:
    """Return all cgroups whose path has `name` in it, innermost first."""
    found: list[str] = []
    for root in hierarchies():
        for directory, names, _ in os.walk(root, topdown=False):
            found.extend(
                os.path.join(directory, n) for n in names if name in n or name in directory
            )
    return found


def remove_cgroups(name: str) -> None:
    """Kill what lives in the cgroups with `name` in their path and remove them."""
    for directory in cgroups(name):
        thaw(directory)
        until(lambda: emptied(directory), f"{directory} is empty")  # noqa: B023 - called before the next round


def remove_empty_cgroups(name: str) -> None:
    """Remove a cgroup of this name from each hierarchy, unless others have something in it."""
    for root in hierarchies():
        with contextlib.suppress(OSError):
            os.rmdir(f"{root}/{name}")


def thaw(directory: str) -> None:
    """Thaw a cgroup of either version."""
    for file, value in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
        with contextlib.suppress(OSError), open(f"{directory}/{file}", "r+") as control:
            control.write(value)


def emptied(directory: str) -> bool:
    """Kill the processes of a cgroup, of ours only, and try to remove it."""
    with contextlib.suppress(OSError):
        for pid in text(f"{directory}/cgroup.procs").split():
            if int(pid) != 0:
                kill_child(int(pid))
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def listing(directory: Path | str) -> list[str]:
    """Describe a tree: type, mode, owner, size and link target of everything, for comparisons."""
    lines = []
    for path in sorted([Path(directory), *Path(directory).rglob("*")]):
        info = path.lstat()
        target = os.readlink(path) if path.is_symlink() else ""
        size = info.st_size if stat.S_ISREG(info.st_mode) else 0
        device = info.st_rdev
        lines.append(
            f"{path} {info.st_mode:o} {info.st_uid}:{info.st_gid} {size} {device} {target}"
        )
    return lines


def leftovers(runtime: Runtime) -> list[str]:
    """Clean up after a test and say what the runtime should not have left."""
    for running in runtime.running:
        running.end()
    found = []
    for name in state_directories(runtime):
        ran = runtime("delete", "--force", name)
        if ran.code != 0:
            found.append(f"{name} could not be deleted: {ran}")
    for name in runtime.used:
        for directory in cgroups_named(runtime, name):
            thaw(directory)
    found += left_processes()
    found += left_cgroups(runtime)
    found += [f"state directory {name}" for name in state_directories(runtime)]
    found += left_mounts(runtime.scratch)
    return found


def state_directories(runtime: Runtime) -> list[str]:
    """Return the ids that have a state directory."""
    if not runtime.root.is_dir():
        return []
    return [name for name in os.listdir(runtime.root) if not name.startswith(".")]


def left_processes() -> list[str]:
    """Return our living children, having killed them."""
    with contextlib.suppress(AssertionError):
        until(lambda: not reap(), "no process is left", 2)
    found = []
    for pid in reap():
        found.append(f"process {pid}: {text(f'/proc/{pid}/cmdline')!r}")
        kill_child(pid)
    return found


def cgroups_named(runtime: Runtime, name: str) -> list[str]:
    """Return the cgroups of one container of this test."""
    if runtime.systemd:
        return cgroups(f"pyoci-{name}.scope")
    parents = [p for root in hierarchies() for p in (root, root + runtime.parent)]
    return [f"{parent}/{name}" for parent in parents if os.path.isdir(f"{parent}/{name}")]


def left_cgroups(runtime: Runtime) -> list[str]:
    """Return the cgroups of this test's containers, having removed them."""
    found = []
    for name in runtime.used:
        left = cgroups_named(runtime, name)
        found += [f"cgroup {directory}" for directory in left]
        if left:
            remove_cgroups(name)
    return found


def left_mounts(directory: Path) -> list[str]:
    """Return mounts below a directory, having unmounted them."""
    found = [place for place in mounts() if place.startswith(f"{directory}/")]
    for place in reversed(found):
        kernel.umount(place, kernel.MNT_DETACH)
    return [f"mount {place}" for place in found]


def remove(directory: Path) -> None:
    """Remove a test's directory."""
    shutil.rmtree(directory)
