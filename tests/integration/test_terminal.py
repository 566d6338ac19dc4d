# SPDX-License-Identifier: Apache-2.0
"""Terminals: the console socket, the foreground proxy, resizing, exec -t."""

import os
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from blackbox.bundle import Bundle, MakeBundle
from blackbox.console import Foreground, Receiver, read_until, resize, resize_until, size
from blackbox.processes import is_alive, until
from blackbox.runtime import ENVIRONMENT, Container, Runtime


@pytest.fixture
def receiver(scratch: Path) -> Iterator[Receiver]:
    """A console socket."""
    made = Receiver(scratch / "console.sock")
    yield made
    made.close()


@pytest.fixture
def foreground(runtime: Runtime) -> Iterator[Callable[..., Foreground]]:
    """Run commands of the runtime in the foreground of a terminal."""
    made: list[Foreground] = []

    def run(*args: str) -> Foreground:
        made.append(Foreground(runtime.command(*args), ENVIRONMENT))
        return made[-1]

    yield run
    for each in made:
        each.close()


def with_terminal(bundle: MakeBundle, script: str, **edits: Any) -> Bundle:
    """Return a bundle whose process has a terminal."""
    return bundle(sh=script, terminal=True, **edits)


def detached(runtime: Runtime, made: Bundle, receiver: Receiver) -> tuple[Container, int, bytes]:
    """Create and start a container with a console socket; return the terminal that was sent."""
    container = runtime.create(made, "--console-socket", str(receiver.path))
    payload, master = receiver.receive()
    container.start()
    return container, master, payload


def test_the_terminal_is_sent(runtime: Runtime, bundle: MakeBundle, receiver: Receiver) -> None:
    """cli.md 3.1: one message, one descriptor, before create returns."""
    made = with_terminal(bundle, "tty; echo done; sleep 1000")
    _, master, payload = detached(runtime, made, receiver)
    assert 0 < len(payload) < 4096
    assert "/dev/pts/0" in read_until(master, "done")


def test_the_terminal_is_a_controlling_terminal(
    runtime: Runtime, bundle: MakeBundle, receiver: Receiver
) -> None:
    """cli.md 3.1: TIOCSCTTY: ^C reaches the foreground process."""
    script = "trap 'echo interrupted; exit' INT; echo ready; while :; do sleep 0.05; done"
    _, master, _ = detached(runtime, with_terminal(bundle, script), receiver)
    read_until(master, "ready")
    os.write(master, b"\x03")
    read_until(master, "interrupted")


def test_dev_tty_and_dev_console_work(
    runtime: Runtime, bundle: MakeBundle, receiver: Receiver
) -> None:
    """cli.md 3.1: the slave is bound on /dev/console; R16c: both are the same device."""
    script = (
        "echo tty >/dev/tty; stat -L -c '%t:%T' /dev/console /proc/self/fd/0; echo done; sleep 1000"
    )
    _, master, _ = detached(runtime, with_terminal(bundle, script), receiver)
    lines = read_until(master, "done").split()
    assert lines[0] == "tty"
    assert lines[1] == lines[2]
    assert lines[1].startswith("88:")


def test_the_console_size_is_set(runtime: Runtime, bundle: MakeBundle, receiver: Receiver) -> None:
    """config.md#process: consoleSize."""
    made = with_terminal(
        bundle, "stty size; echo done; sleep 1000", consoleSize={"height": 11, "width": 22}
    )
    _, master, _ = detached(runtime, made, receiver)
    assert "11 22" in read_until(master, "done")
    assert size(master) == (11, 22)


def test_a_resize_is_seen(runtime: Runtime, bundle: MakeBundle, receiver: Receiver) -> None:
    """TIOCSWINSZ on the master: SIGWINCH in the container."""
    script = "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.05; done"
    _, master, _ = detached(runtime, with_terminal(bundle, script), receiver)
    read_until(master, "ready")
    resize(master, 44, 55)
    read_until(master, "44 55")


def test_the_terminal_belongs_to_the_user(
    runtime: Runtime, bundle: MakeBundle, receiver: Receiver
) -> None:
    """cli.md 3.1: slave owner uid = process uid, gid stays 5."""
    made = with_terminal(
        bundle,
        "stat -L -c %u:%g /proc/self/fd/0; echo x >/proc/self/fd/1; echo done; sleep 1000",
        user={"uid": 1000, "gid": 1000},
    )
    _, master, _ = detached(runtime, made, receiver)
    assert "1000:5" in read_until(master, "done")


@pytest.mark.root("gives files to the ids of the container")
def test_a_terminal_in_a_user_namespace(
    runtime: Runtime, bundle: MakeBundle, receiver: Receiver
) -> None:
    """cli.md 3.1, with mapped ids."""
    made = with_terminal(bundle, "tty; stat -L -c %u /proc/self/fd/0; echo done; sleep 1000")
    made.map_users()
    _, master, _ = detached(runtime, made.write(), receiver)
    assert read_until(master, "done").split()[:2] == ["/dev/pts/0", "0"]


def test_a_socket_with_a_long_path(runtime: Runtime, bundle: MakeBundle, scratch: Path) -> None:
    """Case 110: 150 characters; an error or success, and nothing left."""
    deep = scratch / ("d" * 70) / ("e" * 70)
    deep.mkdir(parents=True)
    receiver = Receiver(deep / "s")
    made = with_terminal(bundle, "sleep 1000")
    container, ran = runtime.try_create(made, "--console-socket", str(receiver.path))
    if runtime.name == "pyoci":
        assert ran.code == 0
        receiver.receive()
        container.delete("--force")
    receiver.close()


def test_a_missing_socket_is_an_error(runtime: Runtime, bundle: MakeBundle, scratch: Path) -> None:
    """Case 110: absent."""
    path = str(scratch / "nothere.sock")
    runtime.refuses(with_terminal(bundle, "sleep 1000"), "--console-socket", path)


def test_a_socket_that_closes_at_once(
    runtime: Runtime, bundle: MakeBundle, receiver: Receiver
) -> None:
    """Case 110: an error or a container, no hang, nothing left."""
    receiver.listener.close()
    runtime.refuses(with_terminal(bundle, "sleep 1000"), "--console-socket", str(receiver.path))


def test_a_terminal_needs_a_socket_when_detached(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2: runc's words."""
    message = runtime.refuses(with_terminal(bundle, "true"))
    assert "cannot allocate tty if runc will detach without setting console socket" in message


def test_a_socket_needs_a_terminal(
    runtime: Runtime, bundle: MakeBundle, receiver: Receiver
) -> None:
    """cli.md 2: runc's words."""
    message = runtime.refuses(bundle("true"), "--console-socket", str(receiver.path))
    assert "cannot use console socket if runc will not detach or allocate tty" in message


def test_run_in_the_foreground_of_a_terminal(
    runtime: Runtime, bundle: MakeBundle, foreground: Callable[..., Foreground]
) -> None:
    """cli.md 3.1: the proxy: output, input, exit status."""
    made = with_terminal(bundle, 'tty; read line; echo "got $line"; exit 5')
    terminal = foreground(*runtime.making("run", made))
    terminal.read_until("/dev/pts/0")
    terminal.write("hello\n")
    terminal.read_until("got hello")
    assert terminal.wait() == 5


def test_the_terminal_is_restored(
    runtime: Runtime, bundle: MakeBundle, foreground: Callable[..., Foreground]
) -> None:
    """cli.md 3.1: raw while it runs, as before afterwards."""
    made = with_terminal(bundle, "echo ready; read line")
    terminal = foreground(*runtime.making("run", made))
    terminal.read_until("ready")
    raw = termios.tcgetattr(terminal.master)
    assert not raw[3] & termios.ICANON
    assert not raw[3] & termios.ECHO
    terminal.write("\n")
    assert terminal.wait() == 0
    assert termios.tcgetattr(terminal.master) == terminal.modes


def test_the_terminal_is_restored_after_a_kill(
    runtime: Runtime, bundle: MakeBundle, foreground: Callable[..., Foreground]
) -> None:
    """cli.md 3.1: restored in every case."""
    command = runtime.making("run", with_terminal(bundle, "echo ready; sleep 1000"))
    terminal = foreground(*command)
    terminal.read_until("ready")
    assert runtime("kill", command[-1], "KILL").code == 0
    assert terminal.wait() == 137
    assert termios.tcgetattr(terminal.master) == terminal.modes


def test_the_size_is_passed_on(
    runtime: Runtime, bundle: MakeBundle, foreground: Callable[..., Foreground]
) -> None:
    """cli.md 3.1: SIGWINCH -> TIOCSWINSZ, at the beginning and on every change."""
    script = "trap 'stty size' WINCH; stty size; while :; do sleep 0.05; done"
    terminal = foreground(*runtime.making("run", with_terminal(bundle, script)))
    seen = terminal.read_until("\n")
    if "33 99" not in seen and runtime.name != "runc":
        terminal.read_until("33 99")
    resize_until(terminal.master, 40, 50, "40 50")


def test_control_characters_go_to_the_container(
    runtime: Runtime, bundle: MakeBundle, foreground: Callable[..., Foreground]
) -> None:
    """cli.md 3.1: raw mode: ^C is the container's."""
    script = "trap 'echo interrupted; exit 4' INT; echo ready; while :; do sleep 0.05; done"
    terminal = foreground(*runtime.making("run", with_terminal(bundle, script)))
    terminal.read_until("ready")
    terminal.write("\x03")
    terminal.read_until("interrupted")
    assert terminal.wait() == 4


def test_a_lot_of_output_arrives_whole(
    runtime: Runtime, bundle: MakeBundle, foreground: Callable[..., Foreground]
) -> None:
    """cli.md 3.1: nothing of the last output is lost when the process ends."""
    terminal = foreground(*runtime.making("run", with_terminal(bundle, "seq 20000; echo the-end")))
    assert "\n19999\r\n20000\r\nthe-end" in terminal.read_until("the-end")
    assert terminal.wait() == 0


@pytest.mark.expect_fail_on("runc", "runc 1.1 wants a controlling terminal")
def test_a_terminal_without_one_on_stdin(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 3.1: stdin is not a tty: it must still work."""
    ran = runtime.run(with_terminal(bundle, "tty; exit 3"))
    assert (ran.code, ran.stdout.strip()) == (3, "/dev/pts/0"), ran


def test_exec_with_a_terminal(
    runtime: Runtime, bundle: MakeBundle, foreground: Callable[..., Foreground]
) -> None:
    """cli.md 2, exec --tty in the foreground."""
    container = runtime.start(bundle("sleep", "1000"))
    terminal = foreground("exec", "-t", container.id, "sh", "-c", "tty; stty size; read l; exit 6")
    assert "/dev/pts/" in terminal.read_until("\n")
    terminal.write("\n")
    assert terminal.wait() == 6
    assert termios.tcgetattr(terminal.master) == terminal.modes


def test_exec_with_a_console_socket(
    runtime: Runtime, bundle: MakeBundle, receiver: Receiver
) -> None:
    """cli.md 2, exec --console-socket --detach."""
    container = runtime.start(bundle("sleep", "1000"))
    pid_file = runtime.scratch / "pid"
    options = ["--console-socket", str(receiver.path), "--pid-file", str(pid_file)]
    ran = container.exec("--tty", "--detach", *options, "--", "sh", "-c", "tty; echo done; read x")
    assert ran.code == 0, ran
    _, master = receiver.receive()
    assert "/dev/pts/" in read_until(master, "done")
    os.write(master, b"\n")
    until(lambda: not is_alive(int(pid_file.read_text())), "it has ended")
