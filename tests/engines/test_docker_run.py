# SPDX-License-Identifier: Apache-2.0
"""`docker run --runtime`: each option as the container's process sees it."""

import json
import os
from pathlib import Path

import pytest
from blackbox.processes import Ran, Running, until
from engines.docker import Docker
from engines.failures import EAT, GATE

NO_CAPABILITIES = "0000000000000000"
NETWORK_AND_SYSTEM = "0000000000201000"
KILL_AND_CHOWN = "0000000000000021"
# The same limit has one file name in each version of the cgroup file systems.
MEMORY = "memory.max memory/memory.limit_in_bytes"
PIDS = "pids.max pids/pids.max"
CPU = "cpu.max cpu/cpu.cfs_quota_us"


def status_line(docker: Docker, field: str, *options: str) -> str:
    """Return a field of the process's /proc/self/status."""
    return docker.says(*options, "--", "grep", f"^{field}:", "/proc/self/status").split()[1]


def limit(docker: Docker, names: str, *options: str) -> str:
    """Return a limit as the container sees it."""
    script = f"cd /sys/fs/cgroup; for name in {names}; do cat $name 2>/dev/null; done; true"
    return docker.shell(script, *options).split()[0]


def test_output_and_exit_code_come_back(docker: Docker) -> None:
    """Design, Engines: standard output, standard error and the exit code are the process's own."""
    ran = docker.run("--", "sh", "-c", "echo out; echo error >&2; exit 7")
    assert (ran.code, ran.stdout, ran.stderr) == (7, "out\n", "error\n")


def test_the_input_is_passed_on(docker: Docker, scratch: Path) -> None:
    """docker run -i: what the client reads arrives, and so does its end."""
    source = scratch / "input"
    source.write_bytes(b"line\n" * 50_000)
    assert docker.output("run", "--rm", "-i", "box", "wc", "-c", stdin=source) == "250000\n"


def test_arguments_and_environment_are_passed_on(docker: Docker) -> None:
    """config.md#process: args and env as given, spaces, quotes and empty ones included."""
    script = 'printf "%s|" "$@"; echo $FROM $OWN'
    words = ["two words", "", "it's", '"', "ä"]
    ran = docker.run("-e", "OWN=a b", "--", "sh", "-c", script, "-", *words)
    assert ran.stdout == "two words||it's|\"|ä|image a b\n"


def failure(docker: Docker, *args: str) -> tuple[int, str]:
    """Run a container that cannot start: the exit code and the line that a user reads."""
    ran: Ran = docker.run(*args)
    assert ran.stdout == "", ran
    return ran.code, ran.stderr


def test_a_missing_program_is_127(docker: Docker) -> None:
    """cli.md 4, moby: the text of the error decides on the exit code."""
    code, text = failure(docker, "--", "no-such-program")
    assert code == 127
    assert 'exec: "no-such-program": executable file not found in $PATH' in text


def test_a_missing_path_is_127(docker: Docker) -> None:
    """cli.md 4, moby."""
    code, text = failure(docker, "--", "/no/such/program")
    assert code == 127
    assert 'exec: "/no/such/program": stat /no/such/program: no such file or directory' in text


@pytest.mark.parametrize("path", ["/etc", "/bin/not-executable"])
def test_what_may_not_be_executed_is_126(docker: Docker, path: str) -> None:
    """cli.md 4, moby."""
    code, text = failure(docker, "--", path)
    assert code == 126
    assert f'exec: "{path}": ' in text
    assert "permission denied" in text


def test_a_missing_interpreter_is_the_program_s_failure(docker: Docker) -> None:
    """cli.md 2: execve fails when nobody listens any more; one line on standard error, exit 1."""
    ran = docker.run("--", "/bin/no-interpreter")
    assert ran.code == 1
    assert ran.stderr == "exec /bin/no-interpreter: no such file or directory\n"


def test_a_mistake_of_the_user_is_125(docker: Docker) -> None:
    """docker run: the daemon's own refusals."""
    assert failure(docker, "--runtime", "unknown", "--", "true")[0] == 125


def test_a_failed_start_leaves_no_container(docker: Docker) -> None:
    """A container that could not start is `created` and can be removed: the runtime undid it."""
    ran = docker("run", "--name", "failed", "box", "no-such-program")
    assert ran.code == 127, ran
    assert docker.state("failed")["Status"] == "created"
    docker.output("rm", "failed")


def test_memory_limit(docker: Docker, limits: None) -> None:
    """config-linux.md#memory, -m."""
    assert limit(docker, MEMORY, "-m", "64m") == str(64 << 20)


def test_the_smallest_memory_limit_is_enough(docker: Docker) -> None:
    """Docker's least is 6 MiB: nothing of the runtime may count (moby#41167)."""
    assert docker.says("-m", "6m", "--", "echo", "hello") == "hello\n"


@pytest.mark.usefixtures("limits")
def test_a_process_that_exceeds_its_memory_is_killed(docker: Docker, scratch: Path) -> None:
    """config-linux.md#memory; the engine hears of it from the container's cgroup."""
    options = ["-m", "16m", "--memory-swap", "16m", f"--volume={scratch}:{GATE}:ro"]
    name = docker.start_container(*options, "--", *EAT[:2], f"{EAT[2]}; echo $?; sleep 1000")
    (scratch / "open").touch()
    docker.logged(name, "137\n")
    heard = ["events", "--since", "1h", "--until", "0s", "--filter", f"container={name}"]
    until(lambda: " oom " in docker.output(*heard), "the daemon hears of it")
    docker.output("kill", name)
    assert docker.state(name)["OOMKilled"]


def test_cpu_limit(docker: Docker, limits: None) -> None:
    """config-linux.md#cpu, --cpus."""
    assert limit(docker, CPU, "--cpus", "0.5") == "50000"


def test_cpuset(docker: Docker, limits: None) -> None:
    """config-linux.md#cpu, --cpuset-cpus."""
    assert docker.says("--cpuset-cpus", "0", "--", "nproc") == "1\n"


def test_pids_limit(docker: Docker, limits: None) -> None:
    """config-linux.md#pids, --pids-limit: shown, and enforced."""
    assert limit(docker, PIDS, "--pids-limit", "20") == "20"
    ran = docker.run("--pids-limit", "3", "--", "sh", "-c", "sleep 9 & sleep 9 & sleep 9 & echo no")
    assert ran.code != 0
    assert "fork" in ran.stderr


def test_user(docker: Docker) -> None:
    """config.md#posix-platform-user: --user by name, by number, with --group-add."""
    assert docker.says("--user", "user", "--", "id") == (
        "uid=1000(user) gid=1000(user) groups=1000(user),2000(extra)\n"
    )
    text = docker.says("--user", "7:8", "--group-add", "9", "--", "id")
    assert text == "uid=7 gid=8 groups=8,9\n"


def test_a_user_has_no_capabilities(docker: Docker) -> None:
    """config.md#linux-process: what Docker's default set is without root."""
    assert status_line(docker, "CapEff", "--user", "1000") == NO_CAPABILITIES


def test_the_output_belongs_to_the_user(docker: Docker) -> None:
    """runc#1590: a process that is not root may open /dev/stdout again."""
    text = docker.shell("echo again > /dev/stdout; echo error > /dev/stderr", "--user", "1000")
    assert text == "again\n"


def test_capabilities_dropped_and_added(docker: Docker) -> None:
    """config.md#linux-process, --cap-drop and --cap-add."""
    assert status_line(docker, "CapEff", "--cap-drop", "ALL") == NO_CAPABILITIES
    options = ["--cap-drop", "ALL", "--cap-add", "CHOWN", "--cap-add", "KILL"]
    for field in ("CapEff", "CapPrm", "CapBnd"):
        assert status_line(docker, field, *options) == KILL_AND_CHOWN


def test_read_only(docker: Docker) -> None:
    """config.md#root: readonly."""
    ran = docker.run("--read-only", "--", "touch", "/file")
    assert ran.code == 1
    assert "Read-only file system" in ran.stderr


def test_tmpfs(docker: Docker) -> None:
    """config.md#mounts, --tmpfs: a place to write in a read-only root, with its options."""
    options = ["--read-only", "--tmpfs", "/run:rw,noexec,size=1m,mode=1700"]
    text = docker.shell("touch /run/a && stat -c %a /run; grep ' /run ' /proc/mounts", *options)
    mode, line = text.splitlines()
    assert mode == "1700"
    assert "noexec" in line
    assert "size=1024k" in line


@pytest.mark.parametrize("kind", ["volume", "mount"])
def test_bind_mounts(docker: Docker, scratch: Path, kind: str) -> None:
    """config.md#mounts: a bind mount is writable, or not."""
    options = [f"--volume={scratch}:/there", f"--volume={scratch}:/fixed:ro"]
    if kind == "mount":
        options = [f"--mount=type=bind,src={scratch},dst=/there"]
        options += [f"--mount=type=bind,src={scratch},dst=/fixed,readonly"]
    script = "echo new > /there/file && cat /fixed/file && touch /fixed/other"
    ran = docker.run(*options, "--", "sh", "-c", script)
    assert (ran.code, ran.stdout) == (1, "new\n")
    assert "Read-only file system" in ran.stderr
    assert os.listdir(scratch) == ["file"]


def test_a_file_is_bound(docker: Docker, scratch: Path) -> None:
    """config.md#mounts: a file on a file that is not there yet."""
    (scratch / "file").write_text("bound\n")
    assert docker.says(f"--volume={scratch}/file:/a/b/c", "--", "cat", "/a/b/c") == "bound\n"


def test_volumes_are_shared(docker: Docker) -> None:
    """A named volume has the image's files, and what the last container wrote."""
    script = "cat /etc/kept; cat /etc/added 2>/dev/null; echo added > /etc/added"
    assert docker.shell(script, "--volume=engines-volume:/etc") == "from the image\n"
    assert docker.shell(script, "--volume=engines-volume:/etc") == "from the image\nadded\n"
    docker.output("volume", "rm", "engines-volume")


def test_device(docker: Docker) -> None:
    """config-linux.md#devices, --device: the node, and the permission to use it."""
    script = "stat -c '%F %t:%T' /dev/renamed; head -c 4 /dev/renamed | wc -c"
    text = docker.shell(script, "--device", "/dev/zero:/dev/renamed:r")
    assert text == "character special file 1:5\n4\n"
    ran = docker.run("--device", "/dev/kmsg:/dev/log:w", "--", "head", "-c", "1", "/dev/log")
    assert "Operation not permitted" in ran.stderr


def test_devices_are_denied_by_default(docker: Docker) -> None:
    """config-linux.md#allowed-device-list: a node that root made itself is of no use."""
    ran = docker.run("--", "sh", "-c", "mknod /tmp/kmsg c 1 11 && head -c 1 /tmp/kmsg")
    assert ran.code == 1
    assert "Operation not permitted" in ran.stderr


def test_ulimit(docker: Docker) -> None:
    """config.md#posix-process: rlimits."""
    options = ["--ulimit", "nofile=100:200", "--ulimit", "core=0"]
    assert docker.shell("ulimit -Sn; ulimit -Hn; ulimit -c", *options) == "100\n200\n0\n"


def test_init(docker: Docker) -> None:
    """docker run --init: a bind-mounted program of the host is process 1."""
    text = docker.shell("cat /proc/1/comm; exit 5 & wait $!; echo $?", "--init")
    assert text == "docker-init\n5\n"


def test_hostname(docker: Docker) -> None:
    """config.md#hostname, config.md#domainname, and the files of the engine for them."""
    options = ["--hostname", "here", "--domainname", "example"]
    script = "hostname; cat /proc/sys/kernel/domainname; cat /etc/hostname"
    assert docker.shell(script, *options) == "here\nexample\nhere\n"


def test_working_directory(docker: Docker) -> None:
    """config.md#process: cwd, which is made when it is missing."""
    assert docker.says("--workdir", "/new/place", "--", "pwd") == "/new/place\n"


@pytest.mark.expect_fail_on("runc", "gives up when root itself lacks a capability", strict=False)
def test_privileged(docker: Docker) -> None:
    """--privileged: the capabilities that we have, all devices, nothing masked, no filter."""
    given = int(status_line(docker, "CapEff", "--privileged"), 16)
    assert given & int(NETWORK_AND_SYSTEM, 16) == int(NETWORK_AND_SYSTEM, 16)
    script = (
        "mount -t tmpfs none /tmp && umount /tmp && ls /dev/kmsg && [ -w /proc/sys/kernel/msgmax ]"
    )
    assert docker.shell(script, "--privileged") == "/dev/kmsg\n"
    assert status_line(docker, "Seccomp", "--privileged") == "0"


def test_the_default_seccomp_profile(docker: Docker) -> None:
    """config-linux.md#seccomp: mode 2, and a call that it denies."""
    assert status_line(docker, "Seccomp") == "2"
    ran = docker.run("--", "unshare", "-U", "true")
    assert ran.code != 0
    assert "Operation not permitted" in ran.stderr


def test_no_seccomp_profile(docker: Docker) -> None:
    """--security-opt seccomp=unconfined."""
    assert status_line(docker, "Seccomp", "--security-opt", "seccomp=unconfined") == "0"


def test_a_seccomp_profile_of_the_user(docker: Docker, scratch: Path) -> None:
    """--security-opt seccomp=FILE: the errno of the rule arrives."""
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 75}
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}
    (scratch / "profile.json").write_text(json.dumps(profile))
    option = f"seccomp={scratch}/profile.json"
    ran = docker.run("--security-opt", option, "--", "mkdir", "/tmp/new")
    assert ran.code == 1
    assert "Value too large" in ran.stderr


def test_no_new_privileges(docker: Docker) -> None:
    """config.md#linux-process: noNewPrivileges."""
    assert status_line(docker, "NoNewPrivs") == "0"
    assert status_line(docker, "NoNewPrivs", "--security-opt", "no-new-privileges") == "1"


def test_namespaces_of_the_host(docker: Docker) -> None:
    """config-linux.md#namespaces: what is not listed stays that of the host, for containers the daemon's."""
    for kind, option in (
        ("pid", "--pid"),
        ("ipc", "--ipc"),
        ("uts", "--uts"),
        ("net", "--network"),
    ):
        link = [*docker.inside(), "readlink", f"/proc/self/ns/{kind}"]
        own = Running(link, docker.outputs).wait().stdout.strip()
        inside = docker.says(f"{option}=host", "--", "readlink", f"/proc/self/ns/{kind}").strip()
        assert inside == own, kind
        assert docker.says("--", "readlink", f"/proc/self/ns/{kind}").strip() != own, kind


def test_namespaces_of_another_container(docker: Docker) -> None:
    """config-linux.md#namespaces: joined by path."""
    first = docker.start_container("--ipc=shareable", "--", "sleep", "1000")
    options = [f"--{kind}=container:{first}" for kind in ("pid", "ipc", "network")]
    script = "cat /proc/1/comm; for n in pid ipc net; do readlink /proc/self/ns/$n; done"
    text = docker.shell(script, *options)
    there = docker.output("exec", first, "sh", "-c", script)
    assert text == there
    assert text.startswith("sleep\n")


def test_a_cgroup_namespace(docker: Docker) -> None:
    """config-linux.md#namespaces: the container is its own root."""
    text = docker.says("--cgroupns=private", "--", "cat", "/proc/self/cgroup")
    assert {line.split(":")[2] for line in text.splitlines()} == {"/"}


def test_sysctl(docker: Docker) -> None:
    """config-linux.md#sysctl."""
    options = ["--sysctl", "net.core.somaxconn=99", "--sysctl", "kernel.msgmax=9000"]
    script = "cat /proc/sys/net/core/somaxconn /proc/sys/kernel/msgmax"
    assert docker.shell(script, *options) == "99\n9000\n"


def test_shm_size(docker: Docker) -> None:
    """A tmpfs with a size at /dev/shm."""
    text = docker.says("--shm-size", "8m", "--", "grep", " /dev/shm ", "/proc/mounts")
    assert "size=8192k" in text


def test_oom_score(docker: Docker) -> None:
    """config.md#linux-process: oomScoreAdj."""
    assert docker.says("--oom-score-adj", "321", "--", "cat", "/proc/self/oom_score_adj") == "321\n"


def test_masked_and_read_only_paths(docker: Docker) -> None:
    """config-linux.md#masked-paths: Docker's defaults, and none of them on request."""
    script = "head -c 1 /proc/keys | wc -c; ls -A /proc/acpi /sys/firmware 2>/dev/null; true"
    assert docker.says("--", "sh", "-c", script).splitlines()[0] == "0"
    ran = docker.run("--", "sh", "-c", "echo 1 > /proc/sys/kernel/msgmax")
    assert "Read-only file system" in ran.stderr


def test_the_runtime_s_descriptors_do_not_leak(docker: Docker) -> None:
    """CVE-2024-21626: nothing but standard input, output and error (3 is the listing's own)."""
    assert docker.says("--", "ls", "/proc/self/fd").split() == ["0", "1", "2", "3"]


def test_the_runtime_is_named(docker: Docker) -> None:
    """--runtime by its name, and Docker's own information about it."""
    assert docker.says("--runtime", "pyoci", "--", "echo", "hello") == "hello\n"
    assert "pyoci" in json.loads(docker.output("info", "--format", "{{json .Runtimes}}"))


def test_the_daemon_knows_the_runtime_s_version(docker: Docker, program: str) -> None:
    """cli.md 1.1: `--version` in the form that moby parses; shown by `docker info`."""
    name = os.path.basename(program)
    version = docker.output("info", "--format", "{{.RuncCommit.ID}}").strip()
    assert version, name
    assert docker("info").stderr.count("runc version") == 0
