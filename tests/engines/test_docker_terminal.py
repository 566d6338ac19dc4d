# SPDX-License-Identifier: Apache-2.0
"""`docker run -it`, `docker exec -it`, `docker attach` under a real pseudo-terminal."""

import termios

from blackbox.console import Foreground, resize_until
from blackbox.processes import until
from engines.docker import Docker

DETACH = "\x10\x11"  # Ctrl-P Ctrl-Q
SIZE = "until [ \"$(stty size)\" = '{}' ]; do usleep 10000; done; echo seen"


def has_shell(terminal: Foreground) -> Foreground:
    """Wait until a shell in the terminal has the terminal's size and answers."""
    terminal.write(SIZE.format("33 99") + "-$((6 * 7))\n")
    terminal.read_until("seen-42")
    return terminal


def test_a_shell_in_a_terminal(docker: Docker) -> None:
    """docker run -it: a prompt, the size of the user's terminal, the exit code."""
    terminal = has_shell(docker.interactive("--", "sh"))
    terminal.write("exit 9\n")
    assert terminal.wait() == 9


def test_a_terminal_is_resized(docker: Docker) -> None:
    """cli.md 3.1: the master was sent, so the engine's ioctl reaches the container."""
    terminal = has_shell(docker.interactive("--", "sh"))
    terminal.write(SIZE.format("21 55") + "-$((7 * 7))\n")
    resize_until(terminal.master, 21, 55, "seen-49")


def test_a_change_of_size_is_a_signal(docker: Docker) -> None:
    """signal(7): SIGWINCH comes to the foreground of a controlling terminal."""
    script = "trap 'echo got-$((5 * 5))' WINCH; echo ready; while :; do usleep 10000; done"
    terminal = docker.interactive("--", "sh", "-c", script)
    terminal.read_until("ready")
    terminal.read_until("got-25")  # the client's first resize
    resize_until(terminal.master, 20, 50, "got-25")


def test_the_terminal_is_the_container_s_own(docker: Docker) -> None:
    """config.md#process: a terminal of the container's devpts, also on /dev/console."""
    script = "tty; stat -c %t:%T /dev/console $(tty) | uniq | wc -l; echo end"
    terminal = docker.interactive("--", "sh", "-c", script)
    assert terminal.read_until("end").split() == ["/dev/pts/0", "1", "end"]


def test_the_interrupt_key(docker: Docker) -> None:
    """A controlling terminal: Ctrl-C is SIGINT for the foreground."""
    script = "trap 'echo interrupted; exit 3' INT; echo ready; while :; do usleep 10000; done"
    terminal = docker.interactive("--", "sh", "-c", script)
    terminal.read_until("ready")
    terminal.write("\x03")
    terminal.read_until("interrupted")
    assert terminal.wait() == 3


def test_the_user_owns_the_terminal(docker: Docker) -> None:
    """cli.md 3.1: the owner of the slave is the process's user."""
    script = "stat -c %u $(tty); echo again > /dev/tty"
    terminal = docker.interactive("--user", "1000", "--", "sh", "-c", script)
    assert terminal.read_until("again").split() == ["1000", "again"]
    assert terminal.wait() == 0


def test_the_user_s_terminal_is_restored(docker: Docker) -> None:
    """Raw while the client runs, as before when it has ended."""
    terminal = has_shell(docker.interactive("--", "sh"))
    assert not termios.tcgetattr(terminal.slave)[3] & termios.ECHO
    terminal.write("exit\n")
    terminal.wait()
    assert termios.tcgetattr(terminal.slave) == terminal.modes


def test_lines_end_as_on_a_terminal(docker: Docker) -> None:
    """runc#1146: one carriage return a line, not two."""
    terminal = docker.interactive("--", "printf", "a\\nb\\nend")
    assert terminal.read_until("end").startswith("a\r\nb\r\nend")


def test_a_long_output_is_complete(docker: Docker) -> None:
    """What was written before the end of the process arrives, however much it is."""
    terminal = docker.interactive("--", "seq", "20000")
    text = terminal.read_until("20000\r\n")
    assert text.split() == [str(number) for number in range(1, 20001)]
    assert terminal.wait() == 0


def test_detach_and_attach(docker: Docker) -> None:
    """The container goes on when the user's terminal has gone."""
    first = docker.terminal("run", "-it", "--name", "attached", "box", "sh")
    has_shell(first).write("kept=value\n")
    first.write(DETACH)
    assert first.wait() == 0
    second = docker.terminal("attach", "attached")
    second.write("echo $kept-$((6 * 7)); exit 4\n")
    second.read_until("value-42")
    assert second.wait() == 4


def test_a_terminal_without_a_user(docker: Docker) -> None:
    """docker run -dt: the log has the terminal's output."""
    name = docker.start_container("-t", "--", "sh", "-c", "tty; echo error >&2; sleep 1000")
    assert docker.logged(name, "error").split() == ["/dev/pts/0", "error"]


def test_exec_in_a_terminal(docker: Docker) -> None:
    """docker exec -it: a second terminal, with its own size and exit code."""
    name = docker.start_container("-t", "--", "sleep", "1000")
    terminal = has_shell(docker.terminal("exec", "-it", name, "sh"))
    terminal.write("tty; exit 6\n")
    terminal.read_until("/dev/pts/1")
    assert terminal.wait() == 6


def test_exec_in_a_terminal_is_resized(docker: Docker) -> None:
    """The terminal of exec is the engine's to change, too."""
    name = docker.start_container("--", "sleep", "1000")
    terminal = has_shell(docker.terminal("exec", "-it", name, "sh"))
    terminal.write(SIZE.format("21 55") + "-$((7 * 7))\n")
    resize_until(terminal.master, 21, 55, "seen-49")
    terminal.write("exit\n")
    assert terminal.wait() == 0


def test_exec_in_a_terminal_as_a_user(docker: Docker) -> None:
    """docker exec -it -u -w -e."""
    name = docker.start_container("--", "sleep", "1000")
    options = ["-it", "-u", "user", "-w", "/tmp", "-e", "OWN=value"]
    terminal = docker.terminal(
        "exec", *options, name, "sh", "-c", "id -un; pwd; echo $OWN; stat -c %u $(tty); echo end"
    )
    assert terminal.read_until("end").split() == ["user", "/tmp", "value", "1000", "end"]


def test_the_end_of_a_container_ends_its_terminals(docker: Docker) -> None:
    """Killed from outside, both clients come back: 137."""
    first = docker.terminal("run", "-it", "--name", "killed", "box", "sh")
    has_shell(first)
    second = has_shell(docker.terminal("exec", "-it", "killed", "sh"))
    docker.output("kill", "killed")
    assert first.wait() == 137
    assert second.wait() == 137
    until(lambda: not docker.state("killed")["Running"], "the daemon knows it")
