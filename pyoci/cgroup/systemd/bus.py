# SPDX-License-Identifier: Apache-2.0
"""A connection to a message bus, or to systemd's own socket, by jeepney (docs/adr/0009-jeepney.md).

jeepney makes and reads the messages; the socket is ours, so that every wait has a deadline.
"""

import _socket
import posix
import time

from jeepney import (
    AuthenticationError,
    DBusAddress,
    HeaderFields,
    Message,
    MessageType,
    Parser,
    new_method_call,
)
from jeepney.bus import get_bus

from pyoci.errors import CgroupError
from pyoci.linux.environment import variable

SYSTEM = "unix:path=/run/dbus/system_bus_socket"
PRIVATE = "/run/systemd/private"  # systemd itself, for root: where there is no bus (yet)
DAEMON = DBusAddress(
    "/org/freedesktop/DBus", bus_name="org.freedesktop.DBus", interface="org.freedesktop.DBus"
)
SECONDS = 30  # that systemd may take; runc's number
CHUNK = 1 << 16
# The uid is left to what the kernel says of us: ours may be another one in our user namespace.
# All at once, as sd-bus has it: systemd 257 leaves a message lying that it reads together with BEGIN.
HANDSHAKE = b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"


class BusError(CgroupError):
    """The other side refused a call; `name` is its D-Bus name."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


class Bus:
    """A connection; `signals` are those that came while a reply was waited for."""

    __slots__ = ("_parser", "_serial", "_socket", "address", "is_direct", "signals")

    def __init__(self, path: str, *, is_direct: bool) -> None:
        """Connect to a socket; a name that begins with NUL is an abstract one."""
        self.address = path.replace("\0", "@", 1)
        self.is_direct = is_direct
        self.signals: list[Message] = []
        self._parser = Parser()
        self._serial = 0
        self._socket = _socket.socket(
            _socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC, 0
        )
        self._socket.settimeout(SECONDS)
        try:
            self._socket.connect(path)
            self._authenticate()
            if not is_direct:
                self.call(DAEMON, "Hello")
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def subscribe(self, rule: str) -> None:
        """Ask for signals; systemd itself sends all of them."""
        if not self.is_direct:
            self.call(DAEMON, "AddMatch", "s", rule)

    def call(
        self, address: DBusAddress, member: str, signature: str = "", *body: object
    ) -> tuple[Message, tuple[object, ...]]:
        """Call a method and return its reply and what it holds; BusError when it is refused."""
        self._serial += 1
        serial = self._serial
        message = new_method_call(address, member, signature or None, body)
        self._socket.sendall(message.serialise(serial=serial))
        end = time.monotonic() + SECONDS
        while True:
            reply = self._receive(end)
            if reply.header.fields.get(HeaderFields.reply_serial) != serial:
                self._note(reply)
            elif reply.header.message_type is MessageType.error:
                name = reply.header.fields.get(HeaderFields.error_name, "")
                text = str(reply.body[0]) if reply.body else name
                raise BusError(name, text.rstrip("."))
            else:
                return reply, reply.body

    def signal(self, end: float) -> Message:
        """Return the next signal; TimeoutError when none came until that moment."""
        while not self.signals:
            self._note(self._receive(end))
        return self.signals.pop(0)

    def _note(self, message: Message) -> None:
        if message.header.message_type is MessageType.signal:
            self.signals.append(message)

    def _receive(self, end: float) -> Message:
        """Return the next message, whatever it is."""
        while (message := self._parser.get_next_message()) is None:
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._socket.settimeout(left)
            self._parser.add_data(self._read())
        return message

    def _read(self) -> bytes:
        data = self._socket.recv(CHUNK)
        if not data:
            raise ConnectionResetError
        return data

    def _authenticate(self) -> None:
        """Say who we are (D-Bus specification, EXTERNAL): an empty name is that of our peer credentials."""
        self._socket.sendall(HANDSHAKE)
        answer = b""
        while answer.count(b"\r\n") < 2 and not answer.startswith(b"REJECTED"):
            answer += self._read()
        if not answer.split(b"\r\n")[1].startswith(b"OK"):
            raise AuthenticationError(answer)


def connect(*, rootless: bool) -> Bus:
    """Connect to where systemd is reached: the user's own, or the host's."""
    address = user_address() if rootless else variable("DBUS_SYSTEM_BUS_ADDRESS") or SYSTEM
    whose = "the user's systemd" if rootless else "systemd"
    try:
        path = get_bus(address)
    except (ValueError, RuntimeError):
        raise CgroupError(
            f'cannot reach {whose}: bus address "{address}" names no unix socket'
        ) from None
    try:
        return Bus(path, is_direct=False)
    except (OSError, AuthenticationError) as error:
        if not rootless and posix.geteuid() == 0 and not isinstance(error, AuthenticationError):
            try:
                return Bus(PRIVATE, is_direct=True)
            except (OSError, AuthenticationError):
                pass  # the bus is the usual way: its error is the one to tell
        raise CgroupError(f"cannot reach {whose}: connect to {path}: {why(error)}") from error


def user_address() -> str:
    """Return the address of the user's bus, as sd_bus_open_user(3) finds it."""
    if address := variable("DBUS_SESSION_BUS_ADDRESS"):
        return address
    runtime = variable("XDG_RUNTIME_DIR") or f"/run/user/{posix.geteuid()}"
    try:
        posix.stat(f"{runtime}/bus")
    except OSError as error:
        raise CgroupError(
            "cannot reach the user's systemd: neither DBUS_SESSION_BUS_ADDRESS is set nor is there "
            f"a {runtime}/bus: {why(error)} (is there a session of the user's, or is lingering on?)"
        ) from error
    return f"unix:path={runtime}/bus"


def why(error: Exception) -> str:
    """Return a failure in words."""
    if isinstance(error, AuthenticationError):
        return "the bus does not accept who we are"
    if isinstance(error, TimeoutError):
        return f"no answer within {SECONDS} seconds"
    if isinstance(error, ConnectionResetError):
        return "it closed the connection"
    return posix.strerror(getattr(error, "errno", 0) or 0).lower()
