# SPDX-License-Identifier: Apache-2.0
"""A log that is a socket: each line a datagram, in the journal's form (systemd's native protocol) or in syslog's (RFC 3164, local).

Who listens may end and begin again: a line that cannot be sent is sent once more over a new connection, and is lost then.
"""

import _socket
import posix
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_INFORMATION, _ERROR = 6, 3  # syslog(3)
_SECONDS = 5  # to wait for who listens


def connect(address: "list[Any]") -> "_socket.socket":
    """Return a socket that sends to an address: unixgram and a path, or udp, a host and a port."""
    kind, *place = address
    family = _socket.AF_UNIX if kind == "unixgram" else _socket.AF_INET
    made = _socket.socket(family, _socket.SOCK_DGRAM)
    try:
        made.settimeout(_SECONDS)
        made.connect(place[0] if kind == "unixgram" else tuple(place))
    except OSError:
        made.close()
        raise
    return made


class Sender:
    """Sends what a container writes."""

    __slots__ = ("address", "fields", "is_journal", "socket")

    def __init__(self, settings: "dict[str, Any]") -> None:
        self.address: list[Any] = settings["address"]
        self.fields: dict[str, Any] = settings["fields"]
        self.is_journal = settings["driver"] == "journald"
        self.socket: _socket.socket | None = None
        self.connect()

    def connect(self) -> None:
        """Connect, as far as somebody listens."""
        try:
            self.socket = connect(self.address)
        except OSError:
            self.socket = None

    def emit(self, stream: bytes, lines: "list[tuple[bytes, bool]]") -> None:
        """Send lines, each with whether it has ended."""
        level = _ERROR if stream == b"stderr" else _INFORMATION
        for line, ended in lines:
            self.send(
                self.journal(level, line, ended=ended)
                if self.is_journal
                else self.syslog(level, line)
            )

    def send(self, packet: bytes) -> None:
        """Send one, over a new connection where the old one has gone."""
        for _ in range(2):
            if self.socket is None:
                self.connect()
            if self.socket is None:
                return
            try:
                self.socket.send(packet)
            except OSError:
                self.socket.close()
                self.socket = None
            else:
                return

    def journal(self, level: int, line: bytes, *, ended: bool) -> bytes:
        """Return an entry of the journal; what may hold a newline has its length before it."""
        fields = {**self.fields, "PRIORITY": str(level)}
        if not ended:
            fields["CONTAINER_PARTIAL_MESSAGE"] = "true"
        text = "".join(f"{name}={value}\n" for name, value in fields.items() if "\n" not in value)
        long = [("MESSAGE", line)]
        long += [(name, value.encode()) for name, value in fields.items() if "\n" in value]
        tail = b"".join(
            name.encode() + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"
            for name, value in long
        )
        return text.encode() + tail

    def syslog(self, level: int, line: bytes) -> bytes:
        """Return a message of syslog."""
        priority = self.fields["facility"] << 3 | level
        now = time.localtime()
        stamp = f"{time.strftime('%b', now)} {now.tm_mday:2} {time.strftime('%H:%M:%S', now)}"
        head = f"<{priority}>{stamp} {self.fields['tag']}[{posix.getpid()}]: "
        return head.encode() + line + b"\n"
