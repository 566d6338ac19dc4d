# SPDX-License-Identifier: Apache-2.0
"""The executor seen from the runtime, with a peer of the test's own at the other end of the socket."""

import array
import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator

import pytest

from pyoci import executor
from pyoci.plan import ops
from pyoci.plan.encode import encode
from pyoci.plan.program import Program

NONE = 0xFFFFFFFF

Start = Callable[..., executor.Executor]


class Peer:
    """What the set-up process and init say."""

    def __init__(self) -> None:
        self.socket: socket.socket

    def say(
        self, kind: str, value: int = 0, detail: bytes = b"", code: int = 0, at: int = 0
    ) -> None:
        head = struct.pack("<IIiI", ops.REPORTS.index(kind), at, code, value)
        self.socket.send(head + detail)

    def hand(self, name: str, *fds: int) -> None:
        head = struct.pack("<IIiI", ops.REPORTS.index("passed"), 0, 0, ops.TOPICS.index(name))
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
        self.socket.sendmsg([head], [rights])

    def ask(self, name: str) -> None:
        self.say("asked", ops.TOPICS.index(name))


@pytest.fixture
def peer() -> Peer:
    return Peer()


@pytest.fixture
def start(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start an executor whose program is a child that ends at once; `peer` speaks for it."""
    started: list[executor.Executor] = []

    def spawn(program: int, slots: tuple[int, ...], plan: int, base: int) -> int:
        peer.socket = socket.socket(fileno=os.dup(slots[0]))
        return ended()

    def begin(clones: int, before: int = 0) -> executor.Executor:
        program = Program()
        for _ in range(before):
            program.add("set_sid")
        for _ in range(clones):
            program.add("clone", 0, ops.NO_SLOT)
        started.append(executor.Executor(encode(program, ops.INHERITED), (0, 0), 0))
        return started[-1]

    monkeypatch.setattr(executor, "_spawn", spawn)
    monkeypatch.setattr(executor, "_program", lambda: b"")
    yield begin
    peer.socket.close()
    for made in started:
        made.socket.close()


def ended() -> int:
    """A child of ours that has ended, for those who reap."""
    child = os.fork()
    if not child:
        os._exit(0)
    return child


@pytest.fixture
def running(peer: Peer, start: Start) -> Iterator[executor.Executor]:
    """One clone: the set-up process makes init."""
    made = start(1)
    yield made
    peer.socket.close()
    made.close()


def received(running: executor.Executor) -> executor.Report:
    report = running.receive()
    assert report is not None
    return report


def test_init_is_known_once_it_is_cloned(running: executor.Executor, peer: Peer) -> None:
    setup = running.setup
    peer.say("cloned", 4242)
    peer.ask("ready")
    assert (received(running).topic, running.pid, running.setup) == ("ready", 4242, 0)
    with pytest.raises(ChildProcessError):
        os.waitpid(setup, 0)


def test_the_set_up_process_is_heard_before_init_exists(peer: Peer, start: Start) -> None:
    """What it asks comes from an operation in front of the clone."""
    made = start(1, before=1)
    peer.ask("cgroups")
    assert (received(made).topic, made.pid) == ("cgroups", 0)
    assert made.setup
    peer.socket.close()
    made.close()


def test_an_init_that_is_faster_than_its_maker_waits(
    running: executor.Executor, peer: Peer
) -> None:
    """Both report on one socket: who asks first must be known first."""
    peer.ask("id_maps")
    peer.say("told", ops.TOPICS.index("sealed"))
    peer.say("cloned", 4242)
    first = received(running)
    assert (first.kind, first.topic, running.pid) == ("asked", "id_maps", 4242)
    assert received(running).kind == "told"
    peer.ask("ready")
    assert received(running).topic == "ready"


def test_of_two_clones_the_last_is_init(peer: Peer, start: Start) -> None:
    """Each process that has cloned ends and is reaped; reports of init wait for both."""
    running = start(2)
    middle = ended()
    peer.ask("ready")
    peer.say("cloned", middle, at=0)
    peer.say("cloned", 4242, at=1)
    assert received(running).topic == "ready"
    assert (running.pid, running.setup) == (4242, 0)
    with pytest.raises(ChildProcessError):
        os.waitpid(middle, 0)


def test_of_two_clones_either_may_be_told_first(peer: Peer, start: Start) -> None:
    """The process between may be faster than the one that made it: the operation says which is which."""
    running = start(2)
    middle, init = ended(), ended()
    peer.say("cloned", init, at=1)
    peer.say("cloned", middle, at=0)
    peer.ask("ready")
    try:
        assert received(running).topic == "ready"
        assert (running.pid, running.setup) == (init, 0)
    finally:
        os.waitpid(init if running.pid == init else middle, 0)


def test_an_init_that_dies_with_our_word_unread_is_gone_like_any_other(
    running: executor.Executor, peer: Peer
) -> None:
    """Killed for want of memory while a hook runs, say."""
    peer.say("cloned", 4242)
    peer.ask("ready")
    received(running)
    running.go()
    peer.socket.close()
    running.go()
    assert running.receive() is None


def test_a_failure_is_raised_whenever_it_comes(running: executor.Executor, peer: Peer) -> None:
    peer.ask("id_maps")
    peer.say("failed", 256, b"openat2 x\0\0", errno.ENOENT, at=7)
    with pytest.raises(executor.Failure) as caught:
        running.receive()
    failure = caught.value
    assert (failure.operation, failure.errno, failure.value) == (7, errno.ENOENT, 256)
    assert failure.detail == "openat2 x"


def test_the_end_of_init_is_none(running: executor.Executor, peer: Peer) -> None:
    peer.say("cloned", 4242)
    peer.socket.close()
    assert running.receive() is None


def test_the_end_of_a_setup_process_before_it_cloned_is_none(
    running: executor.Executor, peer: Peer
) -> None:
    peer.ask("id_maps")
    peer.socket.close()
    assert running.receive() is None
    assert running.pid == 0


def test_warnings_are_kept(running: executor.Executor, peer: Peer) -> None:
    peer.say("warned", 5, b"ambient", errno.EPERM, at=3)
    peer.say("cloned", 4242)
    peer.ask("ready")
    assert received(running).topic == "ready"
    (warning,) = running.warnings
    assert (warning.operation, warning.value, warning.errno) == (3, 5, errno.EPERM)


def test_a_descriptor_comes_with_its_report_and_closes_on_exec(
    running: executor.Executor, peer: Peer
) -> None:
    reading, writing = os.pipe()
    peer.say("cloned", 4242)
    peer.hand("console", writing)
    report = received(running)
    assert (report.kind, report.topic) == ("passed", "console")
    assert report.fd is not None
    assert not os.get_inheritable(report.fd)
    os.write(report.fd, b"x")
    assert os.read(reading, 1) == b"x"
    for fd in (reading, writing, report.fd):
        os.close(fd)


def test_an_answer_is_a_word_behind_go(running: executor.Executor, peer: Peer) -> None:
    running.go()
    running.go(b"/home/u")
    assert (peer.socket.recv(99), peer.socket.recv(99)) == (b"g", b"g/home/u")


def test_closing_reaps_a_setup_process_that_failed(peer: Peer, start: Start) -> None:
    running = start(1)
    setup = running.setup
    peer.socket.close()
    running.close()
    running.close()
    with pytest.raises(ChildProcessError):
        os.waitpid(setup, 0)


def test_bytes_that_are_no_text_are_shown_all_the_same() -> None:
    report = executor.Report(struct.pack("<IIiI", 5, NONE, 2, 0) + b"\xffx", None)
    assert report.detail == "\ufffdx"


def test_what_is_left_in_the_fifo_is_a_failure_or_nothing() -> None:
    head = struct.pack("<IIiI", 5, 9, errno.ENOEXEC, 0)
    failure = executor.parse_failure(head + b"exec /x")
    assert failure is not None
    assert (failure.operation, failure.errno, failure.detail) == (9, errno.ENOEXEC, "exec /x")
    assert executor.parse_failure(b"0") is None


def test_what_is_sealed_cannot_be_changed() -> None:
    """CVE-2019-5736."""
    fd = executor._sealed(b"program", "x", executable=False)
    try:
        with pytest.raises(PermissionError):
            os.pwrite(fd, b"X", 0)
        for length in (1, 100):
            with pytest.raises(PermissionError):
                os.ftruncate(fd, length)
        assert os.pread(fd, 99, 0) == b"program"
        assert not os.get_inheritable(fd)
    finally:
        os.close(fd)
