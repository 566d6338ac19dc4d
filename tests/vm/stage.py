# SPDX-License-Identifier: Apache-2.0
"""What goes into a machine: this checkout and an environment for the machine's own Python."""

import shutil
import subprocess
import tomllib
from pathlib import Path

from vm import cache
from vm.machines import Machine

TOP = Path(__file__).resolve().parents[2]
BUILD = TOP / "build/vm"
PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64")
TEST_PACKAGES = ("pytest >= 9.0", "pytest-randomly >= 4.0")
LEFT_OUT = (".git", ".venv", "build", "rootfs", "rootfs.new", "tmp", ".*_cache")
CONFIGURATION = "home = /usr/bin\ninclude-system-site-packages = false\n"


def directory(machine: Machine) -> Path:
    """Make the directory that a machine gets as /pyoci, and return it."""
    path = BUILD / machine.suite
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(TOP, path, symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT))
    make_environment(machine, path / ".venv")
    probe = ["-o", str(path / "probe"), str(TOP / "tests/blackbox/probe.c")]
    subprocess.run(["cc", "-static", "-O1", *probe], check=True)
    return path


def make_environment(machine: Machine, path: Path) -> None:
    """Make a virtual environment for the Python of the machine, with what .venv of this checkout has installed."""
    python = f"python{machine.python}"
    (path / "bin").mkdir(parents=True)
    (path / "pyvenv.cfg").write_text(CONFIGURATION, encoding="utf-8")
    for name in ("python3", python):
        (path / "bin" / name).symlink_to(f"/usr/bin/{name}")
    shutil.copy2(TOP / ".venv/bin/pyoci", path / "bin/pyoci")
    library = path / "lib" / python / "site-packages"
    shutil.copytree(packages(machine), library, symlinks=True)
    installed = next((TOP / ".venv/lib").glob("python3*/site-packages/pyoci"))
    shutil.copytree(installed, library / "pyoci")


def packages(machine: Machine) -> Path:
    """Return a directory with what the project and its tests import, for the Python of the machine."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *TEST_PACKAGES]
    path = BUILD / f"packages-{machine.python}-{cache.key(*wanted)}"
    if not path.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        with cache.scratch(BUILD) as work:
            target = ["--target", str(work / "packages")]
            pip = [str(TOP / ".venv/bin/pip"), "install", "--quiet", *target]
            platforms = [word for name in PLATFORMS for word in ("--platform", name)]
            release = ["--python-version", machine.python, "--only-binary", ":all:"]
            subprocess.run([*pip, *release, *platforms, *wanted], check=True)
            (work / "packages").rename(path)
    return path
