# SPDX-License-Identifier: Apache-2.0
"""What each hot command imports, exactly: start-up time held by a list that cannot be flaky.

PYOCI_WRITE_IMPORTS=1 writes the list anew; look at the difference before it is committed.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pyoci

HERE = Path(__file__).resolve().parent
TABLE = HERE / "data/imports.json"
PROFILE = HERE / "data/seccomp-engine-sized.json"
BUSYBOX = Path("/bin/busybox")
LIBRARY = str(Path(pyoci.__file__).resolve().parent.parent)
INTERPRETER = [sys.executable, "-I", "-S", "-X", "utf8", "-c"]
SECONDS = 30
DELETE = ("delete", "--force")
COMMANDS = ("create", "state", "start", "exec", "kill", "delete", "run", "run again")

# The launcher's entry, and the list of modules as the last act.
END = "posix._exit(main())"
ENTRY = f"""
import sys
target = sys.argv.pop(1)
sys.argv[1:1] = ["pyoci", {LIBRARY!r}, "pyoci.cli"]
""" + (Path(pyoci.__file__).parent / "native/entry.py").read_text(encoding="utf-8").replace(
    END,
    """
status = main()
with open(target, "w") as file:
    file.write("\\n".join(sys.modules))
posix._exit(status)
""",
)


def bare_modules() -> set[str]:
    """Return what the interpreter itself imports before the first line."""
    argv = [*INTERPRETER, "import sys, posix; print('\\n'.join(sys.modules))"]
    ran = subprocess.run(argv, stdout=subprocess.PIPE, check=True, text=True, timeout=SECONDS)
    return {*ran.stdout.split(), "io", "text_encoding"}


class Hot:
    """Commands of one container, each of which leaves the list of its modules."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.bare = bare_modules()
        self.bundle = directory / "bundle"
        self.id = f"imports-{os.getpid()}"

    def make_bundle(self, seccomp: dict[str, Any] | None) -> None:
        """Make a bundle of busybox and a config.json as engines write it."""
        config = json.loads((HERE.parent / "bench/config.json").read_text(encoding="utf-8"))
        config["process"]["args"] = ["sleep", "100"]
        config["linux"]["seccomp"] = seccomp
        rootfs = self.bundle / "rootfs"
        for name in ("bin", "dev", "proc", "sys"):
            (rootfs / name).mkdir(parents=True, exist_ok=True)
        (rootfs / "bin/busybox").write_bytes(BUSYBOX.read_bytes())
        (rootfs / "bin/busybox").chmod(0o755)
        for name in ("sleep", "true"):
            (rootfs / "bin" / name).symlink_to("busybox")
        (self.bundle / "config.json").write_text(json.dumps(config), encoding="utf-8")

    def modules(self, *arguments: str) -> list[str]:
        """Run a command that must succeed and return what it imported."""
        target = self.directory / "modules"
        root = str(self.directory / "root")
        with open(self.directory / "output", "w+b") as output:
            ran = subprocess.run(
                [*INTERPRETER, ENTRY, str(target), "--root", root, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={},
                check=False,
                timeout=SECONDS,
            )
            output.seek(0)
            assert ran.returncode == 0, output.read()
        return sorted(set(target.read_text(encoding="utf-8").split()) - self.bare)

    def create(self) -> list[str]:
        """Create the container."""
        return self.modules("create", "--bundle", str(self.bundle), self.id)

    def delete(self) -> list[str]:
        """Delete the container, whatever it is doing."""
        return self.modules(*DELETE, self.id)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The modules of each hot command, over the life of one container."""
    if os.geteuid() != 0:
        pytest.skip("needs root: makes containers")
    hot = Hot(tmp_path_factory.mktemp("imports"))
    hot.make_bundle(json.loads(PROFILE.read_text(encoding="utf-8")))
    hot.create()  # compiles the filter
    hot.delete()
    try:
        return dict(life(hot))
    finally:
        subprocess.run(
            [
                *INTERPRETER,
                ENTRY,
                os.devnull,
                "--root",
                str(hot.directory / "root"),
                *DELETE,
                hot.id,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )


def life(hot: Hot) -> Iterator[tuple[str, list[str]]]:
    """Yield each command and what it imported."""
    yield "create", hot.create()
    yield "state", hot.modules("state", hot.id)
    yield "start", hot.modules("start", hot.id)
    yield "exec", hot.modules("exec", hot.id, "true")
    yield "kill", hot.modules("kill", hot.id, "KILL")
    yield "delete", hot.delete()
    config = hot.bundle / "config.json"
    config.write_text(config.read_text(encoding="utf-8").replace('["sleep", "100"]', '["true"]'))
    yield "run", hot.modules("run", "--bundle", str(hot.bundle), hot.id)
    yield "run again", hot.modules("run", "--bundle", str(hot.bundle), hot.id)


@pytest.mark.root
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_imports_exactly_this(command: str, measured: dict[str, list[str]]) -> None:
    """design.md, law 2: the hot path imports built-ins, ours, and what the command needs."""
    if os.environ.get("PYOCI_WRITE_IMPORTS"):
        TABLE.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    assert measured[command] == table[command]


@pytest.mark.root
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_imports_nothing_slow(command: str, measured: dict[str, list[str]]) -> None:
    """Style 2.3: each of these costs 2 to 12 ms; a filter from the cache needs no libseccomp."""
    slow = {"argparse", "cffi", "contextlib", "ctypes", "dataclasses", "enum", "hashlib", "json"}
    slow |= {"jsonschema", "logging", "pathlib", "re", "shutil", "signal", "socket", "subprocess"}
    slow |= {"tempfile", "threading", "typing"}
    assert not slow & set(measured[command])


@pytest.mark.root
def test_a_second_run_imports_no_compiler(measured: dict[str, list[str]]) -> None:
    """docs/adr/0006-plan-cache.md: spec, filter and plan come from the cache, and are not made anew."""
    compiler = {f"pyoci.plan.{name}" for name in ("compile", "process", "namespaces", "rootfs")}
    compiler |= {f"pyoci.plan.{name}" for name in ("mounts", "options", "devices", "hierarchies")}
    loader = {f"pyoci.spec.{name}" for name in ("document", "tables", "meaning", "process")}
    loader |= {"pyoci.spec.idmaps", "pyoci.spec.sysctl", "pyoci.linux.mount"}
    filters = {"pyoci.seccomp", "pyoci.seccomp.cache"}
    assert (compiler | filters) <= set(measured["run"])
    assert not (compiler | loader | filters) & set(measured["run again"])
