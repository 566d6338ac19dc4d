# SPDX-License-Identifier: Apache-2.0
"""What `check` says that a host lacks: on this one, and on others that are made up."""

import json
import os
import resource
from pathlib import Path
from typing import Any

import pytest

from pyoci.errors import CgroupError, SpecError, Unsupported
from pyoci.spec import lacks
from pyoci.spec import load as load_spec

MAP = [{"containerID": 0, "hostID": 0, "size": 1}]
FILES = {
    "/proc/filesystems": "nodev\tproc\nnodev\ttmpfs\n\text4\n",
    "/proc/self/status": "Name:\tx\nCapEff:\t000001ffffffffff\n",
    "/proc/sys/kernel/cap_last_cap": "40\n",
}


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Make up a host: the files of /proc and /sys that can be read there, privileged and new."""
    files = dict(FILES)
    monkeypatch.setattr(lacks, "_read", lambda path: files.get(path, ""))
    monkeypatch.setattr(lacks, "release", lambda: (6, 1))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return files


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "rootfs").mkdir()
    return tmp_path


def lacking(bundle: Path, **changes: Any) -> list[tuple[str, str]]:
    document = {
        "ociVersion": "1.0.0",
        "root": {"path": "rootfs"},
        "process": {"cwd": "/", "args": ["x"]},
    } | changes
    (bundle / "config.json").write_text(json.dumps(document))
    return list(lacks.lacks(load_spec(f"{bundle}/config.json"), str(bundle)))


def places(bundle: Path, **changes: Any) -> list[str]:
    return [place for place, _ in lacking(bundle, **changes)]


def test_a_host_that_has_everything_lacks_nothing(bundle: Path) -> None:
    mounts = [
        {"destination": "/a", "type": "tmpfs"},
        {"destination": "/b", "type": "none", "source": "rootfs", "options": ["rbind"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup"},
    ]
    hooks = {"prestart": [{"path": "/bin/sh"}]}
    assert (
        lacking(bundle, mounts=mounts, hooks=hooks, linux={"namespaces": [{"type": "pid"}]}) == []
    )


def test_missing_files_are_named(bundle: Path) -> None:
    found = places(
        bundle,
        root={"path": "missing"},
        mounts=[
            {"destination": "/a", "type": "bind", "source": "/no/such"},
            {"destination": "/b", "type": "nosuchfs"},
        ],
        hooks={"poststop": [{"path": "/no/such/program"}]},
        linux={"namespaces": [{"type": "pid", "path": "/no/such"}]},
    )
    assert found == [
        "/root/path",
        "/mounts/0/source",
        "/mounts/1/type",
        "/hooks/poststop/0/path",
        "/linux/namespaces/0/path",
    ]


def test_a_root_that_is_a_link_is_refused(bundle: Path) -> None:
    """spec.md 12: in runc's words."""
    (bundle / "link").symlink_to("rootfs")
    problem = "invalid rootfs: not an absolute path, or a symlink"
    assert lacking(bundle, root={"path": "link/"}) == [("/root/path", problem)]


def test_an_old_kernel_is_named(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lacks, "release", lambda: (5, 4))
    mounts = [
        {"destination": "/a", "type": "tmpfs", "options": ["rro"]},
        {
            "destination": "/b",
            "source": "rootfs",
            "options": ["bind"],
            "uidMappings": MAP,
            "gidMappings": MAP,
        },
    ]
    assert places(bundle, mounts=mounts) == ["", "/mounts/0", "/mounts/1"]


@pytest.mark.parametrize(
    ("text", "version"), [("6.1.0-18-amd64", (6, 1)), ("5.15", (5, 15)), ("7.0-rc1", (7, 0))]
)
def test_the_release_is_read(
    text: str, version: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    uname = os.uname_result(("Linux", "x", text, "#1", "x"))
    monkeypatch.setattr(os, "uname", lambda: uname)
    assert lacks.release() == version


def test_namespaces_that_may_not_be_made_are_named(bundle: Path, host: dict[str, str]) -> None:
    host["/proc/sys/user/max_user_namespaces"] = "0\n"
    host["/proc/sys/user/max_mnt_namespaces"] = "100\n"
    kinds = [{"type": "user"}, {"type": "mount"}]
    found = lacking(bundle, linux={"namespaces": kinds, "uidMappings": MAP, "gidMappings": MAP})
    assert found == [("/linux/namespaces/0/type", "this host allows no new user namespace")]


def test_namespaces_that_the_kernel_has_not_are_named(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exists = os.path.exists
    monkeypatch.setattr(os.path, "exists", lambda path: path[-4:] != "time" and exists(path))
    found = lacking(bundle, linux={"namespaces": [{"type": "time"}]})
    assert found == [("/linux/namespaces/0/type", "time namespaces aren't enabled in the kernel")]


def test_an_ordinary_user_needs_a_user_namespace_and_the_helpers(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getegid", lambda: 1001)
    monkeypatch.setattr(lacks, "_HELPERS", ())
    assert places(bundle) == ["/linux/namespaces"]
    user = {"namespaces": [{"type": "user"}]}
    own = {
        "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}],
        "gidMappings": [{"containerID": 0, "hostID": 1001, "size": 1}],
    }
    assert places(bundle, linux=user | own) == []
    assert places(bundle, linux=user | {"uidMappings": MAP, "gidMappings": MAP}) == [
        "/linux/uidMappings",
        "/linux/gidMappings",
    ]


def test_limits_above_our_own_need_a_capability(
    bundle: Path, host: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda number: (10, 20 if number == 7 else -1))
    limits = [
        {"type": "RLIMIT_NOFILE", "soft": 1, "hard": 21},
        {"type": "RLIMIT_CORE", "soft": 1, "hard": (1 << 64) - 1},
    ]
    process = {"cwd": "/", "args": ["x"], "rlimits": limits}
    assert places(bundle, process=process) == []
    host["/proc/self/status"] = "CapEff:\t0000000000000000\n"
    reason = "to raise it above 20 needs CAP_SYS_RESOURCE"
    assert lacking(bundle, process=process) == [("/process/rlimits/0/hard", reason)]
    host["/proc/self/status"] = ""
    assert places(bundle, process=process) == ["/process/rlimits/0/hard"]


def test_capabilities_that_the_kernel_has_not_are_named(bundle: Path, host: dict[str, str]) -> None:
    host["/proc/sys/kernel/cap_last_cap"] = "38\n"
    sets = {"permitted": ["CAP_CHOWN", "CAP_PERFMON", "CAP_BPF"]}
    found = lacking(bundle, process={"cwd": "/", "args": ["x"], "capabilities": sets})
    assert found == [("/process/capabilities/permitted", "this kernel has no CAP_BPF")]


def test_labels_need_their_module(
    bundle: Path, host: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    exists = os.path.exists
    monkeypatch.setattr(os.path, "exists", lambda path: "selinux" not in path and exists(path))
    process = {"cwd": "/", "args": ["x"], "apparmorProfile": "walled", "selinuxLabel": "a:b:c"}
    both = ["/process/apparmorProfile", "/process/selinuxLabel"]
    assert places(bundle, process=process) == both
    host["/sys/module/apparmor/parameters/enabled"] = "Y\n"
    assert places(bundle, process=process) == both[1:]
    host["/sys/kernel/security/apparmor/profiles"] = "other (enforce)\n"
    assert lacking(bundle, process=process)[0] == (
        both[0],
        'no AppArmor profile "walled" is loaded',
    )
    host["/sys/kernel/security/apparmor/profiles"] = "walled (enforce)\n"
    assert places(bundle, process=process) == both[1:]
    assert places(bundle, process=process | {"apparmorProfile": "unconfined"}) == both[1:]


@pytest.mark.parametrize(
    ("failure", "lack"),
    [
        (None, None),
        (Unsupported("no libseccomp"), ("/linux/seccomp", "no libseccomp")),
        (SpecError("/linux/seccomp/flags", "bad"), ("/linux/seccomp/flags", "bad")),
    ],
)
def test_a_profile_is_compiled(
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception | None,
    lack: tuple[str, str] | None,
) -> None:
    from pyoci import seccomp

    def compile_filter(profile: object) -> None:
        if failure:
            raise failure

    monkeypatch.setattr(seccomp, "compile_filter", compile_filter)
    found = lacking(bundle, linux={"seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}})
    assert found == ([lack] if lack else [])


def test_a_kernel_without_filters_is_named(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exists = os.path.exists
    monkeypatch.setattr(os.path, "exists", lambda path: "seccomp" not in path and exists(path))
    found = lacking(bundle, linux={"seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}})
    assert found == [("/linux/seccomp", "this kernel has no seccomp filters")]


@pytest.mark.parametrize("layout", ["v1", "v2"])
def test_a_limit_without_its_controller_is_named(
    bundle: Path, host: dict[str, str], monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    from pyoci.cgroup import layout as cgroup_layout

    rows = [("cpu,cpuacct", "/x", "/")] if layout == "v1" else [("", "/x", "/")]
    monkeypatch.setattr(cgroup_layout, "find", lambda: (layout, rows, None))
    host["/x/cgroup.controllers"] = "cpu io\n"
    resources = {"memory": {"limit": 1 << 20}, "cpu": {"shares": 10}}
    found = lacking(bundle, linux={"resources": resources})
    assert found == [("/linux/resources", "this host has no memory controller for its limits")]


@pytest.mark.parametrize(
    ("failure", "lack"),
    [
        (CgroupError("cannot"), ("/linux/resources", "cannot")),
        (SpecError("/linux/resources/cpu", "bad"), ("/linux/resources/cpu", "bad")),
    ],
)
def test_limits_that_cannot_be_are_named(
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
    lack: tuple[str, str],
) -> None:
    from pyoci.cgroup import resources

    def check(*_: object) -> None:
        raise failure

    monkeypatch.setattr(resources, "check", check)
    assert lacking(bundle, linux={"resources": {"pids": {"limit": 1}}}) == [lack]


def test_a_parameter_that_the_kernel_has_not_is_named(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os.path, "exists", lambda path: not path.startswith("/proc/sys/"))
    kinds = [{"type": "ipc"}, {"type": "network"}]
    keys = {"kernel.sem": "1", "net.ipv4.conf.eth9.forwarding": "1"}
    found = places(bundle, linux={"namespaces": kinds, "sysctl": keys})
    assert found == ["/linux/sysctl/kernel.sem"]


def test_files_of_the_real_host_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert "proc" in lacks._read("/proc/filesystems")
    assert lacks._read("/proc/no/such/file") == ""
    assert lacks.release() > (5, 0)


def test_resctrl_must_be_mounted(bundle: Path, host: dict[str, str]) -> None:
    assert places(bundle, linux={"intelRdt": {}}) == ["/linux/intelRdt"]
    host["/proc/self/mountinfo"] = "9 1 0:9 / /sys/fs/resctrl rw - resctrl resctrl rw\n"
    assert places(bundle, linux={"intelRdt": {}}) == []


def test_network_devices_must_be_there(bundle: Path) -> None:
    linux = {"netDevices": {"lo": {}, "nosuch0": {}}, "namespaces": [{"type": "network"}]}
    assert places(bundle, linux=linux) == ["/linux/netDevices/nosuch0"]
