#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compare pyoci with runc and crun: medians, interleaved in one run.

All of it happens in a private mount namespace without /sys/fs/cgroup/unified, as crun refuses a
host that mounts cgroup v2 beside v1.
"""

import argparse
import contextlib
import copy
import ctypes
import datetime
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
PYTHON = "/usr/bin/python3"
BUSYBOX = "/bin/busybox"
PROFILE = f"{TOP}/tests/data/seccomp-engine-sized.json"
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
PR_SET_CHILD_SUBREAPER = 36
MIB = 1 << 20
MANY = 500
ROW_RUN = "`run` of busybox true"
ROW_LIFE = "`create` + `start` + `delete`"
ROW_STATE = "`state`"
ROW_KILL = "`kill`"
ROW_PAUSE = "`pause` + `resume`"
ROW_EVENTS = "`events --stats`"
ROW_UPDATE = "`update` of one limit"
ROW_LIST = "`list` of 500 created containers"
ROW_PLAIN = "`run`, as Docker configures it, without seccomp"
ROW_SECCOMP = "the same with Docker's seccomp profile, second time"
ROW_MEMORY = "private dirty memory of a created container's init"
ROW_TIGHT = "a container with a memory limit of 1 MiB starts"
ROW_EXECUTOR = "size of the executor"
ROW_PYTHON = "`python3 -I -S -c pass`"

Config = dict[str, Any]


class Runtime:
    """A runtime binary with its own state root."""

    def __init__(self, name: str, program: str, directory: str) -> None:
        self.name = name
        self.program = program
        self.root = f"{directory}/root-{name}"
        self.errors = f"{directory}/errors-{name}"
        self.count = 0

    def time(self, *arguments: str) -> float:
        """Run a command and return the milliseconds that it took; a failure ends the bench."""
        argv = [self.program, "--root", self.root, *arguments]
        milliseconds, status = timed(argv, self.errors)
        if status != 0:
            with open(self.errors, encoding="utf-8", errors="replace") as file:
                sys.exit(f"{' '.join(argv)}: status {status}\n{file.read()}")
        return milliseconds

    def new_id(self) -> str:
        """Return an id that is not in use."""
        self.count += 1
        return f"bench-{self.name}-{os.getpid()}-{self.count}"


class Created:
    """A created container, for as long as a `with` block lasts; its init is our child."""

    def __init__(self, runtime: Runtime, bundle: str) -> None:
        self.runtime = runtime
        self.id = runtime.new_id()
        self.pid_file = f"{runtime.root}.pid"
        self.create = runtime.time("create", "-b", bundle, "--pid-file", self.pid_file, self.id)
        with open(self.pid_file, encoding="ascii") as file:
            self.pid = int(file.read())
        self.reaped = False

    def __enter__(self) -> "Created":
        return self

    def __exit__(self, *_: object) -> None:
        self.runtime.time("delete", "--force", self.id)
        if not self.reaped:
            os.waitpid(self.pid, 0)

    def wait(self) -> None:
        """Wait for init, which the runtime left to us."""
        os.waitpid(self.pid, 0)
        self.reaped = True


def timed(argv: list[str], errors: str) -> tuple[float, int]:
    """Return how many milliseconds a program took, and its status."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, errors, flags, 0o600),
    ]
    start = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, ENVIRONMENT, file_actions=actions)
    status = os.waitpid(pid, 0)[1]
    return (time.perf_counter() - start) * 1e3, os.waitstatus_to_exitcode(status)


# --- bundles --------------------------------------------------------------------------------------


def plain_config() -> Config:
    """Return what an engine asks for by default, without seccomp."""
    with open(f"{HERE}/config.json", encoding="utf-8") as file:
        config: Config = json.load(file)
    return config


def make_bundle(directory: str, name: str, **linux: object) -> str:
    """Make a bundle with these properties of `linux` changed."""
    config = copy.deepcopy(plain_config())
    config["linux"] |= linux
    bundle = f"{directory}/{name}"
    for part in ("bin", "dev", "etc", "proc", "sys", "tmp"):
        os.makedirs(f"{bundle}/rootfs/{part}")
    shutil.copy(BUSYBOX, f"{bundle}/rootfs/bin/busybox")
    os.symlink("busybox", f"{bundle}/rootfs/bin/true")
    with open(f"{bundle}/config.json", "w", encoding="utf-8") as file:
        json.dump(config, file)
    return bundle


def make_bundles(directory: str) -> dict[str, str]:
    """Make the bundles of all measurements."""
    with open(PROFILE, encoding="utf-8") as file:
        profile = json.load(file)
    small = make_bundle(directory, "small", maskedPaths=[], readonlyPaths=[], resources={})
    return {
        "small": small,
        "plain": make_bundle(directory, "plain"),
        "seccomp": make_bundle(directory, "seccomp", seccomp=profile),
        "tight": make_bundle(directory, "tight", resources={"memory": {"limit": MIB}}),
    }


# --- measurements ---------------------------------------------------------------------------------


def run(runtime: Runtime, bundle: str) -> float:
    """Return the milliseconds of one `run`."""
    return runtime.time("run", "-b", bundle, runtime.new_id())


def life(runtime: Runtime, bundle: str) -> float:
    """Return the milliseconds of create, start and delete, without the program's own."""
    container = Created(runtime, bundle)
    start = runtime.time("start", container.id)
    container.wait()
    return container.create + start + runtime.time("delete", container.id)


def one_round(runtime: Runtime, bundles: dict[str, str]) -> dict[str, float]:
    """Return one sample of each measurement."""
    sample = {
        ROW_RUN: run(runtime, bundles["small"]),
        ROW_LIFE: life(runtime, bundles["small"]),
        ROW_PLAIN: run(runtime, bundles["plain"]),
        ROW_SECCOMP: run(runtime, bundles["seccomp"]),
    }
    with Created(runtime, bundles["small"]) as container:
        sample[ROW_STATE] = runtime.time("state", container.id)
        sample[ROW_KILL] = runtime.time("kill", container.id, "WINCH")
        paused = runtime.time("pause", container.id)
        sample[ROW_UPDATE] = runtime.time("update", "--memory", str(64 * MIB), container.id)
        sample[ROW_PAUSE] = paused + runtime.time("resume", container.id)
        if runtime.name != "crun":  # which has no such command
            sample[ROW_EVENTS] = runtime.time("events", "--stats", container.id)
    return sample


def list_many(runtimes: list[Runtime], bundle: str, rounds: int) -> dict[str, str]:
    """Return the median milliseconds of `list` where there are many created containers."""
    with contextlib.ExitStack() as containers:
        for runtime in runtimes:
            for _ in range(MANY):
                containers.enter_context(Created(runtime, bundle))
        taken = [[runtime.time("list") for runtime in runtimes] for _ in range(rounds)]
    medians = map(statistics.median, zip(*taken, strict=True))
    return {runtime.name: f"{of:.1f}" for runtime, of in zip(runtimes, medians, strict=True)}


def private_kilobytes(runtime: Runtime, bundle: str) -> int:
    """Return the memory of a created container's init that nothing else shares or can give back."""
    with (
        Created(runtime, bundle) as container,
        open(f"/proc/{container.pid}/smaps_rollup", encoding="ascii") as file,
    ):
        rows = [line.split() for line in file]
    return sum(int(row[1]) for row in rows if row[0] == "Private_Dirty:")


def starts(runtime: Runtime, bundle: str) -> bool:
    """Return whether a container comes up in so little memory."""
    argv = [runtime.program, "--root", runtime.root, "run", "-b", bundle, runtime.new_id()]
    return timed(argv, runtime.errors)[1] == 0


def measure(runtimes: list[Runtime], directory: str, rounds: int) -> dict[str, dict[str, str]]:
    """Return the cells of the table: row -> runtime -> text."""
    bundles = make_bundles(directory)
    samples: dict[str, dict[str, list[float]]] = {}
    for number in range(rounds + 1):
        alone = timed([PYTHON, "-I", "-S", "-c", "pass"], "/dev/null")[0]
        samples.setdefault(ROW_PYTHON, {}).setdefault("", []).append(alone)
        for runtime in runtimes:
            for row, value in one_round(runtime, bundles).items():
                taken = samples.setdefault(row, {}).setdefault(runtime.name, [])
                taken += [value] if number else []  # the first round fills the caches
    cells = {
        row: {name: f"{statistics.median(taken):.1f}" for name, taken in by_name.items()}
        for row, by_name in samples.items()
    }
    cells[ROW_LIST] = list_many(runtimes, bundles["small"], rounds)
    cells[ROW_MEMORY] = {r.name: str(private_kilobytes(r, bundles["small"])) for r in runtimes}
    cells[ROW_EXECUTOR] = {"pyoci": str(os.path.getsize(find_executor()) // 1000)}
    cells[ROW_TIGHT] = {r.name: "yes" if starts(r, bundles["tight"]) else "no" for r in runtimes}
    return cells


# --- the document ---------------------------------------------------------------------------------


def reached(cells: dict[str, dict[str, str]]) -> list[tuple[str, str, str, str]]:
    """Return row, unit, what the row must reach, and what was reached."""

    def ours(row: str) -> float:
        return float(cells[row]["pyoci"])

    def share(row: str) -> str:
        return f"{ours(row) / float(cells[row]['runc']):.2f} of runc"

    alone = float(cells[ROW_PYTHON][""])
    return [
        (ROW_RUN, "ms", "at most 0.75 of runc", share(ROW_RUN)),
        (ROW_LIFE, "ms", "at most 1.0 of runc", share(ROW_LIFE)),
        (ROW_STATE, "ms", "interpreter + 2 ms", f"interpreter {ours(ROW_STATE) - alone:+.1f} ms"),
        (ROW_KILL, "ms", "interpreter + 2 ms", f"interpreter {ours(ROW_KILL) - alone:+.1f} ms"),
        (ROW_UPDATE, "ms", "at most 1.0 of runc", share(ROW_UPDATE)),
        (ROW_LIST, "ms", "at most 1.0 of runc", share(ROW_LIST)),
        (ROW_PAUSE, "ms", "", share(ROW_PAUSE)),
        (ROW_EVENTS, "ms", "interpreter + 4 ms", f"interpreter {ours(ROW_EVENTS) - alone:+.1f} ms"),
        (ROW_PYTHON, "ms", "", ""),
        (ROW_PLAIN, "ms", "", share(ROW_PLAIN)),
        (
            ROW_SECCOMP,
            "ms",
            "at most 1 ms over the row above",
            f"{ours(ROW_SECCOMP) - ours(ROW_PLAIN):+.1f} ms",
        ),
        (ROW_MEMORY, "kB", "at most 200", ""),
        (ROW_TIGHT, "", "yes", ""),
        (ROW_EXECUTOR, "kB", "at most 100", ""),
    ]


def find_executor() -> str:
    """Return the installed executor."""
    library = f"{TOP}/.venv/lib"
    for version in os.listdir(library):
        path = f"{library}/{version}/site-packages/pyoci/native/executor"
        if os.path.exists(path):
            return path
    sys.exit("the executor is not installed: make install")


def version_of(runtime: Runtime) -> str:
    """Return the first line of --version."""
    argv = [runtime.program, "--version"]
    said = subprocess.run(argv, stdout=subprocess.PIPE, check=True, text=True).stdout
    return said.splitlines()[0]


def processor() -> str:
    """Return the name of the processor."""
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return f"{len(names) or os.cpu_count()} x {names[0] if names else platform.machine()}"


def document(cells: dict[str, dict[str, str]], runtimes: list[Runtime], rounds: int) -> str:
    """Return the table with the facts that it depends on."""
    names = [runtime.name for runtime in runtimes]
    versions = "; ".join(version_of(runtime) for runtime in runtimes)
    lines = [
        "# Performance",
        "",
        "Made by `make bench`, which writes this file: do not edit it.",
        f"Medians of {rounds} rounds, all runtimes interleaved in one run; lower is better.",
        "",
        f"- {datetime.date.today().isoformat()}, {processor()}, Linux {platform.release()}, "
        f"Python {platform.python_version()}",
        f"- {versions}",
        "- in a mount namespace without `/sys/fs/cgroup/unified`: crun refuses a hybrid layout",
        "- `create` + `start` + `delete` is the sum of three processes, without waits between",
        "",
        f"| what | unit | {' | '.join(names)} | must reach | reached |",
        f"|---|---|{'--:|' * len(names)}---|---|",
    ]
    for row, unit, goal, result in reached(cells):
        values = cells[row]
        shown = [values.get(name, values.get("", "")) for name in names]
        lines.append(f"| {row} | {unit} | {' | '.join(shown)} | {goal} | {result} |")
    return "\n".join(lines) + "\n"


# --- the private mount namespace ------------------------------------------------------------------


def leave_unified() -> None:
    """Unmount cgroup v2 beside v1, in this mount namespace only."""
    if os.path.ismount("/sys/fs/cgroup/unified"):
        subprocess.run(["umount", "/sys/fs/cgroup/unified"], check=True)


def find_runtimes(directory: str) -> list[Runtime]:
    """Return pyoci as installed in .venv, and Debian's runc and crun."""
    programs = {"pyoci": f"{TOP}/.venv/bin/pyoci", "runc": "runc", "crun": "crun"}
    found = {name: shutil.which(program) for name, program in programs.items()}
    missing = [name for name, program in found.items() if program is None]
    if missing:
        sys.exit(f"not installed: {', '.join(missing)}")
    return [Runtime(name, str(program), directory) for name, program in found.items()]


def compare(rounds: int, target: str) -> None:
    """Measure and print the table; write it to a file where one is named."""
    leave_unified()
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory(prefix="pyoci-bench-") as directory:
        os.chmod(directory, 0o755)
        runtimes = find_runtimes(directory)
        text = document(measure(runtimes, directory, rounds), runtimes, rounds)
    print(text, end="")
    if target:
        with open(target, "w", encoding="utf-8") as file:
            file.write(text)


def main() -> None:
    """Parse the command line; enter a mount namespace first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--write", default="", metavar="FILE", help="write the table there, too")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        compare(options.rounds, options.write)
        return
    if os.geteuid() != 0:
        sys.exit("the bench makes real containers: run it as root")
    unshare = ["unshare", "--mount", "--propagation", "private", sys.executable, __file__]
    os.execvp(unshare[0], [*unshare, *sys.argv[1:], "--inside"])


if __name__ == "__main__":
    main()
