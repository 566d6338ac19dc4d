# SPDX-License-Identifier: Apache-2.0
"""What we say to systemd and how its answers are taken: a small bus that speaks the real protocol."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jeepney import (
    DBusAddress,
    HeaderFields,
    Message,
    Parser,
    new_error,
    new_method_return,
    new_signal,
)

from pyoci.cgroup.systemd import bus, manager
from pyoci.cgroup.systemd.manager import EXISTS, MANAGER, NAME, Manager
from pyoci.errors import CgroupError

SYSTEMD, STRANGER = ":1.0", ":1.9"
JOB = "/org/freedesktop/systemd1/job/7"
NO_UNIT = f"{NAME}.NoSuchUnit"


class FakeBus:
    """A bus with systemd on it; `answers` are made by the member that is called."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.welcome = b"DATA\r\nOK 0123\r\n"
        self.answers: dict[str, list[Callable[[Message], None]]] = {}
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(path))
        self.listening.listen()
        self.peer = self.listening
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        self.peer, _ = self.listening.accept()
        with self.peer:
            greeting = self.peer.recv(100)
            self.peer.sendall(self.welcome)
            if not greeting.endswith(b"BEGIN\r\n"):
                return  # systemd 257 would not see a message that came with it
            parser = Parser()
            while data := self.peer.recv(65536):
                for message in parser.feed(data):
                    self.answer(message)

    def answer(self, message: Message) -> None:
        member = message.header.fields[HeaderFields.member]
        self.calls.append((member, message.body))
        waiting = self.answers.get(member)
        if waiting:
            waiting.pop(0)(message)
        elif member == "Get":
            self.reply(message, "v", ("s", "/" if message.body[1] == "ControlGroup" else "252.3"))
        else:
            self.reply(message, None)

    def send(self, message: Message, sender: str = SYSTEMD) -> None:
        message.header.fields[HeaderFields.sender] = sender
        self.peer.sendall(message.serialise(serial=len(self.calls) + 1))

    def reply(self, message: Message, signature: str | None, *body: object) -> None:
        self.send(new_method_return(message, signature, body))

    def error(self, name: str, text: str = "No.") -> Callable[[Message], None]:
        return lambda message: self.send(new_error(message, name, "s", (text,)))

    def removed(self, result: str, job: str = JOB, sender: str = SYSTEMD) -> None:
        address = DBusAddress(MANAGER.object_path, interface=MANAGER.interface)
        body = (7, job, "x.scope", result)
        self.send(new_signal(address, "JobRemoved", "uoss", body), sender)

    def job(self, result: str) -> Callable[[Message], None]:
        def answer(message: Message) -> None:
            self.removed("failed", job="/another")
            self.removed("failed", sender=STRANGER)
            self.reply(message, "o", JOB)
            self.removed(result)

        return answer

    def end(self) -> None:
        self.listening.close()
        self.thread.join(10)

    def members(self) -> list[str]:
        return [member for member, _ in self.calls if member not in ("Hello", "Get")]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBus]:
    found = FakeBus(tmp_path / "bus")
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/bus")
    monkeypatch.setattr(bus, "PRIVATE", str(tmp_path / "private"))
    yield found
    found.end()


@pytest.fixture
def systemd(fake: FakeBus) -> Iterator[Manager]:
    made = Manager(rootless=False)
    yield made
    made.close()


def test_systemd_says_where_and_what_it_is(systemd: Manager) -> None:
    assert (systemd.root, systemd.version) == ("/", 252)


def test_a_unit_is_started_and_waited_for(fake: FakeBus, systemd: Manager) -> None:
    fake.answers["StartTransientUnit"] = [fake.job("done")]
    systemd.start("x.scope", {"PIDs": ("au", [7]), "AllowedCPUs": ("ay", b"\x03")})
    name, mode, properties, others = fake.calls[-1][1]
    assert (name, mode, others) == ("x.scope", "fail", [])
    assert properties == [("PIDs", ("au", [7])), ("AllowedCPUs", ("ay", b"\x03"))]
    assert fake.members() == ["AddMatch", "StartTransientUnit"]


def test_a_unit_that_failed_before_is_only_a_name(fake: FakeBus, systemd: Manager) -> None:
    fake.answers["StartTransientUnit"] = [fake.error(EXISTS), fake.job("done")]
    systemd.start("x.scope", {})
    assert fake.members()[1:] == ["StartTransientUnit", "ResetFailedUnit", "StartTransientUnit"]


def test_a_unit_of_somebody_else_is_told_apart(fake: FakeBus, systemd: Manager) -> None:
    fake.answers["StartTransientUnit"] = [fake.error(EXISTS), fake.error(EXISTS, "It is there.")]
    with pytest.raises(FileExistsError, match="^It is there$"):
        systemd.start("x.scope", {})


def test_a_refusal_has_systemds_words(fake: FakeBus, systemd: Manager) -> None:
    refused = fake.error("org.freedesktop.DBus.Error.AccessDenied", "Access denied")
    fake.answers["StartTransientUnit"] = [refused]
    with pytest.raises(CgroupError, match='^unable to start unit "x.scope": Access denied$'):
        systemd.start("x.scope", {})


def test_a_job_that_fails(fake: FakeBus, systemd: Manager) -> None:
    fake.answers["StartTransientUnit"] = [fake.job("failed")]
    with pytest.raises(CgroupError, match="error creating systemd unit `x.scope`: got `failed`"):
        systemd.start("x.scope", {})


def test_a_job_that_never_ends(
    fake: FakeBus, systemd: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus, "SECONDS", 0.05)
    fake.answers["StartTransientUnit"] = [lambda message: fake.reply(message, "o", JOB)]
    with pytest.raises(
        CgroupError, match="^Timeout waiting for systemd: StartTransientUnit x.scope"
    ):
        systemd.start("x.scope", {})


def test_a_systemd_that_does_not_answer(
    fake: FakeBus, systemd: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus, "SECONDS", 0.05)
    fake.answers["SetUnitProperties"] = [lambda _: None]
    with pytest.raises(CgroupError, match="SetUnitProperties: no answer within"):
        systemd.set_properties("x.scope", {})


def test_a_bus_that_goes_away(fake: FakeBus, systemd: Manager) -> None:
    fake.answers["StopUnit"] = [lambda _: fake.peer.shutdown(socket.SHUT_RDWR)]
    with pytest.raises(CgroupError, match="StopUnit: it closed the connection"):
        systemd.stop("x.scope")


def test_a_unit_is_stopped_and_forgotten(fake: FakeBus, systemd: Manager) -> None:
    fake.answers["StopUnit"] = [fake.job("done")]
    systemd.stop("x.scope")
    assert fake.calls[-2:] == [
        ("StopUnit", ("x.scope", "replace")),
        ("ResetFailedUnit", ("x.scope",)),
    ]


def test_a_unit_that_is_gone_was_stopped(fake: FakeBus, systemd: Manager) -> None:
    fake.answers = {"StopUnit": [fake.error(NO_UNIT)], "ResetFailedUnit": [fake.error(NO_UNIT)]}
    systemd.stop("x.scope")


def test_a_unit_that_cannot_be_stopped(fake: FakeBus, systemd: Manager) -> None:
    fake.answers["StopUnit"] = [fake.error("org.freedesktop.DBus.Error.AccessDenied")]
    with pytest.raises(CgroupError, match='^unable to stop unit "x.scope": No$'):
        systemd.stop("x.scope")


def test_properties_last_until_the_unit_ends(fake: FakeBus, systemd: Manager) -> None:
    systemd.set_properties("x.scope", {"TasksMax": ("t", 5)})
    assert fake.calls[-1] == ("SetUnitProperties", ("x.scope", True, [("TasksMax", ("t", 5))]))


def test_a_process_is_attached(fake: FakeBus, systemd: Manager) -> None:
    systemd.attach("x.scope", "", 7)
    assert fake.calls[-1] == ("AttachProcessesToUnit", ("x.scope", "", [7]))


def test_a_bus_that_does_not_know_us(fake: FakeBus) -> None:
    fake.welcome = b"REJECTED EXTERNAL\r\n"
    with pytest.raises(CgroupError, match="the bus does not accept who we are$"):
        Manager(rootless=False)


def test_a_bus_without_systemd(fake: FakeBus) -> None:
    unknown = fake.error("org.freedesktop.DBus.Error.ServiceUnknown", "Not provided")
    fake.answers["Get"] = [unknown]
    with pytest.raises(CgroupError, match="^cannot reach systemd at .*/bus: Get: Not provided$"):
        Manager(rootless=False)


def test_no_bus_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    monkeypatch.setattr(bus, "PRIVATE", str(tmp_path / "private"))
    with pytest.raises(CgroupError) as refused:
        Manager(rootless=False)
    text = f"cannot reach systemd: connect to {tmp_path}/none: no such file or directory"
    assert str(refused.value) == text


@pytest.mark.skipif(
    os.geteuid() != 0, reason="needs root: only for it there is systemd's own socket"
)
def test_root_reaches_systemd_without_a_bus(fake: FakeBus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={fake.path}.none")
    monkeypatch.setattr(bus, "PRIVATE", str(fake.path))
    found = Manager(rootless=False)
    fake.answers["StopUnit"] = [fake.job("done")]
    found.stop("x.scope")
    found.close()
    assert [member for member, _ in fake.calls] == ["Get", "Get", "StopUnit", "ResetFailedUnit"]


def test_a_user_has_a_bus_below_its_runtime_directory(
    fake: FakeBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(fake.path.parent))
    Manager(rootless=True).close()


def test_a_user_names_its_bus(fake: FakeBus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={fake.path},guid=00")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nowhere")
    Manager(rootless=True).close()


def test_a_user_without_a_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(CgroupError, match="neither DBUS_SESSION_BUS_ADDRESS is set nor is there a"):
        Manager(rootless=True)


@pytest.mark.parametrize("address", ["tcp:host=127.0.0.1,port=1", "autolaunch:", "here"])
def test_a_bus_that_is_not_on_this_host(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
    with pytest.raises(CgroupError, match=f'bus address "{address}" names no unix socket'):
        Manager(rootless=True)


@pytest.mark.parametrize(
    ("version", "number"), [("252.39-1~deb12u2", 252), ("v257", 257), ("260~rc1", 260), ("", 0)]
)
def test_the_number_of_a_version(version: str, number: int) -> None:
    assert manager.number(version) == number
