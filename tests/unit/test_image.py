# SPDX-License-Identifier: Apache-2.0
"""pyoci/image.py: the package in one file, and the usual way where that cannot be used."""

import subprocess
import sys
from pathlib import Path

import pytest

import pyoci

PACKAGE = Path(pyoci.__file__).parent
MAKER = PACKAGE / "make_image.py"
SECONDS = 30
# As the launcher starts the interpreter, with another end.
ENTRY, MAIN = (PACKAGE / "native/entry.py").read_text(encoding="utf-8").split("main = __import__")
SHOW = f"""{ENTRY}
from pyoci.part import deep
print(type(deep.__spec__.loader).__name__, deep.WORD, deep.__file__)
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A directory with a small package of our name, and its image."""
    package = tmp_path / "pyoci"
    (package / "part").mkdir(parents=True)
    for name in ("__init__.py", "part/__init__.py"):
        (package / name).write_text("")
    (package / "image.py").write_text((PACKAGE / "image.py").read_text(encoding="utf-8"))
    (package / "part/deep.py").write_text('WORD = "from the image"\n')
    modules = [str(path) for path in package.rglob("*.py")]
    argv = [sys.executable, "-I", "-S", str(MAKER), str(package / "modules.image"), *modules]
    subprocess.run(argv, check=True, timeout=SECONDS)
    (package / "part/deep.py").write_text('WORD = "from the file"\n')
    return tmp_path


def imported(directory: Path) -> list[str]:
    """Import a module below this directory; return its loader, its word and its file."""
    argv = [sys.executable, "-I", "-S", "-c", SHOW, "pyoci", str(directory), "pyoci.cli"]
    ran = subprocess.run(argv, stdout=subprocess.PIPE, check=True, text=True, timeout=SECONDS)
    return ran.stdout.strip().split(" ", 1)


def test_a_module_comes_from_the_image_under_its_own_file_name(installed: Path) -> None:
    assert imported(installed) == ["Image", f"from the image {installed}/pyoci/part/deep.py"]


def test_without_an_image_the_files_are_imported(installed: Path) -> None:
    (installed / "pyoci/modules.image").unlink()
    assert imported(installed)[1].startswith("from the file")


@pytest.mark.parametrize("damage", [b"", b"\0\0\0\0", b"not an image at all, but long enough"])
def test_an_image_of_another_interpreter_is_passed_over(installed: Path, damage: bytes) -> None:
    (installed / "pyoci/modules.image").write_bytes(damage)
    assert imported(installed)[1].startswith("from the file")
