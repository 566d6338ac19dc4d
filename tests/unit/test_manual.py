# SPDX-License-Identifier: Apache-2.0
"""The manual pages and the shells' completions say what the tables of flags say."""

import importlib
import os
import pty
import re
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyoci import cli, creation
from pyoci.commands.settings import FLAGS as GLOBAL_FLAGS
from pyoci.engine import cli as engine
from pyoci.engine import flags as engine_flags
from pyoci.flags import HELP

Flag = tuple[str, str, str, str]

TOP = Path(__file__).resolve().parent.parent.parent
TEXTS = TOP / "docs/man"
SECONDS = 20.0


def flags_of(name: str) -> tuple[Flag, ...]:
    """Return the flags of a command; of "pyoci" those that stand before it."""
    if name == "pyoci":
        return (*GLOBAL_FLAGS, HELP)
    return (*importlib.import_module(f"pyoci.commands.{name}").FLAGS, HELP)


def said(*argv: str | Path, **how: str) -> str:
    """Run a program that must succeed, and return what it prints."""
    ran = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=SECONDS, **how)
    assert (ran.returncode, ran.stderr) == (0, ""), ran
    out: str = ran.stdout
    return out


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """All pages, by the name of their command."""
    directory = tmp_path_factory.mktemp("man")
    said(TOP / "tools/manual", "pyoci", directory)
    listed = said(TOP / "tools/manual", "pyoci", "--list").split()
    assert sorted(path.name for path in directory.iterdir()) == sorted(listed)
    return {path.stem.removeprefix("pyoci-"): path for path in directory.iterdir()}


def test_every_command_has_a_page(pages: dict[str, Path]) -> None:
    assert pages.keys() == {"pyoci", *cli.COMMANDS}
    texts = {path.stem for path in TEXTS.iterdir() if path.is_file()}
    assert pages.keys() == texts


def plain(text: str) -> str:
    """Return a page without roff's way of writing dashes and apostrophes."""
    return text.replace("\\-", "-").replace("\\(aq", "'")


@pytest.mark.parametrize("name", ["pyoci", *cli.COMMANDS])
def test_a_page_has_every_flag_and_no_other(pages: dict[str, Path], name: str) -> None:
    text = pages[name].read_text(encoding="utf-8")
    options = plain(text.partition(".SH OPTIONS")[2].partition(".SH ")[0])
    assert re.findall(r"^\\fB--([a-z0-9-]+)\\fR", options, re.MULTILINE) == [
        row[0] for row in flags_of(name)
    ]
    for row in flags_of(name):
        assert f"\\fI{row[2]}\\fR" in options or not row[2]
    if name != "pyoci":
        shown = plain(text)
        assert cli.COMMANDS[name][0] in shown
        assert cli.COMMANDS[name][1] in shown


@pytest.fixture(scope="module")
def pypod_pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """All pages of pypod, by the name of their command."""
    directory = tmp_path_factory.mktemp("man")
    said(TOP / "tools/manual", "pypod", directory)
    listed = said(TOP / "tools/manual", "pypod", "--list").split()
    assert sorted(path.name for path in directory.iterdir()) == sorted(listed)
    return {path.stem.removeprefix("pypod-"): path for path in directory.iterdir()}


# Commands of people, not of the monitor.
PYPOD = [name for name in engine.COMMANDS if not name.startswith("_")]


def flags_of_pypod(name: str) -> list[Flag]:
    """Return the flags of a command of pypod; of "pypod" those that stand before it."""
    table = engine.GLOBAL if name == "pypod" else engine.load(name)[0]
    return [*table, engine_flags.HELP]


def test_every_command_of_pypod_has_a_page(pypod_pages: dict[str, Path]) -> None:
    names = {"pypod", *(name.replace(" ", "-") for name in PYPOD)}
    assert pypod_pages.keys() == names
    assert {path.stem for path in (TEXTS / "pypod").iterdir()} <= names


@pytest.mark.parametrize("name", ["pypod", *PYPOD])
def test_a_page_of_pypod_has_every_flag_and_no_other(
    pypod_pages: dict[str, Path], name: str
) -> None:
    text = plain(pypod_pages[name.replace(" ", "-")].read_text(encoding="utf-8"))
    options = text.partition(".SH OPTIONS")[2].partition(".SH ")[0]
    rows = flags_of_pypod(name)
    assert re.findall(r"^\\fB--([a-z0-9-]+)\\fR", options, re.MULTILINE) == [row[0] for row in rows]
    for _, _, kind, words in rows:
        assert f"\\fI{engine_flags.value_of(kind)}\\fR" in options or not kind
        assert " ".join(words.split())[1:].rstrip(".") in options
    if name != "pypod":
        usage, summary, *_ = engine.COMMANDS[name]
        for form in usage.split("\n"):
            assert form.replace("[OPTIONS]", "[\\fIoptions\\fR]") in text
        assert summary in text
        for place, row in engine.SAME.items():
            assert (f"\\fBpypod {place}\\fR" in text) == (row == name)


def test_the_texts_of_pypod_name_no_flag_that_is_not_there() -> None:
    for path in (TEXTS / "pypod").iterdir():
        name = next((name for name in PYPOD if name.replace(" ", "-") == path.stem), "pypod")
        known = {row[0] for row in (*flags_of_pypod(name), *engine.GLOBAL)}
        if name == "pypod":
            known |= {row[0] for command in PYPOD for row in flags_of_pypod(command)}
        assert set(re.findall(r"--([a-z0-9-]+)", path.read_text(encoding="utf-8"))) <= known, name


@pytest.mark.parametrize(
    "checker", [("mandoc", "-T", "lint", "-W", "warning"), ("groff", "-man", "-ww", "-Tutf8")]
)
def test_the_pages_are_good_roff(
    pages: dict[str, Path], pypod_pages: dict[str, Path], checker: tuple[str, ...]
) -> None:
    if shutil.which(checker[0]) is None:
        pytest.skip(f"{checker[0]} is not installed")
    for path in (*pages.values(), *pypod_pages.values()):
        ran = subprocess.run([*checker, path], capture_output=True, text=True, check=False)
        found = ran.stdout + ran.stderr if checker[0] == "mandoc" else ran.stderr
        # Without a date a page that is built twice is the same.
        assert [line for line in found.splitlines() if "missing date" not in line] == []


def test_the_texts_name_no_flag_that_is_not_there(pages: dict[str, Path]) -> None:
    for name in pages:
        text = (TEXTS / f"{name}.txt").read_text(encoding="utf-8")
        known = {row[0] for row in (*flags_of(name), *GLOBAL_FLAGS)}
        if name == "pyoci":
            known |= {row[0] for command in cli.COMMANDS for row in flags_of(command)}
        assert set(re.findall(r"--([a-z0-9-]+)", text)) <= known, name


# What is typed, and what completes it.
CASES = (
    ("pyoci feat", {"features"}),
    ("pyoci --log-form", {"--log-format"}),
    ("pyoci --log-format te", {"text"}),
    ("pyoci --debug create --pi", {"--pid-file", "--pidfd-socket"}),
    ("pyoci delete --force o", {"one"}),
    ("pyoci list --format ta", {"table"}),
    ("pyoci kill one o", set()),
)


def completion(shell: str, tmp_path: Path) -> Path:
    """Return the file with a shell's completion, and make a pyoci that knows the container `one`."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "pyoci").write_text("#!/bin/sh\necho one\necho two\n")
    (tmp_path / "pyoci").chmod(0o755)
    path = tmp_path / f"completion.{shell}"
    path.write_text(said(TOP / "tools/completion", shell))
    return path


def environment(tmp_path: Path) -> dict[str, str]:
    """Return an environment where that pyoci is found."""
    return {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path), "TERM": "dumb"}


@pytest.mark.parametrize(("typed", "wanted"), CASES)
def test_bash_completes(tmp_path: Path, typed: str, wanted: set[str]) -> None:
    path = completion("bash", tmp_path)
    script = f"source {path}; COMP_WORDS=({typed}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _pyoci"
    out = said(
        "bash", "-c", f"{script}; printf '%s\\n' \"${{COMPREPLY[@]}}\"", env=environment(tmp_path)
    )
    assert set(out.split()) == wanted


@pytest.mark.parametrize(("typed", "wanted"), [case for case in CASES if case[1]])
def test_fish_completes(tmp_path: Path, typed: str, wanted: set[str]) -> None:
    path = completion("fish", tmp_path)
    script = f"source {path}; complete --do-complete '{typed}'"
    out = said("fish", "--no-config", "-c", script, env=environment(tmp_path))
    found = {line.partition("\t")[0] for line in out.splitlines()}
    assert found == wanted


# What zsh's completion offers is written down: on the terminal it only changes what is there already.
NOTE = (
    'compadd() { local -a found; builtin compadd -O found "$@"; '
    'print -rl -- $found >> $HOME/offered; builtin compadd "$@"; }; '
)


class Shell:
    """An interactive zsh on a terminal of its own."""

    def __init__(self, tmp_path: Path) -> None:
        self.offered = tmp_path / "offered"
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe("zsh", ["zsh", "-f", "-i"], environment(tmp_path))
        self.seen = ""

    def type(self, text: str, awaited: str) -> None:
        """Type something and wait until the terminal shows what is awaited."""
        self.seen = ""
        os.write(self.fd, text.encode())
        deadline = time.monotonic() + SECONDS
        while awaited not in self.seen:
            assert time.monotonic() < deadline, f"{awaited!r} is not in {self.seen!r}"
            if select.select([self.fd], [], [], 0.1)[0]:
                self.seen += os.read(self.fd, 4096).decode("utf-8", "replace")

    def complete(self, text: str, wanted: set[str]) -> None:
        """Type something and the key for completion, and wait until all that is wanted is offered."""
        os.write(self.fd, f"{text}\t".encode())
        deadline = time.monotonic() + SECONDS
        found: set[str] = set()
        while not wanted <= found:
            assert time.monotonic() < deadline, f"{wanted} is not in {found}"
            if select.select([self.fd], [], [], 0.1)[0]:
                os.read(self.fd, 4096)
            found = set(self.offered.read_text().split()) if self.offered.exists() else set()


@pytest.fixture
def zsh(tmp_path: Path) -> Iterator[Shell]:
    """A shell that has loaded the completion."""
    path = completion("zsh", tmp_path)
    shell = Shell(tmp_path)
    shell.type(
        "PS1='> '; unset zle_bracketed_paste; autoload -U compinit; compinit -u -D; echo rea''dy\n",
        "ready",
    )
    shell.type(f"source {path}; {NOTE}echo sou''rced\n", "sourced")
    yield shell
    os.write(shell.fd, b"\x03\nexit\n")
    os.close(shell.fd)
    os.waitpid(shell.pid, 0)


@pytest.mark.parametrize(("typed", "wanted"), [case for case in CASES if case[1]])
def test_zsh_completes(zsh: Shell, typed: str, wanted: set[str]) -> None:
    zsh.complete(typed, wanted)


def test_the_page_on_debugging_names_flags_and_steps_that_exist() -> None:
    text = (TOP / "docs/debugging.md").read_text(encoding="utf-8")
    for line in re.findall(r"^    (?:.* )?(pyoci .*)", text, re.MULTILINE):
        words = [word for word in line.split() if word in cli.COMMANDS]
        if not line.startswith("pyoci run failed"):
            known = {row[0] for row in (*flags_of(words[0]), *GLOBAL_FLAGS)}
            assert set(re.findall(r" --([a-z0-9-]+)", line)) <= known, line
    steps = {step.__name__ for step in creation.STEPS}
    named = re.search(r"step of `create` \((.*?)\)", text, re.DOTALL)
    assert named
    assert set(re.findall(r"`(\w+)`", named.group(1))) <= steps
