# SPDX-License-Identifier: Apache-2.0
"""Run a program where all that it makes can be found again: namespaces and cgroups of its own.

The runtime-tools programs leave mounts, cgroups and processes, and remove their bundles with mounts below them: run
on the host itself, one would delete the cgroups of others through a mount that it forgot.
"""

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))

from tests.blackbox import kernel  # noqa: E402 - also a program of its own: see `main`

CGROUPS = "/sys/fs/cgroup"
NAMESPACES = 0x02000000 | 0x04000000 | 0x08000000  # CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC
PATIENCE = 10.0  # seconds until what was killed must be gone


@dataclasses.dataclass(frozen=True)
class Ended:
    """What a program did; the status is None when it ran past its limit."""

    status: int | None
    stdout: str
    stderr: str


def hierarchies() -> Iterator[tuple[str, str, str]]:
    """Yield mount point, type and mount options of every cgroup hierarchy."""
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            yield before.split()[4], kind, options.split()[-1]


def run(
    argv: Sequence[str],
    *,
    name: str,
    directory: Path,
    environment: dict[str, str],
    seconds: float,
    hide_unified: bool,
) -> Ended:
    """Run a program below cgroups called `name` in private namespaces, then remove all of them."""
    cgroups = [f"{point}/{name}" for point, _, _ in hierarchies()]
    make(cgroups)
    out, err = directory / "stdout.log", directory / "stderr.log"
    try:
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, __file__, "v1" if hide_unified else "all", *cgroups, "--", *argv],
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )
            try:
                status: int | None = process.wait(seconds)
            except subprocess.TimeoutExpired:
                status = None
                process.kill()
                process.wait()
    finally:
        remove(cgroups)
    return Ended(status, text(out), text(err))


def text(path: Path) -> str:
    """Return a file, whatever its bytes."""
    return path.read_text(encoding="utf-8", errors="replace")


def make(cgroups: Sequence[str]) -> None:
    """Make a cgroup in each hierarchy; a cpuset of version 1 begins empty, and so useless."""
    for path in cgroups:
        os.makedirs(path, exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):
            with contextlib.suppress(FileNotFoundError, PermissionError):
                value = Path(path).parent.joinpath(file).read_text(encoding="ascii")
                Path(path, file).write_text(value, encoding="ascii")


def enter(cgroups: Sequence[str], *, hide_unified: bool) -> None:
    """Enter the cgroups, make them the root of what this process sees, and see nothing else."""
    for path in cgroups:
        Path(path, "cgroup.procs").write_text("0", encoding="ascii")
    seen = list(hierarchies())
    kernel.unshare(kernel.CLONE_NEWNS | NAMESPACES)
    kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
    for point, kind, options in seen:
        kernel.umount(point, kernel.MNT_DETACH)
        if kind == "cgroup2" and hide_unified:
            continue
        wanted = ",".join(word for word in options.split(",") if word not in ("rw", "ro"))
        data = f"none,{wanted}" if wanted.startswith("name=") else wanted
        kernel.mount("none", point, kind, 0, data if kind == "cgroup" else "")


def remove(cgroups: Sequence[str]) -> None:
    """Kill whatever lives in the cgroups, which is ours, and remove them from the leaves up."""
    for path in cgroups:
        _until(lambda: _emptied(path), f"{path} is empty")  # noqa: B023 - called before the next round


def _until(is_done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_done():
        if time.monotonic() > deadline:
            sys.exit(f"cannot clean up: not so after {PATIENCE:.0f} s: {what}")
        time.sleep(0.02)


def _emptied(path: str) -> bool:
    for directory, _, files in os.walk(path, topdown=False):
        for file, value in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
            if file in files:
                with contextlib.suppress(OSError):
                    Path(directory, file).write_text(value, encoding="ascii")
        with contextlib.suppress(OSError):
            for pid in text(Path(directory, "cgroup.procs")).split():
                os.kill(int(pid), signal.SIGKILL)
        with contextlib.suppress(OSError):
            os.rmdir(directory)
    return not os.path.exists(path)


def main(arguments: Sequence[str]) -> None:
    """Be the first program in the namespaces: LAYOUT CGROUP... -- PROGRAM ARGUMENT..."""
    split = arguments.index("--")
    enter(arguments[1:split], hide_unified=arguments[0] == "v1")
    os.execv(arguments[split + 1], arguments[split + 1 :])


if __name__ == "__main__":
    main(sys.argv[1:])
