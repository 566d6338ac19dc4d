# SPDX-License-Identifier: Apache-2.0
"""The shells' completions of pypod, made from its tables by tools/completion-pypod."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parent.parent.parent / "tools/completion-pypod"
SECONDS = 30
CASES = (
    ("pypod bu", {"build", "builder"}),
    ("pypod builder pr", {"prune"}),
    ("pypod build --no-c", {"--no-cache", "--no-cache-filter"}),
    ("pypod volume l", {"ls"}),
    ("pypod stop o", {"one"}),
    ("pypod image rm t", {"two"}),
    ("pypod rm --vol", {"--volumes"}),
)


def said(*argv: str | Path, **options: object) -> str:
    return subprocess.run(
        argv, stdout=subprocess.PIPE, check=True, text=True, timeout=SECONDS, **options
    ).stdout  # type: ignore[call-overload,no-any-return] # env alone


@pytest.fixture(params=["bash", "zsh", "fish"])
def script(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """A shell, and its completion."""
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    path = tmp_path / f"completion.{request.param}"
    path.write_text(said(sys.executable, TOOL, request.param))
    return request.param, path


def test_each_shell_can_read_its_completion(script: tuple[str, Path]) -> None:
    subprocess.run([script[0], "-n", script[1]], check=True, timeout=SECONDS)


@pytest.mark.parametrize(("typed", "wanted"), CASES)
def test_commands_flags_and_names_are_completed(
    script: tuple[str, Path], tmp_path: Path, typed: str, wanted: set[str]
) -> None:
    (tmp_path / "pypod").write_text("#!/bin/sh\necho one\necho two\n")
    (tmp_path / "pypod").chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "TERM": "dumb",
    }
    shell, path = script
    if shell == "zsh":
        pytest.skip("zsh completes on a terminal only; what it reads is the script for bash")
    if shell == "fish":
        text = f"source {path}; complete --do-complete '{typed}'"
        argv = ["fish", "--no-config", "-c", text]
    else:
        text = (
            f"source {path}; COMP_WORDS=({typed}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _pypod"
        )
        argv = ["bash", "-c", f"{text}; printf '%s\\n' \"${{COMPREPLY[@]}}\""]
    lines = said(*argv, env=environment).splitlines()
    assert {line.partition("\t")[0] for line in lines} == wanted
