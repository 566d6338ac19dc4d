# SPDX-License-Identifier: Apache-2.0
"""What config.json must mean: security.md section 5 C, cases 51 to 56, 66, 67, 69 and 70."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyoci import spec as package
from pyoci.errors import PyociError, SpecError

Load = Callable[[dict[str, Any]], tuple[Any, list[str]]]
ALL = [{"type": kind} for kind in ("mount", "pid", "network", "ipc", "uts", "cgroup", "time")]
MAP = [{"containerID": 0, "hostID": 1000, "size": 10}]
USER = {"namespaces": [{"type": "user"}], "uidMappings": MAP, "gidMappings": MAP}


def merged(old: Any, new: Any) -> Any:
    """Return an object with the keys of another put in, level by level."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: merged(old.get(key), new[key]) for key in new}
    return new


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load a small valid config.json with changes put in; also return its warnings."""

    def loaded(changes: dict[str, Any]) -> tuple[Any, list[str]]:
        config = {
            "ociVersion": "1.0.2",
            "root": {"path": "rootfs"},
            "process": {"cwd": "/", "args": ["sh"]},
            "linux": {"namespaces": ALL},
        }
        path = tmp_path / "config.json"
        path.write_text(json.dumps(merged(config, changes)))
        warnings: list[str] = []
        return package.load(str(path), warnings.append), warnings

    return loaded


def process(**changes: object) -> dict[str, object]:
    return {"process": changes}


def linux(**changes: object) -> dict[str, object]:
    return {"linux": changes}


def mount(**changes: object) -> dict[str, object]:
    return {"mounts": [{"destination": "/a"} | changes]}


def limit(**changes: object) -> dict[str, object]:
    return process(rlimits=[{"type": "RLIMIT_CORE", "soft": 1, "hard": 1} | changes])


def maps(*lines: tuple[int, int, int]) -> dict[str, object]:
    rows = [{"containerID": a, "hostID": b, "size": c} for a, b, c in lines]
    return linux(**(USER | {"uidMappings": rows}))


BROKEN: list[tuple[dict[str, object], str]] = [
    ({"ociVersion": "2.0.0"}, 'ociVersion: unsupported version "2.0.0": only 1.x is known'),
    ({"ociVersion": "0.5.0-dev"}, 'ociVersion: unsupported version "0.5.0-dev"'),
    ({"root": None}, "root: root must be specified"),
    ({"root": {"path": ""}}, "root.path: must not be empty"),
    # process (config.md#process)
    ({"process": None}, "process: process property must not be empty"),
    (process(cwd=""), "process.cwd: Cwd property must not be empty"),
    (process(cwd=None), "process.cwd: Cwd property must not be empty"),
    (process(cwd="tmp"), "process.cwd: Cwd must be an absolute path"),
    (process(args=[]), "process.args: args must not be empty"),
    (process(args=None), "process.args: args must not be empty"),
    (process(env=["A=1", "B"]), 'process.env[1]: invalid environment variable "B": it has no'),
    (process(env=["=x"]), 'process.env[0]: invalid environment variable "=x": its name is empty'),
    (process(env=[""]), 'process.env[0]: invalid environment variable "": it has no'),
    (process(user={"umask": 0o1000}), "process.user.umask: must be at most 511"),
    (process(user={"uid": 4294967295}), "process.user.uid: must be an integer from 0 to"),
    (process(user={"gid": -1}), "process.user.gid: must be an integer from 0 to"),
    (
        process(user={"additionalGids": [1 << 32]}),
        "process.user.additionalGids[0]: must be an integer from 0 to",
    ),
    (process(user={"additionalGids": [5] * 65537}), "process.user.additionalGids: are more than"),
    (process(oomScoreAdj=1001), "process.oomScoreAdj: must be from -1000 to 1000, not 1001"),
    (process(oomScoreAdj=-1001), "process.oomScoreAdj: must be from -1000 to 1000, not -1001"),
    (
        process(terminal=True, consoleSize={"height": 1, "width": 65536}),
        "process.consoleSize: a terminal has at most 65535 rows and columns",
    ),
    (limit(type="RLIMIT_X"), "process.rlimits[0].type: wrong rlimit value: RLIMIT_X"),
    (limit(type="CORE"), "process.rlimits[0].type: wrong rlimit value: CORE"),
    (limit(soft=2), "process.rlimits[0].soft: must not be above the hard limit 1"),
    (
        process(rlimits=[{"type": "RLIMIT_CPU", "soft": 1, "hard": 1}] * 2),
        "process.rlimits[1].type: duplicate rlimit RLIMIT_CPU",
    ),
    # mounts
    (mount(destination=""), "mounts[0].destination: must not be empty"),
    (mount(destination="/"), "mounts[0].destination: must not be the root of the container"),
    (mount(destination="/a/.."), "mounts[0].destination: must not be the root"),
    (mount(destination="/../../."), "mounts[0].destination: must not be the root"),
    (
        mount(uidMappings=MAP, options=["bind"]),
        "mounts[0]: id-mapped mounts must have both UID and GID mappings specified",
    ),
    (
        mount(uidMappings=MAP, gidMappings=MAP, type="tmpfs"),
        "mounts[0]: id-mapped mounts are only supported for bind-mounts",
    ),
    (
        mount(uidMappings=MAP, gidMappings=MAP * 2, options=["rbind"]),
        "mounts[0].gidMappings: two lines overlap at containerID 0",
    ),
    # hooks, annotations
    ({"hooks": {"poststop": [{"path": "x"}]}}, "hooks.poststop[0].path: must be an absolute path"),
    (
        {"hooks": {"prestart": [{"path": "/x", "timeout": 0}]}},
        "hooks.prestart[0].timeout: must be greater than zero",
    ),
    ({"annotations": {"": "x"}}, "annotations: a key must not be empty"),
    # namespaces (config-linux.md#namespaces)
    (
        linux(namespaces=[{"type": "network"}, {"type": "network", "path": "/x"}]),
        'linux.namespaces[1]: malformed spec file: duplicated ns "network"',
    ),
    (linux(namespaces=[{"type": "net"}]), 'linux.namespaces[0].type: namespace "net" does not'),
    (
        linux(namespaces=[{"type": "pid", "path": "proc/1/ns/pid"}]),
        "linux.namespaces[0].path: must be an absolute path",
    ),
    (
        linux(namespaces=[{"type": "pid", "path": "/" + "x" * 70_000}]),
        "linux.namespaces[0].path: is longer than 4095 bytes",
    ),
    (
        {"hostname": "x"} | linux(namespaces=[]),
        "hostname: unable to set hostname without a private UTS namespace",
    ),
    (
        {"domainname": "x"} | linux(namespaces=[]),
        "domainname: unable to set domainname without a private UTS namespace",
    ),
    ({"hostname": "x" * 65}, "hostname: must not be longer than 64 bytes"),
    (
        linux(namespaces=[], maskedPaths=["/a"]),
        "linux.maskedPaths: unable to restrict sys entries without a private MNT namespace",
    ),
    (linux(namespaces=[], readonlyPaths=["/a"]), "linux.readonlyPaths: unable to restrict sys"),
    (linux(readonlyPaths=["/a", "b"]), "linux.readonlyPaths[1]: must be an absolute path"),
    # id maps (user_namespaces(7))
    (
        linux(uidMappings=MAP),
        "linux.uidMappings: user namespace mappings specified, but user namespace isn't enabled",
    ),
    (linux(gidMappings=MAP), "linux.gidMappings: user namespace mappings specified, but"),
    (
        linux(namespaces=[{"type": "user"}]),
        "linux.uidMappings: user namespaces enabled, but no namespace path to join nor mapping",
    ),
    (
        linux(namespaces=[{"type": "user"}], uidMappings=MAP),
        "linux.gidMappings: user namespaces enabled, but no namespace path",
    ),
    (
        maps(*((n, n, 1) for n in range(6000))),
        "linux.uidMappings: has 6000 lines, the kernel takes at most 340",
    ),
    (maps((0, 0, 0)), "linux.uidMappings[0].size: must not be 0"),
    (maps((0, 1, 4294967295)), "linux.uidMappings[0]: an id is above 4294967294"),
    (maps((4294967295, 0, 1)), "linux.uidMappings[0]: an id is above 4294967294"),
    (maps((0, 0, 5), (4, 9, 1)), "linux.uidMappings: two lines overlap at containerID 4"),
    (maps((0, 5, 5), (9, 4, 2)), "linux.uidMappings: two lines overlap at hostID 5"),
    (linux(**USER) | process(user={"uid": 10}), "process.user.uid: uid 10 is not mapped in the"),
    (linux(**USER) | process(user={"gid": 99}), "process.user.gid: gid 99 is not mapped in the"),
    (
        linux(**USER) | process(user={"additionalGids": [1, 10]}),
        "process.user.additionalGids[1]: gid 10 is not mapped in the user namespace",
    ),
    # time
    (
        linux(namespaces=[], timeOffsets={"boottime": {"secs": 1}}),
        "linux.timeOffsets: time namespace offsets specified, but time namespace isn't enabled",
    ),
    (
        linux(
            namespaces=[{"type": "time", "path": "/x"}], timeOffsets={"boottime": {"nanosecs": 1}}
        ),
        "linux.timeOffsets: time namespace enabled, but both namespace path and time offsets",
    ),
    (
        linux(timeOffsets={"monotonic": {"secs": -1, "nanosecs": 1_000_000_000}}),
        "linux.timeOffsets.monotonic.nanosecs: must be below 1000000000",
    ),
    # devices, propagation
    (
        linux(rootfsPropagation="up"),
        "linux.rootfsPropagation: rootfsPropagation=up is not supported",
    ),
    (
        linux(devices=[{"path": "dev/x", "type": "c", "major": 1, "minor": 1}]),
        "linux.devices[0].path: must be an absolute path",
    ),
    (linux(devices=[{"path": "/x", "type": "d"}]), 'linux.devices[0].type: invalid device type "d'),
    (
        linux(devices=[{"path": "/x", "type": "c", "major": 1}]),
        "linux.devices[0].minor: is required for a device",
    ),
    (
        linux(devices=[{"path": "/x", "type": "b", "major": 4096, "minor": 0}]),
        "linux.devices[0].major: must be from 0 to 4095, not 4096",
    ),
    (
        linux(devices=[{"path": "/x", "type": "b", "major": 1, "minor": -1}]),
        "linux.devices[0].minor: must be from 0 to 1048575, not -1",
    ),
    # cgroup
    (linux(cgroupsPath="/../../x"), "linux.cgroupsPath: must not contain .."),
    (linux(cgroupsPath="a/.."), "linux.cgroupsPath: must not contain .."),
    (linux(cgroupsPath="/a\nb"), "linux.cgroupsPath: must not contain control characters"),
    (linux(cgroupsPath="/" + "x" * 256), "linux.cgroupsPath: is too long"),
    (linux(cgroupsPath="/x" * 2500), "linux.cgroupsPath: is too long"),
    (
        linux(resources={"devices": [{"allow": True}]}),
        "linux.resources.devices[0].access: device access at 0 field cannot be empty",
    ),
    (
        linux(resources={"devices": [{"allow": True, "access": "rx"}]}),
        'linux.resources.devices[0].access: must be made of r, w and m, not "rx"',
    ),
    (
        linux(resources={"devices": [{"allow": True, "access": "r", "type": "u"}]}),
        'linux.resources.devices[0].type: invalid cgroup device type "u"',
    ),
    (
        linux(resources={"devices": [{"allow": True, "access": "r", "major": -2}]}),
        "linux.resources.devices[0].major: must be -1 (all) or a device number, not -2",
    ),
    *(
        (linux(resources={"unified": {key: "x"}}), "linux.resources.unified: unified resource")
        for key in ("../../../../tmp/f", "/tmp/f", "", "..", "a/b", "a\nb")
    ),
]


@pytest.mark.parametrize(("changes", "problem"), BROKEN, ids=[row[1][:60] for row in BROKEN])
def test_what_nobody_may_do_is_refused(
    load: Load, changes: dict[str, object], problem: str
) -> None:
    with pytest.raises(SpecError) as caught:
        load(changes)
    assert str(caught.value).startswith(f"config.json: {problem}")


@pytest.mark.parametrize(
    "text",
    ["1", "1.0", "1.0.0.0", "01.0.0", "1.0.0-", "1.0.0+", "1.0.0-a..b", "v1.0.0", "", "1.٣.0"],
)
def test_a_version_that_is_not_semver_is_refused(load: Load, text: str) -> None:
    """config.md#specification-version: MUST be in SemVer v2.0.0 format."""
    with pytest.raises(SpecError, match=r"ociVersion: must be a SemVer v2\.0\.0 version"):
        load({"ociVersion": text})


@pytest.mark.parametrize(
    "text", ["1.0.0", "1.0.2-dev", "1.99.0", "1.2.3-rc.1+build.5", "1.0.0+a-b"]
)
def test_every_version_1_is_taken(load: Load, text: str) -> None:
    assert load({"ociVersion": text})[0]["ociVersion"] == text


@pytest.mark.parametrize(
    "key",
    [
        ".net.ipv4.ip_forward",
        "/net/ipv4/ip_forward",
        "net/../kernel/core_pattern",
        "net/./x",
        "net//x",
        "net..x",
        "net.",
        "fs.mqueue/../../kernel/x",
        "kernel.core_pattern",
        "kernel/core_pattern",
        "kernel.hostname",
        "kernel.shmmax.x",
        "vm.swappiness",
        "user.max_user_namespaces",
        "netfilter.x",
        "net",
        "",
        "..",
    ],
)
def test_a_parameter_that_the_host_would_share_is_refused(load: Load, key: str) -> None:
    """security.md 5 C 51, 53, 54."""
    with pytest.raises(SpecError, match=r"linux\.sysctl"):
        load(linux(sysctl={key: "1"}))


@pytest.mark.parametrize(
    ("key", "kind", "problem"),
    [
        ("net.core.somaxconn", "network", "is not allowed in host network namespace"),
        ("net/ipv4/conf/eth0.1/forwarding", "network", "is not allowed in host network namespace"),
        ("kernel.sem", "ipc", "is not allowed in the hosts ipc namespace"),
        ("fs.mqueue.msg_max", "ipc", "is not allowed in the hosts ipc namespace"),
        ("kernel.domainname", "uts", "is not in a separate kernel namespace"),
    ],
)
def test_a_parameter_needs_its_namespace(load: Load, key: str, kind: str, problem: str) -> None:
    assert load(linux(sysctl={key: "1"}))[0]["linux"]["sysctl"] == {key: "1"}
    others = [row for row in ALL if row["type"] != kind]
    with pytest.raises(SpecError, match=problem):
        load(linux(sysctl={key: "1"}, namespaces=others))


def test_the_host_name_is_no_parameter(load: Load) -> None:
    with pytest.raises(SpecError, match='conflicts with the OCI "hostname" field'):
        load(linux(sysctl={"kernel.hostname": "x"}))


@pytest.mark.parametrize(
    ("resources", "place"),
    [
        ({"blockIO": {"weight": 9}}, "/blockIO/weight"),
        ({"blockIO": {"leafWeight": 1001}}, "/blockIO/leafWeight"),
        (
            {"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "weight": 5}]}},
            "/blockIO/weightDevice/0/weight",
        ),
        ({"hugepageLimits": [{"pageSize": "../x", "limit": 0}]}, "/hugepageLimits/0/pageSize"),
        ({"hugepageLimits": [{"pageSize": "02MB", "limit": 0}]}, "/hugepageLimits/0/pageSize"),
        (
            {"network": {"priorities": [{"name": "a b", "priority": 1}]}},
            "/network/priorities/0/name",
        ),
        ({"rdma": {"mlx\n": {}}}, "/rdma"),
    ],
)
def test_what_no_kernel_could_be_told_is_refused(
    load: Load, resources: dict[str, object], place: str
) -> None:
    """config-linux.md#control-groups: what becomes a part of a file's name or a row of it."""
    with pytest.raises(SpecError) as caught:
        load(linux(resources=resources))
    assert caught.value.place == f"/linux/resources{place}"


def test_what_asks_for_nothing_is_fine(load: Load) -> None:
    """Docker and containerd write objects that are empty, or full of zeros."""
    idle = {"blockIO": {"weight": 0, "weightDevice": []}, "network": {"classID": 0}, "rdma": {}}
    load(
        linux(
            resources=idle | {"hugepageLimits": [], "pids": {}, "cpu": {"shares": 0}},
            memoryPolicy={},
            netDevices={},
            timeOffsets={"monotonic": {"secs": 0, "nanosecs": 0}},
            namespaces=[],
        )
        | process(execCPUAffinity={"initial": "", "final": None})
    )


@pytest.mark.parametrize(
    ("rdt", "place"),
    [
        ({"closID": ".."}, "linux.intelRdt.closID"),
        ({"closID": "a/b"}, "linux.intelRdt.closID"),
        ({"memBwSchema": "L3:0=1"}, "linux.intelRdt.memBwSchema"),
        ({"l3CacheSchema": "L3:0=1\nMB:0=1"}, "linux.intelRdt.l3CacheSchema"),
        ({"schemata": ["L3:0=1", "\n"]}, "linux.intelRdt.schemata[1]"),
    ],
)
def test_a_resctrl_group_that_cannot_be_is_refused(
    load: Load, rdt: dict[str, object], place: str
) -> None:
    """config-linux.md#intelrdt."""
    with pytest.raises(SpecError, match=re.escape(place)):
        load(linux(intelRdt=rdt))


def test_devices_need_a_network_namespace(load: Load) -> None:
    """config-linux.md#network-devices."""
    with pytest.raises(SpecError, match="without a NET namespace"):
        load(linux(netDevices={"eth0": {}}, namespaces=[]))


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "a:b", "a b", "sixteen-letters-", "", ".", "..", "a\nb"]
)
def test_a_name_that_no_device_can_have_is_refused(load: Load, name: str) -> None:
    """security.md 5 C 69."""
    with pytest.raises(SpecError, match="invalid network device name"):
        load(linux(netDevices={name: {}}))
    if name:
        with pytest.raises(SpecError, match="invalid network device name"):
            load(linux(netDevices={"eth0": {"name": name}}))


def test_duplicate_variables_stay_for_the_plan(load: Load) -> None:
    """security.md 5 C 67: the last wins, which is the compiler's to do."""
    config, _ = load(process(env=["A=1", "B=2", "A=", "C=x\ny=z"]))
    assert config["process"]["env"] == ["A=1", "B=2", "A=", "C=x\ny=z"]


def test_an_unknown_capability_is_a_warning(load: Load) -> None:
    """config.md#linux-process: SHOULD NOT fail; names in any case."""
    sets = {"bounding": ["cap_kill", "CAP_NO_SUCH", "KILL"], "ambient": ["CAP_CHOWN"]}
    config, warnings = load(process(capabilities=sets))
    assert config["process"]["capabilities"]["bounding"] == ["CAP_KILL"]
    assert config["process"]["capabilities"]["ambient"] == ["CAP_CHOWN"]
    assert warnings == [
        "config.json: process.capabilities.bounding: "
        "ignoring unknown or unavailable capabilities: [CAP_NO_SUCH KILL]"
    ]


def test_the_size_of_no_terminal_is_ignored(load: Load) -> None:
    """config.md#process: consoleSize MUST be ignored without a terminal."""
    config, _ = load(process(consoleSize={"height": 1 << 40, "width": 1}))
    assert config["process"]["consoleSize"] is None


def test_a_relative_destination_is_taken_from_the_root(load: Load) -> None:
    config, warnings = load(mount(destination="a/b"))
    assert config["mounts"][0]["destination"] == "/a/b"
    assert warnings == [
        'config.json: mounts[0].destination: "a/b" is not absolute (deprecated): taken as "/a/b"'
    ]


def test_valid_edges_are_taken(load: Load) -> None:
    load(
        linux(**USER)
        | linux(
            namespaces=[*ALL, {"type": "user"}],
            uidMappings=[{"containerID": n, "hostID": n, "size": 1} for n in range(340)],
            gidMappings=[{"containerID": 0, "hostID": 0, "size": 4294967294}],
            cgroupsPath="system.slice:runc:x",
            rootfsPropagation="rslave",
            devices=[
                {"path": "/dev/p", "type": "p"},
                {"path": "/dev/x", "type": "u", "major": 4095, "minor": 1048575},
            ],
            resources={"devices": [{"allow": False, "access": "rwm", "major": -1, "minor": -1}]},
            timeOffsets={"monotonic": {"secs": -5, "nanosecs": 999_999_999}},
        )
        | process(
            oomScoreAdj=-1000,
            user={"umask": 0o777, "uid": 339, "gid": 4294967293},
            rlimits=[{"type": "RLIMIT_NOFILE", "soft": 0, "hard": (1 << 64) - 1}],
        )
        | {"hostname": "x" * 64, "hooks": {"poststop": [{"path": "/x", "timeout": 1}]}}
    )


def test_joined_user_namespaces_bring_their_own_maps(load: Load) -> None:
    joined = [{"type": "user", "path": "/proc/1/ns/user"}]
    load(linux(namespaces=joined) | process(user={"uid": 77}))


def test_a_process_made_from_flags_is_checked_too(load: Load) -> None:
    body = load({})[0]["process"]
    body["user"]["uid"] = 4294967295
    with pytest.raises(PyociError, match="process: user: an id must be from 0 to 4294967294"):
        package.check_process(body)
    body["user"]["uid"] = 1
    body["rlimits"] = [{"type": "RLIMIT_NO", "soft": 1, "hard": 1}]
    with pytest.raises(SpecError):
        package.check_process(body)
