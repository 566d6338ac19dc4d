# SPDX-License-Identifier: Apache-2.0
"""sd_notify through the wall (cli.md section 3.5)."""

import os
import posix
import socket
import threading
from pathlib import Path

import pytest

from pyoci import notify
from pyoci.errors import StepError


class Manager:
    """A service manager that answers barriers."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.said: list[bytes] = []
        self.thread = threading.Thread(target=self.listen)
        self.thread.start()

    def listen(self) -> None:
        while not self.said or self.said[-1] != b"BARRIER=1":
            text, fds, _, _ = socket.recv_fds(self.socket, 4096, 4)
            self.said.append(text)
            for fd in fds:
                os.close(fd)

    def close(self) -> None:
        self.thread.join(10)
        self.socket.close()


def say(directory: Path, text: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.connect(f"{directory}/notify/notify.sock")
        client.send(text)


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_ready_is_told_then_the_main_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    abstract = f"pyoci-test-{os.getpid()}"
    address = f"{tmp_path}/host" if kind == "path" else f"@{abstract}"
    manager = Manager(address if kind == "path" else f"\0{abstract}")
    monkeypatch.setitem(posix.environ, b"NOTIFY_SOCKET", address.encode())
    assert notify.is_wanted()
    notify.prepare(str(tmp_path))
    relay = notify.Relay(str(tmp_path), 42)
    say(tmp_path, b"STATUS=starting")
    assert not relay.relay()
    say(tmp_path, b"STATUS=up\nREADY=1\nMAINPID=7")
    assert relay.relay()
    relay.close()
    manager.close()
    assert manager.said == [b"READY=1", b"MAINPID=42", b"BARRIER=1"]


def test_the_container_gets_a_read_only_mount_and_a_variable(tmp_path: Path) -> None:
    mount, variable = notify.prepare(str(tmp_path))
    assert variable == "NOTIFY_SOCKET=/run/notify/notify.sock"
    assert mount["source"] == f"{tmp_path}/notify"
    assert mount["destination"] == "/run/notify"
    assert set(mount["options"]) == {"bind", "nosuid", "noexec", "nodev", "ro"}
    assert (tmp_path / "notify").stat().st_mode & 0o7777 == 0o755
    assert notify.is_prepared(str(tmp_path))


def test_no_place_no_relay(tmp_path: Path) -> None:
    assert not notify.is_prepared(str(tmp_path))
    with pytest.raises(StepError, match=r"bind .*/notify.sock: no such file or directory"):
        notify.Relay(str(tmp_path), 1)


def test_anybody_in_the_container_may_write(tmp_path: Path) -> None:
    notify.prepare(str(tmp_path))
    before = os.umask(0o077)
    relay = notify.Relay(str(tmp_path), 1)
    assert os.umask(before) == 0o077
    assert (tmp_path / "notify/notify.sock").stat().st_mode & 0o777 == 0o777
    relay.close()


def test_a_second_start_takes_the_name_over(tmp_path: Path) -> None:
    notify.prepare(str(tmp_path))
    notify.Relay(str(tmp_path), 1).close()
    notify.Relay(str(tmp_path), 1).close()


def test_a_state_directory_may_be_deep(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 150)
    deep.mkdir()
    notify.prepare(str(deep))
    notify.Relay(str(deep), 1).close()


def test_waiting_ends_with_the_process(tmp_path: Path) -> None:
    notify.prepare(str(tmp_path))
    relay = notify.Relay(str(tmp_path), 1)
    pid = os.posix_spawn("/bin/true", ["true"], {})
    pidfd = os.pidfd_open(pid)
    relay.wait(pidfd)
    os.waitpid(pid, 0)
    os.close(pidfd)
    relay.close()


def test_without_a_caller_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(posix.environ, b"NOTIFY_SOCKET", b"")
    assert not notify.is_wanted()
