# SPDX-License-Identifier: Apache-2.0
"""What each hot command of pypod imports, exactly: start-up time held by a list that cannot be flaky.

PYOCI_WRITE_IMPORTS=1 writes the list anew; look at the difference before it is committed.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sides import IMAGE, Pypod

import pyoci

TABLE = Path(__file__).resolve().parent.parent / "data/engine-imports.json"
LIBRARY = str(Path(pyoci.__file__).resolve().parent.parent)
INTERPRETER = [sys.executable, "-I", "-S", "-X", "utf8", "-c"]
SECONDS = 30
# The launcher's entry, and the list of modules as the last act.
ENTRY = f"""
import sys
target = sys.argv.pop(1)
sys.argv[1:1] = ["pypod", {LIBRARY!r}, "pyoci.engine.cli"]
""" + (Path(pyoci.__file__).parent / "native/entry.py").read_text(encoding="utf-8").replace(
    "posix._exit(main())",
    """
status = main()
with open(target, "w") as file:
    file.write("\\n".join(sys.modules))
posix._exit(status)
""",
)
OPTIONS = ("--network", "none", "--name")
LIFE = {
    "create": ("create", *OPTIONS, "hot", IMAGE, "sleep", "100"),
    "start": ("start", "hot"),
    "ps": ("ps",),
    "exec": ("exec", "hot", "true"),
    "logs": ("logs", "hot"),
    "inspect": ("inspect", "hot"),
    "stop": ("stop", "-t", "0", "hot"),
    "rm": ("rm", "hot"),
    "run": ("run", "--rm", *OPTIONS, "hot", IMAGE, "true"),
}
SLOW = {"argparse", "cffi", "contextlib", "dataclasses", "enum", "hashlib", "json", "jsonschema"}
SLOW |= {"logging", "pathlib", "pyroute2", "re", "rich", "shutil", "signal", "socket", "sqlite3"}
SLOW |= {"subprocess", "tarfile", "tempfile", "threading", "typing", "urllib3"}


def python(target: Path, pypod: Pypod, *words: str) -> None:
    """Run a command of pypod that must succeed, and leave the list of its modules."""
    ran = subprocess.run(
        [*INTERPRETER, ENTRY, str(target), *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=pypod.environment,
        check=False,
        timeout=SECONDS,
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.root
def test_hot_commands_import_exactly_this(pypod: Pypod, scratch: Path) -> None:
    """Issue 6: hot commands import only what highlevel.md measured as cheap."""
    argv = [*INTERPRETER, "import sys, posix; print('\\n'.join(sys.modules))"]
    ran = subprocess.run(argv, stdout=subprocess.PIPE, check=True, text=True, timeout=SECONDS)
    bare = {*ran.stdout.split(), "io", "text_encoding"}
    pypod.says("true")  # compiles the filter
    found = {}
    for name, words in LIFE.items():
        python(scratch / "modules", pypod, *words)
        found[name] = sorted(set((scratch / "modules").read_text().split()) - bare)
        assert not SLOW & set(found[name]), name
    if os.environ.get("PYOCI_WRITE_IMPORTS"):
        TABLE.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    assert found == json.loads(TABLE.read_text(encoding="utf-8"))
