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

from vm import report, stage
from vm.commandline import stop
from vm.image import say
from vm.layouts import LAYOUTS, Layout
from vm.machines import MACHINES
from vm.report import Result

RUN = Path(__file__).resolve().parent / "run"
SECONDS = 3600  # for one machine
SLOWNESS = 15  # an emulated processor against the host's: README.md has the measurement
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
        self.result = Result(0, 1, {})

    def command(self) -> list[str]:
        """Return the argv of tests/vm/run."""
        share = stage.BUILD / MACHINES[self.layout.machine].suite
        env = {"PYOCI_SLOWNESS": str(SLOWNESS), "PYOCI_PROBE": "/pyoci/probe", **self.layout.env}
        settings = [word for name, value in env.items() for word in ("--env", f"{name}={value}")]
        where = ["--machine", self.layout.machine, "--user", self.layout.user]
        what = ["--share", f"{share}:/pyoci", "--out", str(self.out), "--timeout", str(SECONDS)]
        return [str(RUN), *where, *what, *settings, "--", "sh", "-c", INSIDE, "sh", *self.files]

    def start(self) -> int:
        """Start it; return a descriptor that is readable when it has ended."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        for name in ("report.xml", "kernel"):
            (self.out / name).unlink(missing_ok=True)
        with open(self.log, "wb") as log:
            words = ["setpriv", "--pdeathsig", "TERM", *self.command()]
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return os.pidfd_open(self.process.pid)

    def finish(self) -> None:
        """Read what it has left; the whole log is shown where it failed."""
        assert self.process is not None
        status = self.process.wait()
        result = report.read(self.out / "report.xml", self.layout)
        self.result = result if status == 0 or result.failed else result._replace(failed=1)
        say(f"{self.name}: {self.result.words()}")
        if not self.result.is_good:
            print(self.log.read_text(errors="replace"), flush=True)

    def end(self) -> None:
        """End it, and its machine."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait()


def jobs_of(layout: Layout, *, everything: bool) -> list[Job]:
    """Return the machines of a layout: every second file to one, of two."""
    whole = everything or not layout.is_ordinary
    files = [file for file in layout.files() if whole or layout.is_brief(file)]
    return [Job(layout, files[n :: layout.shards], n) for n in range(layout.shards)]


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
    """Print the counts, keep those of whole layouts, and return what is wrong."""
    wrong = []
    table = report.TABLE.read_text(encoding="utf-8") if report.TABLE.exists() else ""
    for layout in layouts:
        own = [job for job in jobs if job.layout is layout]
        kernels = [path for job in own if (path := job.out / "kernel").exists()]
        kernel = kernels[0].read_text(encoding="utf-8").strip() if kernels else ""
        result = report.add(job.result for job in own)._replace(kernel=kernel)
        print(f"{layout.name}: {result.words()} ({layout.what}; {kernel})")
        for reason, count in sorted(result.skipped.items()):
            print(f"    {count} skipped: {reason}")
        if not result.is_good:
            wrong.append(f"{layout.name}: {result.words()}")
            continue
        whole = flags.all or not layout.is_ordinary
        report.keep(layout, result, everything=whole)
        if not (whole or flags.write):
            wrong += report.complaints(layout, result, table)
    return wrong


def arguments() -> argparse.Namespace:
    """Return the flags."""
    parser = argparse.ArgumentParser(
        prog="tests/vm/test", description="The integration tests in machines."
    )
    parser.add_argument("--all", action="store_true", help="every test of every layout")
    parser.add_argument("--write", action="store_true", help="write docs/test-layouts.md")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count(), help="machines at once (%(default)s)"
    )
    parser.add_argument("layout", nargs="*", help=f"default: all of {', '.join(LAYOUTS)}")
    return parser.parse_args()


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
    jobs = [job for layout in layouts for job in jobs_of(layout, everything=flags.all)]
    run_all(jobs, flags.workers)
    wrong = judge(layouts, jobs, flags)
    if flags.write:
        report.write()
    total = report.add(job.result for job in jobs)
    print("\n".join(wrong))
    print(f"all layouts, {(time.monotonic() - began) / 60:.0f} minutes")
    print(f"{total.words()}")
    return 1 if wrong else 0
