# SPDX-License-Identifier: Apache-2.0
"""Health checks: a command run in the container every so often, its last five results, and what follows from them.

The command is a process of the runtime, which leaves as soon as it runs; it is then our child, and its output comes through a pipe.
"""

import posix
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from typing import Any

    from pyoci.engine.monitor.watch import Watch
else:
    import _signal

STARTING, HEALTHY, UNHEALTHY = "starting", "healthy", "unhealthy"
_BILLION = 1_000_000_000
_KEPT, _OUTPUT = 5, 4096
_TIMED_OUT = -1
_READ = 65536


class Health:
    """The checks of one container: `due_at` is when something is to be done, in the clock of time.monotonic; 0 never."""

    __slots__ = (
        "check",
        "due_at",
        "identity",
        "output",
        "pid",
        "pidfd",
        "pipe",
        "record",
        "since",
        "started",
        "watch",
    )

    def __init__(self, watch: "Watch") -> None:
        self.watch = watch
        self.check: dict[str, Any] | None = watch.settings["health"]  # type: ignore[assignment]  # parsed JSON of our own
        self.record: dict[str, Any] = {}
        self.due_at = 0.0
        self.pipe = self.pidfd = self.pid = -1
        self.output = b""
        self.identity = ""  # of this check, in events
        self.started = self.since = 0

    def begin(self) -> None:
        """Begin with a new run, or go on after another monitor."""
        if self.check is None:
            return
        self.since = time.time_ns()
        self.record = {"Status": STARTING, "FailingStreak": 0, "Log": []}
        self.watch.status["Health"] = self.record
        self.plan()

    def go_on_from(self, since: int, due_at: float) -> None:
        """Go on after a rest: `since` is when this run began."""
        self.since, self.due_at = since, due_at
        self.record = self.watch.status["Health"] or {}

    def stop(self) -> None:
        """End with the run."""
        self.due_at = 0.0
        if self.pidfd >= 0:
            self.kill()
            posix.close(self.pidfd)
            self.pidfd = -1
        if self.pipe >= 0:
            self.watch.unwatch(self.pipe)
            self.pipe = -1
        if self.record and self.record["Status"] != UNHEALTHY:
            self.record["Status"] = UNHEALTHY

    def plan(self) -> None:
        """Set the time of the next check: sooner while the container starts."""
        assert self.check is not None
        starting = self.record["Status"] == STARTING and self.is_in_start_period()
        interval = self.check["start_interval"] if starting else self.check["interval"]
        self.due_at = time.monotonic() + interval / _BILLION

    def is_in_start_period(self) -> bool:
        """Tell whether a failure does not count yet."""
        assert self.check is not None
        return bool(time.time_ns() - self.since < self.check["start_period"])

    def go_on(self) -> None:
        """Begin a check, or end one that has taken too long."""
        if self.pipe >= 0:
            self.kill()
            self.finish(_TIMED_OUT)
            return
        self.run()

    def run(self) -> None:
        """Begin a check."""
        assert self.check is not None
        settings, run = self.watch.settings, self.watch.run
        reading, writing = posix.pipe2(posix.O_CLOEXEC)
        argv = [settings["pyoci"], "--root", settings["runtime"], "exec", "--detach"]
        argv += [
            "--pid-file",
            f"{run}/health.pid",
            "--process",
            f"{run}/health.json",
            settings["id"],
        ]
        self.started, self.output = time.time_ns(), b""
        self.identity = posix.urandom(32).hex()
        self.tell("exec_create", "exec_start")
        try:
            posix.unlink(f"{run}/health.pid")
        except FileNotFoundError:
            pass
        actions = [(posix.POSIX_SPAWN_DUP2, writing, number) for number in (1, 2)]
        pid = posix.posix_spawn(
            str(argv[0]), [*map(str, argv)], posix.environ, file_actions=actions
        )
        posix.close(writing)
        code = posix.waitstatus_to_exitcode(posix.waitpid(pid, 0)[1])
        self.pipe = reading
        self.watch.watch(reading, self.read)
        try:
            with open(f"{run}/health.pid", encoding="ascii") as file:
                self.pid = int(file.read())
            self.pidfd = posix.pidfd_open(self.pid)
        except (OSError, ValueError):
            self.pidfd = -1
        if code != 0:
            self.finish(code)
            return
        self.due_at = time.monotonic() + self.check["timeout"] / _BILLION

    def tell(self, *actions: str) -> None:
        """Tell of the check as of any process that is run in the container."""
        assert self.check is not None
        kind, *words = self.check["test"]
        first, *rest = ["/bin/sh", "-c", *words] if kind == "CMD-SHELL" else words
        for action in actions:
            self.watch.tell(f"{action}: {first} {' '.join(rest)}", execID=self.identity)

    def read(self) -> None:
        """Keep the first part of what the check writes; its end is the check's."""
        part = posix.read(self.pipe, _READ)
        if part:
            self.output = (self.output + part)[:_OUTPUT]
            return
        code = 0
        if self.pidfd >= 0:
            from pyoci.engine.monitor.ended import exit_status

            code = exit_status(self.pidfd, self.pid)
        self.finish(code)

    def kill(self) -> None:
        """End the process of the check."""
        if self.pidfd >= 0:
            try:
                _signal.pidfd_send_signal(self.pidfd, _signal.SIGKILL)
            except ProcessLookupError:
                return

    def finish(self, code: int) -> None:
        """Note a result and what follows from it."""
        assert self.check is not None
        if self.pipe >= 0:
            self.watch.unwatch(self.pipe)
            self.pipe = -1
        if self.pidfd >= 0:
            posix.close(self.pidfd)
            self.pidfd = -1
        self.watch.tell("exec_die", execID=self.identity, exitCode=str(code))
        output = self.output.decode("utf-8", "replace")
        if code == _TIMED_OUT:
            seconds = f"{self.check['timeout'] / _BILLION:g}"
            output = f"Health check exceeded timeout ({seconds}s)" + (
                f": {output}" if output else ""
            )
        self.note(code, output)
        self.plan()

    def note(self, code: int, output: str) -> None:
        """Write down a result."""
        assert self.check is not None
        before = self.record["Status"]
        entry = {"Start": self.started, "End": time.time_ns(), "ExitCode": code, "Output": output}
        self.record["Log"] = [*self.record["Log"], entry][-_KEPT:]
        if code == 0:
            self.record["FailingStreak"] = 0
            self.record["Status"] = HEALTHY
        elif self.record["Status"] != STARTING or not self.is_in_start_period():
            self.record["FailingStreak"] += 1
            if self.record["FailingStreak"] >= self.check["retries"]:
                self.record["Status"] = UNHEALTHY
        from pyoci.engine.containers import status

        status.write(self.watch.directory, self.watch.status)
        if self.record["Status"] != before:
            self.watch.tell(f"health_status: {self.record['Status']}")
