# SPDX-License-Identifier: Apache-2.0
"""Types, defaults, unknown keys: security.md 5 C, cases 62 and 64; tables and types agree."""

import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyoci import spec as package
from pyoci.errors import SpecError
from pyoci.spec import document, tables

TYPES = Path(tables.__file__).with_name("types.py")
Load = Callable[..., tuple[Any, list[str]]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load the smallest valid config.json with these keys replaced; also return its warnings."""

    def loaded(**changes: object) -> tuple[Any, list[str]]:
        config = {
            "ociVersion": "1.0.2",
            "root": {"path": "rootfs"},
            "process": {"cwd": "/", "args": ["sh"]},
        } | changes
        path = tmp_path / "config.json"
        path.write_text(json.dumps(config))
        warnings: list[str] = []
        return package.load(str(path), warnings.append), warnings

    return loaded


def refused(load: Load, **changes: object) -> str:
    with pytest.raises(SpecError) as caught:
        load(**changes)
    return str(caught.value).removeprefix("config.json: ")


def spelled(kind: str, default: object) -> str:
    """Return what the complete spec holds for a row of the tables, as Python spells it."""
    if kind[0] == "[":
        name = f"list[{spelled(kind[1:-1], '')}]"
    elif kind[0] == "{":
        name = f"dict[str, {spelled(kind[1:-1], '')}]"
    elif kind in tables.OBJECTS:
        name = kind
    elif kind in tables.INTEGERS:
        name = "int"
    else:
        name = "bool" if kind == "boolean" else "str"
    return f"{name} | None" if default is None else name


def typed_dicts() -> dict[str, dict[str, str]]:
    """Return the TypedDicts of types.py: names and, for each, keys and types."""
    found = {}
    for node in ast.parse(TYPES.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            rows = [row for row in node.body if isinstance(row, ast.AnnAssign)]
            found[node.name] = {ast.unparse(r.target): ast.unparse(r.annotation) for r in rows}
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            fields = node.value.args[1]
            assert isinstance(fields, ast.Dict)
            pairs = zip(fields.keys, fields.values, strict=True)
            found[ast.unparse(node.targets[0])] = {
                ast.literal_eval(key): ast.unparse(value) for key, value in pairs if key
            }
    return found


def test_the_types_say_what_the_tables_say() -> None:
    """style.md 2.4: mypy reads one, the loader the other."""
    assert typed_dicts() == {
        name: {key: spelled(*row) for key, row in table.items()}
        for name, table in tables.OBJECTS.items()
    }


def test_every_kind_of_the_tables_is_known() -> None:
    known = {"string", "boolean", *tables.INTEGERS, *tables.WORDS, *tables.OBJECTS}
    for table in tables.OBJECTS.values():
        assert {kind.strip("[]{}") for kind, _ in table.values()} <= known


def complete_keys(name: str, value: dict[str, Any]) -> None:
    """Assert that an object and all objects in it have exactly the keys of their tables."""
    assert value.keys() == tables.OBJECTS[name].keys()
    for key, (kind, _) in tables.OBJECTS[name].items():
        inner, item = kind.strip("[]{}"), value[key]
        if inner in tables.OBJECTS and item is not None:
            items = item if kind[0] == "[" else [item]
            for one in item.values() if kind[0] == "{" else items:
                complete_keys(inner, one)


def test_a_minimal_config_is_completed(load: Load) -> None:
    config, warnings = load()
    complete_keys("Spec", config)
    assert warnings == []
    assert config["process"]["user"] == {"uid": 0, "gid": 0, "umask": None, "additionalGids": []}
    assert config["linux"]["resources"] is None
    assert config["linux"]["sysctl"] == {}
    assert config["mounts"] == []
    assert config["root"]["readonly"] is False


def test_objects_that_are_present_are_completed(load: Load) -> None:
    config, _ = load(
        mounts=[{"destination": "/a"}],
        hooks={"poststop": [{"path": "/x"}]},
        linux={
            "resources": {"memory": {"limit": 1}, "devices": [{"allow": False, "access": "r"}]},
            "seccomp": {"defaultAction": "SCMP_ACT_ALLOW"},
        },
    )
    complete_keys("Spec", config)
    assert config["hooks"]["poststop"] == [{"path": "/x", "args": [], "env": None, "timeout": None}]
    assert config["linux"]["seccomp"]["flags"] is None
    assert config["linux"]["resources"]["memory"]["limit"] == 1
    assert config["linux"]["resources"]["cpu"] is None


def test_null_is_absence(load: Load) -> None:
    with_nulls, _ = load(mounts=None, linux={"resources": None, "namespaces": None}, hooks=None)
    assert with_nulls == load()[0]


def test_an_empty_string_is_absence_where_a_string_may_be_absent(load: Load) -> None:
    config, _ = load(hostname="", linux={"cgroupsPath": "", "rootfsPropagation": ""})
    assert config["hostname"] is None
    assert config["linux"]["cgroupsPath"] is None


def test_an_explicitly_empty_list_of_flags_stays(load: Load) -> None:
    """config-linux.md#seccomp: no flags at all is not the default flags."""
    config, _ = load(linux={"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "flags": []}})
    assert config["linux"]["seccomp"]["flags"] == []


def test_no_two_specs_share_a_default(load: Load) -> None:
    first, _ = load()
    first["mounts"].append("x")
    first["linux"]["sysctl"]["a"] = "b"
    second, _ = load()
    assert second["mounts"] == []
    assert second["linux"]["sysctl"] == {}


@pytest.mark.parametrize(
    ("value", "shown"),
    [(True, "true"), (1.0, "1.0"), ("0", '"0"'), ([], "an array"), ({}, "an object")],
)
def test_only_an_integer_is_an_integer(load: Load, value: object, shown: str) -> None:
    """security.md section 3: True is an int to Python, and 1.0 equals one."""
    problem = refused(load, process={"cwd": "/", "args": ["x"], "user": {"uid": value}})
    assert problem == f"process.user.uid: must be an integer, not {shown}"


@pytest.mark.parametrize("text", ["1e400", "1e3"])
def test_a_float_is_no_integer_however_it_is_written(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(f'{{"ociVersion": "1.0.0", "process": {{"oomScoreAdj": {text}}}}}')
    with pytest.raises(
        SpecError, match=r"process\.oomScoreAdj: must be an integer, not (inf|1000)"
    ):
        package.load(str(path))


@pytest.mark.parametrize("kind", tables.INTEGERS)
def test_integers_have_the_ranges_of_the_specification(kind: str) -> None:
    low, high = tables.INTEGERS[kind]
    name, key, others = {
        "uint16": ("BlockIO", "weight", {}),
        "uint32": ("User", "umask", {}),
        "int32": ("IOPriority", "priority", {"class": "IOPRIO_CLASS_BE"}),
        "int64": ("Pids", "limit", {}),
        "uint64": ("CPU", "shares", {}),
        "id": ("User", "uid", {}),
    }[kind]

    def take(number: int) -> int:
        taken: int = document.complete(name, others | {key: number}, "", lambda *_: None)[key]
        return taken

    assert take(low) == low
    assert take(high) == high
    for number in (low - 1, high + 1, 1 << 64, 10**200):
        with pytest.raises(SpecError, match=f"must be an integer from {low} to {high}, not"):
            take(number)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"ociVersion": None}, "ociVersion: is required"),
        ({"ociVersion": 1}, "ociVersion: must be a string, not 1"),
        ({"root": {}}, "root.path: is required"),
        ({"root": []}, "root: must be an object, not an array"),
        ({"root": {"path": "a", "readonly": 1}}, "root.readonly: must be a boolean, not 1"),
        ({"mounts": {}}, "mounts: must be an array, not an object"),
        ({"mounts": [None]}, "mounts[0]: must be an object, not null"),
        ({"mounts": [{"type": "x"}]}, "mounts[0].destination: is required"),
        (
            {"mounts": [{"destination": "/a", "options": ["ro", 3]}]},
            "mounts[0].options[1]: must be a string, not 3",
        ),
        (
            {"mounts": [{"destination": "/a", "options": "ro"}]},
            'mounts[0].options: must be an array of strings, not "ro"',
        ),
        ({"annotations": {"a": 1}}, "annotations.a: must be a string, not 1"),
        ({"annotations": ["a"]}, "annotations: must be an object of strings, not an array"),
        ({"hooks": {"prestart": [{}]}}, "hooks.prestart[0].path: is required"),
        ({"linux": {"netDevices": []}}, "linux.netDevices: must be an object, not an array"),
        (
            {"linux": {"netDevices": {"eth0": 1}}},
            "linux.netDevices.eth0: must be an object, not 1",
        ),
        (
            {"linux": {"personality": {"domain": "BSD"}}},
            'linux.personality.domain: unknown domain "BSD"; known are LINUX, LINUX32',
        ),
        (
            {"linux": {"personality": {"domain": 1}}},
            "linux.personality.domain: must be a string, not 1",
        ),
    ],
)
def test_a_wrong_type_is_named_with_its_place(
    load: Load, changes: dict[str, object], problem: str
) -> None:
    assert refused(load, **changes) == problem


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Seccomp", {"defaultAction": "NO_SUCH"}),
        ("Seccomp", {"defaultAction": "SCMP_ACT_LOG", "architectures": ["NO_SUCH"]}),
        ("Seccomp", {"defaultAction": "SCMP_ACT_LOG", "flags": ["NO_SUCH"]}),
        ("SyscallArgument", {"index": 0, "value": 0, "op": "NO_SUCH"}),
        ("Scheduler", {"policy": "NO_SUCH"}),
        ("IOPriority", {"class": "NO_SUCH"}),
        ("MemoryPolicy", {"mode": "NO_SUCH"}),
    ],
)
def test_unknown_words_are_refused(name: str, value: dict[str, object]) -> None:
    """config.md#valid-values: what the runtime does not know MUST be an error."""
    with pytest.raises(SpecError, match=r'unknown .* "NO_SUCH"; known are '):
        document.complete(name, value, "", lambda *_: None)


def test_a_long_wrong_value_is_shown_in_part(load: Load) -> None:
    problem = refused(load, root="x" * 1000)
    assert len(problem) < 150
    assert problem.endswith("xxx...")


def test_unknown_properties_are_dropped_in_silence(load: Load) -> None:
    """config.md#extensibility: they MUST be ignored; other platforms are among them."""
    config, warnings = load(
        future={"a": [1.5]}, zos={}, vm={"kernel": 1}, linux={"resources": {"oomScoreAdj": 1}}
    )
    complete_keys("Spec", config)
    assert warnings == []


def test_a_case_variant_is_ignored_with_a_warning(load: Load) -> None:
    """security.md 5 C 64: to ignore it in silence would fail open."""
    config, warnings = load(linux={"MaskedPaths": ["/proc/kcore"]}, Mounts=[])
    assert config["linux"]["maskedPaths"] == []
    assert warnings == [
        'config.json: linux.MaskedPaths: unknown property, ignored; the right key is "maskedPaths"',
        'config.json: Mounts: unknown property, ignored; the right key is "mounts"',
    ]


def test_a_missing_file_is_named_in_runcs_words(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"JSON specification file .*/config.json not found"):
        package.load(f"{tmp_path}/config.json")


def test_a_directory_is_no_config(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="is not a regular file"):
        package.load(str(tmp_path))


def test_a_path_through_a_file_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SpecError, match=r"/config\.json: not a directory"):
        package.load(f"{tmp_path}/file/config.json")


def test_a_process_is_loaded_alone(tmp_path: Path) -> None:
    path = tmp_path / "process.json"
    path.write_text('{"cwd": "/", "args": ["id"], "terminal": true}')
    complete_keys("Process", package.load_process(str(path)))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"cwd": "/", "args": [1]}', "args[0]: must be a string, not 1"),
        ('{"cwd": "x", "args": ["id"]}', "cwd: Cwd must be an absolute path"),
        ("{", "line 1, column 2: expecting property name"),
    ],
)
def test_a_bad_process_names_its_own_file(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "process.json"
    path.write_text(text)
    with pytest.raises(SpecError) as caught:
        package.load_process(str(path))
    assert str(caught.value).startswith(f"{path}: {problem}")
