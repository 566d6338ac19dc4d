# SPDX-License-Identifier: Apache-2.0
"""SELinux labels in force: selinuxLabel, mountLabel. In a machine whose policy has pyoci_test_t (tests/vm/guest/pyoci.cil)."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from blackbox.bundle import MakeBundle, tmpfs
from blackbox.runtime import Runtime

ENFORCE = Path("/sys/fs/selinux/enforce")
VALIDATE = Path("/sys/fs/selinux/context")
LABEL = "system_u:system_r:pyoci_test_t:s0"
SECRET = "system_u:object_r:pyoci_secret_t:s0"
MOUNT = "system_u:object_r:tmp_t:s0"


def label_of(path: Path | str) -> str:
    """Return the label of a file."""
    return os.getxattr(path, "security.selinux").rstrip(b"\0").decode()


@pytest.fixture
def enforcing() -> Iterator[None]:
    """Enforce the policy, for one test."""
    if not ENFORCE.exists():
        pytest.skip("this kernel has no SELinux policy")
    try:
        VALIDATE.write_text(LABEL)
    except OSError:
        pytest.skip("this machine's policy has no pyoci_test_t: tests/vm")
    before = ENFORCE.read_text()
    ENFORCE.write_text("1")
    yield
    ENFORCE.write_text(before)


@pytest.mark.parametrize("strict", [False, True])
def test_the_process_has_its_label(
    runtime: Runtime, bundle: MakeBundle, enforcing: None, strict: bool
) -> None:
    """config.md#linux-process, selinuxLabel; with noNewPrivileges too."""
    made = bundle("cat", "/proc/self/attr/current", selinuxLabel=LABEL, noNewPrivileges=strict)
    assert runtime.output(made).rstrip("\n\0") == LABEL


def test_what_the_policy_does_not_allow_is_refused(
    runtime: Runtime, bundle: MakeBundle, enforcing: None
) -> None:
    """A file of a type that pyoci_test_t has no rule for."""
    made = bundle(sh="cat /open; cat /secret", selinuxLabel=LABEL)
    (made.rootfs / "open").write_text("open\n")
    (made.rootfs / "secret").write_text("secret\n")
    os.setxattr(made.rootfs / "secret", "security.selinux", SECRET.encode())
    ran = runtime.run(made)
    assert ran.stdout == "open\n"
    assert "Permission denied" in ran.stderr
    assert "secret" in ran.stderr


def test_exec_has_the_containers_label(
    runtime: Runtime, bundle: MakeBundle, enforcing: None
) -> None:
    """cli.md 2, exec: what the flags do not say comes from config.json."""
    container = runtime.start(bundle("sleep", "1000", selinuxLabel=LABEL))
    assert container.exec("cat", "/proc/self/attr/current").stdout.rstrip("\n\0") == LABEL


def test_exec_can_have_a_label_of_its_own(
    runtime: Runtime, bundle: MakeBundle, enforcing: None
) -> None:
    """cli.md 2, exec, --process-label."""
    container = runtime.start(bundle("sleep", "1000"))
    ran = container.exec("--process-label", LABEL, "--", "cat", "/proc/self/attr/current")
    assert ran.stdout.rstrip("\n\0") == LABEL


@pytest.mark.parametrize("place", ["/dev", "/dev/shm", "/dev/pts", "/labelled"])
def test_a_mount_has_the_mount_label(
    runtime: Runtime, bundle: MakeBundle, enforcing: None, place: str
) -> None:
    """config-linux.md#mount-label: every file system that the container gets of its own."""
    made = bundle(
        "sleep", "1000", selinuxLabel=LABEL, mountLabel=MOUNT, mounts=[tmpfs("/labelled")]
    )
    container = runtime.start(made)
    assert label_of(f"/proc/{container.pid}/root{place}") == MOUNT


def test_the_message_queues_have_the_mount_label(
    runtime: Runtime, bundle: MakeBundle, enforcing: None
) -> None:
    """As runc does it: the file system of an ipc namespace is mounted before anybody can name a context."""
    container = runtime.start(bundle("sleep", "1000", selinuxLabel=LABEL, mountLabel=MOUNT))
    assert label_of(f"/proc/{container.pid}/root/dev/mqueue") == MOUNT


@pytest.mark.parametrize("label", ["system_u:system_r:no_such_type_t:s0", "nonsense"])
def test_a_label_that_the_policy_does_not_know_is_refused(
    runtime: Runtime, bundle: MakeBundle, enforcing: None, label: str
) -> None:
    """Case 44: never run without it."""
    message = runtime.refuses(bundle("true", selinuxLabel=label))
    if runtime.name == "pyoci":
        assert "process.selinuxLabel" in message
        assert f'the loaded policy knows no label "{label}"' in message


def test_a_label_that_may_not_be_entered_is_refused(
    runtime: Runtime, bundle: MakeBundle, enforcing: None
) -> None:
    """A valid label without a transition: the program is not run under another one."""
    label = "system_u:system_r:getty_t:s0"
    ran = runtime.run(bundle("echo", "ran", selinuxLabel=label, noNewPrivileges=False))
    assert ran.code != 0
    assert ran.stdout == ""
    assert "permission denied" in ran.stderr.lower()


@pytest.mark.parametrize("label", ["system_u:object_r:no_such_type_t:s0", "nonsense"])
def test_a_mount_label_that_the_policy_does_not_know_is_refused(
    runtime: Runtime, bundle: MakeBundle, enforcing: None, label: str
) -> None:
    """config-linux.md#mount-label."""
    message = runtime.refuses(bundle("true", mountLabel=label))
    if runtime.name == "pyoci":
        assert "mounts[1]" in message
        assert f'the loaded policy knows no label "{label}"' in message


@pytest.mark.expect_fail_on("runc", "runc 1.1 hands it to a kernel without SELinux", strict=False)
def test_without_selinux_a_mount_label_is_nothing(runtime: Runtime, bundle: MakeBundle) -> None:
    """An engine may name one anywhere."""
    if ENFORCE.exists():
        pytest.skip("this kernel has SELinux")
    assert runtime.output(bundle("echo", "ran", mountLabel=MOUNT)) == "ran\n"
