# SPDX-License-Identifier: Apache-2.0
"""podman with pyoci as the runtime of containers.conf: of root and of an ordinary user."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from blackbox.console import resize_until
from blackbox.processes import is_alive, until
from engines.podman import IMAGE, Podman, Rootless

SLEEP = ["--", "sleep", "1000"]
SIZE = "until [ \"$(stty size)\" = '{}' ]; do usleep 10000; done; echo seen"


def test_the_configuration_names_the_runtime(podman: Podman, program: str) -> None:
    """containers.conf: `podman info` shows the runtime and its version."""
    assert podman.output("info", "--format", "{{.Host.OCIRuntime.Path}}").strip() == program
    version = podman.output("info", "--format", "{{.Host.OCIRuntime.Version}}")
    assert version.startswith(f"{os.path.basename(program)} version ")


def test_the_runtime_of_one_container(podman: Podman) -> None:
    """podman --runtime."""
    name = podman.start_container(*SLEEP)
    assert podman.inspect(name, "OCIRuntime") == "pyoci"


def test_output_and_exit_code_come_back(podman: Podman) -> None:
    """Standard output, standard error and the exit code are the process's own."""
    ran = podman.run("--", "sh", "-c", "echo out; echo error >&2; exit 7")
    assert (ran.code, ran.stdout, ran.stderr) == (7, "out\n", "error\n")


def test_a_long_output_is_complete(podman: Podman) -> None:
    """What was written before the end of the process arrives, however much it is."""
    assert podman.says("--", "seq", "20000").split() == [str(n) for n in range(1, 20001)]


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("no-such", 127, 'exec: "no-such": executable file not found in $PATH'),
        ("/no/such", 127, 'exec: "/no/such": stat /no/such: no such file or directory'),
        ("/bin/not-executable", 126, 'exec: "/bin/not-executable": permission denied'),
        ("/etc", 126, 'exec: "/etc": '),
    ],
)
def test_what_cannot_be_executed(podman: Podman, command: str, code: int, words: str) -> None:
    """cli.md 4, podman: the words decide on the exit code, and the user reads them."""
    ran = podman.run("--", command)
    assert ran.code == code
    assert words in ran.stderr
    name = podman.start_container(*SLEEP)
    ran = podman("exec", name, command)
    assert ran.code == code
    assert words in ran.stderr


def test_exec(podman: Podman) -> None:
    """podman exec: output, standard error, exit code, user, directory, environment."""
    name = podman.start_container(*SLEEP)
    options = ["--user", "user", "--workdir", "/tmp", "--env", "OWN=value"]
    script = "cat /proc/1/comm; id -u; pwd; echo $FROM $OWN; echo error >&2; exit 3"
    ran = podman("exec", *options, name, "sh", "-c", script)
    assert (ran.code, ran.stderr) == (3, "error\n")
    assert ran.stdout == "sleep\n1000\n/tmp\nimage value\n"


def test_a_terminal(podman: Podman) -> None:
    """podman run -it: the size of the user's terminal, and its changes."""
    terminal = podman.interactive("--", "sh")
    terminal.write(SIZE.format("33 99") + "-$((6 * 7))\n")
    terminal.read_until("seen-42")
    terminal.write(SIZE.format("21 55") + "-$((7 * 7))\n")
    resize_until(terminal.master, 21, 55, "seen-49")
    terminal.write("exit 9\n")
    assert terminal.wait() == 9


def test_exec_in_a_terminal(podman: Podman) -> None:
    """podman exec -it."""
    name = podman.start_container(*SLEEP)
    terminal = podman.terminal("exec", "-it", name, "sh")
    terminal.write("tty; exit 5\n")
    terminal.read_until("/dev/pts/0")
    assert terminal.wait() == 5


def test_stop_start_and_kill(podman: Podman) -> None:
    """The same container, made anew by the runtime each time; exit codes as of its process."""
    script = "trap 'exit 12' TERM; echo ready; while :; do usleep 10000; done"
    name = podman.start_container("--", "sh", "-c", script)
    podman.logged(name, "ready")
    podman.output("stop", name)
    assert podman.inspect(name, "State.ExitCode") == "12"
    podman.output("start", name)
    assert podman.inspect(name, "State.Status") == "running"
    podman.output("kill", name)
    assert podman.output("wait", name) == "137\n"


def test_top(podman: Podman) -> None:
    """podman top."""
    name = podman.start_container("--", "sh", "-c", "sleep 1000 & sleep 1001")
    shown = podman.output("top", name, "args")
    assert {"sleep 1000", "sleep 1001"} <= {line.strip() for line in shown.splitlines()}


def test_a_pod(podman: Podman) -> None:
    """podman pod: a namespace-holding container of ours, and two that join it."""
    command = ["--infra-image", IMAGE, "--infra-command", "sleep 1000"]
    podman.output("pod", "create", "--name", "group", "--share", "net,ipc,uts,pid", *command)
    for name in ("one", "two"):
        podman.output("run", "--detach", "--pod", "group", "--name", name, IMAGE, "sleep", "1000")
    show = ["sh", "-c", "for n in net ipc uts pid mnt; do readlink /proc/self/ns/$n; done"]
    first, second = (podman.output("exec", name, *show).split() for name in ("one", "two"))
    assert first[:4] == second[:4]
    assert first[4] != second[4]
    assert podman.output("exec", "one", "ps").count("sleep 1000") == 3
    podman.output("pod", "stop", "--time", "0", "group")
    assert podman.inspect("one", "State.ExitCode") == "137"
    podman.output("pod", "rm", "group")


def test_a_health_check(podman: Podman) -> None:
    """podman healthcheck run: what the timer of systemd would run."""
    name = podman.start_container("--health-cmd", "test -e /tmp/well", *SLEEP)
    assert podman("healthcheck", "run", name).code == 1
    podman.output("exec", name, "touch", "/tmp/well")
    assert podman("healthcheck", "run", name).code == 0
    assert podman.inspect(name, "State.Health.Status") == "healthy"


def test_limits(podman: Podman) -> None:
    """--memory and the like: in force for root; on cgroup v1 podman itself drops a user's."""
    script = "cd /sys/fs/cgroup; cat memory.max memory/memory.limit_in_bytes 2>/dev/null"
    ran = podman.run("--memory", "64m", "--", "sh", "-c", f"{script}; true")
    assert ran.code == 0, ran
    if isinstance(podman, Rootless):
        assert "Resource limits are not supported and ignored on cgroups V1" in ran.stderr
    else:
        assert ran.stdout.split()[0] == str(64 << 20)


def test_pause(podman: Podman) -> None:
    """podman pause, unpause, and rm -f of a paused container."""
    name = podman.start_container(*SLEEP)
    if isinstance(podman, Rootless):
        assert "can not pause containers on rootless containers" in podman("pause", name).stderr
        return
    podman.output("pause", name)
    assert podman.inspect(name, "State.Status") == "paused"
    assert podman("exec", name, "true").code == 255
    podman.output("unpause", name)
    assert podman.output("exec", name, "echo", "again") == "again\n"
    podman.output("pause", name)
    podman.output("rm", "--force", "--time", "0", name)


def test_update(podman: Podman) -> None:
    """podman update: new limits of a running container."""
    if isinstance(podman, Rootless):
        pytest.skip("a user has no limits on cgroup v1")
    name = podman.start_container("--memory", "64m", *SLEEP)
    podman.output("update", "--memory", "32m", "--cpus", "0.5", name)
    script = "cd /sys/fs/cgroup; cat memory.max memory/memory.limit_in_bytes cpu.max cpu/cpu.cfs_quota_us"
    shown = podman.output("exec", name, "sh", "-c", f"({script}) 2>/dev/null; true").split()
    assert shown[:2] == [str(32 << 20), "50000"]


def test_a_checkpoint_that_cannot_be_made_changes_nothing(podman: Podman) -> None:
    """podman container checkpoint: a CRIU that fails is named, and the container goes on."""
    name = podman.start_container(*SLEEP)
    ran = podman("container", "checkpoint", name)
    if ran.code == 0:
        pytest.skip("CRIU works here")
    assert ran.code == 125
    assert isinstance(podman, Rootless) or "criu" in ran.stderr.lower()
    assert podman.inspect(name, "State.Status") == "running"
    assert podman.output("exec", name, "cat", "/proc/1/comm") == "sleep\n"


def test_a_checkpoint(podman: Podman) -> None:
    """podman container checkpoint, restore: the process goes on where it was."""
    if isinstance(podman, Rootless):
        pytest.skip("podman checkpoints containers of root only")
    criu = shutil.which("criu", path="/usr/sbin:/usr/bin")
    if criu is None or subprocess.run([criu, "check"], capture_output=True, check=False).returncode:
        pytest.skip("no CRIU that works on this kernel: criu check")
    script = "i=0; while :; do i=$((i + 1)); echo $i; usleep 50000; done"
    name = podman.start_container("--network=none", "--", "sh", "-c", script)
    podman.logged(name, "5\n")
    podman.output("container", "checkpoint", name)
    last = int(podman.output("logs", "--tail", "1", name))
    podman.output("container", "restore", name)
    podman.logged(name, f"\n{last + 5}\n")


def test_security_options(podman: Podman) -> None:
    """--cap-drop, --security-opt, --read-only, --user."""
    fields = "grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status | cut -f 2; id -u"
    options = ["--cap-drop=all", "--security-opt=no-new-privileges", "--user=77", "--read-only"]
    assert podman.shell(fields, *options).split() == ["0000000000000000", "1", "2", "77"]
    assert podman.run("--read-only", "--", "touch", "/file").code == 1
    unconfined = podman.shell(fields, "--security-opt=seccomp=unconfined").split()
    assert unconfined[2] == "0"


def test_privileged(podman: Podman) -> None:
    """--privileged: mounts are allowed; a user's is privileged within his namespace."""
    script = "mount -t tmpfs none /tmp && grep -c ' /tmp tmpfs' /proc/mounts"
    assert podman.shell(script, "--privileged") == "1\n"


def test_volumes(podman: Podman, scratch: Path) -> None:
    """--volume, --tmpfs, --mount: a file of the host, one that is read-only, a named one."""
    (scratch / "file").write_text("from the host\n")
    options = [f"--volume={scratch}:/there:ro", "--volume=kept:/data", "--tmpfs=/fast:size=1m"]
    script = (
        "cat /there/file; touch /there/x 2>&1; echo new > /data/x; grep -c ' /fast ' /proc/mounts"
    )
    shown = podman.shell(script, *options)
    assert shown.startswith("from the host\n")
    assert "Read-only file system" in shown
    assert podman.says("--volume=kept:/data", "--", "cat", "/data/x") == "new\n"
    podman.output("volume", "rm", "kept")


def test_user_namespaces(podman: Podman) -> None:
    """--userns: a user's container always has one; with keep-id he is himself inside."""
    if isinstance(podman, Rootless):
        shown = podman.shell("id -u; cat /proc/self/uid_map", "--userns=keep-id")
        assert shown.split()[0] == "4321"
    else:
        maps = ["--uidmap=0:100000:65536", "--gidmap=0:100000:65536"]
        assert podman.shell("id -u; cat /proc/self/uid_map", *maps).split() == [
            "0",
            "0",
            "100000",
            "65536",
        ]


def test_a_network(podman: Podman) -> None:
    """An interface of the engine's making: bridge for root, slirp4netns for a user."""
    shown = podman.shell("ip -o addr | grep -v ' lo '")
    assert "inet 10." in shown


def test_namespaces_of_another_container(podman: Podman) -> None:
    """--pid, --ipc, --network container:NAME."""
    other = podman.start_container(*SLEEP)
    options = [f"--{kind}=container:{other}" for kind in ("pid", "ipc", "network")]
    assert podman.says(*options, "--", "cat", "/proc/1/comm") == "sleep\n"


def test_init(podman: Podman) -> None:
    """podman run --init: catatonit is process 1, where it is installed."""
    if not os.access("/usr/libexec/podman/catatonit", os.X_OK):
        pytest.skip("catatonit is missing")
    assert podman.says("--init", "--", "cat", "/proc/1/comm") == "podman-init\n"


def test_removal_by_force(podman: Podman) -> None:
    """podman rm -f: all processes end."""
    name = podman.start_container("--", "sh", "-c", "sleep 1000 & sleep 1000")
    pid = int(podman.inspect(name, "State.Pid"))
    podman.output("rm", "--force", "--time", "0", name)
    until(lambda: not is_alive(pid), "init is dead")


def test_buildah_run(buildah: Podman) -> None:
    """buildah from, run, commit: BUILDAH_RUNTIME."""
    made = buildah.buildah("from", "--pull-never", IMAGE)
    assert made.code == 0, made
    name = made.stdout.strip()
    ran = buildah.buildah(
        "run", f"--isolation={buildah.isolation}", name, "--", "sh", "-c", "echo in $FROM; exit 3"
    )
    assert ran.stdout == "in image\n"
    assert ran.code == 3
    assert buildah.buildah("rm", name).code == 0


@pytest.mark.parametrize("builder", ["buildah", "podman"])
def test_build(buildah: Podman, scratch: Path, builder: str) -> None:
    """buildah bud and podman build: each RUN is a container of the runtime."""
    lines = [f"FROM {IMAGE}", "RUN echo built > /made && id -u > /user", "USER 1000", "RUN id -u"]
    (scratch / "Dockerfile").write_text("\n".join(lines))
    options = [f"--isolation={buildah.isolation}", "--pull-never", "--tag", "made", str(scratch)]
    made = buildah.buildah("bud", *options) if builder == "buildah" else buildah("build", *options)
    assert made.code == 0, made
    assert "\n1000\n" in made.stdout
    ran = buildah("run", "--rm", *buildah.options, "made", "cat", "/made", "/user")
    assert ran.stdout == "built\n0\n", ran
    buildah.output("rmi", "made")


def test_a_failed_step_of_a_build_is_said(buildah: Podman, scratch: Path) -> None:
    """The exit code of a RUN is the build's failure."""
    (scratch / "Dockerfile").write_text(f"FROM {IMAGE}\nRUN exit 23\n")
    ran = buildah("build", f"--isolation={buildah.isolation}", "--pull-never", str(scratch))
    assert ran.code in {125, 23}, ran
    assert "23" in ran.stderr
