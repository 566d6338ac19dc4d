# SPDX-License-Identifier: Apache-2.0
"""`exec`: terminals, detaching, what becomes of a process that nobody waits for; as with Docker."""

import hashlib
import os
import signal
import subprocess
import termios

import pytest
from blackbox.processes import text, until
from sides import PYPOD, Oracle, Pypod, same
from test_same_as_docker import words_of

pytestmark = pytest.mark.root

LINES = """
    exec -d one nosuch
    exec -d one sh -c exit\xa03
    exec -d -w rel one true
    exec -d -u nosuch one true
    exec -td one sh -c tty>/tty;stty\xa0size\xa0>/size
    exec one sh -c until\xa0test\xa0-s\xa0/tty;do\xa0:;done;cat\xa0/tty
    exec -t one printf one\\ntwo\\n
    exec -t one sh -c exit\xa03
    exec -t one sh -c sleep\xa01000&exit\xa04
    exec -it one true
    exec --env-file /nosuch one true
"""


def test_it_says_the_same(pypod: Pypod, oracle: Oracle) -> None:
    """Lines of a terminal end in CR LF whatever they are written to; what cannot begin is an error, detached, too."""
    for side in (pypod, oracle):
        side.output("run", "-d", "--name", "one", "--network", "none", "box", "sleep", "1000")
    for line in LINES.strip().splitlines():
        ours, theirs = (same(side(*words_of(line.strip()))) for side in (pypod, oracle))
        assert ours == (theirs[0], theirs[1], theirs[2].replace(": unknown\n", "\n")), line


def actions(pypod: Pypod) -> list[str]:
    """Return what is told of the ends of processes, and of detaching."""
    form = "{{.Action}} {{.Actor.Attributes.exitCode}}"
    wanted = [word for name in ("exec_die", "exec_detach") for word in ("-f", f"event={name}")]
    lines = pypod.output("events", "--since", "1h", "--until", "0s", *wanted, "--format", form)
    return lines.splitlines()


def test_the_end_of_a_detached_process_is_told(pypod: Pypod) -> None:
    """Its status is its own, though no command waits for it."""
    pypod.start("one", "exec sleep 1000")
    for options in (["-d"], ["-td"]):
        before = len(actions(pypod))
        pypod.output("exec", *options, "one", "sh", "-c", "until test -e /go; do :; done; exit 3")
        assert len(actions(pypod)) == before
        pypod.output("exec", "one", "touch", "/go")
        until(lambda: "exec_die 3" in actions(pypod)[before:], "its end is told")  # noqa: B023 - called at once
        pypod.output("exec", "one", "rm", "/go")


@pytest.mark.parametrize("option", ["-d", "-td"])
def test_nothing_of_the_caller_stays_open(option: str, pypod: Pypod) -> None:
    """A script that reads a pipe sees its end when the command ends, not when the process does."""
    pypod.start("one", "exec sleep 1000")
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    subprocess.run(
        [str(PYPOD), "exec", option, "one", "sleep", "1000"],
        env=pypod.environment, pass_fds=[writing], check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(writing)
    os.set_blocking(reading, False)
    until(lambda: is_at_end(reading), "nobody has it open")
    os.close(reading)


def is_at_end(fd: int) -> bool:
    """Tell whether nobody writes into a pipe any more."""
    try:
        return os.read(fd, 1) == b""
    except BlockingIOError:
        return False


@pytest.mark.parametrize(
    ("options", "configured", "keys"),
    [
        ((), "{}", "\x10\x11"),
        ((), '{"detachKeys": "ctrl-b,q"}', "\x02q"),
        (("--detach-keys", "ctrl-a,x"), '{"detachKeys": "q"}', "\x01x"),
    ],
)
def test_detach_keys_leave_it_running(
    options: tuple[str, ...], configured: str, keys: str, pypod: Pypod
) -> None:
    """As in attach: its terminal stays, its end is told with its status; Docker's configuration may name other keys."""
    (pypod.directory / ".docker").mkdir(exist_ok=True)
    (pypod.directory / ".docker/config.json").write_text(configured)
    pypod.start("one", "exec sleep 1000")
    before = len(actions(pypod))
    script = "stty size; tty; until test -e /go; do :; done; echo still here; touch /well; exit 7"
    client = pypod.terminal("exec", "-it", *options, "one", "sh", "-c", script)
    try:
        assert client.read_until("/dev/pts/0\r\n") == "33 99\r\n/dev/pts/0\r\n"
        client.write(keys)
        client.read_until("read escape sequence\r\n")
        assert client.wait() == 0
    finally:
        client.close()
    pypod.output("exec", "one", "touch", "/go")
    ends = ["exec_detach <no value>", "exec_die 0", "exec_die 7"]
    until(lambda: sorted(actions(pypod)[before:]) == ends, "its end is told")
    pypod.output("exec", "one", "test", "-e", "/well")


def test_a_key_that_is_none_is_refused(pypod: Pypod) -> None:
    """Before anything begins."""
    pypod.start("one", "exec sleep 1000")
    ran = pypod("exec", "--detach-keys", "ctrl-xx", "one", "touch", "/made")
    assert (ran.code, ran.stderr) == (1, "Error: Invalid escape keys (ctrl-xx) provided\n")
    assert pypod("exec", "one", "test", "-e", "/made").code == 1


def test_input_that_nobody_reads_waits(pypod: Pypod) -> None:
    """A terminal has room for 4 kB: more waits, and output goes on meanwhile."""
    pypod.start("one", "exec sleep 1000")
    script = "stty -icanon -echo; echo ready; until test -e /go; do :; done; head -c 20000 | md5sum"
    client = pypod.terminal("exec", "-it", "one", "sh", "-c", script)
    try:
        client.read_until("ready\r\n")
        client.write("0123456789" * 2000)
        pypod.output("exec", "one", "touch", "/go")
        wanted = hashlib.md5(b"0123456789" * 2000, usedforsecurity=False).hexdigest()
        client.read_until(f"{wanted}  -\r\n")
        assert client.wait() == 0
    finally:
        client.close()


def test_a_signal_ends_it_and_the_terminal_is_as_before(pypod: Pypod) -> None:
    """It goes to the process, whose status is ours."""
    pypod.start("one", "exec sleep 1000")
    client = pypod.terminal("exec", "-it", "one", "sh", "-c", "echo ready; exec sleep 1000")
    try:
        client.read_until("ready\r\n")
        (program,) = text(f"/proc/{client.process.pid}/task/{client.process.pid}/children").split()
        os.kill(int(program), signal.SIGTERM)
        assert client.wait() == 128 + signal.SIGTERM
        assert termios.tcgetattr(client.master) == client.modes
    finally:
        client.close()
