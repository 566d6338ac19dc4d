# SPDX-License-Identifier: Apache-2.0
"""Debian's containerd with its CRI plugin, and what a kubelet says to it: gRPC and web sockets."""

import contextlib
import itertools
import json
import os
import socket
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
from blackbox import kernel
from blackbox.processes import Ran, text, until
from engines.configuration import configuration
from engines.containerd import CLIENT, SERVER
from engines.daemon import Daemon
from engines.image import NAME, PAUSE
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

# What the tests add to docs/engines/containerd.toml: places, no network but loopback's and a bridge's.
TESTS_OWN = """
root = "{directory}/root"
state = "{directory}/state"

[grpc]
address = "{directory}/containerd.sock"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{image}"
stream_server_address = "127.0.0.1"
restrict_oom_score_adj = true
disable_apparmor = true
device_ownership_from_security_context = true

[plugins."io.containerd.grpc.v1.cri".containerd]
default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{directory}/cni"
"""
NETWORK = {
    "cniVersion": "0.4.0",
    "name": "pods",
    "type": "bridge",
    "bridge": "pods0",
    "isGateway": True,
    "ipam": {"type": "host-local", "subnet": "10.85.0.0/24"},
}
HANDLER = "pyoci"
OWN_PROCESSES = {"namespace_options": {"pid": "CONTAINER"}}  # what a kubelet sends by default
SLEEP = ["sleep", "1000"]
END = "end-of-the-script"
# The first byte of a message: k8s.io/apiserver, wsstream, protocol v4.channel.k8s.io.
STDIN, STDOUT, STDERR, ERROR, RESIZE = range(5)
_numbers = itertools.count()


def messages() -> tuple[Any, Any]:
    """Return the modules that grpcio makes of cri.proto: messages, services."""
    made: tuple[Any, Any] = grpc.protos_and_services("engines/cri.proto")
    return made


class Stream:
    """A web socket to the CRI's streaming server: exec, attach or port-forward."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.output: dict[int, bytes] = {}

    def write(self, data: bytes, channel: int = STDIN) -> None:
        """Send bytes to a channel."""
        self.connection.send(bytes([channel]) + data)

    def receive(self) -> None:
        """Wait for one more message, at most ten seconds, and keep it."""
        message = self.connection.recv(timeout=10)
        assert isinstance(message, bytes)
        self.output[message[0]] = self.output.get(message[0], b"") + message[1:]

    def read_until(self, wanted: bytes, channel: int = STDOUT) -> bytes:
        """Wait until a channel has brought something, and return all of it."""
        while wanted not in self.output.get(channel, b""):
            self.receive()
        return self.output[channel]

    def end(self) -> dict[str, Any]:
        """Wait for the end and return its metav1.Status."""
        while ERROR not in self.output:
            self.receive()
        status: dict[str, Any] = json.loads(self.output[ERROR])
        return status


class Cri(Daemon):
    """A containerd whose handler "pyoci" is the runtime under test; "runc" is its default."""

    network = "own"

    def __init__(self, directory: Path, cgroup: str, program: str) -> None:
        super().__init__(directory, cgroup)
        (directory / "cni").mkdir()
        (directory / "logs").mkdir()
        (directory / "cni/pods.conf").write_text(json.dumps(NETWORK))
        self.address = f"{directory}/containerd.sock"
        self.client = [CLIENT, "--address", self.address, "--namespace", "k8s.io"]
        added = TESTS_OWN.format(directory=directory, image=PAUSE)
        documented = configuration("containerd.toml", program).replace("version = 2", added)
        (directory / "config.toml").write_text(f"version = 2\n{documented}")
        self.protos, services = messages()
        self.streams = contextlib.ExitStack()
        self.start_daemon()
        assert self.keeper is not None
        run = Path(f"/proc/{self.keeper.pid}/root/run")
        self.states = (run / "containerd/runc/k8s.io", "*")
        options = [("grpc.default_authority", "localhost"), ("grpc.enable_fork_support", 0)]
        self.channel = grpc.insecure_channel(f"unix://{self.address}", options)
        self.runtime: Any = services.RuntimeServiceStub(self.channel)

    def start_daemon(self) -> None:
        """Start containerd, also after its end."""
        configured = ["--config", str(self.directory / "config.toml"), "--log-level", "warn"]
        self.start([SERVER, *configured], ["version"])

    def load(self, archive: Path) -> None:
        """Import the images."""
        self.output("image", "import", str(archive))

    def call(self, name: str, **fields: Any) -> Any:
        """Call the runtime service; the fields are the request's."""
        method = getattr(self.runtime, name)
        descriptor = self.protos.DESCRIPTOR.services_by_name["RuntimeService"]
        kind = descriptor.methods_by_name[name].input_type.name
        return method(getattr(self.protos, kind)(**fields), timeout=30)

    def is_ready(self) -> bool:
        """Tell whether runtime and network are ready."""
        try:
            return all(one.status for one in self.call("Status").status.conditions)
        except grpc.RpcError:  # "server is not initialized yet"
            return False

    def pod(self, handler: str = HANDLER, hostname: str = "podhost", **linux: Any) -> "Pod":
        """Run a pod; `linux` are fields of LinuxPodSandboxConfig."""
        number = next(_numbers)
        config = {
            "metadata": {"name": f"pod{number}", "uid": f"u{number}", "namespace": "tests"},
            "hostname": hostname,
            "log_directory": str(self.directory / "logs"),
            "dns_config": {"servers": ["192.0.2.1"]},
            "linux": {
                "cgroup_parent": f"/{self.cgroup}",
                "security_context": OWN_PROCESSES,
                **linux,
            },
        }
        made = self.call("RunPodSandbox", config=config, runtime_handler=handler)
        return Pod(self, made.pod_sandbox_id, config)

    def stream(self, url: str, protocol: str = "v4.channel.k8s.io") -> Stream:
        """Connect to an address of the streaming server, in the daemon's network namespace."""
        place = urlsplit(url)
        assert self.keeper is not None
        assert place.hostname is not None
        connected = connect_inside(self.keeper.pid, (place.hostname, place.port or 0))
        target = url.replace("http://", "ws://")
        protocols = [Subprotocol(protocol)]
        return Stream(
            self.streams.enter_context(connect(target, sock=connected, subprotocols=protocols))
        )

    def end_clients(self) -> None:
        """Close the streams and end the clients of a test."""
        self.streams.close()
        super().end_clients()

    def remove_all(self) -> None:
        """Remove all pods."""
        for pod in self.call("ListPodSandbox").items:
            self.call("StopPodSandbox", pod_sandbox_id=pod.id)
            self.call("RemovePodSandbox", pod_sandbox_id=pod.id)

    def stop(self) -> list[str]:
        """Stop the daemon and say what it has left."""
        self.channel.close()
        return super().stop()


class Pod:
    """A pod sandbox, and what may be asked of the containers in it."""

    def __init__(self, cri: Cri, name: str, config: dict[str, Any]) -> None:
        self.cri = cri
        self.name = name
        self.config = config

    def create(
        self, *command: str, security: Any = None, resources: Any = None, **more: Any
    ) -> str:
        """Create a container and return its id; `more` are fields of ContainerConfig."""
        number = next(_numbers)
        config = {
            "metadata": {"name": f"c{number}"},
            "image": {"image": NAME},
            "command": list(command or SLEEP),
            "log_path": f"{number}.log",
            "linux": {
                "security_context": {**OWN_PROCESSES, **(security or {})},
                "resources": resources or {},
            },
            **more,
        }
        request = {"pod_sandbox_id": self.name, "config": config, "sandbox_config": self.config}
        made: str = self.cri.call("CreateContainer", **request).container_id
        return made

    def start(self, *command: str, **more: Any) -> str:
        """Create and start a container, and return its id."""
        name = self.create(*command, **more)
        self.cri.call("StartContainer", container_id=name)
        return name

    def says(self, script: str, **more: Any) -> str:
        """Run a shell script as a container that must succeed, and return what it wrote."""
        whole = f"{{ {script}\n}}; code=$?; echo {END}; exit $code"
        name = self.start("sh", "-c", whole, **more)
        self.wait(name)
        assert self.status(name).exit_code == 0, self.log(name)
        # The log is written meanwhile: of an ended container it may not be whole yet.
        until(lambda: self.log(name).endswith(f"{END}\n"), f"the log of {name} is whole")
        return self.log(name).removesuffix(f"{END}\n")

    def exec(self, name: str, *command: str, timeout: int = 0) -> Ran:
        """Run one more process in a container: ExecSync."""
        request = {"container_id": name, "cmd": list(command), "timeout": timeout}
        ran = self.cri.call("ExecSync", **request)
        return Ran(ran.exit_code, ran.stdout.decode(), ran.stderr.decode())

    def status(self, name: str) -> Any:
        """Return a container's status."""
        return self.cri.call("ContainerStatus", container_id=name).status

    def pid(self, name: str) -> int:
        """Return the pid of a container's init."""
        answer = self.cri.call("ContainerStatus", container_id=name, verbose=True)
        pid: int = json.loads(answer.info["info"])["pid"]
        return pid

    def wait(self, name: str) -> None:
        """Wait until a container has ended."""
        exited = self.cri.protos.CONTAINER_EXITED
        until(lambda: self.status(name).state == exited, f"{name} ends", 20)

    def log_path(self, name: str) -> str:
        """Return the path of a container's log."""
        answer = self.cri.call("ContainerStatus", container_id=name, verbose=True)
        place = json.loads(answer.info["info"])["config"]["log_path"]
        return os.path.join(self.config["log_directory"], place)

    def log(self, name: str) -> str:
        """Return what a container has written, without what the CRI writes before each line."""
        lines = text(self.log_path(name)).splitlines()
        return "".join(f"{line.split(' ', 3)[3]}\n" for line in lines)


def connect_inside(pid: int, address: tuple[str, int]) -> socket.socket:
    """Return a connection made in the network namespace of a process: setns(2) in a thread."""
    made: list[socket.socket] = []

    def enter() -> None:
        kernel.join_network(pid)
        made.append(socket.create_connection(address, timeout=10))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert made, f"no connection to {address}"
    return made[0]
