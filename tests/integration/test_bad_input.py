# SPDX-License-Identifier: Apache-2.0
"""Malformed ids, bundles and values: a clear error, an exit status, and a host as it was."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from blackbox import host
from blackbox.bundle import MakeBundle, bind, tmpfs
from blackbox.cgroups import is_unified
from blackbox.processes import patience, within
from blackbox.runtime import Runtime

SLEEP = ("sleep", "1000")
IDS = [
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "a b",
    "a\nb",
    ";",
    "\u00fc",
    "a:b",
    "-x",
    "x" * 300,
    "/x",
    "a\tb",
]


@pytest.mark.parametrize(
    "verb", ["create", "run", "start", "state", "kill", "delete", "exec", "ps"]
)
@pytest.mark.parametrize("name", IDS)
def test_a_bad_id_is_refused_by_every_verb(
    runtime: Runtime, bundle: MakeBundle, verb: str, name: str
) -> None:
    """Case 49."""
    if runtime.name == "runc" and (verb not in ("create", "run") or name in ("x" * 300, "-x")):
        pytest.skip("runc 1.1 looks at the form in create and run only")
    made = bundle("true")
    options = ["--bundle", str(made.path)] if verb in ("create", "run") else []
    ran = runtime(verb, *options, name, *(["true"] if verb == "exec" else []))
    assert ran.code != 0
    assert "Traceback" not in ran.stderr
    assert not host.state_directories(runtime)


@pytest.mark.parametrize("verb", ["delete", "kill", "state", "start"])
def test_an_id_cannot_leave_the_root(runtime: Runtime, scratch: Path, verb: str) -> None:
    """Case 50."""
    runtime.root.mkdir()
    outside = scratch / "outside"
    outside.mkdir()
    (outside / "state.json").write_text("{}")
    options = ["--force"] if verb == "delete" else []
    runtime(verb, *options, "../outside")
    assert (outside / "state.json").read_text() == "{}"


DEEP = "[" * 200000
TEXTS: dict[str, str | bytes] = {
    "empty": "",
    "truncated": '{"ociVersion": "1.0.2", "process": {',
    "list": "[]",
    "null": "null",
    "number": "5",
    "string": '"x"',
    "trailing": "{} {}",
    "deep list": DEEP,
    "deep object": '{"a":' * 200000,
    "not utf-8": b'{"ociVersion": "\xff\xfe"}',
    "surrogate": '{"ociVersion": "1.0.2", "hostname": "\\ud800"}',
    "NaN": '{"ociVersion": "1.0.2", "x": NaN}',
    "comment": '{"ociVersion": "1.0.2" /* x */}',
    "only braces": "{}",
    "digits": '{"ociVersion": "1.0.2", "process": {"oomScoreAdj": ' + "9" * 5000 + "}}",
    "control character": '{"ociVersion": "1.0\n.2"}',
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_config_that_is_none_is_refused(runtime: Runtime, bundle: MakeBundle, name: str) -> None:
    """Cases 58, 59 and 60: at once."""
    if runtime.name == "runc" and name == "null":
        pytest.skip("runc 1.1 panics")
    with within(2):
        message = runtime.refuses(bundle().write_text(TEXTS[name]))
    assert len(message) < 6000


def test_a_missing_config_is_refused(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 59; runc's words: `JSON specification file config.json not found`."""
    made = bundle().write_text("")
    (made.path / "config.json").unlink()
    assert "config.json" in runtime.refuses(made)


def test_a_missing_bundle_is_refused(runtime: Runtime, scratch: Path) -> None:
    """Case 59."""
    ran = runtime("create", "--bundle", str(scratch / "nothere"), runtime.new_id())
    assert ran.code == 1
    assert "no such file or directory" in ran.message.lower()


WRONG: dict[str, dict[str, Any]] = {
    "args": {"args": "true"},
    "args of numbers": {"args": [1]},
    "env": {"env": [1]},
    "terminal": {"terminal": "yes"},
    "cwd": {"cwd": 5},
    "user": {"user": "root"},
    "uid of text": {"user": {"uid": "0", "gid": 0}},
    "uid of true": {"user": {"uid": True, "gid": 0}},
    "uid below zero": {"user": {"uid": -1, "gid": 0}},
    "uid too large": {"user": {"uid": 2**32, "gid": 0}},
    "uid of 2^64": {"user": {"uid": 2**64, "gid": 0}},
    "uid with a fraction": {"user": {"uid": 1.5, "gid": 0}},
    "gid of null bytes": {"user": {"uid": 0, "gid": "\0"}},
    "groups": {"user": {"uid": 0, "gid": 0, "additionalGids": ["x"]}},
    "capabilities": {"capabilities": ["CAP_KILL"]},
    "rlimits": {"rlimits": {"type": "RLIMIT_CORE"}},
    "rlimit of -1": {"rlimits": [{"type": "RLIMIT_CORE", "soft": -1, "hard": 5}]},
    "oomScoreAdj": {"oomScoreAdj": "5"},
    "hostname": {"hostname": 5},
    "mounts": {"all_mounts": {}},
    "a mount": {"all_mounts": ["x"]},
    "a destination": {"all_mounts": [{"destination": 5}]},
    "no destination": {"all_mounts": [{"type": "proc", "source": "proc"}]},
    "options": {"all_mounts": [{"destination": "/x", "type": "tmpfs", "options": "ro"}]},
    "namespaces": {"namespaces": "pid"},
    "a namespace": {"namespaces": ["pid"]},
    "hooks": {"hooks": []},
    "a hook": {"hooks": {"prestart": {"path": "/bin/true"}}},
    "annotations": {"annotations": {"a": 5}},
    "resources": {"resources": []},
    "a limit of text": {"resources": {"memory": {"limit": "5"}}},
    "devices": {"devices": [{"path": 5}]},
    "root": {"root": "rootfs"},
    "no root": {"root": None},
    "sysctl": {"sysctl": {"kernel.shmmax": 5}},
    "seccomp": {"seccomp": {"defaultAction": 5}},
    "masked": {"maskedPaths": [5]},
}


@pytest.mark.parametrize("name", WRONG)
def test_a_value_of_a_wrong_type_is_refused(
    runtime: Runtime, bundle: MakeBundle, name: str
) -> None:
    """Case 62, and config.json as untrusted text."""
    if runtime.name == "runc" and name in ("no destination", "uid of 2^64"):
        pytest.skip("runc 1.1 takes it")
    runtime.refuses(
        bundle(*SLEEP, **WRONG[name]) if "args" not in WRONG[name] else bundle(**WRONG[name])
    )


@pytest.mark.parametrize("number", ["1e400", "18446744073709551616", "-1", "true", '"0"', "1.5"])
def test_a_number_that_is_none_is_refused(
    runtime: Runtime, bundle: MakeBundle, number: str
) -> None:
    """Case 62."""
    made = bundle(*SLEEP)
    made.process["user"]["uid"] = 424242
    content = json.dumps(made.config).replace("424242", number)
    runtime.refuses(made.write_text(content))


NUL: dict[str, dict[str, Any]] = {
    "args": {"args": ["a\0b"]},
    "env": {"env": ["A=\0"]},
    "cwd": {"cwd": "/\0"},
    "hostname": {"hostname": "a\0b"},
    "destination": {"mounts": [tmpfs("/a\0b")]},
    "source": {"mounts": [bind("/etc\0x", "/a", "bind")]},
    "option": {"mounts": [tmpfs("/a", "size=1k\0x")]},
    "masked": {"maskedPaths": ["/a\0b"]},
    "readonly": {"readonlyPaths": ["/a\0b"]},
    "cgroupsPath": {"cgroupsPath": "/a\0b"},
    "sysctl": {"sysctl": {"kernel.shmmax": "1\0"}},
    "device": {"devices": [{"path": "/dev/a\0b", "type": "c", "major": 1, "minor": 3}]},
    "hook": {"hooks": {"createRuntime": [{"path": "/bin/true\0"}]}},
}


@pytest.mark.parametrize("name", NUL)
def test_a_nul_is_refused_in_any_string(runtime: Runtime, bundle: MakeBundle, name: str) -> None:
    """Case 61: with the name of the field."""
    if runtime.name == "runc" and name in ("masked", "readonly", "hostname", "sysctl"):
        pytest.skip("runc 1.1 takes it")
    edits = NUL[name] if "args" in NUL[name] else NUL[name] | {"args": ["sleep", "1000"]}
    runtime.refuses(bundle(**edits))


def test_the_last_of_equal_keys_wins(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 63: deterministic."""
    made = bundle("hostname", hostname="first")
    content = json.dumps(made.config).replace(
        '"hostname": "first"', '"hostname": "first", "hostname": "last"'
    )
    assert runtime.output(made.write_text(content)) == "last\n"


def test_a_key_in_another_case_is_not_the_key(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 64: ignored as unknown, with a warning that names the right one."""
    made = bundle("echo", "ran")
    made.linux["MaskedPaths"] = ["/proc/cpuinfo"]
    ran = runtime.run(made.write())
    assert (ran.code, ran.stdout) == (0, "ran\n")
    if runtime.name == "pyoci":
        assert "maskedPaths" in ran.stderr


def test_a_huge_config_is_read(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 65: 30 MB of annotations; an error or a container, but soon."""
    made = bundle("echo", "ran", annotations={f"k{n}": "x" * 1000 for n in range(30000)})
    before = os.times()
    runtime.run(made, wrap=["sh", "-c", 'ulimit -v 4000000; exec "$@"', "sh"], seconds=60)
    after = os.times()
    took = after.children_user - before.children_user
    took += after.children_system - before.children_system
    assert took < patience(10), "seconds of work, whoever else the processors worked for"


@pytest.mark.parametrize(
    "path", ["/../../x", "../../../x", "/a/../../../x", "a\nb", "/" + "x" * 5000]
)
def test_a_cgroups_path_stays_in_the_hierarchy(
    runtime: Runtime, bundle: MakeBundle, path: str
) -> None:
    """Case 56: inside, or an error."""
    container, ran = runtime.try_create(bundle(*SLEEP, cgroupsPath=path))
    if ran.code == 0:
        lines = Path(f"/proc/{container.pid}/cgroup").read_text()
        container.delete("--force")
        assert ".." not in lines
        for root in Path("/sys/fs/cgroup").iterdir():
            for name in ("x", "a\nb"):
                if (root / name).is_dir():
                    (root / name).rmdir()
    assert not Path("/sys/fs/x").exists()
    assert not Path("/sys/x").exists()


@pytest.mark.parametrize("path", ["../sibling", "/../x", "../../", "a/../../b"])
def test_exec_cannot_leave_its_cgroup(runtime: Runtime, bundle: MakeBundle, path: str) -> None:
    """Case 57; runc's words: `bad sub cgroup path`."""
    container = runtime.start(bundle(*SLEEP))
    ran = container.exec("--cgroup", path if is_unified() else f"memory:{path}", "--", "true")
    assert ran.code == 255
    assert "bad sub cgroup path" in ran.message or runtime.name == "runc"


def test_exec_in_an_unknown_controller_is_refused(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, exec --cgroup: `unknown controller `."""
    container = runtime.start(bundle(*SLEEP))
    ran = container.exec("--cgroup", "nosuch:x", "--", "true")
    assert ran.code == 255
    assert "unknown controller" in ran.message


@pytest.mark.expect_fail_on("runc", "runc 1.1 does not look", strict=False)
@pytest.mark.parametrize("label", ["x,size=1", 'x"y', "x,uid=5"])
def test_a_label_cannot_bring_mount_options(
    runtime: Runtime, bundle: MakeBundle, label: str
) -> None:
    """Case 68: refused without SELinux, or one value; never split."""
    made = bundle(
        "stat", "-c", "%u %a", "/mnt", mountLabel=label, mounts=[tmpfs("/mnt", "mode=711")]
    )
    ran = runtime.run(made)
    assert ran.code != 0 or ran.stdout == "0 711\n"


def test_a_source_with_a_comma_is_one_source(
    runtime: Runtime, bundle: MakeBundle, scratch: Path
) -> None:
    """Case 68."""
    place = scratch / "a,ro,nosuid"
    place.mkdir()
    made = bundle("touch", "/mnt/x", mounts=[bind(place, "/mnt", "bind")])
    assert runtime.run(made).code == 0
    assert os.listdir(place) == ["x"]


@pytest.mark.parametrize("name", ["../x", "x" * 16, "a/b", "", "."])
def test_a_bad_interface_name_is_refused(runtime: Runtime, bundle: MakeBundle, name: str) -> None:
    """Case 69."""
    if runtime.name == "runc":
        pytest.skip("runc 1.1 knows no netDevices")
    runtime.refuses(bundle(*SLEEP, netDevices={"lo": {"name": name} if name else {"name": "/"}}))


def test_the_root_cannot_be_mounted_on(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 14."""
    if runtime.name == "runc":
        pytest.skip("runc 1.1 does it")
    runtime.refuses(bundle(*SLEEP, mounts=[tmpfs("/")]))


@pytest.mark.parametrize("key", ["intelRdt", "netDevices", "memoryPolicy"])
def test_what_is_not_done_is_not_ignored(runtime: Runtime, bundle: MakeBundle, key: str) -> None:
    """Issue 2: refused by name, or done."""
    if runtime.name == "runc":
        pytest.skip("runc 1.1 does not know them")
    values: dict[str, Any] = {
        "intelRdt": {"closID": "x"},
        "netDevices": {"nosuch0": {}},
        "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "999"},
    }
    assert key in runtime.refuses(bundle(*SLEEP, **{key: values[key]}))


@pytest.mark.parametrize("version", ["", "x", "1", "2.0.0", "1.0"])
def test_a_version_that_is_not_ours_is_refused(
    runtime: Runtime, bundle: MakeBundle, version: str
) -> None:
    """config.md#specification-version: SemVer; what cannot be supported MUST be an error."""
    if runtime.name == "runc":
        pytest.skip("runc does not look at it")
    runtime.refuses(bundle(*SLEEP, ociVersion=version))
