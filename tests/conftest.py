# SPDX-License-Identifier: Apache-2.0
"""Which runtime the black-box tests drive, what they may rely on, and what they must leave.

PYOCI_RUNTIME names the binary: by default this repository's own, else runc. PYOCI_CGROUPS=v1 or v2
shows the runtime that cgroup layout only, in a mount namespace of the tests. PYOCI_DRIVER=systemd has
systemd make the cgroups. PYOCI_SLOWNESS=10 makes every deadline ten times as long, for an emulated
machine. PYOCI_PROBE names the helper program where there is no compiler.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE))

from blackbox import delegated, host, kernel  # noqa: E402 - found through the path above

LAST = "test_zz_nothing_left"
CGROUPS = "/sys/fs/cgroup"
BUSYBOX = "/bin/busybox"
PLACES = ("/tmp", "/run", "/dev/shm", "/var/tmp", "/var/run")
TAKEN: dict[str, set[str]] = {}


def runtime_program() -> str:
    """Return the absolute path of the runtime under test."""
    chosen = os.environ.get("PYOCI_RUNTIME", "")
    own = HERE.parent / ".venv/bin/pyoci"
    if not chosen:
        chosen = str(own) if own.exists() else "runc"
    found = shutil.which(chosen)
    if found is None:
        raise pytest.UsageError(f"PYOCI_RUNTIME: there is no program {chosen!r}")
    return os.path.abspath(found)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        "expect_fail_on(runtime, reason, strict=True, user=False): the named runtime is known to "
        "fail here; with user=True when an ordinary user runs it",
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Turn expect_fail_on into xfail for the runtime under test; the final test goes last."""
    name = os.path.basename(runtime_program())
    for item in items:
        for mark in item.iter_markers("expect_fail_on"):
            if is_expected(mark, name):
                strict = mark.kwargs.get("strict", True)
                item.add_marker(pytest.mark.xfail(reason=mark.args[1], strict=strict))
        for mark in item.iter_markers("root"):
            if os.geteuid() != 0:
                reason = f"needs root: {mark.args[0] if mark.args else 'real cgroups'}"
                item.add_marker(pytest.mark.skip(reason=reason))
    items.sort(key=lambda item: LAST in item.nodeid)


def is_expected(mark: pytest.Mark, name: str) -> bool:
    """Tell whether this expect_fail_on speaks of this runtime, and of the user who runs it."""
    return mark.args[0] == name and (os.geteuid() != 0 or not mark.kwargs.get("user", False))


def enter_private_mounts(layout: str) -> None:
    """Enter a mount namespace of our own, so that no test can change the host's mounts."""
    kernel.unshare_mounts()
    if layout == "v1" and os.path.ismount(f"{CGROUPS}/unified"):
        kernel.umount(f"{CGROUPS}/unified")
    if layout == "v2":
        kernel.umount(CGROUPS, kernel.MNT_DETACH)
        kernel.mount("none", CGROUPS, "cgroup2")


def is_expected_to_fail(item: pytest.Item) -> bool:
    """Tell whether the runtime under test is known to fail this test."""
    name = os.path.basename(runtime_program())
    return any(is_expected(mark, name) for mark in item.iter_markers("expect_fail_on"))


@pytest.fixture(scope="session")
def program() -> str:
    """The path of the runtime under test."""
    return runtime_program()


@pytest.fixture(scope="session")
def session(program: str) -> Iterator[Path]:
    """A directory that others can search, in a mount namespace of ours; we adopt all orphans."""
    if os.geteuid() != 0 and not delegated.is_delegated():
        pytest.skip("needs root, or a delegated cgroup: systemd-run --user --scope -p Delegate=yes")
    if not os.access(BUSYBOX, os.X_OK):
        pytest.skip(f"{BUSYBOX} is missing: apt-get install busybox-static")
    default = "v1" if os.path.basename(program) == "crun" else ""
    if os.geteuid() == 0:
        enter_private_mounts(os.environ.get("PYOCI_CGROUPS", default))
    else:
        delegated.hand_down()
    kernel.become_subreaper()
    TAKEN.update({place: set(os.listdir(place)) for place in PLACES})
    TAKEN["mounts"] = set(host.mounts())
    TAKEN["network"] = set(host.network())
    path = Path(tempfile.mkdtemp(prefix=f"pyoci-test-{os.getpid()}-"))
    path.chmod(0o755)
    shutil.copy2(BUSYBOX, path / "busybox")
    yield path
    host.remove_cgroups(path.name)
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def snapshot(session: Path) -> dict[str, set[str]]:
    """What the host had when the session began."""
    return TAKEN


@pytest.fixture(scope="session")
def probe(session: Path) -> Path:
    """The static helper program, compiled from probe.c."""
    target = session / "probe"
    if compiled := os.environ.get("PYOCI_PROBE"):
        shutil.copy2(compiled, target)
        return target
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler for the helper program")
    source = HERE / "blackbox/probe.c"
    subprocess.run([compiler, "-static", "-O1", "-o", target, source], check=True)
    return target


@pytest.fixture(scope="session")
def criu() -> str:
    """The path of criu; skips where it is missing, or says itself that it does not work on this kernel."""
    program = shutil.which("criu", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("criu is not installed")
    said = subprocess.run([program, "check"], capture_output=True, text=True, check=False)
    if said.returncode != 0:
        pytest.skip(f"criu does not work on this kernel: {said.stderr.strip().splitlines()[0]}")
    return program


@pytest.fixture
def scratch(session: Path) -> Iterator[Path]:
    """An empty directory for one test."""
    path = Path(tempfile.mkdtemp(prefix="t", dir=session))
    path.chmod(0o755)
    yield path
    host.left_mounts(path)
    shutil.rmtree(path)


@pytest.fixture
def victim(scratch: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A directory of the host with files in it that no container may change."""
    path = scratch / "victim"
    path.mkdir()
    expected = is_expected_to_fail(request.node)
    (path / "marker").write_text("host\n")
    (path / "ptmx").write_text("regular\n")
    before = host.listing(path)
    devices = sorted(os.listdir("/dev"))
    table = sorted(host.mounts())
    yield path
    if host.listing(path) != before and not expected:
        pytest.fail(f"the host was changed: {host.listing(path)}", pytrace=False)
    assert sorted(os.listdir("/dev")) == devices
    assert sorted(host.mounts()) == table
