# SPDX-License-Identifier: Apache-2.0
"""Sockets, descriptors and pid files between caller and runtime (cli.md section 3)."""

import os
import posix
import socket
from pathlib import Path

import pytest

from pyoci import handover
from pyoci.errors import StepError


def listener(path: Path, backlog: int = 1) -> socket.socket:
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    place = os.open(path.parent, os.O_PATH)
    server.bind(f"/proc/self/fd/{place}/{path.name}")
    os.close(place)
    server.listen(backlog)
    return server


@pytest.mark.parametrize("depth", [0, 150])
def test_one_message_one_descriptor(tmp_path: Path, depth: int) -> None:
    """cli.md 3.1: payload and exactly one fd; case 110: a path of 150 characters."""
    directory = tmp_path / ("d" * depth) if depth else tmp_path
    directory.mkdir(exist_ok=True)
    read, write = os.pipe()
    with listener(directory / "sock") as server:
        sock = handover.connect(str(directory / "sock"))
        assert not os.get_inheritable(sock)
        peer, _ = server.accept()
        handover.send_fd(sock, write, b"/dev/pts/0")
        os.close(sock)
        os.close(write)
        with peer:
            payload, fds, _, _ = socket.recv_fds(peer, 4096, 8)
            assert peer.recv(1) == b""
    assert (payload, len(fds)) == (b"/dev/pts/0", 1)
    os.write(fds[0], b"x")
    assert os.read(read, 1) == b"x"
    os.close(fds[0])
    os.close(read)


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"connect to .*/absent: no such file or directory"):
        handover.connect(f"{tmp_path}/absent")


def test_nobody_listens(tmp_path: Path) -> None:
    listener(tmp_path / "sock").close()
    with pytest.raises(StepError, match="connection refused"):
        handover.connect(f"{tmp_path}/sock")


def test_a_peer_that_never_accepts_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """security.md, case 110: no leaked init, so no wait without end."""
    monkeypatch.setattr(handover, "_TIMEOUT_SECONDS", 1)
    with listener(tmp_path / "sock", 0):
        first = handover.connect(f"{tmp_path}/sock")
        with pytest.raises(StepError, match="nobody accepts"):
            handover.connect(f"{tmp_path}/sock")
        os.close(first)


def test_a_peer_that_closes_at_once_is_an_error(tmp_path: Path) -> None:
    with listener(tmp_path / "sock") as server:
        sock = handover.connect(f"{tmp_path}/sock")
        server.accept()[0].close()
    with pytest.raises(StepError, match="send a descriptor: broken pipe"):
        handover.send_fd(sock, 0, b"x")
    os.close(sock)


def test_preserved_descriptors_are_the_callers() -> None:
    first = os.dup2(0, 200, inheritable=True)
    os.dup2(0, 201, inheritable=True)
    ours = os.dup2(0, 202, inheritable=False)
    try:
        handover.check_preserved(0)
        handover.check_preserved(2, first)
        with pytest.raises(StepError, match=r"unable to stat preserved-fd 2 \(of 3\)"):
            handover.check_preserved(3, first)
        os.close(ours)
        with pytest.raises(StepError, match=r"unable to stat preserved-fd 0 \(of 1\)"):
            handover.check_preserved(1, ours)
    finally:
        os.closerange(200, 203)


@pytest.mark.parametrize(
    ("count", "pid", "found"),
    [
        ("2", "own", (2, ["LISTEN_FDS=2", "LISTEN_PID=1"])),
        ("2", "1", (0, [])),
        ("", "own", (0, [])),
        ("0", "own", (0, [])),
        ("-1", "own", (0, [])),
        ("²", "own", (0, [])),
    ],
)
def test_sockets_of_systemd_are_ours_only_with_our_pid(
    monkeypatch: pytest.MonkeyPatch, count: str, pid: str, found: tuple[int, list[str]]
) -> None:
    pid = str(os.getpid()) if pid == "own" else pid
    monkeypatch.setitem(posix.environ, b"LISTEN_FDS", count.encode())
    monkeypatch.setitem(posix.environ, b"LISTEN_PID", pid.encode())
    assert handover.listen_fds() == found


def test_no_socket_activation() -> None:
    assert handover.listen_fds() == (0, [])


def test_a_pid_file_is_a_number_without_a_newline(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text("a longer old text")
    handover.write_pid_file(str(path), 42)
    assert path.read_bytes() == b"42"
    assert os.listdir(tmp_path) == ["pid"]


def test_a_pid_file_survives_the_rest_of_a_killed_runtime(tmp_path: Path) -> None:
    (tmp_path / ".pid").symlink_to(tmp_path / "victim")
    handover.write_pid_file(f"{tmp_path}/pid", 42)
    assert os.listdir(tmp_path) == ["pid"]


def test_a_pid_file_without_a_directory(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"write pid file .*: no such file or directory"):
        handover.write_pid_file(f"{tmp_path}/absent/pid", 42)
