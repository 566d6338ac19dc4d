# SPDX-License-Identifier: Apache-2.0
"""AppArmor profiles in force: config.md#linux-process, apparmorProfile. On a kernel that has AppArmor on."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from blackbox.bundle import MakeBundle
from blackbox.runtime import Runtime

ENABLED = Path("/sys/module/apparmor/parameters/enabled")
PROFILE = """
profile {name} flags=(attach_disconnected,mediate_deleted) {{
  file, capability, network, mount, umount, pivot_root, signal, ptrace, unix,
  deny /secret rwlk,
}}
"""


def is_on() -> bool:
    """Tell whether AppArmor is in force on this kernel."""
    return ENABLED.exists() and ENABLED.read_text() == "Y\n"


@pytest.fixture(scope="module")
def profile(session: Path) -> Iterator[str]:
    """A loaded profile that denies /secret and nothing else."""
    if not is_on():
        pytest.skip("this kernel has no AppArmor, or it is off")
    if shutil.which("apparmor_parser") is None:
        pytest.skip("needs apparmor_parser: apt-get install apparmor")
    name = f"pyoci-test-{os.getpid()}"
    file = session / "profile"
    file.write_text(PROFILE.format(name=name))
    subprocess.run(["apparmor_parser", "--replace", "--skip-cache", file], check=True)
    yield name
    subprocess.run(["apparmor_parser", "--remove", file], check=True)
    file.unlink()


@pytest.mark.parametrize("strict", [False, True])
def test_the_process_runs_under_its_profile(
    runtime: Runtime, bundle: MakeBundle, profile: str, strict: bool
) -> None:
    """The kernel's own word for it; with noNewPrivileges too."""
    made = bundle("cat", "/proc/self/attr/current", apparmorProfile=profile, noNewPrivileges=strict)
    assert runtime.output(made) == f"{profile} (enforce)\n"


def test_what_the_profile_denies_is_refused(
    runtime: Runtime, bundle: MakeBundle, profile: str
) -> None:
    """And what it does not deny is not."""
    made = bundle(sh="cat /open; cat /secret", apparmorProfile=profile)
    (made.rootfs / "open").write_text("open\n")
    (made.rootfs / "secret").write_text("secret\n")
    ran = runtime.run(made)
    assert ran.stdout == "open\n"
    assert "'/secret': Permission denied" in ran.stderr


def test_exec_has_the_containers_profile(
    runtime: Runtime, bundle: MakeBundle, profile: str
) -> None:
    """cli.md 2, exec: what the flags do not say comes from config.json."""
    container = runtime.start(bundle("sleep", "1000", apparmorProfile=profile))
    assert container.exec("cat", "/proc/self/attr/current").stdout == f"{profile} (enforce)\n"


def test_exec_can_have_a_profile_of_its_own(
    runtime: Runtime, bundle: MakeBundle, profile: str
) -> None:
    """cli.md 2, exec, --apparmor."""
    container = runtime.start(bundle("sleep", "1000"))
    ran = container.exec("--apparmor", profile, "--", "cat", "/proc/self/attr/current")
    assert ran.stdout == f"{profile} (enforce)\n"
    assert "(enforce)" not in container.exec("cat", "/proc/self/attr/current").stdout


def test_a_profile_that_is_not_loaded_is_refused(
    runtime: Runtime, bundle: MakeBundle, profile: str
) -> None:
    """Case 44: never run without it."""
    message = runtime.refuses(bundle("true", apparmorProfile=f"{profile}-missing"))
    if runtime.name == "pyoci":
        assert "process.apparmorProfile" in message
        assert "no such profile is loaded" in message


def test_without_apparmor_a_profile_is_refused(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 44; the module may be in the kernel, and off."""
    if is_on():
        pytest.skip("AppArmor is on here")
    message = runtime.refuses(bundle("true", apparmorProfile="pyoci-test"))
    assert "apparmor" in message.lower()


@pytest.mark.expect_fail_on("runc", "runc 1.1 asks whether AppArmor is there, not whether it is on")
def test_without_apparmor_unconfined_is_what_it_is(runtime: Runtime, bundle: MakeBundle) -> None:
    """What engines say where they want no profile."""
    if is_on():
        pytest.skip("AppArmor is on here")
    assert runtime.output(bundle("echo", "ran", apparmorProfile="unconfined")) == "ran\n"
