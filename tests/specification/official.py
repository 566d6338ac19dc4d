# SPDX-License-Identifier: Apache-2.0
"""The official specification, from Go's module proxy: its text, its JSON Schemas, its good and bad examples."""

import functools
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft4Validator
from referencing import Registry
from referencing.jsonschema import DRAFT4

MODULE = "github.com/opencontainers/runtime-spec@v1.3.0"
SUM = "h1:YZupQUdctfhpZy3TM39nN9Ika5CBWT5diQ8ibYCRkxg="  # what sum.golang.org holds of it
GO = "/usr/local/go/bin/go"
SCHEMAS = {"config": "config-schema", "state": "state-schema", "features": "features-schema"}


@functools.cache
def directory() -> Path:
    """Return the module's directory, which `PYOCI_RUNTIME_SPEC` may name; skips the test without it."""
    if named := os.environ.get("PYOCI_RUNTIME_SPEC"):
        return Path(named)
    go = shutil.which("go") or shutil.which(GO)
    if go is None:
        pytest.skip("needs Go, or the runtime-spec module's directory in PYOCI_RUNTIME_SPEC")
    ran = subprocess.run(
        [go, "mod", "download", "-json", MODULE],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if ran.returncode != 0:
        pytest.skip(f"go mod download {MODULE}: {' '.join((ran.stderr or ran.stdout).split())}")
    answer = json.loads(ran.stdout)
    assert answer["Sum"] == SUM
    return Path(answer["Dir"])


def text(name: str) -> str:
    """Return a page of the specification: text("config-linux.md")."""
    return (directory() / name).read_text(encoding="utf-8")


@functools.cache
def schema(name: str) -> Any:
    """Return one of its JSON Schemas by the name of its file, without .json."""
    written = (directory() / "schema" / f"{name}.json").read_text(encoding="utf-8")
    return json.loads(
        written.replace('"#definitions/', '"#/definitions/')
    )  # no JSON Pointer: 1.3.0 has one such


@functools.cache
def validator(name: str) -> Draft4Validator:
    """Return a validator by the official schema of config, state or features."""

    names = [path.stem for path in (directory() / "schema").glob("*.json")]
    resources = [(f"{name}.json", DRAFT4.create_resource(schema(name))) for name in names]
    registry: Any = Registry().with_resources(resources).crawl()
    return Draft4Validator({"$ref": f"{SCHEMAS[name]}.json"}, registry=registry)


def examples(name: str, verdict: str) -> dict[str, str]:
    """Return its good or bad examples of config, state or features: the text by the name of the file."""
    found = sorted((directory() / "schema/test" / name / verdict).glob("*.json"))
    return {path.stem: path.read_text(encoding="utf-8") for path in found}


def resolve(node: Any, file: str) -> tuple[Any, str]:
    """Follow the references of a schema to what they mean, and to the file that it stands in."""
    while "$ref" in node:
        other, _, fragment = node["$ref"].partition("#")
        file = other.removesuffix(".json") or file
        node = schema(file)
        for part in fragment.strip("/").split("/"):
            node = node[part] if part else node
    return node, file
