# SPDX-License-Identifier: Apache-2.0
"""Bundles: a busybox root file system and a base config.json, changed by keywords."""

import copy
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from blackbox import delegated

Config = dict[str, Any]

APPLETS = (
    "awk basename cat chmod chown cp cut date dd df dirname dmesg echo env expr false find grep "
    "head hostname httpd id kill ln ls md5sum mkdir mkfifo mknod mktemp mount mv nc od pidof "
    "ping printf ps pwd readlink realpath rm rmdir sed seq setsid sh sleep sort stat stty sync "
    "tail tee test timeout touch tr true tty ulimit umount uname uniq unlink usleep wc which "
    "whoami xargs yes cmp ip ifconfig nproc mountpoint"
).split()
DIRECTORIES = ("bin", "dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "usr/bin", "var")
PASSWD = "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n"
GROUP = "root:x:0:\nalice:x:1000:\naudio:x:29:alice\n"
CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]

PROC = {"destination": "/proc", "type": "proc", "source": "proc"}
DEV = {
    "destination": "/dev",
    "type": "tmpfs",
    "source": "tmpfs",
    "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
}
PTS = {
    "destination": "/dev/pts",
    "type": "devpts",
    "source": "devpts",
    "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
}
SHM = {
    "destination": "/dev/shm",
    "type": "tmpfs",
    "source": "shm",
    "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
}
MQUEUE = {
    "destination": "/dev/mqueue",
    "type": "mqueue",
    "source": "mqueue",
    "options": ["nosuid", "noexec", "nodev"],
}
SYS = {
    "destination": "/sys",
    "type": "sysfs",
    "source": "sysfs",
    "options": ["nosuid", "noexec", "nodev", "ro"],
}
CGROUP = {
    "destination": "/sys/fs/cgroup",
    "type": "cgroup",
    "source": "cgroup",
    "options": ["nosuid", "noexec", "nodev", "relatime", "ro"],
}
MOUNTS: list[Config] = [PROC, DEV, PTS, SHM, MQUEUE, SYS]
NAMESPACES = ("pid", "network", "ipc", "uts", "mount")
PROCESS_KEYS = frozenset(
    "terminal consoleSize cwd env args user capabilities rlimits noNewPrivileges oomScoreAdj "
    "apparmorProfile selinuxLabel scheduler ioPriority execCPUAffinity".split()
)
LINUX_KEYS = frozenset(
    "namespaces uidMappings gidMappings devices cgroupsPath resources sysctl seccomp "
    "rootfsPropagation maskedPaths readonlyPaths mountLabel personality timeOffsets intelRdt "
    "netDevices memoryPolicy".split()
)

BASE: Config = {
    "ociVersion": "1.0.2",
    "process": {
        "terminal": False,
        "user": {"uid": 0, "gid": 0},
        "args": ["true"],
        "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
        "cwd": "/",
        "capabilities": {
            "bounding": CAPABILITIES,
            "effective": CAPABILITIES,
            "permitted": CAPABILITIES,
        },
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
        "noNewPrivileges": True,
    },
    "root": {"path": "rootfs", "readonly": False},
    "hostname": "box",
    "mounts": MOUNTS,
    "linux": {
        "resources": {"devices": [{"allow": False, "access": "rwm"}]},
        "namespaces": [{"type": kind} for kind in NAMESPACES],
        "maskedPaths": ["/proc/acpi", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
        "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"],
    },
}


def make_rootfs(path: Path, busybox: Path) -> None:
    """Make a root file system; the program is a hard link, so it costs next to nothing."""
    for name in DIRECTORIES:
        (path / name).mkdir(parents=True, exist_ok=True)
    (path / "tmp").chmod(0o1777)
    os.link(busybox, path / "bin/busybox")
    for name in APPLETS:
        os.symlink("busybox", path / "bin" / name)
    (path / "etc/passwd").write_text(PASSWD)
    (path / "etc/group").write_text(GROUP)


class Bundle:
    """A bundle directory; `config` may be changed until `write`."""

    def __init__(self, path: Path, busybox: Path) -> None:
        self.path = path
        self.rootfs = path / "rootfs"
        make_rootfs(self.rootfs, busybox)
        self.config = copy.deepcopy(BASE)
        self.chosen = False

    @property
    def process(self) -> Config:
        """The process object of config.json."""
        process: Config = self.config["process"]
        return process

    @property
    def linux(self) -> Config:
        """The linux object of config.json."""
        linux: Config = self.config["linux"]
        return linux

    def edit(self, *args: str, **edits: Any) -> "Bundle":
        """Set properties by their own names, wherever they belong; None removes one."""
        if args:
            self.process["args"] = list(args)
        for name, value in edits.items():
            self._edit(name, value)
        return self

    def _edit(self, name: str, value: Any) -> None:
        self.chosen = self.chosen or name in ("cgroupsPath", "linux")
        if name == "sh":
            self.process["args"] = ["/bin/sh", "-c", value]
        elif name == "readonly":
            self.config["root"]["readonly"] = value
        elif name == "mounts":
            self.config["mounts"] = [*self.config["mounts"], *value]
        elif name == "all_mounts":
            self.config["mounts"] = value
        elif name == "env":
            self.process["env"] = [*self.process["env"], *value]
        elif name == "caps":
            self.process["capabilities"] = dict.fromkeys(
                ("bounding", "effective", "permitted"), value
            )
        elif name == "namespace":
            self.set_namespace(**value)
        elif name in PROCESS_KEYS:
            set_or_remove(self.process, name, value)
        elif name in LINUX_KEYS and "linux" in self.config:
            set_or_remove(self.linux, name, value)
        else:
            set_or_remove(self.config, name, value)

    def set_namespace(self, **paths: str | None) -> None:
        """Choose namespaces by kind: "" a new one, a path to join one, None the runtime's."""
        kept = [ns for ns in self.linux["namespaces"] if ns["type"] not in paths]
        for kind, path in paths.items():
            if path is not None:
                kept.append({"type": kind, "path": path} if path else {"type": kind})
        self.linux["namespaces"] = kept

    def map_users(self, host: int = 100000, size: int = 65536) -> None:
        """Give the container a user namespace, and the root file system to its root."""
        self.set_namespace(user="")
        mapping = [{"containerID": 0, "hostID": host, "size": size}]
        self.edit(uidMappings=mapping, gidMappings=mapping)
        for directory, names, files in os.walk(self.rootfs):
            for name in (".", *names, *files):
                target = os.path.join(directory, name)
                if not target.endswith("/bin/busybox"):
                    os.lchown(target, host, host)

    def belong_to_user(self) -> None:
        """Let the user who runs the tests make it: root inside, with the subordinate ids of subuid(5) beside."""
        self.set_namespace(user="")
        ours = {"containerID": 0, "hostID": os.getuid(), "size": 1}
        for key, file in (("uidMappings", "/etc/subuid"), ("gidMappings", "/etc/subgid")):
            self.edit(**{key: [ours, delegated.subordinate_ids(file)]})

    def own_program(self) -> None:
        """Replace the shared busybox by a copy that a test may let be attacked."""
        target = self.rootfs / "bin/busybox"
        copied = self.rootfs / "bin/busybox.copy"
        shutil.copy2(target, copied)
        copied.rename(target)

    def place(self, cgroup: str) -> None:
        """Put the container into a cgroup of its own, unless the test chose one."""
        if not self.chosen:
            self.linux["cgroupsPath"] = cgroup
            self.write()

    def write_text(self, content: str | bytes) -> "Bundle":
        """Write a config.json that need not be one."""
        self.chosen = True
        data = content if isinstance(content, bytes) else content.encode()
        (self.path / "config.json").write_bytes(data)
        return self

    def write(self) -> "Bundle":
        """Write config.json."""
        (self.path / "config.json").write_text(json.dumps(self.config))
        return self


MakeBundle = Callable[..., Bundle]


def set_or_remove(target: Config, name: str, value: Any) -> None:
    """Set a property, or remove it when the value is None."""
    if value is None:
        target.pop(name, None)
    else:
        target[name] = value


def bind(source: Path | str, destination: str, *options: str) -> Config:
    """Return a bind mount."""
    return {
        "destination": destination,
        "type": "bind",
        "source": str(source),
        "options": list(options) or ["bind"],
    }


def tmpfs(destination: str, *options: str) -> Config:
    """Return a tmpfs mount."""
    return {
        "destination": destination,
        "type": "tmpfs",
        "source": "tmpfs",
        "options": list(options),
    }


def without(mounts: list[Config], *destinations: str) -> list[Config]:
    """Return mounts without those at or below some destinations."""

    def is_below(place: str) -> bool:
        return any(place == d or place.startswith(d + "/") for d in destinations)

    return [mount for mount in mounts if not is_below(mount["destination"])]
