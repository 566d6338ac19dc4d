# SPDX-License-Identifier: Apache-2.0
"""Containers of pypod, seen from inside and from the kernel: isolation, life, logs, monitor, healing."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from blackbox.processes import until
from sides import IMAGE, PYPOD, Oracle, Pypod

from pyoci.engine.containers.record import Records
from pyoci.engine.places import Places

pytestmark = pytest.mark.root
FACTS = (
    "grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp:)' /proc/self/status; ls /dev; ulimit -a;"
    " ls /proc/self/fd; cat /etc/hostname; id; ls -ld / /dev/shm /tmp;"
    " for p in /proc/kcore /proc/keys /proc/timer_list /sys/firmware; do [ -s $p ]; echo $p $?; done;"
    " for p in /proc/bus /proc/sys /proc/irq; do touch $p/x 2>&1; done; grep -v 'c 5:1 ' /sys/fs/cgroup/devices/devices.list | sort"
)


def test_a_process_sees_what_it_sees_under_docker(pypod: Pypod, oracle: Oracle) -> None:
    """Issue 6: the default profile of capabilities, seccomp and masked paths is no weaker than Docker's."""
    options = ["--hostname", "same", "--network", "none"]
    ours = pypod.output("run", "--rm", *options, IMAGE, "sh", "-c", FACTS)
    theirs = oracle.output("run", "--rm", *options, IMAGE, "sh", "-c", FACTS)
    assert ours == theirs


@pytest.mark.parametrize("call", ["unshare -U true", "mount -t tmpfs n /tmp", "chroot / true"])
def test_seccomp_and_capabilities_forbid(call: str, pypod: Pypod, oracle: Oracle) -> None:
    ours = pypod("run", "--rm", "--network", "none", IMAGE, *call.split())
    theirs = oracle("run", "--rm", "--network", "none", IMAGE, *call.split())
    assert (ours.code, ours.stderr) == (theirs.code, theirs.stderr)


def test_a_container_has_only_a_loopback(pypod: Pypod) -> None:
    """highlevel.md 1.7, closed: only lo, which is up."""
    assert pypod.says("ip -o link | wc -l; ip -o addr show lo").split()[:1] == ["1"]
    assert "127.0.0.1/8" in pypod.says("ip -o addr show lo")


def test_another_containers_network_and_pids_can_be_joined(pypod: Pypod) -> None:
    identity = pypod.start("target", "exec sleep 1000")
    joined = ["run", "--rm", "--network", "container:target", "--pid", "container:target", IMAGE]
    assert pypod.output(*joined, "hostname") == f"{identity[:12]}\n"
    inode = os.stat(f"/proc/{pypod.field('target', '{{.State.Pid}}')}/ns/net").st_ino
    assert pypod.output(*joined, "readlink", "/proc/self/ns/net") == f"net:[{inode}]\n"
    assert "sleep 1000" in pypod.output(*joined, "cat", "/proc/1/cmdline").replace("\0", " ")


def test_a_container_that_has_ended_cannot_be_joined(pypod: Pypod) -> None:
    pypod.start("target", "true")
    pypod.output("wait", "target")
    ran = pypod("run", "--rm", "--network", "container:target", IMAGE, "true")
    assert ran.code == 125
    assert "cannot join network of a non running container" in ran.stderr


def test_a_new_volume_has_what_the_image_has_with_its_owner(pypod: Pypod) -> None:
    """highlevel.md 1.3: copy-up with owner and mode."""
    assert pypod.says("stat -c '%a' /tmp; ls /etc", "-v", "/tmp", "-v", "/etc").split() == [
        "1777",
        "group",
        "hostname",
        "hosts",
        "kept",
        "passwd",
        "resolv.conf",
    ]


def test_a_read_only_volume_covers_what_is_mounted_below(pypod: Pypod, scratch: Path) -> None:
    """highlevel.md 1.3: `ro` is recursive where the kernel can (mount_setattr, AT_RECURSIVE)."""
    (scratch / "new").mkdir()
    ran = pypod(
        "run", "--rm", "--network", "none", "-v", f"{scratch}/new:/d:ro", IMAGE, "touch", "/d/x"
    )
    assert ran.stderr == "touch: /d/x: Read-only file system\n"


def test_a_missing_host_directory_is_made(pypod: Pypod, scratch: Path) -> None:
    """docker-notes.txt, line 93."""
    pypod.says("touch /d/file", "-v", f"{scratch}/not/there:/d")
    assert (scratch / "not/there/file").exists()


def test_anonymous_volumes_go_with_rm(pypod: Pypod) -> None:
    pypod.says("true", "-v", "/a")
    assert pypod.output("volume", "ls", "-q") == ""
    pypod.start("kept", "true", "-v", "/a")
    pypod.output("wait", "kept")
    pypod.output("rm", "kept")
    assert len(pypod.output("volume", "ls", "-q").split()) == 1


def test_volumes_of_another_container(pypod: Pypod) -> None:
    pypod.start("one", "echo shared > /a/file", "-v", "/a")
    pypod.output("wait", "one")
    assert pypod.says("cat /a/file", "--volumes-from", "one:ro") == "shared\n"


def test_a_link_needs_a_target_that_runs(pypod: Pypod) -> None:
    """docker-notes.txt, lines 42 and 43; highlevel.md 1.2."""
    assert pypod("create", "--link", "nosuch:x", IMAGE).stderr == (
        "Error: could not get container for nosuch: No such container: nosuch\n"
    )
    pypod.output("create", "--name", "database", "--network", "none", IMAGE)
    pypod.output("create", "--name", "web", "--link", "database:db", "--network", "none", IMAGE)
    ran = pypod("start", "web")
    assert ran.code == 1
    assert "Cannot link to a non running container: /database AS /web/db" in ran.stderr


def test_a_link_brings_variables(pypod: Pypod) -> None:
    """highlevel.md 1.7: the environment of the target but HOME and PATH, also in exec."""
    pypod.start("database", "sleep 1000", "-e", "SECRET=1", "--expose", "3306")
    pypod.start("web", "sleep 1000", "--link", "database:my-db")
    found = pypod.output("exec", "web", "env").splitlines()
    assert "MY_DB_NAME=/web/my-db" in found
    assert "MY_DB_ENV_SECRET=1" in found
    assert "MY_DB_ENV_PATH=/bin" not in found


def test_each_stream_is_logged_with_its_name(pypod: Pypod) -> None:
    """highlevel.md 3.3: json-file."""
    pypod.start("talker", "echo out; echo err >&2; printf part")
    pypod.output("wait", "talker")
    rows = [json.loads(line) for line in log_of(pypod, "talker").read_text().splitlines()]
    assert sorted((row["log"], row["stream"]) for row in rows) == [
        ("err\n", "stderr"),
        ("out\n", "stdout"),
        ("part", "stdout"),
    ]
    ran = pypod("logs", "talker")
    assert (ran.stdout, ran.stderr) == ("out\npart", "err\n")


def test_logs_are_followed_to_the_end(pypod: Pypod) -> None:
    pypod.start("counter", "for i in 1 2 3 4 5; do echo $i; sleep 0.1; done")
    assert pypod.output("logs", "-f", "counter") == "1\n2\n3\n4\n5\n"
    assert pypod.output("logs", "--tail", "2", "counter") == "4\n5\n"
    assert pypod.output("logs", "--since", "1h", "--until", "1m", "counter") == ""


def test_a_log_is_rotated_and_read_over_the_rotation(pypod: Pypod) -> None:
    options = ["--log-opt", "max-size=1k", "--log-opt", "max-file=3"]
    pypod.start("talker", "for i in $(seq 100); do echo line $i; done", *options)
    pypod.output("wait", "talker")
    log = log_of(pypod, "talker")
    assert log.with_name(f"{log.name}.2").exists()
    assert not log.with_name(f"{log.name}.3").exists()
    assert pypod.output("logs", "talker").splitlines()[-1] == "line 100"


def test_who_follows_a_log_sees_all_of_it_over_rotations(pypod: Pypod) -> None:
    """Docker's default is one file, which begins anew."""
    script = "i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo line $i; usleep 5000; done"
    pypod.start("talker", script, "--log-opt", "max-size=1k")
    lines = pypod.output("logs", "-f", "talker").splitlines()
    assert lines == [f"line {number}" for number in range(1, 201)]
    assert len(log_of(pypod, "talker").read_text()) <= 1024


def test_a_long_line_is_logged_in_parts(pypod: Pypod) -> None:
    pypod.start("talker", "head -c 40000 /dev/zero | tr '\\0' x; echo")
    pypod.output("wait", "talker")
    rows = [json.loads(line)["log"] for line in log_of(pypod, "talker").read_text().splitlines()]
    assert [len(row) for row in rows] == [16384, 16384, 7233]
    assert pypod.output("logs", "talker") == "x" * 40000 + "\n"


def test_kubernetes_own_form_of_a_log(pypod: Pypod) -> None:
    pypod.start("talker", "echo out", "--log-driver", "k8s-file")
    pypod.output("wait", "talker")
    assert log_of(pypod, "talker").read_text().endswith(" stdout F out\n")
    assert pypod.output("logs", "talker") == "out\n"


def test_a_container_begins_again_as_often_as_its_policy_says(pypod: Pypod) -> None:
    """highlevel.md 1.4: on-failure:2 runs three times."""
    pypod.start("failing", "echo x; exit 5", "--restart", "on-failure:2")
    template = "{{.State.Status}} {{.RestartCount}} {{.State.ExitCode}}"
    pypod.await_field("failing", template, "exited 2 5")
    assert pypod.output("logs", "failing") == "x\nx\nx\n"


def test_a_client_stays_for_one_run(pypod: Pypod) -> None:
    """moby: `run` waits for the next exit; a container that begins again has that, too."""
    script = "echo x; sleep 0.2; exit 5"
    options = ["--name", "steady", "--network", "none", "--restart", "always"]
    assert pypod("run", *options, IMAGE, "sh", "-c", script).code == 5
    assert pypod.output("wait", "steady") == "5\n"
    assert pypod("attach", "steady").code in (5, 1)  # 1: it was waiting to begin again
    pypod.output("rm", "--force", "steady")


def test_a_stop_by_hand_is_the_end_whatever_the_policy(pypod: Pypod) -> None:
    pypod.start("steady", "sleep 1000", "--restart", "always")
    pypod.output("stop", "-t", "0", "steady")
    assert pypod.field("steady", "{{.State.Status}} {{.RestartCount}}") == "exited 0"


def test_exec_waits_for_no_container_that_is_restarting(pypod: Pypod) -> None:
    """highlevel.md 1.4: you cannot run commands in a broken container."""
    pypod.start("broken", "exit 1", "--restart", "always")
    until(lambda: pypod.field("broken", "{{gt .RestartCount 2}}") == "true", "it has restarted")
    words = "is restarting, wait until the container is running"
    until(lambda: words in pypod("exec", "broken", "true").stderr, "it is found restarting")


def test_health_is_checked_by_the_monitor(pypod: Pypod) -> None:
    options = [
        "--health-cmd",
        "test -e /well",
        "--health-interval",
        "100ms",
        "--health-retries",
        "2",
    ]
    pypod.start("patient", "sleep 1000", *options)
    pypod.await_field("patient", "{{.State.Health.Status}}", "unhealthy")
    pypod.output("exec", "patient", "touch", "/well")
    pypod.await_field("patient", "{{.State.Health.Status}}", "healthy")
    assert "(healthy)" in pypod.output("ps", "--format", "{{.Status}}")
    assert pypod.output("ps", "-q", "--filter", "health=unhealthy") == ""


def test_a_monitor_is_small(pypod: Pypod) -> None:
    """Issue 6: at most 5 MB private."""
    pypod.start("sleeper", "echo words; exec sleep 1000")
    until(lambda: pypod.output("logs", "sleeper"), "it has written")
    text = Path(f"/proc/{pypod.monitors()[0]}/smaps_rollup").read_text()
    private = sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private"))
    assert private <= 5120


def test_a_killed_monitor_is_replaced_and_loses_nothing(pypod: Pypod) -> None:
    """Issue 6: no log line already written, no exit status that the kernel can still give."""
    script = "echo before; while ! test -e /go; do sleep 0.05; done; echo after; exit 7"
    pypod.start("survivor", script)
    until(lambda: pypod.output("logs", "survivor") == "before\n", "it has written")
    (monitor,) = pypod.monitors()
    os.kill(monitor, signal.SIGKILL)
    until(lambda: not pypod.monitors(), "the monitor is dead")
    pypod.output("exec", "survivor", "touch", "/go")
    assert pypod.output("wait", "survivor") == "7\n"
    assert pypod.output("logs", "survivor") == "before\nafter\n"
    assert pypod.field("survivor", "{{.State.Status}}") == "exited"


def test_what_a_killed_rm_leaves_goes_with_the_next(pypod: Pypod) -> None:
    """Issue 6: killing the command loses no consistency; the next one heals."""
    pypod.output("create", "--name", "one", "--network", "none", "-v", "/data", IMAGE)
    pypod.output("create", "--name", "two", "--network", "none", "-v", "named:/data", IMAGE)
    records = Records(Places(str(pypod.root), str(pypod.run_root)))
    records.remove(records.find("one"))  # what was done when the SIGKILL came
    records.database.change("DELETE FROM volume WHERE anonymous = 1")
    records.database.close()
    pypod.output("rm", "two")
    assert os.listdir(pypod.root / "containers") == os.listdir(pypod.run_root / "containers") == []
    assert not os.listdir(pypod.root / "snapshots")
    assert os.listdir(pypod.root / "volumes") == ["named"]


def test_a_killed_client_leaves_a_container_that_goes_on(pypod: Pypod) -> None:
    running = pypod.spawn("run", "--name", "orphan", "--network", "none", IMAGE, "sleep", "1000")
    until(lambda: pypod.output("ps", "-q") != "", "it runs")
    running.signal(signal.SIGKILL)
    running.wait()
    assert pypod.field("orphan", "{{.State.Status}}") == "running"
    pypod.output("stop", "-t", "0", "orphan")


def test_nothing_of_the_caller_stays_open_in_the_monitor(pypod: Pypod) -> None:
    """A script that holds a lock or reads a pipe gets it back when `run -d` returns, not when the container ends."""
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    given = ["run", "-d", "--name", "idle", "--network", "none", IMAGE, "sleep", "1000"]
    subprocess.run(
        [str(PYPOD), *given],
        env=pypod.environment,
        pass_fds=[writing],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    os.close(writing)
    os.set_blocking(reading, False)
    assert os.read(reading, 1) == b""
    os.close(reading)


def test_a_signal_to_the_client_reaches_the_program(pypod: Pypod) -> None:
    """highlevel.md 1.2: --sig-proxy."""
    script = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done"
    running = pypod.spawn("run", "--name", "trap", "--network", "none", IMAGE, "sh", "-c", script)
    until(lambda: "ready" in running.out.read_text(), "it is ready")
    running.signal(signal.SIGTERM)
    assert running.wait().code == 9


def test_any_number_of_clients_attach(pypod: Pypod) -> None:
    script = "while ! test -e /go; do echo tick; sleep 0.05; done; echo words; exit 4"
    pypod.start("speaker", script)
    clients = [pypod.spawn("attach", "speaker") for _ in range(3)]
    until(lambda: all("tick" in one.out.read_text() for one in clients), "all are attached")
    pypod.output("exec", "speaker", "touch", "/go")
    for client in clients:
        ran = client.wait()
        assert (ran.code, ran.stdout.split()[-1]) == (4, "words")


def test_a_terminal_is_the_containers(pypod: Pypod) -> None:
    """highlevel.md 1.2: TERM is set, the size is passed on, lines end in CR LF."""
    options = ["--rm", "-it", "--network", "none"]
    client = pypod.terminal(
        "run", *options, IMAGE, "sh", "-c", "tty; stty size; echo $TERM; read x"
    )
    try:
        assert "/dev/pts/0\r\n33 99\r\nxterm\r\n" in client.read_until("xterm\r\n")
        client.write("\n")
        assert client.wait() == 0
    finally:
        client.close()


@pytest.mark.parametrize("mode", ["auto", "keep-id:uid=1", "nomap", "ns:/proc/1/ns/user"])
def test_podman_s_user_namespaces_are_refused_in_words(mode: str, pypod: Pypod) -> None:
    """Docker knows no more than the host's; what is known and what to do instead is said."""
    ran = pypod("create", "--userns", mode, "--network", "none", IMAGE)
    assert ran.code == 125
    assert f'--userns={mode}: pypod knows "host" alone' in ran.stderr
    assert "ordinary user" in ran.stderr


def test_an_init_needs_nothing_of_the_image(pypod: Pypod) -> None:
    """Docker's init is static; on Debian /usr/bin/tini is not."""
    assert pypod.says("tr '\\0' ' ' < /proc/1/cmdline", "--init").startswith(
        "/sbin/docker-init -- sh "
    )


def test_memory_limits_end_in_oom(pypod: Pypod) -> None:
    script = "head -c 60m /dev/zero | tail"
    pypod("run", "--name", "glutton", "-m", "20m", "--network", "none", IMAGE, "sh", "-c", script)
    assert pypod.field("glutton", "{{.State.OOMKilled}}") == "true"


def test_limits_change_while_a_container_runs(pypod: Pypod) -> None:
    pypod.start("worker", "exec sleep 1000", "--pids-limit", "50")
    read = "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; true"
    assert pypod.output("exec", "worker", "sh", "-c", read) == "50\n"
    pypod.output("update", "--pids-limit", "60", "--restart", "unless-stopped", "worker")
    assert pypod.output("exec", "worker", "sh", "-c", read) == "60\n"
    template = "{{.HostConfig.PidsLimit}} {{.HostConfig.RestartPolicy.Name}}"
    assert pypod.field("worker", template) == "60 unless-stopped"


def test_what_a_container_uses(pypod: Pypod) -> None:
    pypod.start("worker", "exec sleep 1000", "-m", "64m")
    form = "{{.Name}} {{.PIDs}} {{.MemUsage}}"
    name, pids, *_, limit = pypod.output("stats", "--no-stream", "--format", form).split()
    assert (name, pids, limit) == ("worker", "1", "64MiB")


def test_files_are_copied_in_and_out(pypod: Pypod, scratch: Path) -> None:
    pypod.start("box", "exec sleep 1000")
    (scratch / "tree/deep").mkdir(parents=True)
    (scratch / "tree/deep/file").write_text("words\n")
    pypod.output("cp", str(scratch / "tree"), "box:/tmp")
    assert pypod.output("exec", "box", "cat", "/tmp/tree/deep/file") == "words\n"
    pypod.output("cp", "box:/tmp/tree", str(scratch / "back"))
    assert (scratch / "back/deep/file").read_text() == "words\n"
    ran = pypod("cp", "box:/nosuch", str(scratch))
    assert ran.stderr == "Error: Could not find the file /nosuch in container box\n"


def test_no_link_of_a_container_leads_cp_out_of_it(pypod: Pypod, scratch: Path) -> None:
    """CVE-2018-15664: paths are followed inside the container's root."""
    (scratch / "victim").write_text("host\n")
    pypod.start("evil", f"ln -s {scratch} /out; exec sleep 1000")
    until(lambda: pypod("exec", "evil", "test", "-L", "/out").code == 0, "the link is there")
    ran = pypod("cp", "evil:/out/victim", str(scratch / "stolen"))
    assert ran.code == 1
    assert not (scratch / "stolen").exists()


def test_twenty_containers_at_once(pypod: Pypod) -> None:
    """highlevel.md 4.4."""
    clients = [
        pypod.spawn("run", "--rm", "--network", "none", IMAGE, "echo", str(number))
        for number in range(20)
    ]
    assert [client.wait(60).stdout for client in clients] == [f"{n}\n" for n in range(20)]
    assert pypod.output("ps", "-aq") == ""


def log_of(pypod: Pypod, name: str) -> Path:
    """Return the log of a container."""
    return Path(pypod.field(name, "{{.LogPath}}"))
