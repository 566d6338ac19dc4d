# SPDX-License-Identifier: Apache-2.0
"""docs/engines: what a user pastes is read by what reads it in the end."""

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from engines.configuration import DOCUMENTS, INSTALLED
from engines.conftest import require
from engines.containerd import SERVER

KUBERNETES = sorted((DOCUMENTS / "kubernetes").glob("*.yaml"))
PAGES = sorted(DOCUMENTS.glob("*.md"))
FILES = [
    path for path in DOCUMENTS.rglob("*") if path.suffix in {".json", ".toml", ".conf", ".yaml"}
]


def documents(text: str) -> list[Any]:
    """Return the documents of a YAML file."""
    yaml = pytest.importorskip("yaml", reason="pip install kubernetes-validate")
    return list(yaml.safe_load_all(text))


@pytest.mark.parametrize("path", KUBERNETES, ids=lambda path: path.name)
def test_kubernetes_takes_it(path: Path) -> None:
    """Each document against the OpenAPI schema of its kind, unknown fields refused."""
    schemas = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    found = documents(path.read_text(encoding="utf-8"))
    assert found
    for document in found:
        schemas.validate(document, schemas.latest_version(), strict=True)


def test_the_handler_of_the_runtime_class_is_containerd_s_and_cri_o_s() -> None:
    """One name in three files."""
    runtime_class = documents((DOCUMENTS / "kubernetes/runtimeclass.yaml").read_text())[0]
    handler = runtime_class["handler"]
    containerd = tomllib.loads((DOCUMENTS / "containerd.toml").read_text())
    runtimes = containerd["plugins"]["io.containerd.grpc.v1.cri"]["containerd"]["runtimes"]
    assert runtimes[handler]["options"]["BinaryName"] == INSTALLED
    crio = tomllib.loads((DOCUMENTS / "crio.conf").read_text())
    assert crio["crio"]["runtime"]["runtimes"][handler]["runtime_path"] == INSTALLED


def test_the_daemon_set_installs_the_documented_configuration() -> None:
    """install.yaml carries containerd.toml to the node, byte for byte."""
    found = documents((DOCUMENTS / "kubernetes/install.yaml").read_text())
    maps = {one["metadata"]["name"]: one["data"] for one in found if one["kind"] == "ConfigMap"}
    assert maps["containerd"]["pyoci.toml"] == (DOCUMENTS / "containerd.toml").read_text()


MINE = """\
version = 2
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "registry.example/pause:mine"
"""


def test_the_appended_configuration_leaves_mine(scratch: Path) -> None:
    """What install.yaml does to a node's config.toml, read by containerd itself."""
    require(SERVER)
    added = (DOCUMENTS / "containerd.toml").read_text().replace("version = 2\n", "", 1)
    (scratch / "config.toml").write_text(MINE + added)
    command = [SERVER, "--config", str(scratch / "config.toml"), "config", "dump"]
    shown = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    assert 'sandbox_image = "registry.example/pause:mine"' in shown
    assert f'BinaryName = "{INSTALLED}"' in shown


def test_docker_s_configuration_is_json() -> None:
    """daemon.json has no comments."""
    found = json.loads((DOCUMENTS / "docker-daemon.json").read_text())
    assert found["runtimes"]["pyoci"]["path"] == INSTALLED


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_what_a_page_names_is_there(path: Path) -> None:
    """Links to files and pages of this directory."""
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^):#]+)\)", text):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_page_names_the_file(path: Path) -> None:
    """A configuration that no page explains helps nobody."""
    name = str(path.relative_to(DOCUMENTS))
    assert any(f"({name})" in page.read_text(encoding="utf-8") for page in PAGES)
