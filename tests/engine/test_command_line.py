# SPDX-License-Identifier: Apache-2.0
"""pypod's command line beside Docker's own client: what is wrong is said in the same words, with the same exit status."""

import os
import subprocess
from pathlib import Path

import pytest

from pyoci.engine import cli
from pyoci.engine.errors import EngineError
from pyoci.engine.flags import AskedForHelp, FlagError, check, parse

PYPOD = Path(__file__).resolve().parent.parent.parent / ".venv/bin/pypod"
DOCKER = "/usr/local/bin/docker"
NEWEST = 28
SECONDS = 30

TABLE = (
    ("all", "a", "", ""),
    ("env", "e", "env", ""),
    ("name", "", "string", ""),
    ("memory", "m", "bytes", ""),
    ("sig-proxy", "", "", ""),
    ("time", "t", "int", ""),
)


def client(program: str, *words: str) -> tuple[int, str, str]:
    """Run a client without a daemon; returns status, stdout and stderr with the program's name left out."""
    ran = subprocess.run(
        [program, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
    )
    name = os.path.basename(program)
    return ran.returncode, ran.stdout.replace(name, "X"), ran.stderr.replace(name, "X")


# Commands that Docker has not, as the help of their group shows them.
OWN = (f"  {'check':10}  {cli.COMMANDS['network check'][1]}\n",)


@pytest.fixture(scope="session")
def docker() -> str:
    """Docker's client, of the version whose words are followed."""
    if not os.access(DOCKER, os.X_OK):
        pytest.skip(f"{DOCKER} is missing: the words of Docker's client {NEWEST}")
    version = client(DOCKER, "--version")[1].split()[2]
    if int(version.partition(".")[0]) != NEWEST:
        pytest.skip(f"Docker's client is {version}; the words compared are those of {NEWEST}")
    return DOCKER


@pytest.mark.parametrize(
    "words",
    [
        "foo",
        "--foo",
        "-x",
        "container foo",
        "container",
        "network",
        "help nosuch",
        "stop --time x one",
        "run --net-alias",
        "ps --filter foo",
        "update one",
    ],
)
def test_a_wrong_command_line_is_refused_in_dockers_words(docker: str, words: str) -> None:
    theirs, (code, out, problem) = (
        client(docker, *words.split()),
        client(str(PYPOD), *words.split()),
    )
    plain = "".join(line for line in problem.splitlines(keepends=True) if line not in OWN)
    assert (code, out, plain) == theirs


@pytest.mark.parametrize("name", cli.ABSENT)
def test_an_absent_command_is_refused_with_its_remedy(name: str) -> None:
    """Issue 6: errors that name the object and the remedy."""
    code, out, problem = client(str(PYPOD), name, "ls")
    assert (code, out) == (1, "")
    assert problem.startswith(f"X: unknown command: X {name}\n\nX has no {name}: ")


def test_help_that_nobody_asked_for_is_an_admonition(docker: str) -> None:
    """Docker's client: help without --help goes to stderr, with status 0."""
    for program in (docker, str(PYPOD)):
        code, out, problem = client(program)
        assert (code, out) == (0, "")
        assert problem.startswith("Usage:  X [OPTIONS] COMMAND\n")


def test_every_command_has_its_module() -> None:
    for name in cli.COMMANDS:
        flags, run = cli.load(name)
        assert callable(run)
        names = [row[0] for row in flags]
        assert len(names) == len(set(names))
    assert set(cli.SAME) & set(cli.COMMANDS) == set()


def test_flags_end_at_the_first_argument_of_an_ordered_command() -> None:
    flags, arguments = parse(["-a", "img", "echo", "--", "-x"], TABLE, ordered=True)
    assert flags.is_on("all")
    assert arguments == ["img", "echo", "--", "-x"]


def test_flags_stand_anywhere_in_other_commands() -> None:
    flags, arguments = parse(["a", "-t", "3", "b", "--", "-t"], TABLE, ordered=False)
    assert flags.number("time") == 3
    assert arguments == ["a", "b", "-t"]


@pytest.mark.parametrize("words", ["-e A=1", "-eA=1", "-e=A=1", "--env A=1", "--env=A=1", "-aeA=1"])
def test_a_value_may_stand_in_every_place_of_pflag(words: str) -> None:
    assert parse(words.split(), TABLE, ordered=True)[0].every("env") == ["A=1"]


def test_a_switch_takes_no_word_but_may_be_set_to_false() -> None:
    flags, arguments = parse(["--all=false", "--sig-proxy", "false"], TABLE, ordered=True)
    assert not flags.is_on("all")
    assert flags.is_on("sig-proxy")
    assert arguments == ["false"]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("--nope", "unknown flag: --nope"),
        ("-aZ", "unknown shorthand flag: 'Z' in -Z"),
        ("-e", "flag needs an argument: 'e' in -e"),
        ("--name", "flag needs an argument: --name"),
        ("--=x", "bad flag syntax: --=x"),
        ("-m 10x", 'invalid argument "10x" for "-m, --memory" flag: invalid suffix: \'x\''),
        ("-e=", 'invalid argument "=" for "-e, --env" flag: invalid environment variable: ='),
        (
            "-t x",
            'invalid argument "x" for "-t, --time" flag: strconv.ParseInt: parsing "x": invalid syntax',
        ),
    ],
)
def test_a_wrong_flag_is_named(words: str, problem: str) -> None:
    with pytest.raises(FlagError) as caught:
        parse(words.split(), TABLE, ordered=True)
    assert str(caught.value) == problem
    assert isinstance(caught.value, EngineError)
    assert caught.value.exit_code == 125


@pytest.mark.parametrize("words", ["--help", "-h", "-ah", "--all --help --nope"])
def test_help_is_asked_for(words: str) -> None:
    with pytest.raises(AskedForHelp):
        parse(words.split(), TABLE, ordered=True)


@pytest.mark.parametrize(
    ("kind", "value"),
    [("int", "1_0"), ("int", "99999999999999999999"), ("uint16", "-1"), ("", "yes"), ("bytes", "")],
)
def test_a_value_of_the_wrong_kind_is_refused(kind: str, value: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the words are compared with Docker's elsewhere
        check(kind, value)
