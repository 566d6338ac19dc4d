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


# A module that has a bundle (make_image.py, BUNDLES), what it imports, and what that is like when it has been.
BUNDLED = {
    "__init__.py": "",
    "cli.py": "from pyoci import part\nfrom pyoci.part import deep\nfrom pyoci.late import WORD\n",
    "part/__init__.py": "from pyoci.part.own import OWN\n",
    "part/own.py": "OWN = 1\n",
    "part/deep.py": (
        "TYPE_CHECKING = False\nif TYPE_CHECKING:\n    from nowhere import Thing\nelse:\n    import errno\n"
        'TABLE: "dict[str, Thing]" = {}\n\n\ndef act(what: "Thing") -> "Thing":\n    return what.missing\n'
    ),
    "late.py": "WORD = 1\n",
}
LOOK = f"""{ENTRY}
import pyoci.cli
from pyoci import part
deep, own = sys.modules["pyoci.part.deep"], part.own
print(type(deep.__spec__.loader).__name__, deep.__package__, deep.__file__, own is sys.modules["pyoci.part.own"])
print(part.__path__, part.OWN, deep.TABLE, deep.errno.__name__, deep.act.__annotations__, "Thing" in vars(deep))
try:
    deep.act(1)
except AttributeError as error:
    print(error.__traceback__.tb_next.tb_lineno)
"""
FAIL = f"""{ENTRY}
for _ in range(2):
    try:
        import pyoci.cli
    except ZeroDivisionError as error:
        print(error, sorted(name for name in sys.modules if name.startswith("pyoci.")))
"""


def image_of(directory: Path, files: dict[str, str]) -> None:
    """Write a package of our name, make its image, and leave nothing but that."""
    package = directory / "pyoci"
    for name, text in (*files.items(), ("image.py", (PACKAGE / "image.py").read_text())):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    modules = [str(path) for path in package.rglob("*.py")]
    argv = [sys.executable, "-I", "-S", str(MAKER), str(package / "modules.image"), *modules]
    subprocess.run(argv, check=True, timeout=SECONDS)
    for path in modules:
        Path(path).unlink()


def said(directory: Path, program: str) -> list[str]:
    """Run a program with the image below this directory; return its lines."""
    argv = [sys.executable, "-I", "-S", "-c", program, "pyoci", str(directory), "pyoci.cli"]
    ran = subprocess.run(argv, stdout=subprocess.PIPE, check=True, text=True, timeout=SECONDS)
    return ran.stdout.splitlines()


def test_what_came_in_a_bundle_is_what_an_import_gives(tmp_path: Path) -> None:
    """Without what only mypy reads, and with the lines of its source."""
    image_of(tmp_path, BUNDLED)
    top = f"{tmp_path}/pyoci/part"
    assert said(tmp_path, LOOK) == [
        f"Image pyoci.part {top}/deep.py True",
        f"['{top}'] 1 {{}} errno {{}} False",
        "10",
    ]


def test_a_module_of_a_bundle_that_fails_is_not_there(tmp_path: Path) -> None:
    """As importlib has it: what came before it is, and the next import tries again."""
    image_of(tmp_path, {**BUNDLED, "late.py": "WORD = 1 / 0\n"})
    kept = ["pyoci.part", "pyoci.part.deep", "pyoci.part.own"]
    assert said(tmp_path, FAIL) == [f"division by zero {kept}"] * 2
