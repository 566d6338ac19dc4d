# SPDX-License-Identifier: Apache-2.0
"""The same container with runc and with the runtime under test: a process must see the same.

What differs on purpose is in DIFFERENCES, with the reason; everything else must be equal.
"""

import difflib
import re
from pathlib import Path

import pytest
from blackbox.processes import Ran
from engines.docker import Docker

# What a process can see of its container, one question a line.
FACTS = {
    "environment": "env | sort",
    "identity": "id; pwd; umask; hostname; cat /proc/sys/kernel/domainname",
    "status": "grep -E '^(Umask|Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp|Sig|Shd)' /proc/self/status",
    "init": "grep -E '^(Cap|NoNewPrivs|Seccomp|Sig|Shd|NSpid|NStgid)' /proc/1/status",
    "limits": "cat /proc/self/limits",
    "descriptors": "ls /proc/self/fd",
    "processes": "cat /proc/1/stat | cut -d' ' -f 4,5,6,7,8",
    "mounts": "cut -d' ' -f 4- /proc/self/mountinfo | sort",
    "devices": "cd /dev; find . | sort | xargs stat -c '%n %F %a %u:%g %t:%T %N'",
    "root": "stat -c '%n %F %a %u:%g' / /* /.d*",
    "cgroup": "cat /proc/self/cgroup",
    "cgroup limits": (
        "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us"
        " cpu/cpu.shares cpuset/cpuset.cpus memory.max pids.max cpu.max cpu.weight cpuset.cpus"
        " 2>/dev/null; sort devices/devices.list 2>/dev/null"
    ),
    "masked": (
        "for p in /proc/kcore /proc/keys /proc/timer_list /proc/sched_debug /proc/acpi"
        " /sys/firmware /proc/scsi; do stat -c '%n %F' $p 2>&1; ls -A $p | head -3; done"
    ),
    "fixed": "for p in /proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger; do "
    "[ -w $p ] && echo $p; done; cat /proc/sys/net/core/somaxconn",
    "personality": "cat /proc/self/personality; cat /proc/self/oom_score_adj",
    "keyring": "[ -s /proc/keys ]; echo $?",
    "network": "ip link | cut -d' ' -f 2-4; cat /etc/hosts | grep -v localhost | wc -l",
    "refused": "for c in 'unshare -U true' 'mount -t tmpfs n /tmp' 'mknod /tmp/b b 7 0'"
    " 'chroot / true' 'hostname x'; do $c 2>&1; echo $?; done",
    "terminal": "tty; stat -c '%F %a %u:%g' /dev/console /dev/ptmx /dev/pts 2>&1",
}
SCRIPT = "".join(f"echo '## {name}'; ({script}); " for name, script in FACTS.items())

LIMITS = "-m 64m --cpus 0.5 --pids-limit 60 --cpuset-cpus 0 --cpu-shares 512".split()
OPTIONS = {
    "plain": [],
    "user": ["--user", "user", "--workdir", "/tmp"],
    "numbers": ["--user", "77:88", "--group-add", "99"],
    "few capabilities": "--cap-drop ALL --cap-add NET_ADMIN --cap-add MKNOD".split(),
    "read-only": "--read-only --tmpfs /tmp --tmpfs /run:size=1m,mode=700".split(),
    "unconfined": "--security-opt seccomp=unconfined --security-opt no-new-privileges".split(),
    "open paths": "--security-opt systempaths=unconfined".split(),
    "devices": "--device /dev/zero:/dev/a/b:r --device /dev/kmsg --tmpfs /dev/c".split(),
    "system": "--sysctl net.core.somaxconn=77 --ulimit nofile=64:128 --shm-size 2m".split(),
    "names": "--domainname example --oom-score-adj 99 --init --stop-signal INT".split(),
    "host": "--pid host --ipc host --uts host".split(),
    "network": "--network host".split(),
    "own cgroup namespace": "--cgroupns private".split(),
    "terminal": ["-t"],
    "interactive terminal of a user": ["-t", "--user", "user"],
    "volumes": [
        "--volume=/usr/bin:/usr/bin:ro",
        "--volume=/etc/hostname:/a/b/c",
        "--volume=/proc/version:/etc/version",
        "--mount=type=bind,src=/usr/share,dst=/share,bind-propagation=rprivate,readonly",
        "--mount=type=tmpfs,dst=/fast,tmpfs-mode=1700",
        "--volume=/own",
    ],
}

# (pattern, replacement, reason): applied to both outputs.
DIFFERENCES = [
    (r"\b[0-9a-f]{64}\b", "ID", "the container's own id"),
    (r"\b(\w+)-(lower|upper|work)dir=\S+", "", "the storage of the container"),
    (r"(lowerdir|upperdir|workdir)=[^, ]+", r"\1", "the storage of the container"),
    (r"\b(master|shared|propagate_from):\d+", r"\1", "peer groups are numbered as they are made"),
    (r"\S+ (create|run) failed: ", "RUNTIME failed: ", "each runtime gives its own name"),
    ("unable to start container process: ", "", "runc's name of a step"),
    (r"(?m)^/ (/proc/\w+|/sys/firmware) ro,.* tmpfs .*$", r"\1 masked", "a mask of one empty page"),
    (r"(?m)^/null (/proc/\S+) .*$", r"\1 masked", "by the host's null: CVE-2025-31133"),
    (r"sysfs sysfs r[ow]", "sysfs", "read-only is the mount, not the file system"),
    (r"(?m)^(/ /sys/fs/cgroup) r[ow],", r"\1 ", "read-only as config.json says; runc leaves it"),
    (r"cgroup systemd ", "cgroup cgroup ", "the source of a mount is only a name"),
    (r"(SigIgn:\t0{8})[08]", r"\1-", "signal 32 of the C library: pyoci resets every signal"),
    (r"SigQ:\t\S+", "SigQ", "signals that wait, of all the user's processes"),
    ("is a directory: permission denied", "permission denied", "newer runcs say the first half"),
    (r"time=.*error waiting for container: .*\n", "", "the client says so, or is too late"),
]


def normal(text: str) -> str:
    """Return an output without what differs on purpose."""
    for pattern, replacement, _ in DIFFERENCES:
        text = re.sub(pattern, replacement, text)
    return text


def sections(text: str) -> dict[str, list[str]]:
    """Split the output of SCRIPT into the answers to its questions."""
    found: dict[str, list[str]] = {}
    answer: list[str] = []
    for line in text.splitlines():
        if line.startswith("## "):
            answer = found.setdefault(line[3:], [])
        else:
            answer.append(line)
    return found


def differences(expected: str, got: str) -> str:
    """Compare the outputs of SCRIPT, and return the lines that differ, with their question."""
    wanted, seen = sections(normal(expected)), sections(normal(got))
    assert set(wanted) == set(seen) == set(FACTS)
    found = []
    for name in FACTS:
        compared = list(difflib.unified_diff(wanted[name], seen[name], n=0, lineterm=""))[2:]
        found += [f"{name}: {line}" for line in compared if line[0] in "+-"]
    return "\n".join(found)


def both(docker: Docker, *args: str) -> tuple[Ran, Ran]:
    """Run the same container with runc and with the runtime under test."""
    fixed = ("--env=HOSTNAME=here",) if "host" in args else ("--hostname=here",)
    return docker.run("--runtime", "runc", *fixed, *args), docker.run(*fixed, *args)


def compare(docker: Docker, *options: str) -> None:
    """Fail unless a process in such a container sees the same."""
    expected, got = both(docker, *options, "--", "sh", "-c", SCRIPT)
    assert (got.code, normal(got.stderr)) == (expected.code, normal(expected.stderr))
    different = differences(expected.stdout, got.stdout)
    assert not different, different


@pytest.mark.usefixtures("limits")
def test_a_process_sees_the_same_limits(docker: Docker) -> None:
    """config-linux.md#control-groups: as config.json says."""
    compare(docker, *LIMITS)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_a_process_sees_the_same(docker: Docker, options: list[str]) -> None:
    """Design: a drop-in replacement; what an image relies on does not change."""
    compare(docker, *options)


def test_a_process_of_exec_sees_the_same(docker: Docker) -> None:
    """The same for `docker exec`."""
    options = ["--hostname", "here", "--user", "user", "-m", "64m"]
    names = [
        docker.start_container(f"--runtime={runtime}", *options, "--", "sleep", "1000")
        for runtime in ("runc", "pyoci")
    ]
    expected, got = (docker("exec", "-e", "OWN=1", n, "sh", "-c", SCRIPT) for n in names)
    assert (got.code, normal(got.stderr)) == (expected.code, normal(expected.stderr))
    different = differences(expected.stdout, got.stdout)
    assert not different, different


def test_what_is_left_in_the_root_is_the_same(docker: Docker, scratch: Path) -> None:
    """docker diff: what a runtime makes in the container's file system."""
    (scratch / "file").write_text("x")
    options = [f"--volume={scratch}:/a/b", f"--volume={scratch}/file:/c/d", "--workdir=/e/f"]
    made = []
    for runtime in ("runc", "pyoci"):
        name = docker.start_container(f"--runtime={runtime}", *options, "--", "true")
        docker.output("wait", name)
        made.append(sorted(docker.output("diff", name).splitlines()))
    assert made[0] == made[1]
