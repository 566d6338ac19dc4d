# SPDX-License-Identifier: Apache-2.0
"""Our JSON Schemas: in step with the tables, and what they accept and refuse."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pyoci.linux.process import CAPABILITIES, NAMESPACES
from pyoci.spec import explain, tables, template
from pyoci.spec import load as load_spec

SPEC = Path(__file__).resolve().parents[2] / "spec"
MINIMAL: dict[str, Any] = {"ociVersion": "1.0.0", "root": {"path": "rootfs"}}


def schema(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((SPEC / f"{name}-schema.json").read_text())
    return document


def problems(name: str, document: dict[str, Any]) -> list[str]:
    return [f"{place}: {text}" for place, text in explain.schema_problems(document, name)]


def resolved(node: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    """Follow a $ref."""
    while "$ref" in node:
        node = top["$defs"][node["$ref"].rpartition("/")[2]]
    return node


def rows(kind: str, node: dict[str, Any], top: dict[str, Any]) -> Iterator[tuple[str, set[str]]]:
    """Walk tables and schema together: each object's name and the keys that the schema gives it."""
    node = resolved(node, top)
    if kind[0] == "[":
        yield from rows(kind[1:-1], node["items"], top)
    elif kind[0] == "{":
        yield from rows(kind[1:-1], node["additionalProperties"], top)
    elif kind in tables.OBJECTS:
        yield kind, set(node["properties"])
        for key, (inner, _) in tables.OBJECTS[kind].items():
            yield from rows(inner, node["properties"][key], top)


def integers(kind: str, node: dict[str, Any], top: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Walk them together: each integer's kind and the range that the schema gives it."""
    node = resolved(node, top)
    if kind[0] == "[":
        yield from integers(kind[1:-1], node["items"], top)
    elif kind[0] == "{":
        yield from integers(kind[1:-1], node["additionalProperties"], top)
    elif kind in tables.INTEGERS:
        yield kind, node
    elif kind in tables.OBJECTS:
        for key, (inner, _) in tables.OBJECTS[kind].items():
            yield from integers(inner, node["properties"][key], top)


@pytest.mark.parametrize("name", ["config", "features", "state"])
def test_the_schemas_are_schemas(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))


def test_the_schema_has_the_properties_of_the_tables() -> None:
    top = schema("config")
    for name, keys in rows("Spec", top, top):
        ignored = {key for owner, key in tables.IGNORED if owner == name}
        assert keys == set(tables.OBJECTS[name]) | ignored, name


def test_the_schema_has_the_ranges_of_the_tables() -> None:
    """The schema may be narrower, where the meaning is; never wider."""
    top = schema("config")
    for kind, node in integers("Spec", top, top):
        low, high = tables.INTEGERS[kind]
        assert node["type"] == "integer"
        assert node["minimum"] >= low
        assert node["maximum"] <= high if "maximum" in node else kind == "int64"


def test_the_schema_has_the_words_of_the_tables() -> None:
    definitions = schema("config")["$defs"]
    for word, name in (
        ("action", "action"),
        ("architecture", "architecture"),
        ("operator", "operator"),
        ("filter flag", "filterFlag"),
    ):
        assert definitions[name]["enum"] == list(tables.WORDS[word])
        assert schema("features")["$defs"][name]["enum"] == list(tables.WORDS[word])
    assert sorted(definitions["namespace"]["properties"]["type"]["enum"]) == sorted(NAMESPACES)


def changed(path: str, value: object) -> dict[str, Any]:
    """Return the minimal configuration with something put at a JSON pointer."""
    document = copy.deepcopy(MINIMAL)
    node: Any = document
    *parents, last = path.split("/")[1:]
    for part in parents:
        node = node.setdefault(part, {})
    node[last] = value
    return document


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/hostname", "x"),
        ("/future", {"anything": [1.5, None]}),
        ("/process", {"cwd": "/", "args": ["sh"], "user": {"uid": 0, "gid": 0}}),
        ("/process", None),
        ("/linux/netDevices", {"eth0": {"name": "inside0"}, "ens4": {}}),
        ("/linux/resources/rdma", {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}, "x": {}}),
        ("/linux/resources/hugepageLimits", [{"pageSize": "64KB", "limit": 1}]),
        ("/linux/resources/oomScoreAdj", 100),
        ("/linux/seccomp", {"defaultAction": "SCMP_ACT_ALLOW", "flags": []}),
        ("/linux/rootfsPropagation", "rslave"),
        ("/freebsd", {}),
        ("/freebsd/jail", {"vnet": "new", "ip4": "disable", "enforceStatfs": 1}),
        ("/zos", {"namespaces": [{"type": "mount"}, {"type": "pid", "path": "/x"}]}),
        ("/vm/kernel", {"path": "/boot/kernel"}),
        ("/windows/layerFolders", ["C:\\layer"]),
        ("/solaris/milestone", "svc:/milestone/container:default"),
    ],
)
def test_valid_configurations_are_accepted(path: str, value: object) -> None:
    assert problems("config", changed(path, value)) == []


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("/ociVersion", "1.0", "/ociVersion: must match "),
        ("/ociVersion", None, "/ociVersion: is required"),
        ("/root/path", None, "/root/path: is required"),
        ("/process", {"args": []}, "/process/cwd: is required"),
        ("/process/env", {}, "/process/env: must be of type array, not an object"),
        ("/mounts", [{"destination": "/a", "options": [1]}], "/mounts/0/options/0: must be of"),
        ("/annotations", {"a": 1}, "/annotations/a: must be of type string, not 1"),
        ("/linux/netDevices", {"eth0": {"name": 23}}, "/linux/netDevices/eth0/name: must be of"),
        (
            "/linux/resources/hugepageLimits",
            [{"pageSize": "64kB", "limit": 1}],
            "/linux/resources/hugepageLimits/0/pageSize: must match ",
        ),
        (
            "/linux/resources/rdma",
            {"mlx5_1": {"hcaHandles": "3"}},
            '/linux/resources/rdma/mlx5_1/hcaHandles: must be of type integer, not "3"',
        ),
        ("/linux/namespaces", [{"type": "net"}], "/linux/namespaces/0/type: must be one of "),
        ("/linux/devices", [{"path": "/a", "type": "c"}], "/linux/devices/0/major: is required"),
        ("/linux/uidMappings", [{"containerID": 0, "hostID": 0, "size": 0}], "/linux/uidMapp"),
        ("/linux/seccomp", {"defaultAction": "ALLOW"}, "/linux/seccomp/defaultAction: must be"),
        ("/linux/seccomp", {}, "/linux/seccomp/defaultAction: is required"),
        ("/freebsd/jail/vnet", "disable", "/freebsd/jail/vnet: must be one of "),
        ("/vm", {}, "/vm/kernel: is required"),
        ("/process/user/uid", -1, "/process/user/uid: must be at least 0, not -1"),
    ],
)
def test_invalid_configurations_are_refused(path: str, value: object, problem: str) -> None:
    assert any(line.startswith(problem) for line in problems("config", changed(path, value)))


STATE = {"ociVersion": "0.2.0", "id": "x", "status": "running", "pid": 44, "bundle": "/b"}
FEATURES = {"ociVersionMin": "1.0.0", "ociVersionMax": "1.1.0"}


def test_states_are_accepted_and_refused() -> None:
    assert problems("state", STATE | {"annotations": {"a": "b"}}) == []
    assert problems("state", STATE | {"status": "dead"}) != []
    assert problems("state", STATE | {"pid": -1}) != []
    assert problems("state", {"ociVersion": "1.0.0"}) == [
        "/id: is required",
        "/status: is required",
        "/bundle: is required",
    ]


def test_features_are_accepted_and_refused() -> None:
    assert problems("features", FEATURES) == []
    assert problems("features", {"ociVersionMin": "1.1.0"}) == ["/ociVersionMax: is required"]
    wrong = FEATURES | {"linux": {"capabilities": ["chown"], "namespaces": ["net"]}}
    assert len(problems("features", wrong)) == 2
    right = {"capabilities": list(CAPABILITIES), "seccomp": {"enabled": True, "archs": []}}
    assert problems("features", FEATURES | {"linux": right}) == []


def test_everything_wrong_is_named_at_once(tmp_path: Path) -> None:
    """design.md, law 5."""
    path = tmp_path / "config.json"
    path.write_text(
        json.dumps(
            {
                "ociVersion": "1.0.0",
                "hostname": 5,
                "process": {"args": ["x"], "oomScoreAdj": 2000, "env": ["A"]},
                "mounts": [{"type": 3}],
            }
        )
    )
    assert explain.explain(str(path)) == [
        "config.json: hostname: must be of type string, not 5",
        "config.json: mounts[0].destination: is required",
        "config.json: mounts[0].type: must be of type string, not 3",
        "config.json: process.cwd: is required",
        'config.json: process.env[0]: must match ^[^=]+=, not "A"',
        "config.json: process.oomScoreAdj: must be at most 1000, not 2000",
    ]


def test_every_broken_rule_is_named_once(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    rdt = {"closID": "a/b"}
    wrong = changed("/linux", {"intelRdt": rdt, "maskedPaths": ["a"]})
    wrong |= {"hostname": "x", "process": {"cwd": "x", "args": [], "ioPriority": None}}
    path.write_text(json.dumps(wrong))
    assert explain.explain(str(path)) == [
        'config.json: linux.maskedPaths[0]: must match ^/, not "a"',
        'config.json: process.cwd: must match ^/, not "x"',
        "config.json: hostname: unable to set hostname without a private UTS namespace",
        "config.json: linux.maskedPaths: "
        "unable to restrict sys entries without a private MNT namespace",
        'config.json: linux.intelRdt.closID: "a/b" is no name of a group',
    ]


def test_a_file_that_is_no_json_has_one_problem(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("{]")
    assert len(explain.explain(str(path))) == 1


def test_without_jsonschema_the_loader_still_speaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explain, "has_jsonschema", lambda: False)
    path = tmp_path / "config.json"
    path.write_text('{"ociVersion": 1, "hostname": 1}')
    assert explain.explain(str(path)) == ["config.json: ociVersion: must be a string, not 1"]


def test_unknown_properties_are_named_with_what_was_meant(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    wrong = changed("/process", {"cwd": "/", "args": ["x"], "usr": {}, "commandLine": "x"})
    wrong |= {"zos": {}, "mounts": [{"destination": "/a", "option": [], "xyz": 1}]}
    path.write_text(json.dumps(wrong))
    assert explain.explain(str(path)) == []
    assert explain.warnings(str(path)) == [
        'config.json: process.usr: unknown property, ignored: did you mean "user"?',
        'config.json: mounts[0].option: unknown property, ignored: did you mean "options"?',
        "config.json: mounts[0].xyz: unknown property, ignored",
    ]


@pytest.mark.parametrize("unified", [False, True])
def test_the_templates_are_valid(tmp_path: Path, *, unified: bool) -> None:
    """cli.md, spec: must validate."""
    for document in (
        template.template(cgroup_namespace=unified),
        template.rootless_template(1000, 1001, cgroup_namespace=unified),
    ):
        assert problems("config", document) == []
        path = tmp_path / "config.json"
        path.write_text(json.dumps(document))
        warnings: list[str] = []
        loaded = load_spec(str(path), warnings.append)
        assert warnings == []
        kinds = [row["type"] for row in loaded["linux"]["namespaces"]]
        assert ("cgroup" in kinds) == unified


def test_the_rootless_template_asks_for_nothing_that_needs_root() -> None:
    document: Any = template.rootless_template(1000, 1001, cgroup_namespace=False)
    assert "resources" not in document["linux"]
    assert {"type": "network"} not in document["linux"]["namespaces"]
    assert document["linux"]["uidMappings"] == [{"containerID": 0, "hostID": 1000, "size": 1}]
    assert document["linux"]["gidMappings"] == [{"containerID": 0, "hostID": 1001, "size": 1}]
    options = [option for mount in document["mounts"] for option in mount.get("options", [])]
    assert not [option for option in options if option.startswith(("uid=", "gid="))]
    assert document["mounts"][-1]["options"][-2:] == ["ro", "rro"]


def test_a_configuration_without_process_is_valid(tmp_path: Path) -> None:
    """config.md#process: REQUIRED when start is called."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"ociVersion": "1.3.0", "root": {"path": "rootfs"}}))
    assert explain.explain(str(path)) == []
    assert explain.warnings(str(path)) == [
        "config.json: process: not set: valid, but neither create nor start can do with it"
    ]


def test_another_platforms_configuration_is_checked_for_its_form(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    document = {"ociVersion": "1.3.0", "hostname": "x", "zos": {"namespaces": [{"type": "pid"}]}}
    path.write_text(json.dumps(document))
    assert explain.examine(str(path)) == (None, [])
    document["zos"] = {"namespaces": [{"type": "net"}]}
    path.write_text(json.dumps(document))
    assert len(explain.explain(str(path))) == 1
