#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compare pypod with Debian's docker and podman: medians, interleaved in one run, in namespaces of their own (issue 6's table).

`make bench-engine` writes docs/performance-engine.md. Each time is that of the whole command, nsenter into the namespaces included.
"""

import argparse
import datetime
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TOP / "tests"), str(TOP / "tests/engine")]

from engines import image  # noqa: E402 - found through the path above
from sides import PATH, NetworkedOracle, Pypod  # noqa: E402 - found through the path above

MANY = 200
RUNNING = 20
MIB = 1 << 20
LAYER_BYTES = 220 * MIB
REGISTRY = "127.0.0.1:5000"
BIG = f"{REGISTRY}/big:1"
CONFIG = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {0}/data}}}}
http: {{addr: "127.0.0.1:5000"}}
"""
# what, at most this part of docker, of podman (None: nothing is asked)
ROWS = (
    ("`run --rm --network none busybox true`", "ms", 0.25, 0.25),
    ("the same, bridged with a published port", "ms", 0.35, 0.35),
    ("pull of a 220 MB layer from a local registry", "ms", 0.4, 0.4),
    ("build with everything cached", "ms", 0.3, None),
    ("`ps` with 200 containers", "ms", 1.5, None),
    ("memory of 20 containers beyond the payloads, when they have just begun", "MB", 1.0, None),
    ("the same ten seconds later; podman may have 2 MB a container more", "MB", 1.0, None),
)
SETTLED_SECONDS = 10


class Docker(NetworkedOracle):
    """Docker with what it keeps of running containers where a host has it."""

    def options(self) -> dict[str, Path | str]:
        """Return the daemon's options."""
        return {**super().options(), "exec-root": running(self.directory.parent) / "docker"}


def running(directory: Path) -> Path:
    """Return where an engine keeps what it knows of running containers: /run is a tmpfs, in their namespaces as on a host."""
    return Path("/run") / directory.name


class Side:
    """One engine: how it is called, which of its processes cost memory."""

    def __init__(
        self, name: str, argv: list[str], environment: dict[str, str], owns: tuple[str, ...]
    ) -> None:
        self.name = name
        self.argv = argv
        self.environment = environment
        self.owns = owns

    def __call__(self, *words: str) -> str:
        """Run a command that must succeed."""
        ran = subprocess.run(
            [*self.argv, *words],
            env=self.environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if ran.returncode:
            raise SystemExit(f"{self.name} {' '.join(words)}: {ran.stderr}")
        return ran.stdout

    def time(self, *words: str) -> float:
        """Run a command and return the milliseconds that it took."""
        begun = time.perf_counter()
        self(*words)
        return (time.perf_counter() - begun) * 1000


def interleaved(sides: list[Side], rounds: int, one: Callable[[Side], float]) -> dict[str, float]:
    """Return each side's median; the sides take turns, so that they meet the same load."""
    found: dict[str, list[float]] = {side.name: [] for side in sides}
    for number in range(rounds + 1):
        for side in sides:
            milliseconds = one(side)
            if number:  # the first turn fills caches
                found[side.name].append(milliseconds)
    return {name: statistics.median(values) for name, values in found.items()}


def published(side: Side) -> float:
    """Time a container with a published port."""
    return side.time("run", "--rm", "-p", "80", "box", "true")


def pulled(side: Side) -> float:
    """Time a pull of what is not there."""
    flags = ["--tls-verify=false"] if side.name == "podman" else []
    milliseconds = side.time("pull", "-q", *flags, BIG)
    side("rmi", BIG)
    return milliseconds


def private_bytes(owns: tuple[str, ...], name: str) -> int:
    """Return the memory that a side's own processes share with nobody, and their part of what they share (PSS)."""
    total = 0
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            words = (
                Path(f"/proc/{pid}/cmdline")
                .read_bytes()
                .replace(b"\0", b" ")
                .decode("utf-8", "replace")
            )
            if name in words and any(program in words for program in owns):
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
                total += sum(
                    int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")
                )
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def memory(sides: list[Side], name: str) -> list[dict[str, float]]:
    """Return the megabytes that running containers cost each side beside their programs, at once and when they are at rest."""
    begun, settled = {}, {}
    for side in sides:
        for _ in range(RUNNING):
            side("run", "-d", "--network", "none", "box", "sleep", "1000")
        begun[side.name] = private_bytes(side.owns, name) / 1e6
        time.sleep(SETTLED_SECONDS)
        settled[side.name] = private_bytes(side.owns, name) / 1e6
        side("rm", "-f", *side("ps", "-q").split())
    return [begun, settled]


def measure(sides: list[Side], context: str, rounds: int, name: str) -> list[dict[str, float]]:
    """Return a row of figures for each of ROWS."""
    plain = ("run", "--rm", "--network", "none", "box", "true")
    rows = [
        interleaved(sides, rounds, lambda side: side.time(*plain)),
        interleaved(sides, rounds, published),
        interleaved(sides, max(rounds // 4, 2), pulled),
        interleaved(
            sides,
            rounds,
            lambda side: side.time("build", "-q", "--network", "none", "-t", "built", context),
        ),
    ]
    for side in sides:
        for _ in range(MANY):
            side("create", "--network", "none", "box", "true")
    rows.append(interleaved(sides, rounds, lambda side: side.time("ps", "-a")))
    for side in sides:
        side("rm", *side("ps", "-aq").split())
    return [*rows, *memory(sides, name)]


def table(rows: list[dict[str, float]], rounds: int, load: str) -> str:
    """Return the document."""
    lines = [
        "# Performance of pypod",
        "",
        "Made by `make bench-engine`, which writes this file: do not edit it.",
        f"Medians of {rounds} rounds (a pull: a quarter of them), all engines interleaved in one run; lower is better.",
        "",
        f"- {datetime.datetime.now(datetime.UTC).date()}, {os.cpu_count()} processors, Linux {platform.release()}",
        f"- load average at the beginning and at the end: {load}",
        "- docker: client 28 with Debian's dockerd 20.10, its builder without BuildKit",
        "- podman: of Debian, with runc, for crun refuses a hybrid layout",
        "",
        "| what | unit | pypod | docker | podman | must reach | reached |",
        "|---|---|--:|--:|--:|---|---|",
    ]
    for (what, unit, of_docker, of_podman), row in zip(ROWS, rows, strict=True):
        asked = " and ".join(
            f"{part} of {name}"
            for part, name in ((of_docker, "docker"), (of_podman, "podman"))
            if part
        )
        reached = ", ".join(
            f"{row['pypod'] / row[name]:.2f} of {name}" for name in ("docker", "podman")
        )
        figures = " | ".join(f"{row[name]:.1f}" for name in ("pypod", "docker", "podman"))
        lines.append(f"| {what} | {unit} | {figures} | at most {asked} | {reached} |")
    return "\n".join(lines) + "\n"


def write_big(target: Path) -> None:
    """Write an archive of so many bytes of this system's own files."""
    with target.open("wb") as file:
        tar = subprocess.Popen(
            ["tar", "-C", "/usr", "-c", "lib", "share"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert tar.stdout is not None
        left = LAYER_BYTES
        while left and (chunk := tar.stdout.read(min(left, MIB))):
            file.write(chunk)
            left -= len(chunk)
        tar.kill()
        tar.wait()
        tar.stdout.close()


def big_layer(directory: Path) -> Path:
    """Return a compressed tar file with one big file of real content in it."""
    write_big(directory / "content")
    target = directory / "big.tar.gz"
    subprocess.run(["tar", "-C", str(directory), "-czf", str(target), "content"], check=True)
    (directory / "content").unlink()
    return target


def prepare(directory: Path, docker: NetworkedOracle) -> tuple[list[Side], str]:
    """Give each engine the image, and a registry the big one."""
    root = image.make_root(Path("/bin/busybox"), directory / "root.tar")
    docker.load(root)
    inside = docker.inside()
    pypod = Pypod(directory / "pypod", inside)
    pypod.environment["PYPOD_RUN"] = str(running(directory) / "pypod")
    pypod.load(root)
    storage = [
        "--root",
        f"{directory}/podman/root",
        "--runroot",
        str(running(directory) / "podman"),
        "--cgroup-manager",
        "cgroupfs",
    ]
    storage += ["--tmpdir", str(running(directory) / "podman-tmp"), "--runtime", "/usr/sbin/runc"]
    (directory / "containers.conf").write_text(
        '[containers]\ndefault_ulimits = ["nofile=1024:4096", "nproc=1024:4096"]\n'
    )
    environment = {"PATH": PATH, "HOME": str(directory)}
    environment["CONTAINERS_CONF"] = str(directory / "containers.conf")
    sides = [
        Side(
            "pypod",
            [*inside, str(TOP / ".venv/bin/pypod")],
            pypod.environment,
            ("_monitor",),
        ),
        Side(
            "docker",
            [*inside, *docker.client],
            docker.environment,
            ("dockerd", "containerd"),
        ),
        Side("podman", [*inside, "podman", *storage], environment, ("conmon",)),
    ]
    sides[2]("import", "--change", "CMD /bin/sh", str(root), "box")
    (directory / "registry.yml").write_text(CONFIG.format(directory))
    registry = ["setpriv", "--pdeathsig", "TERM", "docker-registry", "serve"]
    with open(directory / "registry.log", "wb") as log:
        subprocess.Popen([*inside, *registry, f"{directory}/registry.yml"], stdout=log, stderr=log)
    listening = [
        *inside,
        "sh",
        "-c",
        "until busybox nc -w 1 127.0.0.1 5000 < /dev/null; do sleep 0.1; done",
    ]
    subprocess.run(listening, check=True, timeout=20)
    sides[0]("import", str(big_layer(directory)), BIG)
    sides[0]("push", "-q", BIG)
    sides[0]("rmi", BIG)
    context = directory / "context"
    context.mkdir()
    (context / "file").write_bytes(os.urandom(MIB))
    (context / "Dockerfile").write_text(
        "FROM box\nCOPY . /context\nRUN echo one > /one\nENV two=2\nRUN echo three > /three\n"
    )
    return sides, str(context)


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--rounds", type=int, default=20)
    asked = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="pypod-bench-"))
    begun = f"{os.getloadavg()[0]:.1f}"
    docker = Docker(directory / "docker", f"bench-{os.getpid()}")
    try:
        sides, context = prepare(directory, docker)
        rows = measure(sides, context, asked.rounds, directory.name)
    finally:
        docker.stop()
        shutil.rmtree(directory, ignore_errors=True)
    text = table(rows, asked.rounds, f"{begun}, {os.getloadavg()[0]:.1f}")
    if asked.write:
        asked.write.write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()
