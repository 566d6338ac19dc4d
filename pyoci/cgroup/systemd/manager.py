# SPDX-License-Identifier: Apache-2.0
"""systemd as we use it: units started, changed and stopped (org.freedesktop.systemd1(5))."""

import time

from jeepney import DBusAddress, HeaderFields

from pyoci.cgroup.systemd import bus as buses
from pyoci.cgroup.systemd.bus import Bus, BusError
from pyoci.errors import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroup.systemd.properties import Properties

NAME = "org.freedesktop.systemd1"
MANAGER = DBusAddress(
    "/org/freedesktop/systemd1", bus_name=NAME, interface="org.freedesktop.systemd1.Manager"
)
PROPERTIES = MANAGER.with_interface("org.freedesktop.DBus.Properties")
REMOVED = "JobRemoved"
RULE = f"type='signal',sender='{NAME}',interface='{MANAGER.interface}',member='{REMOVED}'"
AT_RUN_TIME = True  # until the unit ends, in no file
EXISTS = f"{NAME}.UnitExists"
GONE = (f"{NAME}.NoSuchUnit", f"{NAME}.NotLoaded")


class Manager:
    """A connection to systemd; `root` is its own cgroup, `version` its number."""

    __slots__ = ("_bus", "_name", "root", "version")

    def __init__(self, *, rootless: bool) -> None:
        self._bus: Bus = buses.connect(rootless=rootless)
        try:
            self._name, self.root = self._property("ControlGroup")
            self.version = number(self._property("Version")[1])
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the connection."""
        self._bus.close()

    def start(self, unit: str, properties: "Properties") -> None:
        """Start a new transient unit and wait until it is there; FileExistsError if there is one."""
        self._bus.subscribe(RULE)
        pairs: list[object] = list(properties.items())
        try:
            try:
                self._start(unit, pairs)
            except FileExistsError:
                # It may have failed and nobody looked at it since: then it is only a name.
                self.reset_failed(unit)
                self._start(unit, pairs)
        except BusError as error:
            raise CgroupError(f'unable to start unit "{unit}": {error}') from error

    def _start(self, unit: str, pairs: list[object]) -> None:
        try:
            result = self._job("StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "fail", pairs, [])
        except BusError as error:
            if error.name == EXISTS:
                raise FileExistsError(str(error)) from error
            raise
        if result != "done":
            raise CgroupError(f"error creating systemd unit `{unit}`: got `{result}`")

    def set_properties(self, unit: str, properties: "Properties") -> None:
        """Change a unit, until it ends."""
        try:
            self._call("SetUnitProperties", "sba(sv)", unit, AT_RUN_TIME, list(properties.items()))
        except BusError as error:
            raise CgroupError(f'unable to set properties of unit "{unit}": {error}') from error

    def attach(self, unit: str, below: str, pid: int) -> None:
        """Move a process into a unit's cgroup, or one below it, where we may not do so ourselves."""
        try:
            self._call("AttachProcessesToUnit", "ssau", unit, below, [pid])
        except BusError as error:
            raise CgroupError(
                f'unable to attach process {pid} to unit "{unit}": {error}'
            ) from error

    def stop(self, unit: str) -> None:
        """Stop a unit, wait until it is stopped, and forget how it ended; one that is gone is fine."""
        self._bus.subscribe(RULE)
        try:
            self._job("StopUnit", "ss", unit, "replace")
        except BusError as error:
            if error.name not in GONE:
                raise CgroupError(f'unable to stop unit "{unit}": {error}') from error
        self.reset_failed(unit)

    def reset_failed(self, unit: str) -> None:
        """Forget that a unit has failed; of one that is not loaded nothing is known."""
        try:
            self._call("ResetFailedUnit", "s", unit)
        except BusError as error:
            if error.name not in GONE:
                raise CgroupError(f'unable to reset unit "{unit}": {error}') from error

    def _property(self, name: str) -> tuple[str | None, str]:
        """Return a property that is text, and who says so."""
        try:
            reply, body = self._bus.call(PROPERTIES, "Get", "ss", MANAGER.interface, name)
        except (OSError, BusError) as error:
            raise self._lost(error) from error
        variant = body[0]
        assert isinstance(variant, tuple)
        return reply.header.fields.get(HeaderFields.sender), str(variant[1])

    def _call(self, member: str, signature: str, *body: object) -> tuple[object, ...]:
        """Call a method of systemd; BusError when it refuses, CgroupError without an answer."""
        try:
            return self._bus.call(MANAGER, member, signature, *body)[1]
        except OSError as error:
            raise self._lost(error, member) from error

    def _job(self, member: str, signature: str, *body: object) -> str:
        """Call a method that queues a job, and return the job's result."""
        (job,) = self._call(member, signature, *body)
        unit, end = body[0], time.monotonic() + buses.SECONDS
        try:
            while True:
                signal = self._bus.signal(end)
                # Anybody on the bus may send us a signal: the sender's name is the bus's word.
                sent_by = signal.header.fields.get(HeaderFields.sender)
                member_name = signal.header.fields.get(HeaderFields.member)
                if sent_by == self._name and member_name == REMOVED and signal.body[1] == job:
                    return str(signal.body[3])
        except TimeoutError:
            raise CgroupError(f"Timeout waiting for systemd: {member} {unit}") from None
        except OSError as error:
            raise self._lost(error, member) from error

    def _lost(self, error: Exception, member: str = "Get") -> CgroupError:
        """Return the error of a connection that answers nothing of use."""
        text = str(error) if isinstance(error, BusError) else buses.why(error)
        return CgroupError(f"cannot reach systemd at {self._bus.address}: {member}: {text}")


def number(version: str) -> int:
    """Return the number that a version begins with: 252 of 252.39-1~deb12u2, 0 without one."""
    digits = ""
    for letter in version.removeprefix("v"):
        if not letter.isdigit():
            break
        digits += letter
    return int(digits or 0)
