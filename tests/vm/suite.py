# SPDX-License-Identifier: Apache-2.0
"""tests/vm/test: the integration tests on every layout, as many machines at once as there are processors."""

import argparse
import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from vm import report, stage, table
from vm.commandline import stop
from vm.image import say
from vm.layouts import LAYOUTS, Layout, is_of
from vm.machines import MACHINES
from vm.report import FAILURE, Result

RUN = Path(__file__).resolve().parent / "run"
SECONDS = 3600  # for one machine
FILES = 3  # that one machine of a whole run takes: little is lost where it comes to no end
ENDED = (0, 1)  # pytest's status when every test was run; 1: some failed
# An emulated processor against that of an idle host: README.md has the measurement.
SLOWNESS = os.environ.get("PYOCI_SLOWNESS", "15")
INSIDE = """
uname -r >/out/kernel
exec .venv/bin/python3 -m pytest -p no:cacheprovider --junitxml=/out/report.xml "$@"
"""


class Job:
    """One machine that runs some of a layout's test files."""

    def __init__(self, layout: Layout, files: Sequence[str], number: int) -> None:
        self.layout = layout
        self.files = files
        self.name = f"{layout.name}-{number}"
        self.out = stage.BUILD / "out" / self.name
        self.log = stage.BUILD / "out" / f"{self.name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.began = 0.0
        self.results: dict[str, Result] = {}

    def command(self) -> list[str]:
        """Return the argv of tests/vm/run."""
        share = stage.BUILD / MACHINES[self.layout.machine].suite
        env = {"PYOCI_SLOWNESS": SLOWNESS, "PYOCI_PROBE": "/pyoci/probe", **self.layout.env}
        settings = [word for name, value in env.items() for word in ("--env", f"{name}={value}")]
        where = ["--machine", self.layout.machine, "--user", self.layout.user]
        what = ["--share", f"{share}:/pyoci", "--out", str(self.out), "--timeout", str(SECONDS)]
        return [str(RUN), *where, *what, *settings, "--", "sh", "-c", INSIDE, "sh", *self.files]

    def start(self) -> int:
        """Start it; return a descriptor that is readable when it has ended."""
        self.began = time.monotonic()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        for name in ("report.xml", "kernel"):
            (self.out / name).unlink(missing_ok=True)
        with open(self.log, "wb") as log:
            words = ["setpriv", "--pdeathsig", "TERM", *self.command()]
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return os.pidfd_open(self.process.pid)

    def finish(self) -> None:
        """Read and keep what it has left; the whole log is shown where it failed."""
        assert self.process is not None
        status = self.process.wait()
        kernel = self.out / "kernel"
        release = kernel.read_text(encoding="utf-8").strip() if kernel.exists() else ""
        self.results = report.read(self.out / "report.xml", self.files, release)
        if status not in ENDED:  # who knows how far it came
            self.results = dict.fromkeys(self.files, FAILURE)
        total = report.add(self.results.values())
        report.keep(self.layout, self.results)
        minutes = (time.monotonic() - self.began) / 60
        names = " ".join(Path(file).stem.removeprefix("test_") for file in self.files)
        say(f"{self.name}: {total.words()}, {minutes:.1f} minutes, {names}")
        if total.failed:
            print(self.log.read_text(errors="replace"), flush=True)

    def end(self) -> None:
        """End it, and its machine."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait()


def files_of(layout: Layout, flags: argparse.Namespace) -> list[str]:
    """Return which test files of a layout the flags ask for."""
    files = layout.files()
    if flags.file:
        files = [file for file in files if is_of(file, flags.file)]
    elif layout.is_ordinary and not flags.all:
        files = [file for file in files if layout.is_brief(file)]
    if flags.rest:
        files = [file for file in files if (report.kept(layout, [file]) or FAILURE).failed]
    return files


def jobs_of(layout: Layout, files: Sequence[str], *, whole: bool) -> list[Job]:
    """Return the machines of a layout; with two of them, every second file goes to one."""
    shards = -(-len(files) // FILES) if whole else layout.shards
    return [Job(layout, files[n::shards], n) for n in range(min(shards, len(files)))]


def run_all(jobs: Sequence[Job], workers: int) -> None:
    """Run the jobs, `workers` at a time."""
    waiting = list(jobs)
    running: dict[int, Job] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                job = waiting.pop(0)
                running[job.start()] = job
            for fd in select.select(list(running), [], [])[0]:
                running.pop(fd).finish()
                os.close(fd)
    finally:
        for job in running.values():
            job.end()


def prepare(layouts: Sequence[Layout]) -> None:
    """Make what all machines of the layouts start from, one after the other: each takes all processors."""
    for name in dict.fromkeys(layout.machine for layout in layouts):
        subprocess.run([RUN, "--machine", name], check=True)
    for suite in dict.fromkeys(MACHINES[layout.machine].suite for layout in layouts):
        machine = next(machine for machine in MACHINES.values() if machine.suite == suite)
        stage.directory(machine)


def judge(layouts: Sequence[Layout], jobs: Sequence[Job], flags: argparse.Namespace) -> list[str]:
    """Print the counts of this run, and return what is wrong."""
    wrong = []
    part = flags.file or flags.rest
    rows = table.read(table.PATH.read_text(encoding="utf-8"))
    for layout in layouts:
        own = [job for job in jobs if job.layout is layout]
        result = report.add(each for job in own for each in job.results.values())
        print(f"{layout.name}: {result.words()} ({layout.what}; {result.kernel})")
        for reason, count in sorted(result.skipped.items()):
            print(f"    {count} skipped: {reason}")
        if result.failed or not (result.passed or part):
            wrong.append(f"{layout.name}: {result.words()}")
        elif not (flags.all or part or flags.write) and layout.is_ordinary:
            wrong += table.complaints(layout, result, rows)
    return wrong


def write(layouts: Sequence[Layout]) -> None:
    """Write what the layouts' files counted when each ran last; a file that failed keeps its layout as it stood."""
    counts = {}
    for layout in layouts:
        files = layout.files()
        brief = [file for file in files if layout.is_brief(file)]
        counts[layout.name] = (report.kept(layout, files), report.kept(layout, brief))
    table.update(counts)


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the flags, of this process if no words are given."""
    parser = argparse.ArgumentParser(
        prog="tests/vm/test", description="The integration tests in machines."
    )
    parser.add_argument("--all", action="store_true", help="every test of every layout")
    parser.add_argument("--write", action="store_true", help="write docs/test-layouts.md")
    parser.add_argument(
        "--file",
        action="append",
        metavar="NAME",
        help="test_NAME.py only; with --write it is counted with the other files' last run",
    )
    parser.add_argument(
        "--rest", action="store_true", help="only files that have not passed yet in this clone"
    )
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count(), help="machines at once (%(default)s)"
    )
    parser.add_argument("layout", nargs="*", help=f"default: all of {', '.join(LAYOUTS)}")
    return parser.parse_args(words)


def main() -> int:
    """Run the program."""
    flags = arguments()
    unknown = set(flags.layout) - set(LAYOUTS)
    if unknown:
        say(f"no such layout: {', '.join(sorted(unknown))} (there are: {', '.join(LAYOUTS)})")
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    chosen = [LAYOUTS[name] for name in flags.layout or LAYOUTS]
    layouts = list(chosen)
    for layout in chosen:
        if not (flags.all or flags.layout or layout.is_ordinary):
            print(f"{layout.name}: not in an ordinary run, see --all")
            layouts.remove(layout)
    began = time.monotonic()
    prepare(layouts)
    whole = bool(flags.all or flags.file or flags.rest)
    jobs = [job for each in layouts for job in jobs_of(each, files_of(each, flags), whole=whole)]
    run_all(jobs, flags.workers)
    wrong = judge(layouts, jobs, flags)
    if flags.write:
        write(layouts)
    total = report.add(result for job in jobs for result in job.results.values())
    print("\n".join(wrong))
    print(f"all layouts, {(time.monotonic() - began) / 60:.0f} minutes")
    print(f"{total.words()}")
    return 1 if wrong else 0
