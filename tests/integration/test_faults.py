# SPDX-License-Identifier: Apache-2.0
"""Full disks, few descriptors, little memory, and a thousand lives: the matrix's part F."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from blackbox.bundle import MakeBundle
from blackbox.processes import reap, rounds, text, until
from blackbox.runtime import Runtime

SLEEP = ("sleep", "1000")


@pytest.mark.parametrize(
    "options", ["size=4k", "size=8k", "size=12k", "nr_inodes=2", "nr_inodes=4"]
)
def test_a_full_state_root_is_a_clear_error(
    runtime: Runtime, bundle: MakeBundle, on_mount: Callable[..., None], options: str
) -> None:
    """Case 103: an error or a container, nothing left."""
    if runtime.name == "runc" and options == "size=4k":
        pytest.skip("runc says `%!w(<nil>)`")
    runtime.root.mkdir()
    on_mount("none", runtime.root, "tmpfs", 0, options)
    container, ran = runtime.try_create(bundle(*SLEEP))
    if ran.code == 0:
        assert container.status == "created"
    else:
        assert "no space left on device" in ran.message.lower()
        assert not (runtime.root / container.id).exists()
    runtime("delete", "--force", container.id)


@pytest.mark.parametrize("number", [8, 12, 16, 24, 32, 64])
def test_few_descriptors_are_a_clear_error(
    runtime: Runtime, bundle: MakeBundle, number: int
) -> None:
    """Case 104: RLIMIT_NOFILE of the caller."""
    if runtime.name == "runc" and number < 24:
        pytest.skip("Go cannot even start")
    limits = [{"type": "RLIMIT_NOFILE", "soft": 8, "hard": 8}]
    wrap = ["bash", "-c", f'ulimit -n {number}; exec "$@"', "bash"]
    container, ran = runtime.try_create(bundle(*SLEEP, rlimits=limits), wrap=wrap)
    if ran.code == 0:
        assert container.status == "created"
    else:
        assert ran.stderr.strip()
        assert "Traceback" not in ran.stderr
        assert not (runtime.root / container.id).exists(), ran


def test_too_little_memory_is_named(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 105: an error that says OOM, or a container."""
    limits = {"memory": {"limit": 4096}, "devices": [{"allow": False, "access": "rwm"}]}
    container, ran = runtime.try_create(bundle(*SLEEP, resources=limits))
    if ran.code != 0:
        assert "OOM" in ran.message or "memory" in ran.message
        assert not (runtime.root / container.id).exists()
    else:
        container.delete("--force")


@pytest.mark.expect_fail_on("runc", "runc's init needs more", strict=False)
def test_a_container_with_one_mebibyte_starts(runtime: Runtime, bundle: MakeBundle) -> None:
    """Issue 2: nothing of the interpreter is charged to the container."""
    limits = {"memory": {"limit": 1 << 20}, "devices": [{"allow": False, "access": "rwm"}]}
    container = runtime.start(bundle(*SLEEP, resources=limits))
    assert container.status == "running"


def test_many_lives_leave_nothing(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 111: mounts and session keyrings as before; the fixtures look at the rest."""
    made = bundle("true")
    before = text("/proc/self/mountinfo")
    for _ in rounds(50):
        container = runtime.start(made)
        container.delete("--force")
    assert text("/proc/self/mountinfo") == before

    def are_keys_gone() -> bool:
        reap()  # a zombie holds its keyring
        return f"_ses.{runtime.session}" not in text("/proc/keys")

    until(are_keys_gone, "its keys are gone", 10)


def private(script: str) -> list[str]:
    """Return a wrapper that changes the mounts of the runtime only."""
    command = f'{script} && exec "$@"'
    return ["unshare", "-m", "--propagation", "private", "sh", "-c", command, "sh"]


@pytest.mark.parametrize(
    "script",
    [
        "mount --bind /run /run && mount -o remount,bind,ro /run",
        "mount --bind /run /run && mount -o remount,bind,noexec /run",
        "mount -t tmpfs -o noexec none /dev/shm",
    ],
)
def test_a_hardened_host(runtime: Runtime, bundle: MakeBundle, script: str) -> None:
    """Case 112: read-only or noexec places."""
    assert runtime.output(bundle("echo", "ran"), wrap=private(script)) == "ran\n"


def test_a_host_without_proc_is_a_clear_error(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 112."""
    ran = runtime.run(bundle("echo", "ran"), wrap=private("umount -l /proc"), seconds=10)
    assert ran.stdout == "ran\n" if ran.code == 0 else ran.stderr.strip()
    assert "Traceback" not in ran.stderr


def test_a_closed_stdout_is_no_traceback(runtime: Runtime, bundle: MakeBundle) -> None:
    """Data that nobody reads: an exit status, no stack."""
    container = runtime.create(bundle(*SLEEP))
    wrap = ["sh", "-c", 'exec "$@" >&-', "sh"]
    ran = runtime("state", container.id, wrap=wrap)
    assert "Traceback" not in ran.stderr
    full = ["sh", "-c", 'exec "$@" >/dev/full', "sh"]
    ran = runtime("state", container.id, wrap=full)
    assert "Traceback" not in ran.stderr
    assert Path("/dev/full").exists()
    assert os.path.exists(runtime.root)
