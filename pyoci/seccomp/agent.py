# SPDX-License-Identifier: Apache-2.0
"""Hand the seccomp listener to its agent (config-linux.md#containerprocessstate)."""

import _socket
import os
import sys

from pyoci import SPEC_VERSION
from pyoci.errors import PyociError

DEADLINE_S = 10.0
LONGEST_PATH = 107  # bytes in sockaddr_un.sun_path, without the NUL


def send(
    listener_path: str, listener_fd: int, pid: int, metadata: str, state: dict[str, object]
) -> None:
    """Send one ContainerProcessState and the listener over a connection of its own, then close it.

    `listener_path` may name an abstract socket (@name). An agent that does not answer in time is
    a failure as well: nobody would serve the calls of the container.
    """
    import json  # only a profile with a listener comes here

    message = {
        "ociVersion": SPEC_VERSION,
        "fds": ["seccompFd"],
        "pid": pid,
        "metadata": metadata,
        "state": state,
    }
    agent = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        agent.settimeout(DEADLINE_S)
        _connect(agent, listener_path)
        _send(agent, json.dumps(message).encode(), listener_fd)
    finally:
        agent.close()


def _connect(agent: _socket.socket, path: str) -> None:
    try:
        _connect_to(agent, os.fsencode(path))
    except OSError as error:
        # runc's words, on which its tests match.
        raise PyociError(
            "failed to connect with seccomp agent specified in the seccomp profile: "
            f"{path}: {_reason(error)}"
        ) from error


def _connect_to(agent: _socket.socket, address: bytes) -> None:
    if address.startswith(b"@"):
        agent.connect(b"\0" + address[1:])
    elif len(address) <= LONGEST_PATH:
        agent.connect(address)
    else:
        directory, name = os.path.split(address)
        fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            agent.connect(b"/proc/self/fd/%d/%s" % (fd, name))
        finally:
            os.close(fd)


def _send(agent: _socket.socket, message: bytes, fd: int) -> None:
    rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fd.to_bytes(4, sys.byteorder))]
    try:
        sent = agent.sendmsg([message], rights, _socket.MSG_NOSIGNAL)
        while sent < len(message):
            sent += agent.send(message[sent:], _socket.MSG_NOSIGNAL)
    except OSError as error:
        raise PyociError(f"failed to send to the seccomp agent: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    return (error.strerror or "it does not answer").lower()
