# SPDX-License-Identifier: Apache-2.0
"""`features` and `state` say what is so: each claim is compared with an attempt on this host."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from blackbox import kernel
from blackbox.bundle import MakeBundle
from blackbox.host import CGROUPS
from blackbox.processes import text
from blackbox.runtime import Runtime
from jsonschema import Draft202012Validator

SCHEMAS = Path(__file__).resolve().parent.parent.parent / "spec"
MAP = [{"containerID": 0, "hostID": 0, "size": 1000}]
OLD = pytest.mark.expect_fail_on("runc", "runc 1.1 claims nothing of it")


@pytest.fixture
def claims(runtime: Runtime) -> dict[str, Any]:
    """What the runtime under test says that it can do."""
    ran = runtime("features")
    if "features" in ran.stderr or ran.code != 0:
        pytest.skip(f"{runtime.name} has no features: {ran.stderr}")
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def schema(name: str) -> dict[str, Any]:
    """Return one of our schemas."""
    found: dict[str, Any] = json.loads((SCHEMAS / f"{name}-schema.json").read_text())
    return found


def strangers(
    value: Any, node: dict[str, Any], whole: dict[str, Any], place: str = ""
) -> list[str]:
    """Return the properties that a schema has not."""
    if "$ref" in node:
        node = whole["$defs"][node["$ref"].rpartition("/")[2]]
    if not isinstance(value, dict) or "properties" not in node:
        return []
    found = [f"{place}.{key}" for key in value if key not in node["properties"]]
    for key, child in node["properties"].items():
        found += strangers(value.get(key), child, whole, f"{place}.{key}")
    return found


# Each claim, and what compares it with an attempt: here, or in the file that is named.
COMPARED = {
    "ociVersionMin ociVersionMax": "test_each_version_that_is_claimed_is_taken",
    "hooks": "test_each_hook_that_is_claimed_runs",
    "mountOptions": "test_each_mount_option_that_is_claimed_is_taken",
    "linux.namespaces": "test_each_namespace_that_is_claimed_is_made",
    "linux.capabilities": "test_each_capability_that_is_claimed_is_known",
    "linux.cgroup.v1 linux.cgroup.v2": "test_the_cgroups_that_are_claimed_limit",
    "linux.cgroup.systemd": "test_systemd::test_limits_are_the_kernels_and_systemds",
    "linux.cgroup.systemdUser": "test_user_session::*",
    "linux.cgroup.rdma": "test_resources::test_rdma_limits",
    "linux.seccomp.enabled linux.seccomp.actions linux.seccomp.operators "
    "linux.seccomp.knownFlags linux.seccomp.supportedFlags": "test_seccomp_can_do_what_is_claimed",
    "linux.seccomp.archs": "test_each_architecture_that_is_claimed_is_known",
    "linux.apparmor.enabled": "test_apparmor::*",
    "linux.selinux.enabled": "test_selinux::*",
    "linux.intelRdt.enabled linux.intelRdt.schemata linux.intelRdt.monitoring": "../unit/test_rdt::*",
    "linux.memoryPolicy.modes linux.memoryPolicy.flags": "test_each_memory_policy_that_is_claimed_is_known",
    "linux.mountExtensions.idmap.enabled": "test_id_mapped_mounts_are_what_is_claimed",
    "linux.netDevices.enabled": "test_devices_of_the_network_are_moved_as_claimed",
    "annotations": "test_what_is_said_to_be_missing_is_refused",
    "potentiallyUnsafeConfigAnnotations": "test_systemd::*",
}


def leaves(value: Any, place: str = "") -> set[str]:
    """Return the places of all claims; annotations are one."""
    if not isinstance(value, dict) or place == "annotations":
        return {place}
    return {leaf for key in value for leaf in leaves(value[key], f"{place}.{key}".lstrip("."))}


def test_every_claim_is_compared_with_an_attempt(claims: dict[str, Any]) -> None:
    assert leaves(claims) - set(" ".join(COMPARED).split()) == set()
    for name in COMPARED.values():
        file, _, test = name.rpartition("::")
        path = Path(__file__).parent / f"{file or 'test_claims'}.py"
        assert f"def {test.rstrip('*') or 'test_'}" in path.read_text(), name


def version(word: str) -> list[int]:
    """Return the numbers of a version."""
    return [int(part) for part in word.partition("-")[0].split(".")]


def test_the_document_is_of_the_schema(claims: dict[str, Any]) -> None:
    """features.md#specification-version: MUST NOT contain properties that are not defined."""
    whole = schema("features")
    assert [error.message for error in Draft202012Validator(whole).iter_errors(claims)] == []
    assert strangers(claims, whole, whole) == []
    assert version(claims["ociVersionMin"]) <= version(claims["ociVersionMax"])


def test_the_state_is_of_the_schema(runtime: Runtime, bundle: MakeBundle) -> None:
    """runtime.md#state: the format MUST adhere to the JSON Schema."""
    container = runtime.start(bundle("sleep", "1000", annotations={"a": "b"}))
    found = Draft202012Validator(schema("state")).iter_errors(container.state())
    assert [error.message for error in found] == []


@pytest.mark.parametrize("end", ["ociVersionMin", "ociVersionMax"])
def test_each_version_that_is_claimed_is_taken(
    runtime: Runtime, bundle: MakeBundle, claims: dict[str, Any], end: str
) -> None:
    """features.md#specification-version: MUST accept this value as the ociVersion."""
    runtime.output(bundle("true", ociVersion=claims[end]))


def test_each_hook_that_is_claimed_runs(
    runtime: Runtime, bundle: MakeBundle, claims: dict[str, Any], scratch: Path
) -> None:
    """features.md#hooks."""
    log = scratch / "log"
    log.mkdir()
    shared = {"destination": str(log), "source": str(log), "type": "bind", "options": ["bind"]}
    hooks = {
        kind: [{"path": "/bin/sh", "args": ["sh", "-c", f"echo {kind} >>{log}/ran"]}]
        for kind in claims["hooks"]
    }
    runtime.output(bundle("true", hooks=hooks, mounts=[shared]))
    assert sorted((log / "ran").read_text().split()) == sorted(claims["hooks"])


def test_each_namespace_that_is_claimed_is_made(
    runtime: Runtime, bundle: MakeBundle, claims: dict[str, Any]
) -> None:
    """features-linux.md#namespaces."""
    files = {"mount": "mnt", "network": "net"}
    names = [files.get(kind, kind) for kind in claims["linux"]["namespaces"]]
    made = bundle(sh="cd /proc/self/ns; for i in " + " ".join(names) + "; do readlink $i; done")
    made.map_users()
    made.set_namespace(**dict.fromkeys(claims["linux"]["namespaces"], ""))
    inside = runtime.output(made.write()).split()
    ours = [os.readlink(f"/proc/self/ns/{name}") for name in names]
    assert len(inside) == len(ours)
    assert not set(inside) & set(ours)


def test_each_capability_that_is_claimed_is_known(
    runtime: Runtime, bundle: MakeBundle, claims: dict[str, Any]
) -> None:
    """features-linux.md#capabilities; of those that root has here all are given."""
    status = dict(line.split(":\t", 1) for line in text("/proc/self/status").splitlines())
    bounding = int(status["CapBnd"], 16)
    names = claims["linux"]["capabilities"]
    own = [name for bit, name in enumerate(names) if bounding >> bit & 1]
    ran = runtime.run(bundle("grep", "CapBnd", "/proc/self/status", caps=own))
    assert (ran.code, ran.stderr) == (0, "")
    assert int(ran.stdout.split()[1], 16) == bounding & ((1 << len(names)) - 1)


def attempt(option: str, source: Path) -> list[dict[str, Any]]:
    """Return mounts that use an option as it is meant to be used."""
    tmpfs = {"destination": "/opt", "type": "tmpfs", "source": "tmpfs", "options": [option]}
    if option == "remount":
        return [{**tmpfs, "options": []}, {**tmpfs, "options": ["remount", "ro"]}]
    bind = {"destination": "/opt", "type": "bind", "source": str(source)}
    if option in ("idmap", "ridmap"):
        return [{**bind, "options": ["bind", option], "uidMappings": MAP, "gidMappings": MAP}]
    if option in ("bind", "rbind", "src-nofollow", "copy-symlink"):
        return [{**bind, "options": ["rbind", option]}]
    return [tmpfs]


@pytest.mark.expect_fail_on("runc", "runc 1.1 hands `defaults` on to the file system")
def test_each_mount_option_that_is_claimed_is_taken(
    runtime: Runtime, bundle: MakeBundle, claims: dict[str, Any], scratch: Path
) -> None:
    """features.md#mount-options: MUST recognize; taken from the claim, so that none can be forgotten."""
    source = scratch / "source"
    source.mkdir()
    refused = {}
    for option in claims["mountOptions"]:
        ran = runtime.run(bundle("true", mounts=attempt(option, source)))
        if ran.code != 0:
            refused[option] = ran.message
    assert refused == {}


def profile(**edits: Any) -> dict[str, Any]:
    """Return a profile that allows all but acct(2), with changes."""
    rule = {"names": ["acct"], "action": "SCMP_ACT_ERRNO"}
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule], **edits}


def profiles(claimed: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return a profile for each claim."""
    rule = {"names": ["acct"], "action": "SCMP_ACT_ERRNO"}
    found = {}
    for action in set(claimed["actions"]) - {
        "SCMP_ACT_NOTIFY"
    }:  # it needs a listener: test_seccomp.py
        found[action] = profile(syscalls=[{**rule, "action": action}])
    for operator in claimed["operators"]:
        compared = {"index": 0, "value": 1, "valueTwo": 1, "op": operator}
        found[operator] = profile(syscalls=[{**rule, "args": [compared]}])
    for flag in set(claimed.get("supportedFlags", ())) - {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"}:
        found[flag] = profile(flags=[flag])
    return found


def test_each_architecture_that_is_claimed_is_known(
    runtime: Runtime, bundle: MakeBundle, claims: dict[str, Any]
) -> None:
    """features-linux.md#seccomp: archs, MUST be recognized; libseccomp has no filter for both orders of bytes."""
    for name in claims["linux"]["seccomp"]["archs"]:
        ran = runtime.run(bundle("true", seccomp=profile(architectures=[name])))
        assert ran.code == 0 or "numerical argument out of domain" in ran.message, (name, ran)


def test_an_architecture_that_is_not_claimed_is_refused(
    runtime: Runtime, bundle: MakeBundle, claims: dict[str, Any]
) -> None:
    """features.md#features-structure: of what config-linux.md#seccomp names."""
    known = schema("config")["$defs"]["architecture"]["enum"]
    for name in set(known) - set(claims["linux"]["seccomp"]["archs"]):
        assert runtime.run(bundle("true", seccomp=profile(architectures=[name]))).code != 0, name


@OLD
def test_id_mapped_mounts_are_what_is_claimed(
    runtime: Runtime, bundle: MakeBundle, claims: dict[str, Any], scratch: Path
) -> None:
    """features-linux.md#mountextensions."""
    mounts = [
        {
            "destination": "/mnt",
            "type": "bind",
            "source": str(scratch),
            "options": ["bind"],
            "uidMappings": [{"containerID": 0, "hostID": 7, "size": 1000}],
            "gidMappings": [{"containerID": 0, "hostID": 8, "size": 1000}],
        }
    ]
    ran = runtime.run(bundle("stat", "-c", "%u %g", "/mnt", mounts=mounts))
    claimed = claims["linux"]["mountExtensions"]["idmap"]["enabled"]
    assert (ran.code, ran.stdout) == (0, "7 8\n") if claimed else ran.code != 0


@OLD
def test_devices_of_the_network_are_moved_as_claimed(
    runtime: Runtime, bundle: MakeBundle, claims: dict[str, Any]
) -> None:
    """features-linux.md#netdevices: one that is not there can be no other error."""
    assert claims["linux"]["netDevices"]["enabled"] is True
    message = runtime.refuses(bundle("true", netDevices={"nosuchdevice": {}}))
    assert "nosuchdevice" in message


@OLD
def test_resctrl_groups_are_refused_in_words_where_the_host_has_none(
    runtime: Runtime, bundle: MakeBundle, claims: dict[str, Any]
) -> None:
    """features-linux.md#intelrdt: enabled says that the runtime can, not that the processor can."""
    if os.path.exists("/sys/fs/resctrl/schemata"):
        pytest.skip("this host has resctrl")
    assert claims["linux"]["intelRdt"]["enabled"] is True
    assert runtime.refuses(bundle("true", intelRdt={"closID": "one"}))


def test_seccomp_can_do_what_is_claimed(
    runtime: Runtime, bundle: MakeBundle, claims: dict[str, Any]
) -> None:
    """features-linux.md#seccomp: actions, operators, flags."""
    claimed = claims["linux"]["seccomp"]
    made = bundle("true", seccomp=profile())
    assert (runtime.run(made).code == 0) == claimed["enabled"]
    tried = {
        what: runtime.run(bundle("true", seccomp=it)) for what, it in profiles(claimed).items()
    }
    assert {what: ran for what, ran in tried.items() if ran.code != 0} == {}


@pytest.mark.parametrize("label", ["apparmor", "selinux"])
def test_labels_are_refused_in_words_where_the_kernel_has_none(
    runtime: Runtime, bundle: MakeBundle, claims: dict[str, Any], label: str
) -> None:
    """features-linux.md#apparmor: enabled says that the runtime can, not that the kernel can."""
    if os.path.exists(f"/sys/module/{label}") or os.path.exists("/sys/fs/selinux/enforce"):
        pytest.skip(f"this kernel may have {label}: tests/vm goes there")
    assert claims["linux"][label]["enabled"] is True
    key = {"apparmor": "apparmorProfile", "selinux": "selinuxLabel"}[label]
    made = bundle("true", **{key: "x_u:x_r:x_t:s0"})
    assert label in runtime.run(made).message.lower()


def test_the_cgroups_that_are_claimed_limit(
    runtime: Runtime, bundle: MakeBundle, claims: dict[str, Any]
) -> None:
    """features-linux.md#cgroup, of the layout that this host has."""
    kind = "v1" if os.path.exists(f"{CGROUPS}/pids") else "v2"
    container = runtime.start(bundle("sleep", "1000", resources={"pids": {"limit": 77}}))
    assert claims["linux"]["cgroup"][kind] is True
    lines = dict(
        line.split(":", 2)[1:] for line in text(f"/proc/{container.pid}/cgroup").splitlines()
    )
    place = f"{CGROUPS}/pids{lines['pids']}" if kind == "v1" else f"{CGROUPS}{lines['']}"
    assert text(f"{place}/pids.max").strip() == "77"


def test_what_is_said_to_be_missing_is_refused(
    runtime: Runtime, bundle: MakeBundle, claims: dict[str, Any]
) -> None:
    """features.md#features-structure: false is unsupported."""
    cgroup = claims["linux"]["cgroup"]
    if not cgroup["systemd"]:
        assert runtime.run(bundle("true"), flags=["--systemd-cgroup"]).code != 0
    if not cgroup.get("rdma", True):
        limits = {"rdma": {"mlx5_1": {"hcaHandles": 3}}}
        assert "rdma" in runtime.refuses(bundle("true", resources=limits))
    can = claims["annotations"].get("org.opencontainers.runc.checkpoint.enabled")
    assert (runtime("checkpoint", "--help").code == 0) == (can == "true")


@OLD
def test_each_memory_policy_that_is_claimed_is_known(
    runtime: Runtime, bundle: MakeBundle, claims: dict[str, Any]
) -> None:
    """features-linux.md#memorypolicy."""
    claimed = claims["linux"]["memoryPolicy"]
    policies: list[dict[str, Any]] = [
        {"mode": mode} if mode in ("MPOL_DEFAULT", "MPOL_LOCAL") else {"mode": mode, "nodes": "0"}
        for mode in claimed["modes"]
    ]
    policies += [{"mode": "MPOL_BIND", "nodes": "0", "flags": [flag]} for flag in claimed["flags"]]
    if kernel.version() < (6, 9):  # which had no weights
        policies = [row for row in policies if row["mode"] != "MPOL_WEIGHTED_INTERLEAVE"]
    tried = [(policy, runtime.run(bundle("true", memoryPolicy=policy))) for policy in policies]
    assert [(policy, ran) for policy, ran in tried if ran.code != 0] == []
