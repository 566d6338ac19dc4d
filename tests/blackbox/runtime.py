# SPDX-License-Identifier: Apache-2.0
"""A runtime driven through its command line, and its containers."""

import itertools
import json
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from blackbox import delegated
from blackbox.bundle import Bundle
from blackbox.processes import SECONDS, Ran, Running, is_alive, text, until

ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/"}
_numbers = itertools.count(1)


class Runtime:
    """A runtime binary with a state root of its own."""

    def __init__(self, program: str, scratch: Path, session: str) -> None:
        self.program = program
        self.name = os.path.basename(program)
        self.scratch = scratch
        self.session = session
        self.systemd = os.environ.get("PYOCI_DRIVER") == "systemd"
        self.parent = f"{delegated.path()}/{session}"
        self.root = scratch / "root"
        self.outputs = scratch / "out"
        self.outputs.mkdir()
        self.running: list[Running] = []
        self.used: set[str] = set()
        self.reaping = True

    def new_id(self) -> str:
        """Return an id that this session has not used; it carries the session's name."""
        name = f"{self.session}-{next(_numbers)}"
        self.used.add(name)
        return name

    def command(self, *args: str, flags: Sequence[str] = ()) -> list[str]:
        """Return the argv of a call."""
        driver = ["--systemd-cgroup"] if self.systemd else []
        return [self.program, "--root", str(self.root), *driver, *flags, *args]

    def cgroups_path(self, name: str) -> str:
        """Return where a container's cgroup is to be, in the form that its driver takes."""
        if not self.systemd:
            return f"{self.parent}/{name}"
        return f"{'user' if os.geteuid() else 'system'}.slice:pyoci:{name}"

    def spawn(
        self,
        *args: str,
        flags: Sequence[str] = (),
        wrap: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        stdin: Path | str | int = os.devnull,
        cwd: Path | str | None = None,
    ) -> Running:
        """Start a command of the runtime, through the program in `wrap` if there is one."""
        argv = [*wrap, *self.command(*args, flags=flags)]
        running = Running(
            argv, self.outputs, env=ENVIRONMENT if env is None else env, stdin=stdin, cwd=cwd
        )
        running.reaping = self.reaping
        self.running.append(running)
        return running

    def __call__(self, *args: str, seconds: float = SECONDS, **how: Any) -> Ran:
        """Run a command of the runtime to its end."""
        return self.spawn(*args, **how).wait(seconds)

    def making(self, verb: str, bundle: Bundle, *options: str) -> list[str]:
        """Return the command that makes a container from a bundle; the last word is a new id."""
        name = self.new_id()
        bundle.place(self.cgroups_path(name))
        return [verb, "--bundle", str(bundle.path), *options, name]

    def run(self, bundle: Bundle, *options: str, **how: Any) -> Ran:
        """Run a container in the foreground."""
        return self(*self.making("run", bundle, *options), **how)

    def output(self, bundle: Bundle, *options: str, **how: Any) -> str:
        """Run a container that must succeed, and return what it wrote."""
        ran = self.run(bundle, *options, **how)
        assert ran.code == 0, ran
        return ran.stdout

    def try_create(
        self, bundle: Bundle, *options: str, seconds: float = SECONDS, **how: Any
    ) -> tuple["Container", Ran]:
        """Try to create a container, and return it with what happened."""
        command = self.making("create", bundle, *options)
        container = Container(self, command[-1], bundle)
        running = self.spawn(*command, **how)
        container.out, container.err = running.out, running.err
        return container, running.wait(seconds)

    def create(self, bundle: Bundle, *options: str, **how: Any) -> "Container":
        """Create a container; it must succeed."""
        container, ran = self.try_create(bundle, *options, **how)
        assert ran.code == 0, ran
        return container

    def start(self, bundle: Bundle, *options: str, **how: Any) -> "Container":
        """Create a container and start it."""
        container = self.create(bundle, *options, **how)
        container.start()
        return container

    def refuses(self, bundle: Bundle, *options: str, **how: Any) -> str:
        """Expect that `create` fails with a message and leaves nothing, and return the message."""
        container, ran = self.try_create(bundle, *options, **how)
        assert ran.code == 1 or (self.name == "crun" and ran.code != 0), ran  # it has more of them
        assert ran.stderr.strip(), ran
        assert "Traceback" not in ran.stderr, ran
        assert not (self.root / container.id).exists()
        return ran.message


class Container:
    """A container made by `create`."""

    def __init__(self, runtime: Runtime, name: str, bundle: Bundle) -> None:
        self.runtime = runtime
        self.id = name
        self.bundle = bundle
        self.out = Path(os.devnull)
        self.err = Path(os.devnull)

    @property
    def stdout(self) -> str:
        """What the container's process wrote."""
        return text(self.out)

    @property
    def stderr(self) -> str:
        """What the container's process wrote to its standard error."""
        return text(self.err)

    def state(self) -> dict[str, Any]:
        """Return the state as the runtime prints it."""
        ran = self.runtime("state", self.id)
        assert ran.code == 0, ran
        state: dict[str, Any] = json.loads(ran.stdout)
        return state

    @property
    def status(self) -> str:
        """The status."""
        status: str = self.state()["status"]
        return status

    @property
    def pid(self) -> int:
        """The pid of init."""
        pid: int = self.state()["pid"]
        return pid

    def start(self) -> None:
        """Start it; that must succeed."""
        ran = self.runtime("start", self.id)
        assert ran.code == 0, ran

    def try_start(self) -> Ran:
        """Try to start it."""
        return self.runtime("start", self.id)

    def kill(self, number: str = "KILL") -> None:
        """Send a signal; that must succeed."""
        ran = self.runtime("kill", self.id, number)
        assert ran.code == 0, ran

    def delete(self, *options: str) -> None:
        """Delete it; that must succeed."""
        ran = self.runtime("delete", *options, self.id)
        assert ran.code == 0, ran

    def exec(self, *args: str, **how: Any) -> Ran:
        """Run a process in it: options first, then the command."""
        options = list(itertools.takewhile(lambda arg: arg != "--", args))
        if len(options) == len(args):
            return self.runtime("exec", self.id, *args, **how)
        return self.runtime("exec", *options, self.id, *args[len(options) + 1 :], **how)

    def exec_process(self, process: dict[str, Any], *options: str, **how: Any) -> Ran:
        """Run a process given as a process.json."""
        path = self.runtime.scratch / f"process{next(_numbers)}.json"
        path.write_text(json.dumps(process))
        return self.runtime("exec", "--process", str(path), *options, self.id, **how)

    def wait(self, status: str = "stopped") -> None:
        """Wait until it has a status."""
        until(lambda: self.status == status, f"{self.id} is {status}")

    def stop(self) -> None:
        """Kill its init and wait until it is dead."""
        pid = self.pid
        self.kill()
        until(lambda: not is_alive(pid), f"{pid} is dead")

    def written(self, wanted: str) -> str:
        """Wait until the process has written something, and return all of its output."""
        until(lambda: wanted in self.stdout, f"{wanted!r} in {self.out}: {self.stdout!r}")
        return self.stdout


def signal_number(name: str) -> int:
    """Return the number of a signal."""
    return int(signal.Signals[name])
