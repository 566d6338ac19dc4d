# SPDX-License-Identifier: Apache-2.0
"""Handing over: preserved descriptors, socket activation, pidfds, NOTIFY_SOCKET."""

import os
import select
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from blackbox.bundle import MakeBundle, bind
from blackbox.console import Receiver
from blackbox.processes import is_alive, patience, text, until
from blackbox.runtime import ENVIRONMENT, Runtime


@pytest.fixture
def receiver(scratch: Path) -> Iterator[Receiver]:
    """A socket for a pidfd."""
    made = Receiver(scratch / "pidfd.sock")
    yield made
    made.close()


def opening(path: Path, *numbers: int) -> list[str]:
    """Return a wrapper that opens a file at some descriptors."""
    opens = " ".join(f"{number}<{path}" for number in numbers)
    return ["bash", "-c", f'exec {opens}; exec "$@"', "bash"]


@pytest.fixture
def data(scratch: Path) -> Path:
    """A file to hand over."""
    path = scratch / "data"
    path.write_text("handed\n")
    return path


def test_descriptors_are_preserved(runtime: Runtime, bundle: MakeBundle, data: Path) -> None:
    """cli.md 3.4, --preserve-fds: 3..3+N-1."""
    made = bundle(sh="cat <&3; cat <&4; ls /proc/self/fd")
    out = runtime.output(made, "--preserve-fds", "2", wrap=opening(data, 3, 4, 5))
    assert out.split() == ["handed", "handed", "0", "1", "2", "3", "4", "5"]


def test_no_descriptor_is_preserved_by_default(
    runtime: Runtime, bundle: MakeBundle, data: Path
) -> None:
    """runtime-linux.md#file-descriptors."""
    out = runtime.output(bundle("ls", "/proc/self/fd"), wrap=opening(data, 3, 4, 9, 55))
    assert out.split() == ["0", "1", "2", "3"]


def test_a_descriptor_that_is_not_there_is_an_error(
    runtime: Runtime, bundle: MakeBundle, data: Path
) -> None:
    """cli.md 3.4: `unable to stat preserved-fd I (of N)`."""
    wrap = ["bash", "-c", f'exec 3<{data} 4<&- 5<&-; exec "$@"', "bash"]
    message = runtime.refuses(bundle("true"), "--preserve-fds", "40", wrap=wrap)
    assert "unable to stat preserved-fd" in message


def test_descriptors_are_preserved_by_exec(
    runtime: Runtime, bundle: MakeBundle, data: Path
) -> None:
    """cli.md 2, exec --preserve-fds."""
    container = runtime.start(bundle("sleep", "1000"))
    wrap = opening(data, 3, 4)
    ran = container.exec(
        "--preserve-fds", "1", "--", "sh", "-c", "cat <&3; ls /proc/self/fd", wrap=wrap
    )
    assert ran.stdout.split() == ["handed", "0", "1", "2", "3", "4"]


def test_socket_activation(runtime: Runtime, bundle: MakeBundle, data: Path) -> None:
    """cli.md 3.4: LISTEN_FDS come first, LISTEN_PID is 1 inside."""
    made = bundle(sh="echo $LISTEN_FDS $LISTEN_PID; cat <&3; ls /proc/self/fd")
    wrap = ["bash", "-c", f'exec 3<{data}; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"', "bash"]
    assert runtime.output(made, wrap=wrap).split()[:3] == ["1", "1", "handed"]


def test_socket_activation_for_another_process_is_ignored(
    runtime: Runtime, bundle: MakeBundle, data: Path
) -> None:
    """cli.md 3.4: only if LISTEN_PID is our own pid."""
    made = bundle(sh="echo [$LISTEN_FDS]; ls /proc/self/fd")
    wrap = ["bash", "-c", f'exec 3<{data}; export LISTEN_FDS=1 LISTEN_PID=1; exec "$@"', "bash"]
    out = runtime.output(made, wrap=wrap)
    if runtime.name != "runc":  # 1.1 does not look at LISTEN_PID
        assert out.split() == ["[]", "0", "1", "2", "3"]


@pytest.mark.expect_fail_on("runc", "runc 1.1 has no --pidfd-socket")
def test_the_pidfd_of_init_is_sent(
    runtime: Runtime, bundle: MakeBundle, receiver: Receiver
) -> None:
    """cli.md 3.2: payload `standard`."""
    container = runtime.create(bundle("sleep", "1000"), "--pidfd-socket", str(receiver.path))
    payload, pidfd = receiver.receive()
    assert payload == b"standard"
    pid = container.pid
    assert f"Pid:\t{pid}\n" in text(f"/proc/self/fdinfo/{pidfd}")
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    until(lambda: not is_alive(pid), "init is dead")


@pytest.mark.expect_fail_on("runc", "runc 1.1 has no --pidfd-socket")
def test_the_pidfd_of_an_exec_is_sent(
    runtime: Runtime, bundle: MakeBundle, receiver: Receiver
) -> None:
    """cli.md 3.2: payload `setns`."""
    container = runtime.start(bundle("sleep", "1000"))
    ran = container.exec("--detach", "--pidfd-socket", str(receiver.path), "--", "sleep", "1001")
    assert ran.code == 0
    payload, pidfd = receiver.receive()
    assert payload == b"setns"
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    assert poll.poll(5000)


@pytest.mark.expect_fail_on("runc", "runc 1.1 does not pass this on", strict=False)
def test_readiness_is_passed_on(
    runtime: Runtime, bundle: MakeBundle, scratch: Path, probe: Path
) -> None:
    """cli.md 3.5: READY=1 and MAINPID of the container reach the host's socket."""
    script = '/probe send "$NOTIFY_SOCKET" "$(printf "STATUS=x\\nREADY=1\\n")"; sleep 1000'
    made = bundle(sh=script, mounts=[bind(probe, "/probe", "bind", "ro")])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as host:
        host.bind(str(scratch / "notify"))
        host.settimeout(patience(10))
        env = ENVIRONMENT | {"NOTIFY_SOCKET": str(scratch / "notify")}
        container = runtime.create(made, env=env)
        starting = runtime.spawn("start", container.id, env=env)
        received = ""
        last = "MAINPID=" if runtime.name == "runc" else "BARRIER=1"  # 1.1 has no barrier yet
        while "READY=1" not in received or last not in received:
            data, controls, _, _ = host.recvmsg(4096, socket.CMSG_SPACE(16))
            received += data.decode() + "\n"
            for _, _, content in controls:
                os.close(int.from_bytes(content[:4], "little"))
        assert f"MAINPID={container.pid}" in received
        assert starting.wait().code == 0


def test_without_notify_socket_there_is_none_inside(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 3.5."""
    assert runtime.output(bundle(sh="echo [$NOTIFY_SOCKET]; ls /run")) == "[]\n"
