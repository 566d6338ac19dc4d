# SPDX-License-Identifier: Apache-2.0
"""What a machine can check of the rules: sizes, layers, forbidden words, the index of decisions."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parent.parent
PACKAGE = TOP / "pyoci"
MADE = {PACKAGE / "seccomp/_libseccomp.py"}  # by cffi
ENTRY = PACKAGE / "native/entry.py"  # no module: the first lines that run
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path not in MADE | {ENTRY})
NATIVE = sorted(PACKAGE.glob("native/*.[ch]"))
LAUNCHER = {
    "freeze.c",
    "launcher.c",
    "launcher.h",
    "limit.c",
    "monitor.c",
    "record.c",
    "request.c",
    "runtime.c",
    "shortcut.c",
    "shortcut.h",
    "weight.c",
}
CONFORMANCE = [*sorted(TOP.glob("conformance/*.py")), TOP / "conformance/run"]
SCRIPTS = [TOP / "bundles/build", TOP / "bench/bench.py", TOP / "tools/packages", TOP / ".ci/run"]
TOOLS = [TOP / "tools/manual", TOP / "tools/completion", TOP / "tools/completion-pypod"]
SCRIPTS += [
    TOP / "tests/vm/run",
    TOP / "tests/vm/test",
    *sorted((TOP / "tests/vm/guest").iterdir()),
]
TESTS = sorted(TOP.glob("tests/**/*.py"))
BUILD = [TOP / name for name in ("Makefile", "meson.build", "pyproject.toml")]

# Top to bottom; a row may import what lies below it and, within one package, itself.
LAYERS = (
    ("engine",),
    ("cli",),
    ("commands",),
    ("preload",),
    ("runtime",),
    ("container",),
    ("execution", "checkpoint"),
    ("creation", "events"),
    ("dialogue",),
    ("placement",),
    ("terminal", "host", "diagnosis", "doctor", "keeper", "updating"),
    ("shortcut",),
    (
        "handover",
        "notify",
        "idmap",
        "executor",
        "labels",
        "netdevices",
        "rdt_statistics",
        "state",
        "plancache",
    ),
    ("hooks", "rdt"),
    ("spec",),
    ("plan",),
    ("seccomp",),
    ("cgroup",),
    ("log", "flags"),
    ("identity", "ids", "jsontext", "passwd", "store"),
    ("linux",),
    ("errors", "image", "make_image"),
    ("__init__",),
)
RANKS = {name: rank for rank, row in enumerate(LAYERS) for name in row}

# What pypod may use of the runtime: its public face, and what has no state.
PUBLIC = {
    "engine",
    "runtime",
    "errors",
    "flags",
    "identity",
    "jsontext",
    "linux",
    "log",
    "preload",
    "spec",
    "__init__",
}
FUNCTION_LINES = 60
EXECUTOR_LINES = 2000
EXECUTOR_FILE_LINES = 300
PRINTING = ("cli", "commands", "engine/cli", "engine/commands")
ASKING = {"os", "socket", "_socket", "subprocess", "fcntl", "ctypes", "select", "signal"}
DEVICE_NUMBERS = ("makedev", "major", "minor")  # arithmetic
BINDING_MAKER = PACKAGE / "seccomp/build_binding.py"


def name_of(path: Path) -> str:
    """Return the path as a test's name shows it."""
    return str(path.relative_to(TOP))


def part_of(path: Path) -> str:
    """Return the row's name of a module: its package, or itself."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def prints(path: Path) -> bool:
    """Tell whether a module is one of those that may print."""
    name = str(path.relative_to(PACKAGE)).removesuffix(".py")
    return any(name == place or name.startswith(f"{place}/") for place in PRINTING)


def tree_of(path: Path) -> ast.Module:
    """Parse a module."""
    return ast.parse(path.read_text(encoding="utf-8"))


def is_for_types(node: ast.AST) -> bool:
    """Return whether this is `if TYPE_CHECKING:`."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def run_time_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Walk a tree without what only the type checker sees."""
    for child in ast.iter_child_nodes(node):
        if not is_for_types(child):
            yield child
            yield from run_time_nodes(child)


def imported_parts(tree: ast.Module) -> Iterator[str]:
    """Return the rows' names of what a module imports of ours, at its head or in a function."""
    for node in run_time_nodes(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "pyoci":
            yield from (alias.name if alias.name in RANKS else "__init__" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pyoci."):
            yield str(node.module).split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (a.name.split(".")[1] for a in node.names if a.name.startswith("pyoci."))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    """design.md, Parts: errors know nobody, the command line knows all."""
    part = part_of(path)
    assert part in RANKS, f"{part} has no row in LAYERS"
    for used in imported_parts(tree_of(path)):
        assert used == part or RANKS[used] > RANKS[part], (
            f"{part} imports {used}, which is not below"
        )


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("engine/**/*.py")), ids=name_of)
def test_the_engine_uses_the_public_face_of_the_runtime(path: Path) -> None:
    """Issue 6: pypod uses the runtime through its public Python interface only."""
    assert set(imported_parts(tree_of(path))) <= PUBLIC


@pytest.mark.parametrize("path", [*MODULES, *TESTS, *CONFORMANCE, *TOOLS], ids=name_of)
def test_a_function_fits_on_a_screen(path: Path) -> None:
    """Style 2.2: at most 60 lines."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines <= FUNCTION_LINES, f"{node.name} has {lines} lines"


@pytest.mark.parametrize("path", NATIVE, ids=name_of)
def test_a_c_function_fits_on_a_screen(path: Path) -> None:
    """Style 2.7: functions of at most 60 lines, files of at most 300."""
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= EXECUTOR_FILE_LINES
    starts = [number for number, line in enumerate(lines) if line == "{"]
    ends = [number for number, line in enumerate(lines) if line == "}"]
    assert len(starts) == len(ends)
    for start, end in zip(starts, ends, strict=True):
        assert end - start < FUNCTION_LINES, f"{lines[start - 1]} has {end - start} lines"


def test_the_executor_stays_small() -> None:
    """design.md: a static C program of under 2,000 lines."""
    sources = [path for path in NATIVE if path.name not in LAUNCHER]
    assert (
        sum(len(path.read_text(encoding="utf-8").splitlines()) for path in sources) < EXECUTOR_LINES
    )


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_spec_is_complete_outside_its_package(path: Path) -> None:
    """Style 2.4: after load() no key is missing, so nobody asks a spec with `.get(`."""
    if part_of(path) == "spec":
        return
    for node in ast.walk(tree_of(path)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "get"
        ):
            asked = ast.unparse(node.func.value)
            words = r"\b(spec|process|linux|resources|mounts?|config|seccomp|user|memory|hooks?)\b"
            assert not re.search(words, asked), f"line {node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_commands_print(path: Path) -> None:
    """design.md, Parts: nothing below `commands` prints."""
    if prints(path) or path == BINDING_MAKER:
        return
    for node in ast.iter_child_nodes(tree_of(path)):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'":
            continue
        calls = [call for call in ast.walk(node) if isinstance(call, ast.Call)]
        assert not [call for call in calls if ast.unparse(call.func) == "print"]


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("plan/*.py")), ids=name_of)
def test_the_compiler_asks_the_system_nothing(path: Path) -> None:
    """design.md, Parts: `plan` opens no file and makes no system call."""
    for node in run_time_nodes(tree_of(path)):
        if isinstance(node, ast.Import):
            assert not ASKING & {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module not in {*ASKING, "posix"}
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "posix":
            assert node.attr.isupper() or node.attr in DEVICE_NUMBERS, f"line {node.lineno}"
        elif isinstance(node, ast.Call):
            assert ast.unparse(node.func) != "open", f"line {node.lineno}"


@pytest.mark.parametrize(
    "path", [*MODULES, *NATIVE, *TESTS, *CONFORMANCE, *TOOLS, *SCRIPTS, *BUILD], ids=name_of
)
def test_each_file_has_a_licence_and_nothing_left_to_do(path: Path) -> None:
    """Style 2.10: one line of licence; an issue or nothing, never a note to self."""
    text = path.read_text(encoding="utf-8")
    assert "SPDX-License-Identifier: Apache-2.0" in "\n".join(text.splitlines()[:2])
    assert not re.search(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b", text)


@pytest.mark.parametrize("path", [*MODULES, *TESTS, *CONFORMANCE, *TOOLS], ids=name_of)
def test_what_is_silenced_has_a_reason(path: Path) -> None:
    """A rule of ruff or mypy is switched off for one line, and the line says why."""
    text = path.read_text(encoding="utf-8")
    assert not re.findall(r"# (?:noqa: \w+|type: ignore\[[\w-]+\])$", text, re.MULTILINE)


def test_no_module_is_named_for_nothing() -> None:
    """Style 2.1: a file is named after a kernel object or a section of the specification."""
    names = {path.stem for path in [*MODULES, *NATIVE]}
    assert not names & {"utils", "util", "common", "helpers", "misc", "tools"}


def test_the_index_of_decisions_is_complete() -> None:
    """Style 2.12: docs/adr/NNNN-title.md, without gaps, each in the index under its title."""
    directory = TOP / "docs/adr"
    index = (directory / "README.md").read_text(encoding="utf-8")
    files = sorted(path for path in directory.glob("*.md") if path.name != "README.md")
    assert [path.name[:4] for path in files] == [f"{n:04}" for n in range(1, len(files) + 1)]
    for path in files:
        title = path.read_text(encoding="utf-8").splitlines()[0]
        assert title.startswith(f"# {path.name[:4]}: ")
        assert f"[{path.name[:4]}]({path.name}) | {title[8:]} |" in index


def test_each_bundle_explains_itself() -> None:
    """Issue 2: at least ten bundles, each with a few lines of explanation."""
    bundles = sorted(path.parent for path in TOP.glob("bundles/*/config.json"))
    assert len(bundles) >= 10
    for bundle in bundles:
        lines = (bundle / "README.md").read_text(encoding="utf-8").splitlines()
        assert lines[0] == f"# {bundle.name}"
        assert any(line.startswith("    ") and f"bundles/{bundle.name}" in line for line in lines)
