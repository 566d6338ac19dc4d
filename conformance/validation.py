# SPDX-License-Identifier: Apache-2.0
"""The validation programs of the OCI runtime-tools, from Go's module proxy, against a runtime."""

import dataclasses
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from conformance import confine, tap, verdicts
from conformance.result import FAIL, PASS, SKIP, Result

MODULE = "github.com/opencontainers/runtime-tools"
# The last commit of 2025: the newest release, v0.9.0, is of 2019 and has no go.mod, so it pins nothing that it uses.
VERSION = "v0.9.1-0.20250523060157-0ea5ed0382a2"
TOOLS = {
    "oci-runtime-tool",
    "runtimetest",
}  # no tests: the second is what runs inside the container
SECONDS = 60.0
ATTEMPTS = 5  # of a program that is a race
AT_ONCE = 4  # they mostly sleep
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclasses.dataclass(frozen=True)
class Suite:
    """The installed suite: its programs, and the directory of its module with the root file system."""

    programs: Path
    module: Path

    def names(self) -> list[str]:
        """Return the names of all validation programs."""
        return sorted({path.name for path in self.programs.iterdir()} - TOOLS)

    @property
    def rootfs(self) -> Path:
        """The archive of the root file system."""
        machine = {"x86_64": "amd64", "i686": "386"}.get(platform.machine(), platform.machine())
        return self.module / f"rootfs-{machine}.tar.gz"


def install(directory: Path) -> Suite:
    """Build every program with Go's own client, once for each version; exits in words without Go."""
    go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    if go is None:
        sys.exit(
            "needs Go for the OCI validation suite: apt-get install golang-go, or https://go.dev"
        )
    programs = directory / f"runtime-tools-{VERSION}"
    environment = {**os.environ, "GOBIN": str(programs), "CGO_ENABLED": "0", "GOFLAGS": ""}
    if not (programs / "runtimetest").exists():
        subprocess.run([go, "install", f"{MODULE}/...@{VERSION}"], env=environment, check=True)
    cache = subprocess.run(
        [go, "env", "GOMODCACHE"], env=environment, check=True, capture_output=True, text=True
    )
    return Suite(programs, Path(cache.stdout.strip()) / f"{MODULE}@{VERSION}")


def run(suite: Suite, runtime: Path, only: str) -> Iterator[tuple[str, Result]]:
    """Run the programs whose name contains `only`; yields each with its result, in order."""
    names = [name for name in suite.names() if only in name]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from zip(
            names, pool.map(lambda name: judge(suite, runtime, name), names), strict=True
        )


def judge(suite: Suite, runtime: Path, name: str) -> Result:
    """Run one program; one that is a race gets another chance, and the report says which one it took."""
    result = judge_once(suite, runtime, name)
    for attempt in range(2, ATTEMPTS + 1):
        if result.status != FAIL or result.cause or name not in verdicts.RACES:
            break
        result = judge_once(suite, runtime, name)
        if result.status == PASS:
            reason = f"{result.reason}, at attempt {attempt}: {verdicts.RACES[name]}"
            result = dataclasses.replace(result, reason=reason)
    return result


def judge_once(suite: Suite, runtime: Path, name: str) -> Result:
    """Run one program; a failure gets the evidence that explains all of it, where there is some."""
    ended = run_program(suite, runtime, name)
    if ended.status is None:
        return Result(FAIL, f"did not end within {SECONDS:.0f} s")
    taken = tap.read(ended.stdout)
    if ended.status != 0 or taken.failures:
        taken.failures += (
            [_words(ended.stderr)] if ended.status != 0 or _DIED in taken.failures else []
        )
        reason = "; ".join(dict.fromkeys(taken.failures))[:600]
        return Result(FAIL, reason, verdicts.explain(name, taken.failures))
    if taken.skipped and not taken.passed:
        return Result(SKIP, taken.skipped[0])
    if not taken.passed:
        return Result(PASS, "ended well; it prints no check of its own")
    skipped = f", {len(taken.skipped)} skipped" if taken.skipped else ""
    return Result(PASS, f"{taken.passed} checks{skipped}")


_DIED = "exit status 1"  # all that a program says when the runtime it called has failed


def _words(stderr: str) -> str:
    """Return what a program and its runtime wrote to stderr, as one line."""
    return " ".join(stderr.replace(_DIED, "").split()) or _DIED


def run_program(suite: Suite, runtime: Path, name: str) -> confine.Ended:
    """Run one program in a directory of its own, with a state root of the runtime's in it."""
    directory = Path(tempfile.mkdtemp(prefix=f"conformance-{name}-"))
    try:
        directory.chmod(0o755)
        (directory / suite.rootfs.name).symlink_to(suite.rootfs)
        shutil.copy2(suite.programs / "runtimetest", directory)  # copied on as it is: no link
        wrapper = directory / runtime.name
        # The programs know no --root: without this two runs would meet in the default one.
        wrapper.write_text(
            f"#!/bin/sh\nexec '{runtime}' --root '{directory}/root' \"$@\"\n", encoding="utf-8"
        )
        wrapper.chmod(0o755)
        return confine.run(
            [str(suite.programs / name)],
            name=directory.name,
            directory=directory,
            environment={
                "PATH": PATH,
                "HOME": "/",
                "TMPDIR": str(directory),
                "RUNTIME": str(wrapper),
            },
            seconds=SECONDS,
            hide_unified=runtime.name
            == "crun",  # it refuses a v2 hierarchy beside those of version 1
        )
    finally:
        shutil.rmtree(directory)
