# SPDX-License-Identifier: Apache-2.0
"""check, features and spec, as cli.md describes them."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pyoci.commands import check, features, spec
from pyoci.commands.settings import Settings
from pyoci.errors import PyociError
from pyoci.flags import Flags, parse
from pyoci.spec import explain


def run(module: Any, *words: str) -> int:
    flags, arguments = parse(words, module.FLAGS, ordered=False)
    status: int = module.run(arguments, flags, Settings(Flags({}), "pyoci"))
    return status


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Return a bundle of the template, with an empty root."""
    (tmp_path / "rootfs").mkdir()
    assert run(spec, "-b", str(tmp_path)) == 0
    return tmp_path


def test_spec_writes_what_it_says(bundle: Path) -> None:
    text = (bundle / "config.json").read_text()
    document = json.loads(text)
    assert text.startswith('{\n\t"ociVersion": "1.3.0",\n\t"process": {\n\t\t"terminal": true,')
    assert document["process"]["args"] == ["sh"]
    assert document["root"] == {"path": "rootfs", "readonly": True}


def test_spec_respects_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        run(spec, "--bundle", str(tmp_path), "--rootless")
    finally:
        os.umask(old)
    assert (tmp_path / "config.json").stat().st_mode & 0o777 == 0o640


def test_spec_never_touches_a_file_that_exists(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("mine")
    with pytest.raises(PyociError, match=r"^File config\.json exists\. Remove it first$"):
        run(spec, "-b", str(tmp_path))
    assert (tmp_path / "config.json").read_text() == "mine"


def test_spec_names_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PyociError, match="no such file or directory"):
        run(spec, "-b", f"{tmp_path}/missing")


def test_check_is_silent_about_a_good_bundle(
    bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(check, "--no-host", str(bundle)) == 0
    assert capfd.readouterr().out == ""


def test_check_names_every_problem_on_a_line(
    bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    document = json.loads((bundle / "config.json").read_text())
    document["process"] |= {"cwd": "x\n", "args": []}
    document["linux"]["personality"] = {"domain": "LINUX", "flags": ["X"]}
    (bundle / "config.json").write_text(json.dumps(document))
    assert run(check, "-b", str(bundle)) == 1
    assert capfd.readouterr().out.splitlines() == [
        'config.json: process.cwd: must match ^/, not "x\\n"',
        "config.json: linux.personality.flags: no flag is defined (config-linux.md#personality)",
    ]


def test_check_finds_what_only_the_compiler_finds(
    bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    document = json.loads((bundle / "config.json").read_text())
    document["mounts"].append({"destination": "/x", "type": "tmpfs", "options": ["=x"]})
    (bundle / "config.json").write_text(json.dumps(document))
    assert run(check, str(bundle)) == 1
    assert "mounts[7].options[0]: " in capfd.readouterr().out


def test_check_of_no_bundle_fails(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(check, str(tmp_path)) == 1
    assert "not found" in capfd.readouterr().out


def test_features_are_valid_and_say_what_engines_look_for(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """cli.md, features: what moby, containerd, cri-o and Kubernetes derive."""
    assert run(features) == 0
    text = capfd.readouterr().out
    document = json.loads(text)
    assert list(explain.schema_problems(document, "features")) == []
    assert text.startswith('{\n    "ociVersionMin": "1.0.0",\n    "ociVersionMax": "1.3.0",')
    assert {"rro", "idmap", "ridmap", "tmpcopyup"} <= set(document["mountOptions"])
    assert document["mountOptions"] == sorted(document["mountOptions"])
    assert len(document["hooks"]) == 6
    assert len(document["linux"]["namespaces"]) == 8
    assert document["linux"]["mountExtensions"]["idmap"]["enabled"] is True


def test_every_cgroup_and_driver_is_claimed() -> None:
    linux: Any = features.features()["linux"]
    assert set(linux["cgroup"]) == {"v1", "v2", "systemd", "systemdUser", "rdma"}
    assert all(linux["cgroup"].values())
