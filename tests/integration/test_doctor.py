# SPDX-License-Identifier: Apache-2.0
"""`pyoci doctor` on hosts that lack something: each made in a mount namespace of its own."""

import os
import subprocess
from pathlib import Path

import pytest
from blackbox.runtime import ENVIRONMENT

COVER = "mount --bind {file} {place} && "
UID = ["setpriv", "--reuid=4321", "--regid=4321", "--clear-groups"]


class Doctor:
    """The command, in a mount namespace where a shell script comes first."""

    def __init__(self, program: str) -> None:
        self.program = program

    def __call__(self, script: str = "", *wrap: str) -> tuple[int, str]:
        """Return exit status and output."""
        command = f'{script} exec "$@"'
        private = ["unshare", "--mount", "--propagation", "private", "sh", "-c", command, "sh"]
        ran = subprocess.run(
            [*private, *wrap, self.program, "doctor"],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.stderr == ""
        return ran.returncode, ran.stdout


@pytest.fixture
def doctor(session: Path, program: str) -> Doctor:
    """The doctor of the runtime under test."""
    if os.path.basename(program) != "pyoci":
        pytest.skip("only pyoci has a doctor")
    return Doctor(program)


def said(output: str) -> list[str]:
    """Return what is wrong; each finding has three lines."""
    if output == "nothing on this host keeps an engine from using pyoci\n":
        return []
    lines = output.splitlines()
    for wrong, keeps, mend in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        assert wrong[0] != " "
        assert keeps.startswith("  keeps: ")
        assert mend.startswith("  mend:  ")
    return lines[::3]


def test_findings_are_an_exit_status(doctor: Doctor) -> None:
    """1 and three lines for each, or 0 and one line."""
    code, output = doctor()
    if code == 0:
        assert output == "nothing on this host keeps an engine from using pyoci\n"
    else:
        assert said(output)


def test_no_cgroups(doctor: Doctor) -> None:
    """The command that it gives is the one that mends it."""
    wrong = "no cgroup file system is mounted"
    assert wrong in said(doctor("umount -l /sys/fs/cgroup;")[1])
    mended = doctor("umount -l /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup &&")[1]
    assert wrong not in mended


def test_a_missing_controller(doctor: Doctor) -> None:
    """Limits that engines set and nobody enforces."""
    if not os.path.isdir("/sys/fs/cgroup/memory"):
        pytest.skip("needs cgroup v1, where a controller can be unmounted")
    output = doctor("umount /sys/fs/cgroup/memory &&")[1]
    assert any(line.startswith("cgroups (") and "memory" in line for line in said(output))
    assert "boot with cgroup_enable=memory" in output


@pytest.mark.parametrize(
    ("place", "content", "wrong", "mend"),
    [
        (
            "/proc/sys/user/max_user_namespaces",
            "0",
            "no user namespace may be made",
            "sysctl -w user.max_user_namespaces=65536",
        ),
        (
            "/proc/sys/vm/memfd_noexec",
            "2",
            "no memfd may be executed",
            "sysctl -w vm.memfd_noexec=1",
        ),
        ("/usr/bin/newuidmap", "", "newuidmap cannot be found", "apt-get install uidmap"),
    ],
)
def test_a_setting_or_a_helper(
    doctor: Doctor, scratch: Path, place: str, content: str, wrong: str, mend: str
) -> None:
    """What the kernel says, or what is not installed."""
    if not os.path.exists(place):
        pytest.skip(f"{place} is not here")
    file = scratch / "file"
    file.write_text(f"{content}\n")
    file.chmod(0o644)
    before = doctor()[1]
    output = doctor(COVER.format(file=file, place=place))[1]
    assert any(line.startswith(wrong) for line in said(output))
    assert mend in output
    assert wrong not in before


def test_a_criu_that_cannot_work(doctor: Doctor, scratch: Path) -> None:
    """`criu check` is asked: an old CRIU on a new kernel does not even begin."""
    for name, wanted in (("false", True), ("true", False)):
        script = f"mount --bind /usr/bin/{name} /usr/sbin/criu && "
        if not os.path.exists("/usr/sbin/criu"):
            pytest.skip("/usr/sbin/criu is not there to be mounted on")
        assert ("CRIU cannot work on this kernel" in said(doctor(script)[1])) == wanted


def test_an_ordinary_user_without_ids(doctor: Doctor, scratch: Path) -> None:
    """/etc/subuid: of the user who asks; the mending command names him."""
    files = {
        "passwd": "tester:x:4321:4321::/:/bin/sh\n",
        "subuid": "",
        "subgid": "tester:100000:65536\n",
    }
    script = ""
    for name, content in files.items():
        (scratch / name).write_text(content)
        (scratch / name).chmod(0o644)
        if not os.path.exists(f"/etc/{name}"):
            pytest.skip(f"/etc/{name} is not there to be mounted on")
        script += COVER.format(file=scratch / name, place=f"/etc/{name}")
    output = doctor(script, *UID)[1]
    assert "/etc/subuid gives tester no ids" in said(output)
    assert "usermod --add-subuids 100000-165535 tester" in output
    assert "/etc/subgid" not in output
