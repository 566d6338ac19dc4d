# SPDX-License-Identifier: Apache-2.0
"""The root image of a machine: made once with debootstrap(8), as root, from what the host's own apt uses."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vm import cache
from vm.errors import MachineError
from vm.machines import Machine

GUEST = Path(__file__).resolve().parent / "guest"
SIZE = "16G"  # of the disk; the file is sparse
PROGRAMS = {  # what a run needs, and Debian's package of it
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "mke2fs": "e2fsprogs",
    "cpio": "cpio",
    "setpriv": "util-linux",
    "tar": "tar",
}


def say(text: str) -> None:
    """Tell the user what is going on, on standard error: standard output is the command's."""
    print(f"vm: {text}", file=sys.stderr, flush=True)


def path_of(machine: Machine) -> Path:
    """Return where the image lies; its name is of all that it is made of but the packages' versions."""
    parts = [path.read_bytes() for path in (GUEST / "mkroot", GUEST / "pyoci.cil")]
    name = cache.key(*parts, machine.suite, machine.kernel, *machine.packages, SIZE)
    return cache.directory() / f"image-{name}"


@contextmanager
def use(machine: Machine) -> Iterator[Path]:
    """Return the image, made first if it is not there; it is not removed while this lasts."""
    need_programs()
    path = path_of(machine)
    with cache.use(path, lambda target: make(machine, target)):
        yield path


def need_programs() -> None:
    """Refuse to begin without the host's programs, naming Debian's packages of them."""
    os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = sorted({package for name, package in PROGRAMS.items() if not shutil.which(name)})
    if missing:
        raise MachineError(f"this host lacks {' '.join(missing)}: apt-get install them")


def make(machine: Machine, target: Path) -> None:
    """Make the image in a scratch directory; it appears whole or not at all."""
    if os.geteuid() != 0:
        raise MachineError("making an image needs root (debootstrap); running one does not")
    if not shutil.which("debootstrap"):
        raise MachineError("this host lacks debootstrap: apt-get install it")
    mirror, sources = sources_of(machine.suite)
    say(f"making the image of Debian {machine.suite}, some minutes, once: {target}")
    began = time.monotonic()
    with cache.scratch(target.parent) as work:
        (work / "sources.list").write_text(sources)
        (work / "apt.conf").write_text(apt_settings())
        env = {
            "SUITE": machine.suite,
            "MIRROR": mirror,
            "PACKAGES": " ".join(machine.packages),
            "KERNEL": machine.kernel,
            "SIZE": SIZE,
            "WORK": str(work),
            "DEBS": str(target.parent / "debs" / machine.suite),
            "POLICY": str(GUEST / "pyoci.cil"),
        }
        command = "setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --mount-proc --propagation private bash"
        done = subprocess.run(
            [*command.split(), GUEST / "mkroot"],
            env=os.environ | env,
            stdout=sys.stderr,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode != 0:
            raise MachineError(f"making the image failed: mkroot ended with {done.returncode}")
        (work / "out").rename(target)
    say(f"made in {time.monotonic() - began:.0f} s")


def host_suite() -> str:
    """Return the name of this host's release of Debian."""
    for line in Path("/etc/os-release").read_text(encoding="utf-8").splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.partition("=")[2].strip('"')
    raise MachineError("this host is no Debian: /etc/os-release has no VERSION_CODENAME")


def sources_of(suite: str) -> tuple[str, str]:
    """Return the mirror and the machine's sources.list, after those of the host's own apt."""
    rows = index_targets()
    if not rows:  # apt names them only when it has them
        subprocess.run(["apt-get", "-q", "update"], check=True, stdout=sys.stderr)
        rows = index_targets()
    main = next((uri for uri, release in rows if release == host_suite()), None)
    if main is None:
        raise MachineError(f"apt-get indextargets names no mirror of {host_suite()}")
    lines = [f"deb {main} {suite} main", f"deb {main} {suite}-updates main"]
    security = (uri for uri, release in rows if release.endswith("-security"))
    lines += [f"deb {uri} {suite}-security main" for uri in list(security)[:1]]
    return main, "\n".join(lines) + "\n"


def index_targets() -> list[tuple[str, str]]:
    """Return (address, release) of each list of packages that apt has: apt-get(8), indextargets."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)|$(RELEASE)|$(CREATED_BY)"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split("|") for line in out.splitlines()]
    return [(row[0], row[1]) for row in rows if row[2] == "Packages"]


def apt_settings() -> str:
    """Return the settings for apt in the image: how the host reaches its mirror, and what saves work."""
    out = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    wanted = ("Acquire::http", "Acquire::https", "Acquire::Check-")
    lines = [line for line in out.splitlines() if line.startswith(wanted) and '""' not in line]
    lines += [
        'APT::Sandbox::User "root";',
        'APT::Keep-Downloaded-Packages "true";',
        'Acquire::Languages "none";',
        'Acquire::Retries "3";',
    ]
    return "\n".join(lines) + "\n"
