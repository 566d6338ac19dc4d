# SPDX-License-Identifier: Apache-2.0
"""Where output goes: what is told beside each line, sockets that take lines, and what Docker refuses."""

import gzip
import json
import os
import re
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote_plus

import pytest
from blackbox.processes import until
from sides import Oracle, Pypod, same
from test_same_as_docker import words_of

from pyoci.engine.monitor.datagrams import Sender

TAGS = "{{.Name}}/{{.ID}}/{{.FullID}}/{{.ImageName}}/{{.ImageFullID}}/{{.Command}}\xa0{{upper\xa0.Name}}"
TOLD = (
    f"--label a=b --label c=d --env X=1 --env Y=2 --log-opt labels=a,nope --log-opt env=X,PATH --log-opt tag={TAGS}",
    "--label ab=b --label c=d --env XX=1 --log-opt labels-regex=^a --log-opt env-regex=^X",
    "--log-opt tag=",
    "--log-opt tag={{.ImageID}} --log-opt max-size=1m --log-opt max-file=2",
    "--log-opt mode=non-blocking --log-opt max-buffer-size=1m",
)
REFUSED = (
    "--log-opt tag={{.Nope}}", "--log-opt tag={{.Name", "--log-opt max-file=0", "--log-opt max-file=x", "--log-opt max-size=x",
    "--log-opt max-size=0", "--log-opt max-size=-1", "--log-opt compress=true", "--log-opt mode=x",
    "--log-opt compress=x", "--log-opt compress=1 --log-opt max-size=1k",
    "--log-opt max-buffer-size=1m", "--log-driver none --log-opt max-size=1",
    "--log-driver syslog --log-opt syslog-address=foo", "--log-driver syslog --log-opt syslog-facility=foo",
    "--log-driver syslog --log-opt bogus=foo", "--log-driver journald --log-opt bogus=foo", "--log-driver bogus",
)  # fmt: skip
RUN = ("run", "--name", "one", "--network", "none")
SCRIPT = ("box", "sh", "-c", "echo out; echo err >&2; printf 'no end'")
DIGESTS = re.compile(r"\b[0-9a-f]{64}\b|\b[0-9a-f]{5,12}\b|\d{4}-\d\d-\d\dT[\d:.]+Z")


def lines_of(side: Pypod | Oracle) -> list[dict[str, object]]:
    """Return the lines of the log, each as what it says, ids and times replaced, in the order of their text."""
    path = side.output("inspect", "-f", "{{.LogPath}}", "one").strip()
    lines = DIGESTS.sub("DIGEST", Path(path).read_text()).splitlines()
    return [json.loads(line) for line in sorted(lines)]


@pytest.mark.root
@pytest.mark.parametrize("options", TOLD)
def test_what_is_told_beside_a_line_is_what_docker_tells(
    options: str, pypod: Pypod, oracle: Oracle
) -> None:
    """Attributes in the log, and `logs --details`."""
    found = []
    for side in (pypod, oracle):
        assert side(*RUN, *words_of(options), *SCRIPT).code == 0
        said = side("logs", "--details", "one")
        details = [DIGESTS.sub("DIGEST", unquote_plus(text)) for text in (said.stdout, said.stderr)]
        config = side.output("inspect", "-f", "{{json .HostConfig.LogConfig}}", "one")
        found.append((lines_of(side), details, config))
    assert found[0] == found[1]


@pytest.mark.root
@pytest.mark.parametrize("options", REFUSED)
def test_what_docker_refuses_is_refused(options: str, pypod: Pypod, oracle: Oracle) -> None:
    """Some before a container is made, some when it starts: it is left then."""
    words = [*RUN, *words_of(options), "box", "true"]
    assert same(pypod(*words)) == same(oracle(*words))
    ps = ("ps", "--all", "--format", "{{.Names}} {{.State}}")
    assert pypod.output(*ps) == oracle.output(*ps)


@pytest.mark.root
def test_a_log_that_is_nowhere_cannot_be_read(pypod: Pypod, oracle: Oracle) -> None:
    """Docker's words, and no path."""
    for side in (pypod, oracle):
        side.output(*RUN, "--log-driver", "none", *SCRIPT)
    assert same(pypod("logs", "one")) == same(oracle("logs", "one"))
    inspect = ("inspect", "-f", "{{.LogPath}} {{json .HostConfig.LogConfig}}", "one")
    assert pypod.output(*inspect) == oracle.output(*inspect)


def files_of(path: Path) -> list[str]:
    """Return the names of a log's files."""
    return sorted(name for name in os.listdir(path.parent) if name.startswith(path.name))


@pytest.mark.root
def test_files_that_are_full_are_compressed(pypod: Pypod) -> None:
    """As Docker does: all but the one that is written now, each under one name only; `logs` reads them."""
    options = [f"--log-opt={word}" for word in ("max-size=2k", "max-file=4", "compress=true")]
    pypod.start("one", "for i in $(seq 1000 1200); do echo $i; done; sleep 1000", *options)
    path = Path(pypod.field("one", "{{.LogPath}}"))
    names = [path.name, *(f"{path.name}.{number}.gz" for number in (1, 2, 3))]
    until(lambda: pypod.output("logs", "--tail", "1", "one") == "1200\n", "all is written")
    until(lambda: files_of(path) == names, f"there are {names}")
    assert path.with_name(names[1]).stat().st_mode & 0o777 == 0o640
    plain = [gzip.decompress(path.with_name(name).read_bytes()) for name in names[:0:-1]]
    lines = b"".join([*plain, path.read_bytes()]).decode().splitlines()
    assert all(len(one) <= 2048 for one in plain)
    logged = pypod.output("logs", "one").splitlines()
    assert logged == [json.loads(line)["log"].strip() for line in lines]
    assert logged == [*map(str, range(int(logged[0]), 1201))]
    assert len(logged) > 80


class Receiver:
    """A socket of the test's own that takes datagrams."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(0)
        self.packets: list[bytes] = []

    def receive(self, count: int) -> list[bytes]:
        """Wait until there are so many packets, and return them."""
        until(lambda: self.has(count), f"{count} packets have come")
        return self.packets

    def has(self, count: int) -> bool:
        """Take what has come."""
        try:
            self.packets.append(self.socket.recv(65536))
        except BlockingIOError:
            pass
        return len(self.packets) >= count

    def close(self) -> None:
        """Listen no more."""
        self.socket.close()
        self.path.unlink()


@pytest.fixture
def receiver(scratch: Path) -> Iterator[Receiver]:
    """A socket that takes datagrams."""
    made = Receiver(scratch / "log")
    yield made
    made.close()


@pytest.mark.root
@pytest.mark.parametrize(
    "options", ["", "--log-opt tag={{.Name}}/x --log-opt syslog-facility=local3"]
)
def test_syslog_gets_what_docker_sends(
    options: str, pypod: Pypod, oracle: Oracle, receiver: Receiver
) -> None:
    """A message of RFC 3164 as to /dev/log, one a line."""
    address = f"syslog-address=unixgram://{receiver.path}"
    found = []
    for side in (pypod, oracle):
        words = [*RUN, "--log-driver", "syslog", "--log-opt", address, *words_of(options)]
        side.output(*words, *SCRIPT)
        texts = [packet.decode() for packet in receiver.receive(3)]
        receiver.packets.clear()
        texts = [re.sub(r"[A-Z][a-z]{2} [ \d]\d [\d:]{8}", "TIME", text) for text in texts]
        found.append(
            sorted(re.sub(r"\b[0-9a-f]{12}\b|(?<=\[)\d+(?=\])", "N", text) for text in texts)
        )
        refused = same(side("logs", "one"))
    assert found[0] == found[1]
    assert refused[0] in (0, 1)
    assert (
        same(pypod("logs", "one"))[2]
        == "Error: configured logging driver does not support reading\n"
    )


@pytest.mark.root
def test_syslog_without_a_listener_is_refused(pypod: Pypod, oracle: Oracle, scratch: Path) -> None:
    """A place where there is nothing, before a container is made; one that nobody serves, when it starts."""
    options = ["--log-driver", "syslog", "--log-opt", f"syslog-address=unixgram://{scratch}/nobody"]
    words = [*RUN, *options, "box", "true"]
    assert same(pypod(*words)) == same(oracle(*words))
    assert not pypod.output("ps", "-aq")
    left = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    left.bind(f"{scratch}/nobody")
    left.close()
    for side in (pypod, oracle):
        ran = side(*words)
        assert (ran.code, "failed to initialize logging driver: " in ran.stderr) == (125, True), ran
        assert side.output("ps", "-aq", "--filter", "status=created")


@pytest.mark.root
def test_the_journal_gets_its_fields(root_archive: Path, scratch: Path) -> None:
    """systemd's native protocol, on a socket of the test's own in the place of the journal's."""
    place = scratch / "run/systemd/journal"
    place.mkdir(parents=True)
    receiver = Receiver(place / "socket")
    cover = f'mount --bind {scratch}/run /run && exec "$@"'
    private = ["unshare", "--mount", "--propagation", "private", "sh", "-c", cover, "sh"]
    pypod = Pypod(scratch / "pypod", private)
    pypod.load(root_archive)
    options = ["--label", "a.b=c", "--log-opt", "labels=a.b", "--log-opt", "tag={{.Name}}"]
    words = [
        *RUN,
        "--rm",
        "--log-driver",
        "journald",
        *options,
        "box",
        "sh",
        "-c",
        "echo out; echo err >&2",
    ]
    pypod.output(*words)
    entries = sorted(map(fields_of, receiver.receive(2)), key=lambda entry: entry["PRIORITY"])
    receiver.close()
    identity = entries[0].pop("CONTAINER_ID_FULL")
    assert entries[0] == {
        "MESSAGE": "err", "PRIORITY": "3", "CONTAINER_ID": identity[:12], "CONTAINER_NAME": "one", "CONTAINER_TAG": "one",
        "IMAGE_NAME": "box", "SYSLOG_IDENTIFIER": "one", "A_B": "c",
    }  # fmt: skip
    assert (entries[1]["MESSAGE"], entries[1]["PRIORITY"]) == ("out", "6")


def fields_of(packet: bytes) -> dict[str, str]:
    """Read an entry: NAME=value, or NAME, the length in eight bytes and the value."""
    found = {}
    while packet:
        line, _, packet = packet.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (size,) = struct.unpack("<Q", packet[:8])
            value, packet = packet[8 : 8 + size], packet[9 + size :]
        found[name.decode()] = value.decode()
    return found


def test_a_listener_that_comes_again_gets_the_next_line(scratch: Path) -> None:
    """Between the two a line is lost; nothing ends by it."""
    first = Receiver(scratch / "log")
    settings = {"address": ["unixgram", str(first.path)], "fields": {"tag": "t", "facility": 3}}
    sender = Sender({**settings, "driver": "syslog"})
    sender.emit(b"stdout", [(b"one", True)])
    assert first.receive(1)[0].endswith(b": one\n")
    first.close()
    sender.emit(b"stdout", [(b"lost", True)])
    second = Receiver(scratch / "log")
    sender.emit(b"stdout", [(b"two", True)])
    assert second.receive(1)[0].endswith(b": two\n")
    second.close()
    assert sender.socket is not None
    sender.socket.close()
