# SPDX-License-Identifier: Apache-2.0
"""The monitor's loop: a container is made, started, runs, ends; then it begins again or its remains are cleaned up.

CREATING  until the process that makes it reports    CREATED  until the owner says start; without him it is undone
RUNNING   until its pidfd says so                    WAITING  between two runs     ENDED  until who started it has cleaned up
"""

import _socket
import fcntl
import posix
import select
import time
from sys import byteorder

from pyoci.engine import events
from pyoci.engine.containers import status
from pyoci.engine.monitor import ended, programs
from pyoci.engine.monitor.clients import PACKET, SOCKET, Client, Clients, listen
from pyoci.engine.monitor.health import Health
from pyoci.engine.monitor.log import Log
from pyoci.engine.monitor.memory import Memory
from pyoci.engine.monitor.network import Network
from pyoci.engine.monitor.rest import AFTER, rest
from pyoci.engine.monitor.restart import Restart
from pyoci.engine.monitor.streams import Streams
from pyoci.jsontext import dumps
from pyoci.spec.reader import parse_object, read_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

CREATING, CREATED, RUNNING, WAITING, ENDED, OVER = range(6)
_REPORT = 65536
_TIOCSWINSZ = 0x5414
_SIGKILL = 9
_KILLED = b'{"error":"the process that makes the container was killed","code":125}'


class Watch:
    """One container and everything that its monitor has open."""

    def __init__(self, run: str, state: "dict[str, Any] | None" = None) -> None:
        self.run = run
        self.settings = read_object(f"{run}/settings.json", regular=True)
        self.directory = str(self.settings["directory"])
        self.lock = status.lock(run) if state is None else state["lock"]
        self.status = status.read(self.directory)
        self.poll = select.epoll()
        self.handlers: dict[int, Callable[[], None]] = {}
        listener = (
            listen(run, SOCKET) if state is None else _socket.socket(fileno=state["listener"])
        )
        self.clients = Clients(listener, self.poll, self.leave)
        self.streams = Streams(self, Log(self.settings["log"]))  # type: ignore[arg-type]  # parsed JSON of our own
        self.restart = Restart(self.settings["restart"])  # type: ignore[arg-type]  # parsed JSON of our own
        self.health = Health(self)
        self.network = Network(self)
        self.memory = Memory(self)
        self.actor: dict[str, str] = {}
        self.actor_of = 0  # when the settings were written that it is from
        self.wakes_at = 0.0  # the next run, in the clock of time.monotonic
        self.pidfd = -1
        self.creator = (
            0  # the process that makes the container and lets it begin, until it is reaped
        )
        self.reporting = -1  # the socket to it
        self.may_start = False  # the owner has said so before the container was there
        self.phase = OVER if self.lock is None else CREATING
        self.owner: Client | None = None
        if state is not None:
            self.go_on(state)

    def begin(self, owner: int, report: int, console: int, creator: int) -> None:
        """Begin with a container that is being made."""
        self.owner = self.clients.add(_socket.socket(fileno=owner), attached=False)
        self.await_creator(report, creator, console)

    def go_on(self, state: "dict[str, Any]") -> None:
        """Go on after a rest."""
        self.pidfd = state["pidfd"]
        self.watch(self.pidfd, self.ended)
        self.streams.go_on(state["streams"])
        self.memory.go_on(state["memory"])
        self.restart.last = state["restart"]
        self.health.go_on_from(**state["health"])
        self.network.namespace = state["network"]["namespace"]
        for purpose, fd in state["network"]["taken"]:
            self.network.take(purpose, fd)
        self.phase = RUNNING

    # The loop ---------------------------------------------------------------------------------

    def run_to_end(self) -> None:
        """Watch until nothing is left to be done."""
        while self.phase != OVER:
            self.streams.hold(wanted=self.clients.are_full())
            due_in = self.timeout()
            may_rest = self.phase == RUNNING and not 0 <= due_in <= AFTER
            events = self.poll.poll(AFTER if may_rest else due_in)
            if may_rest and not events:
                rest(self)
            for fd, event in events:
                self.handle(fd, event)
            self.on_time()

    def watch(self, fd: int, handler: "Callable[[], None]", events: int = select.EPOLLIN) -> None:
        """Call a handler when there is something to read, or when other events come."""
        self.handlers[fd] = handler
        self.poll.register(fd, events)

    def unwatch(self, fd: int) -> None:
        """Close a descriptor that was watched."""
        self.handlers.pop(fd)
        self.poll.unregister(fd)
        posix.close(fd)

    def handle(self, fd: int, event: int) -> None:
        """Do what a descriptor asks for; it may be gone by what was done before."""
        if fd in self.handlers:
            self.handlers[fd]()
        elif fd == self.clients.listener.fileno():
            self.clients.accept()
        elif fd in self.clients.by_fd:
            client = self.clients.by_fd[fd]
            if event & select.EPOLLOUT:
                self.clients.flush(client)
            if event & ~select.EPOLLOUT:
                self.hear(client)
        elif fd == self.streams.input:
            self.streams.feed()

    def timeout(self) -> float:
        """Return the seconds until something is due, -1 for never."""
        due = (self.wakes_at, self.health.due_at, self.network.due_at)
        moments = [moment for moment in due if moment]
        return max(0.0, min(moments) - time.monotonic()) if moments else -1

    def on_time(self) -> None:
        """Do what is due."""
        now = time.monotonic()
        if self.wakes_at and now >= self.wakes_at:
            self.wakes_at = 0.0
            self.create_again()
        if self.health.due_at and now >= self.health.due_at:
            self.health.go_on()
        if self.network.due_at and now >= self.network.due_at:
            self.network.go_on()

    def tell(self, action: str, **more: str) -> None:
        """Tell of the container, by the name that it has now."""
        path = f"{self.run}/settings.json"
        written = posix.stat(path).st_mtime_ns
        if written != self.actor_of:
            self.actor = read_object(path, regular=True)["actor"]  # type: ignore[assignment]  # parsed JSON of our own
            self.actor_of = written
        root, identity = str(self.settings["root"]), str(self.settings["id"])
        events.tell(root, events.CONTAINER, action, identity, {**self.actor, **more})

    # Clients ----------------------------------------------------------------------------------

    def hear(self, client: Client) -> None:
        """Take everything that a client has sent."""
        while client.socket.fileno() >= 0:
            packet = client.receive()
            if packet is None:
                return
            if not packet:
                self.leave(client)
                return
            self.obey(client, packet[:1], packet[1:])

    def obey(self, client: Client, word: bytes, data: bytes) -> None:
        """Do what one packet asks for."""
        if word == b"a":
            client.attached = True
        elif word == b"s":
            self.let_start()
        elif word == b"i":
            self.streams.give(data)
        elif word == b"z":
            self.streams.end_input()
        elif word == b"w" and self.streams.master >= 0:
            self.resize(data)
        elif word == b"k":
            self.look()
        elif word == b"t":
            self.give_away(client)
        elif word == b"n":
            self.network.take(parse_object(data), client.given)
        elif word == b"d" and self.phase == ENDED:
            self.phase = OVER

    def let_start(self) -> None:
        """Start now, or as soon as the container is made."""
        self.may_start = self.phase == CREATING
        if self.phase == CREATED:
            self.start()

    def resize(self, size: bytes) -> None:
        """Give the container's terminal another size (struct winsize)."""
        fcntl.ioctl(self.streams.master, _TIOCSWINSZ, size)
        if self.phase == RUNNING:
            height, width = (int.from_bytes(size[at : at + 2], byteorder) for at in (0, 2))
            self.tell("resize", height=str(height), width=str(width))

    def give_away(self, client: Client) -> None:
        """Let a client clean up in the end, where nobody else will."""
        free = self.owner is None and self.phase < ENDED
        if free:
            self.owner = client
        self.clients.send(client, b"t1" if free else b"t0")

    def leave(self, client: Client) -> None:
        """A client has gone; without its owner a container that was not started is undone."""
        self.clients.drop(client)
        if client is not self.owner:
            return
        self.owner = None
        if self.phase == CREATED:
            self.delete()
            self.phase = OVER
        elif self.phase == ENDED:
            self.clean_up()

    def look(self) -> None:
        """A mark was made: one that is to stop does not begin again."""
        if self.phase == WAITING and status.is_marked(self.run, status.STOPPED_BY_HAND):
            self.wakes_at = 0.0
            self.end()

    # A run ------------------------------------------------------------------------------------

    def await_creator(self, report: int, creator: int, console: int) -> None:
        """Wait for the report of the process that makes the container, and for its terminal."""
        self.phase, self.creator, self.reporting = CREATING, creator, report
        self.streams.open(console)
        self.watch(report, self.hear_creator)

    def hear_creator(self) -> None:
        """Hear what the process that makes the container has to say; at its end it has said so, or never will."""
        report = self.read_report()
        if not report:
            self.dismiss_creator()
        if self.phase == CREATING:
            self.hear_report(report or _KILLED)

    def read_report(self) -> bytes:
        """Return a report of the process that makes the container, a packet; b"" at its end."""
        try:
            return posix.read(self.reporting, _REPORT)
        except ConnectionResetError:
            return b""  # it ended without reading our last word

    def dismiss_creator(self) -> None:
        """Let the process that has made the container end, and see its end: from then on its init is our child."""
        if self.creator:
            self.unwatch(self.reporting)
            posix.waitpid(self.creator, 0)
            self.creator, self.reporting = 0, -1

    def hear_report(self, report: bytes) -> None:
        """The container is made, or cannot be."""
        found = parse_object(report)
        if "error" in found:
            self.fail(found)
            return
        self.status["Events"] = found["events"]
        self.created(int(str(found["pid"])))

    def created(self, pid: int) -> None:
        """The container is there: its init is our child, or will be in a moment."""
        self.status["Pid"] = pid
        self.pidfd = posix.pidfd_open(pid)
        self.watch(self.pidfd, self.ended)
        self.network.hold(pid)
        self.memory.begin(self.status["Events"])
        self.phase = CREATED
        if self.status["RestartCount"] and status.is_marked(self.run, status.STOPPED_BY_HAND):
            self.delete()
            self.unwatch(self.pidfd)
            self.pidfd = -1
            self.end()
        elif self.status["RestartCount"]:
            self.start()
        elif self.owner is None:
            self.delete()
            self.phase = OVER
        else:
            self.clients.send(self.owner, b"c" + dumps({"pid": pid}).encode())
            if self.may_start:
                self.start()

    def fail(self, found: "dict[str, object]") -> None:
        """The container could not be made or started: the first time that is the owner's, later it is an end."""
        self.status["Error"] = found["error"]
        self.status["ExitCode"] = found.get("code", 128)
        self.status["Pid"] = 0
        again = bool(self.status["RestartCount"])
        self.status["Status"] = "exited" if again else "created"
        status.write(self.directory, self.status)
        if self.owner is not None:
            self.clients.send(self.owner, b"f" + dumps(found).encode())
        if again:
            self.end()
        else:
            self.phase = OVER

    def delete(self) -> None:
        """Have the runtime remove its container; a cgroup that goes would else be heard as one without memory."""
        self.memory.end(killed=False)
        self.dismiss_creator()
        programs.end(self.settings, "delete", "--force")

    def start(self) -> None:
        """Let the program begin."""
        self.streams.open_input()
        failure = self.let_begin()
        if failure:
            self.delete()
            self.fail({"error": failure, "code": 128})
            return
        self.status.update(
            {
                "Status": "running",
                "StartedAt": time.time_ns(),
                "Error": "",
                "ExitCode": 0,
                "OOMKilled": False,
                "Boot": self.settings["boot"],
            }
        )
        self.phase = RUNNING
        self.health.begin()
        status.write(self.directory, self.status)
        self.tell("start")
        self.clients.tell(b"r")

    def let_begin(self) -> str:
        """Have the process that has made the container let its program begin; returns "" or why it cannot."""
        answer = b""
        try:
            if self.creator:
                posix.write(self.reporting, b"s")
                answer = self.read_report()
        except BrokenPipeError:
            pass  # it was killed
        return str(parse_object(answer or _KILLED).get("error", ""))

    def take_over(self) -> None:
        """Go on where a monitor was killed: with a container that runs, or with the end of one."""
        if self.phase == OVER:
            return  # another one lives
        pid = self.status["Pid"]
        self.streams.open(-1)
        try:
            self.pidfd = posix.pidfd_open(pid) if pid and self.status["Status"] == "running" else -1
        except ProcessLookupError:
            self.pidfd = -1
        if self.pidfd < 0 or programs.state_pid(self.settings) != pid:
            self.finish(status.LOST)
            return
        self.streams.open_input()
        self.network.hold(pid)
        self.memory.begin(self.status["Events"])
        self.watch(self.pidfd, self.ended)
        self.phase = RUNNING
        self.health.begin()

    def ended(self) -> None:
        """The program has ended."""
        self.dismiss_creator()
        code = ended.exit_status(self.pidfd, self.status["Pid"])
        self.handlers.pop(self.pidfd)
        self.poll.unregister(self.pidfd)
        posix.close(self.pidfd)
        self.pidfd = -1
        if self.phase == CREATED:
            self.delete()
            self.fail({"error": "container init ended unexpectedly", "code": 128})
            return
        self.status["OOMKilled"] = ended.was_out_of_memory(self.status["Events"])
        self.memory.end(killed=self.status["OOMKilled"])
        self.finish(code)

    def finish(self, code: int) -> None:
        """Write down the end of a run and decide whether there is another."""
        self.health.stop()
        self.streams.drain()
        self.status.update({"ExitCode": code, "FinishedAt": time.time_ns(), "Pid": 0})
        status.unmark(self.run, status.PAUSED)
        self.tell("die", exitCode=str(code))
        lasted = self.status["FinishedAt"] - self.status["StartedAt"]
        by_hand = status.is_marked(self.run, status.STOPPED_BY_HAND)
        delay = self.restart.delay(code, self.status["RestartCount"], lasted, by_hand=by_hand)
        if delay is None:
            self.end()
            return
        self.delete()
        self.status["Status"] = "restarting"
        self.status["RestartCount"] += 1
        self.phase = WAITING
        self.wakes_at = time.monotonic() + delay
        status.write(self.directory, self.status)
        self.clients.tell(b"g" + str(code).encode())

    def create_again(self) -> None:
        """Have the container made once more, from the same settings."""
        console, report, creator = programs.create(self.settings, self.run, self.network.path())
        self.await_creator(report, creator, console)

    def end(self) -> None:
        """It is over: tell everybody, and leave cleaning up to the owner while he is there."""
        self.status["Status"] = "exited"
        self.network.close()
        status.write(self.directory, self.status)
        self.phase = ENDED
        self.clients.tell(b"x" + str(self.status["ExitCode"]).encode())
        if self.owner is None and self.phase == ENDED:
            self.clean_up()

    def clean_up(self) -> None:
        """Have what is left of the container cleaned up; by then this monitor is gone, and its lock free."""
        self.phase = OVER
        if self.lock is not None:
            posix.close(self.lock)
        programs.clean_up(self.settings)


assert PACKET <= _REPORT
