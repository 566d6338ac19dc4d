# SPDX-License-Identifier: Apache-2.0
"""Documents of config.json, the plans that are compiled from them, and words to ask a plan about its order."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyoci import spec as specification
from pyoci.plan import compile as compiler
from pyoci.plan import ops
from pyoci.plan.facts import Facts
from pyoci.plan.program import Operation, Program
from pyoci.seccomp import Filter

NAMESPACES = ("pid", "mount", "ipc", "uts", "network")
MAP = [{"containerID": 0, "hostID": 100000, "size": 65536}]
V2 = {
    "layout": "v2",
    "cgroups": (("", "/sys/fs/cgroup/box"),),
    "unified": "/sys/fs/cgroup/box",
    "device_program": bytes(64),
}
HYBRID = {
    "layout": "hybrid",
    "cgroups": (
        ("unified", "/sys/fs/cgroup/unified/box"),
        ("cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct/box"),
        ("memory", "/sys/fs/cgroup/memory/box"),
    ),
    "unified": "/sys/fs/cgroup/unified/box",
}
FILTER = Filter(bytes(16), 0)
LISTENING = Filter(bytes(16), 1 << 3)
KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
Document = dict[str, Any]
Rule = Callable[[Program], None]


def minimal(**linux: Any) -> Document:
    """The least that runs: a process, a root, namespaces."""
    namespaces = linux.pop("namespaces", NAMESPACES)
    return {
        "ociVersion": "1.2.0",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/bin"],
            "cwd": "/",
        },
        "root": {"path": "rootfs"},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": {
            "namespaces": [
                {"type": name.partition("=")[0], "path": name.partition("=")[2]}
                for name in namespaces
            ],
            **linux,
        },
    }


def mount(destination: str, type_: str, *options: str, source: str = "") -> Document:
    entry = {"destination": destination, "type": type_, "source": source or type_}
    return {**entry, "options": list(options)}


def docker() -> Document:
    """What docker asks for, in the least that shows each kind of it."""
    document = minimal(
        namespaces=(*NAMESPACES, "cgroup"),
        maskedPaths=["/proc/keys", "/proc/acpi"],
        readonlyPaths=["/proc/sys"],
    )
    capabilities = ["CAP_CHOWN", "CAP_KILL", "CAP_SETPCAP"]
    document["process"] |= {
        "user": {"uid": 1000, "gid": 1001, "umask": 0o27, "additionalGids": [5, 6]},
        "capabilities": dict.fromkeys(
            ("bounding", "effective", "permitted", "ambient"), capabilities
        ),
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 512, "hard": 1024}],
        "oomScoreAdj": 100,
        "cwd": "/srv",
    }
    document["hostname"] = "box"
    document["mounts"] += [
        mount("/dev", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        mount("/dev/pts", "devpts", "nosuid", "noexec", "newinstance", "mode=0620", "gid=5"),
        mount("/sys", "sysfs", "nosuid", "noexec", "nodev", "ro"),
        mount("/sys/fs/cgroup", "cgroup", "ro", "nosuid", "noexec", "nodev"),
        mount("/etc/hosts", "bind", "rbind", "rprivate", source="/run/hosts"),
    ]
    return document


def in_user_namespace() -> Document:
    document = docker()
    document["linux"]["namespaces"].append({"type": "user"})
    document["linux"] |= {"uidMappings": MAP, "gidMappings": MAP}
    return document


def joined() -> Document:
    """A pod: the namespaces of another container."""
    names = ("pid=/run/pid", "network=/run/net", "ipc=/run/ipc", "mount", "uts")
    return minimal(namespaces=names)


def terminal() -> Document:
    document = minimal()
    document["process"] |= {"terminal": True, "consoleSize": {"height": 24, "width": 80}}
    document["mounts"].append(mount("/dev/pts", "devpts", "newinstance"))
    return document


def with_hooks() -> Document:
    document = minimal()
    document["hooks"] = {
        kind: [{"path": f"/{kind}", "args": [kind, "now"], "env": ["A=1"], "timeout": 3}]
        for kind in KINDS
    }
    document["hooks"]["createContainer"].append({"path": "/bare"})
    return document


def no_new_privileges() -> Document:
    document = minimal()
    document["process"]["noNewPrivileges"] = True
    return document


def with_time() -> Document:
    offsets = {"monotonic": {"secs": -7}, "boottime": {"secs": 3, "nanosecs": 5}}
    return minimal(namespaces=(*NAMESPACES, "time", "cgroup"), timeOffsets=offsets)


def with_sysctl() -> Document:
    return minimal(sysctl={"net.ipv4.ip_forward": "1", "kernel/shmmax": "9"})


def labelled() -> Document:
    document = with_hooks()
    document["process"] |= {"apparmorProfile": "profile", "selinuxLabel": "u:r:t:s0"}
    return document


class Case:
    """One container: what it asks for, on which host."""

    def __init__(self, document: Document, filter_: Filter | None = None, **host: Any) -> None:
        self.document = document
        self.filter = filter_
        self.host = host


CASES = {
    "minimal": Case(minimal()),
    "minimal-no-pivot": Case(minimal(), no_pivot=True, no_new_keyring=True),
    "minimal-unprivileged": Case(
        {**in_user_namespace(), "mounts": minimal()["mounts"]}, privileged=False, euid=1000
    ),
    "docker-v2": Case(docker(), FILTER, **V2),
    "docker-hybrid": Case(docker(), FILTER, **HYBRID),
    "user-namespace": Case(in_user_namespace(), FILTER, **V2),
    "joined-pid-v2": Case(joined(), **V2),
    "joined-pid-hybrid": Case(joined(), **HYBRID),
    "terminal": Case(terminal()),
    "hooks": Case(with_hooks(), FILTER, **V2),
    "seccomp": Case(minimal(), FILTER),
    "seccomp-no-new-privileges": Case(no_new_privileges(), FILTER),
    "seccomp-listener": Case(minimal(), LISTENING),
    "time": Case(with_time(), **V2),
    "sysctl": Case(with_sysctl()),
    "labels": Case(labelled(), FILTER, apparmor=True, selinux=True),
    "preserved": Case(minimal(), preserved=2),
}
EXECS = {
    "exec": Case(docker(), FILTER, **HYBRID),
    "exec-v2": Case(docker(), FILTER, **V2),
    "exec-user-namespace": Case(in_user_namespace(), no_new_keyring=True, **V2),
    "exec-terminal": Case(terminal(), LISTENING),
    "exec-labels": Case(labelled(), apparmor=True, selinux=True),
    "exec-shared": Case(minimal(), shared=0x40000000 | 0x08000000 | 0x04000000),
}


def complete(document: Document, directory: Path) -> Any:
    """Read a document as the runtime does."""
    path = directory / "config.json"
    path.write_text(json.dumps(document))
    return specification.load(str(path))


def facts(**host: Any) -> Facts:
    host.setdefault("capabilities", (1 << 41) - 1)
    return Facts(bundle="/bundle", identity="box", **host)


def compiled(name: str, directory: Path) -> Program:
    case = CASES.get(name) or EXECS[name]
    config = complete(case.document, directory)
    if name in CASES:
        return compiler.create(config, facts(**case.host), case.filter, [])
    host = facts(**case.host)
    return compiler.execute(config, config["process"], host, case.filter, [])


def positions(program: Program, wanted: str, **arguments: Any) -> list[int]:
    """Where an operation stands, as far as its arguments, slots by their names, are these."""
    return [
        index
        for index, operation in enumerate(program.operations)
        if operation.name == wanted
        and all(argument(program, operation, key) == value for key, value in arguments.items())
    ]


def argument(program: Program, operation: Operation, wanted: str) -> Any:
    names = {number: name for name, number in program.slots.items()}
    _, signature, keys, _ = ops.OPERATIONS[ops.CODES[operation.name]]
    index = keys.split().index(wanted)
    value = operation.arguments[index]
    return names.get(value, value) if signature[index] in "so" else value


def only(program: Program, wanted: str, **arguments: Any) -> int:
    found = positions(program, wanted, **arguments)
    assert len(found) == 1, (wanted, arguments, found)
    return found[0]


def topic(name: str) -> int:
    return ops.TOPICS.index(name)


def change_of_root(program: Program) -> int:
    return next(
        index
        for index, operation in enumerate(program.operations)
        if operation.name in {"pivot_root", "move_root", "chroot"}
    )


def held(program: Program, at: int) -> set[str]:
    """The slots that hold a descriptor before this operation; one that may be is one that is."""
    names = {number: name for name, number in program.slots.items()}
    found: set[str] = set()
    for operation in program.operations[:at]:
        _, signature, _, _ = ops.OPERATIONS[ops.CODES[operation.name]]
        for kind, value in zip(signature, operation.arguments, strict=True):
            if kind == "o" and value != ops.NO_SLOT:
                found.add(names[value])
        if operation.name == "close":
            found.discard(names[operation.arguments[0]])
    return found


@pytest.fixture(params=[*CASES, *EXECS])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def plan(name: str, tmp_path: Path) -> Program:
    """Each plan of create and exec."""
    return compiled(name, tmp_path)


@pytest.fixture(params=list(CASES))
def created(request: pytest.FixtureRequest, tmp_path: Path) -> Program:
    """Each plan of create."""
    return compiled(request.param, tmp_path)
