# SPDX-License-Identifier: Apache-2.0
"""The agent gets one ContainerProcessState with the listener, or the failure has runc's words."""

import array
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyoci.errors import PyociError
from pyoci.seccomp import agent

STATE: dict[str, object] = {"ociVersion": "1.3.0", "id": "c", "status": "creating", "pid": 7}


@pytest.fixture
def listener() -> Iterator[int]:
    """Return a descriptor that can be recognised: the end of a pipe."""
    reader, writer = os.pipe()
    yield reader
    os.close(reader)
    os.close(writer)


def serve(address: str | bytes) -> socket.socket:
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(address)
    server.listen(1)
    return server


def received(server: socket.socket) -> tuple[Any, list[int]]:
    """Accept one connection and read it to its end."""
    connection, _ = server.accept()
    text, fds = b"", array.array("i")
    with connection:
        while True:
            data, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(8))
            for _, _, payload in ancillary:
                fds.frombytes(payload)
            if not data:
                return json.loads(text), list(fds)
            text += data


def same_file(one: int, other: int) -> bool:
    return os.path.samestat(os.fstat(one), os.fstat(other))


def check(server: socket.socket, path: str, listener: int) -> None:
    with server:
        agent.send(path, listener, 7, "my metadata é", STATE)
        message, fds = received(server)
    assert message == {
        "ociVersion": "1.3.0",
        "fds": ["seccompFd"],
        "pid": 7,
        "metadata": "my metadata é",
        "state": STATE,
    }
    (fd,) = fds
    assert same_file(fd, listener)
    os.close(fd)


def test_a_path(tmp_path: Path, listener: int) -> None:
    path = str(tmp_path / "agent.sock")
    check(serve(path), path, listener)


def test_an_abstract_name(listener: int) -> None:
    name = f"pyoci-agent-{os.getpid()}"
    check(serve(b"\0" + name.encode()), f"@{name}", listener)


def test_a_path_longer_than_an_address(tmp_path: Path, listener: int) -> None:
    directory = tmp_path / ("d" * 120)
    directory.mkdir()
    handle = os.open(directory, os.O_PATH)
    server = serve(f"/proc/self/fd/{handle}/agent.sock")
    os.close(handle)
    check(server, str(directory / "agent.sock"), listener)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (Path.exists, "no such file or directory"),
        (lambda path: path.write_text(""), "connection refused"),
        (lambda path: path.mkdir(), "connection refused"),
    ],
)
def test_no_agent(
    tmp_path: Path, listener: int, make: Callable[[Path], object], reason: str
) -> None:
    path = tmp_path / "agent.sock"
    make(path)
    with pytest.raises(PyociError) as caught:
        agent.send(str(path), listener, 7, "", STATE)
    assert str(caught.value) == (
        f"failed to connect with seccomp agent specified in the seccomp profile: {path}: {reason}"
    )


def test_an_agent_that_never_reads(
    tmp_path: Path, listener: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "DEADLINE_S", 0.1)
    path = str(tmp_path / "agent.sock")
    with serve(path), pytest.raises(PyociError, match="failed to send to the seccomp agent"):
        agent.send(path, listener, 7, "m" * 10_000_000, STATE)


def test_descriptors_stay_ours_and_none_is_left(tmp_path: Path, listener: int) -> None:
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(PyociError):
        agent.send(str(tmp_path / "missing"), listener, 7, "", STATE)
    assert set(os.listdir("/proc/self/fd")) == before
    assert os.fstat(listener)
