# SPDX-License-Identifier: Apache-2.0
"""RUN --mount=type=ssh: a socket for one step, behind which the user's agent lists its keys and signs, and does nothing else.

A Dockerfile may be a stranger's: it cannot add, remove or lock keys (draft-miller-ssh-agent, 5.1). Files of keys are given to an
agent of the build's own, ssh-agent(1), which ends with it.
"""

import os
import threading

from pyoci.engine.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from socket import socket
    from subprocess import Popen

_LIST, _SIGN = 11, 13  # SSH_AGENTC_REQUEST_IDENTITIES, SSH_AGENTC_SIGN_REQUEST
_FAILURE = b"\0\0\0\1\5"  # SSH_AGENT_FAILURE
_LONGEST = 256 << 10  # bytes of a message; what ssh-agent(1) takes
_WAITING = 16
_SOCKET = "agent"


class Forwarder:
    """The socket: in a directory of its own, for whoever the mount is for."""

    def __init__(self, path: str, agent: str, mode: int, owner: tuple[int, int]) -> None:
        import socket

        self.agent = agent
        self.connections: list[socket.socket] = []
        self.listener = socket.socket(socket.AF_UNIX)
        bind(self.listener, path)
        os.chmod(path, mode)
        os.chown(path, *owner)
        self.listener.listen(_WAITING)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """End it, with whatever is open."""
        from socket import SHUT_RDWR

        for end in (self.listener, *self.connections):
            try:
                end.shutdown(SHUT_RDWR)
            except OSError:
                continue  # it has ended by itself

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                self.listener.close()
                return
            self.connections.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: "socket") -> None:
        """Answer one program until it hangs up."""
        from socket import AF_UNIX, socket

        try:
            with client, socket(AF_UNIX) as agent:
                connect(agent, self.agent)
                while request := _message(client):
                    if request[0] in (_LIST, _SIGN):
                        agent.sendall(len(request).to_bytes(4, "big") + request)
                        answer = _message(agent)
                        client.sendall(len(answer).to_bytes(4, "big") + answer)
                    else:
                        client.sendall(_FAILURE)
        except OSError:
            return  # either end has gone: so has the other
        finally:
            self.connections.remove(client)


def _message(end: "socket") -> bytes:
    """Return the next message, b"" at the end or for one that is too long."""
    length = int.from_bytes(_exactly(end, 4), "big")
    return _exactly(end, length) if length <= _LONGEST else b""


def _exactly(end: "socket", count: int) -> bytes:
    data = b""
    while len(data) < count and (piece := end.recv(count - len(data))):
        data += piece
    return data if len(data) == count else b""


def bind(end: "socket", path: str) -> None:
    """Bind to a path of any length: the kernel's own limit is 108 bytes."""
    _by_directory(end.bind, path)


def connect(end: "socket", path: str) -> None:
    """Connect to a path of any length."""
    _by_directory(end.connect, path)


def _by_directory(call: "Callable[[str], None]", path: str) -> None:
    directory, _, name = os.path.abspath(path).rpartition("/")
    fd = os.open(directory or "/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        call(f"/proc/self/fd/{fd}/{name}")
    finally:
        os.close(fd)


class Keys:
    """An agent of our own, with these keys in it."""

    def __init__(self, directory: str, files: "Sequence[str]") -> None:
        """Start it in a new directory. Raises EngineError for a key that cannot be read, or has a password."""
        import subprocess

        os.mkdir(directory, 0o700)
        self.socket = f"{directory}/{_SOCKET}"
        program = ["setpriv", "--pdeathsig", "KILL", "ssh-agent", "-D", "-a", _SOCKET]
        quiet = subprocess.DEVNULL
        self.process: Popen[bytes] = subprocess.Popen(
            program, cwd=directory, stdin=quiet, stdout=subprocess.PIPE, stderr=quiet
        )
        assert self.process.stdout is not None
        self.process.stdout.readline()  # it tells of its socket when that is there
        environment = {**os.environ, "SSH_AUTH_SOCK": _SOCKET, "SSH_ASKPASS_REQUIRE": "never"}
        for file in files:
            ran = subprocess.run(
                ["ssh-add", "-q", os.path.abspath(file)],
                cwd=directory,
                env=environment,
                stdin=quiet,
                capture_output=True,
                check=False,
                start_new_session=True,  # without a terminal nobody can be asked for a password
            )
            if ran.returncode:
                self.close()
                said = ran.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
                raise EngineError(f"ssh key {file}: {said or 'it needs a password: use an agent'}")

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
