# SPDX-License-Identifier: Apache-2.0
"""Kubernetes' Container Runtime Interface: what a kubelet asks of containerd, with handler pyoci."""

import json
import os
import signal
from pathlib import Path

import grpc
import pytest
from blackbox.processes import is_alive, text, until
from engines.cri import RESIZE, SLEEP, Cri
from engines.failures import EAT, GATE

NO_CAPABILITIES = "0000000000000000"
FIELD = "grep ^{}: /proc/self/status | cut -f 2"


def namespace(pid: int, kind: str) -> str:
    """Return a process's namespace."""
    return os.readlink(f"/proc/{pid}/ns/{kind}")


def test_a_pod_is_run_by_the_handler(cri: Cri) -> None:
    """RuntimeClass: the handler's name reaches the runtime; the pod has an address."""
    pod = cri.pod()
    status = cri.call("PodSandboxStatus", pod_sandbox_id=pod.name).status
    assert status.state == cri.protos.SANDBOX_READY
    assert status.runtime_handler == "pyoci"
    assert status.network.ip.startswith("10.85.0.")
    states = [path.name for path in cri.states[0].glob("[!.]*")]
    assert states == [pod.name]


def test_an_unknown_handler_is_refused(cri: Cri) -> None:
    """A RuntimeClass that the node does not have."""
    with pytest.raises(grpc.RpcError, match='no runtime for "unknown" is configured'):
        cri.pod("unknown")


def test_a_container_of_another_handler_beside(cri: Cri) -> None:
    """Two runtimes under one containerd do not see each other."""
    mine, other = cri.pod(), cri.pod("runc")
    assert mine.says("echo here") == other.says("echo here") == "here\n"


def test_containers_of_a_pod_share_it(cri: Cri) -> None:
    """Network, IPC and UTS are the pod's; processes and mounts are the container's own."""
    pod = cri.pod()
    first, second = (pod.pid(pod.start(*SLEEP)) for _ in range(2))
    for kind in ("net", "ipc", "uts"):
        assert namespace(first, kind) == namespace(second, kind) != namespace(os.getpid(), kind)
    for kind in ("pid", "mnt"):
        assert namespace(first, kind) != namespace(second, kind)
    assert pod.says("hostname") == "podhost\n"
    assert pod.says("cat /etc/resolv.conf") == "nameserver 192.0.2.1\n"


def test_a_pod_with_one_pid_namespace(cri: Cri) -> None:
    """shareProcessNamespace: containers see the pod's first process and each other."""
    options = {"namespace_options": {"pid": "POD"}}
    pod = cri.pod(security_context=options)
    pod.start("sleep", "1001", security=options)
    seen = pod.says("cat /proc/[0-9]*/cmdline | tr '\\0' ' '", security=options)
    assert "sleep 1001 " in seen
    assert seen.startswith("/bin/sleep 2147483647 ")


def test_a_pod_on_the_host_s_network(cri: Cri) -> None:
    """hostNetwork, hostPID, hostIPC: the daemon's own."""
    options = {"namespace_options": {"network": "NODE", "pid": "NODE", "ipc": "NODE"}}
    pod = cri.pod(hostname="", security_context=options)
    pid = pod.pid(pod.start(*SLEEP, security=options))
    assert cri.process is not None
    for kind in ("net", "pid", "ipc"):
        assert namespace(pid, kind) == namespace(cri.process.pid, kind)


def test_sysctls_of_a_pod(cri: Cri) -> None:
    """securityContext.sysctls."""
    pod = cri.pod(sysctls={"net.core.somaxconn": "99", "kernel.shm_rmid_forced": "1"})
    script = "cat /proc/sys/net/core/somaxconn /proc/sys/kernel/shm_rmid_forced"
    assert pod.says(script) == "99\n1\n"


def test_exec_sync(cri: Cri) -> None:
    """Probes and lifecycle hooks: output, standard error, exit code."""
    pod = cri.pod()
    name = pod.start(*SLEEP)
    ran = pod.exec(name, "sh", "-c", "cat /proc/1/comm; echo error >&2; exit 6")
    assert (ran.code, ran.stdout, ran.stderr) == (6, "sleep\n", "error\n")


def test_exec_sync_takes_no_longer_than_told(cri: Cri) -> None:
    """A probe that hangs is killed."""
    pod = cri.pod()
    name = pod.start(*SLEEP)
    with pytest.raises(grpc.RpcError, match="timeout 1s exceeded"):
        pod.exec(name, "sleep", "1001", timeout=1)
    assert "1001" not in pod.exec(name, "ps").stdout


def test_exec_in_a_terminal(cri: Cri) -> None:
    """kubectl exec -it: a terminal, its size, the exit code."""
    pod = cri.pod()
    name = pod.start(*SLEEP)
    request = {"container_id": name, "cmd": ["sh"], "tty": True, "stdin": True, "stdout": True}
    stream = cri.stream(cri.call("Exec", **request).url)
    stream.write(json.dumps({"Width": 77, "Height": 33}).encode(), RESIZE)
    stream.write(
        b"until [ \"$(stty size)\" = '33 77' ]; do usleep 9999; done; echo seen-$((6*7))\n"
    )
    stream.read_until(b"seen-42")
    stream.write(b"exit 5\n")
    status = stream.end()
    assert status["reason"] == "NonZeroExitCode"
    assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "5"}]


def test_exec_without_a_terminal(cri: Cri) -> None:
    """kubectl exec -i: what is written arrives, both outputs apart."""
    pod = cri.pod()
    name = pod.start(*SLEEP)
    script = "read line; echo got $line; echo error >&2"
    request = {"container_id": name, "cmd": ["sh", "-c", script], "stdin": True}
    url = cri.call("Exec", **request, stdout=True, stderr=True).url
    stream = cri.stream(url)
    stream.write(b"word\n")
    assert stream.read_until(b"\n") == b"got word\n"
    assert stream.read_until(b"\n", 2) == b"error\n"
    assert stream.end()["status"] == "Success"


def test_attach(cri: Cri) -> None:
    """kubectl attach: the container's own input and output."""
    pod = cri.pod()
    script = "while read line; do echo got $line; done"
    name = pod.start("sh", "-c", script, stdin=True)
    request = {"container_id": name, "stdin": True, "stdout": True, "stderr": True}
    stream = cri.stream(cri.call("Attach", **request).url)
    stream.write(b"word\n")
    assert stream.read_until(b"word\n") == b"got word\n"
    until(lambda: pod.log(name) == "got word\n", "it is logged")


def test_port_forward(cri: Cri) -> None:
    """kubectl port-forward: to a port inside the pod's network namespace."""
    pod = cri.pod()
    server = "echo 'echo answer; cat' > /tmp/serve; nc -l -p 8080 -e sh /tmp/serve"
    name = pod.start("sh", "-c", server)
    until(
        lambda: ":1F90 " in pod.exec(name, "cat", "/proc/net/tcp", "/proc/net/tcp6").stdout,
        "it listens",
    )
    url = cri.call("PortForward", pod_sandbox_id=pod.name, port=[8080]).url
    stream = cri.stream(f"{url}?port=8080")
    stream.write(b"question\n")  # channel 0 is the data of the first port
    answered = stream.read_until(b"question\n", 0)
    assert answered.endswith(b"answer\nquestion\n")


def test_logs(cri: Cri) -> None:
    """The log has a line for each line of both outputs; it can be turned over."""
    pod = cri.pod()
    script = "echo one; echo two >&2; until [ -e /tmp/go ]; do usleep 9999; done; echo three"
    name = pod.start("sh", "-c", script)
    until(lambda: sorted(pod.log(name).split()) == ["one", "two"], "both are logged")
    written = pod.log_path(name)
    os.rename(written, f"{written}.old")
    cri.call("ReopenContainerLog", container_id=name)
    pod.exec(name, "touch", "/tmp/go")
    pod.wait(name)
    until(lambda: pod.log(name) == "three\n", "the end is logged")
    assert " stderr F two" in text(f"{written}.old")


def test_statistics(cri: Cri) -> None:
    """The kubelet's summary: of a container and of its pod."""
    pod = cri.pod()
    name = pod.start("sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 1000")
    until(lambda: "1000" in pod.exec(name, "ps", "-o", "args").stdout.split(), "it has counted")
    stats = cri.call("ContainerStats", container_id=name).stats
    assert stats.memory.working_set_bytes.value > 0
    assert stats.cpu.usage_core_nano_seconds.value > 0
    linux = cri.call("PodSandboxStats", pod_sandbox_id=pod.name).stats.linux
    assert linux.cpu.usage_core_nano_seconds.value > 0


def test_resources(cri: Cri) -> None:
    """resources.limits: in the cgroup below the pod's parent."""
    pod = cri.pod()
    resources = {"memory_limit_in_bytes": 48 << 20, "cpu_quota": 25000, "cpu_period": 100000}
    name = pod.start(*SLEEP, resources={**resources, "oom_score_adj": 555})
    script = "cd /sys/fs/cgroup; cat memory.max memory/memory.limit_in_bytes cpu.max cpu/cpu.cfs_quota_us"
    shown = pod.exec(name, "sh", "-c", f"({script}) 2>/dev/null").stdout.split()
    assert shown[:2] == [str(48 << 20), "25000"]
    assert pod.exec(name, "cat", "/proc/1/oom_score_adj").stdout == "555\n"
    lines = text(f"/proc/{pod.pid(name)}/cgroup").split()
    assert {line.split(":")[2] for line in lines} == {f"/{cri.cgroup}/{name}"}


def test_resources_of_a_running_container(cri: Cri) -> None:
    """The kubelet's in-place resize: `update` of the runtime."""
    pod = cri.pod()
    name = pod.start(*SLEEP, resources={"memory_limit_in_bytes": 64 << 20})
    resources = {"memory_limit_in_bytes": 32 << 20, "cpu_quota": 20000, "cpu_period": 100000}
    cri.call("UpdateContainerResources", container_id=name, linux=resources)
    script = "cd /sys/fs/cgroup; cat memory.max memory/memory.limit_in_bytes cpu.max cpu/cpu.cfs_quota_us"
    shown = pod.exec(name, "sh", "-c", f"({script}) 2>/dev/null; true").stdout.split()
    assert shown[:2] == [str(32 << 20), "20000"]


def test_out_of_memory(cri: Cri, scratch: Path) -> None:
    """A container that is killed for its memory is said to be: OOMKilled."""
    pod = cri.pod()
    gate = [{"container_path": GATE, "host_path": str(scratch), "readonly": True}]
    name = pod.start(*EAT, resources={"memory_limit_in_bytes": 16 << 20}, mounts=gate)
    (scratch / "open").touch()
    pod.wait(name)
    until(lambda: pod.status(name).reason == "OOMKilled", pod.status(name).reason)
    assert pod.status(name).exit_code == 137


def test_run_as(cri: Cri) -> None:
    """runAsUser, runAsGroup, supplementalGroups; by name, too."""
    pod = cri.pod()
    numbers = {"run_as_user": {"value": 77}, "run_as_group": {"value": 88}}
    assert pod.says("id", security={**numbers, "supplemental_groups": [99]}) == (
        "uid=77 gid=88 groups=88,99\n"
    )
    named = {"run_as_username": "user"}
    shown = pod.says("id", security=named)
    assert shown == "uid=1000(user) gid=1000(user) groups=1000(user),2000(extra)\n"


def test_capabilities(cri: Cri) -> None:
    """securityContext.capabilities: drop all, add one."""
    pod = cri.pod()
    script = FIELD.format("CapEff")
    dropped = {"drop_capabilities": ["ALL"]}
    assert pod.says(script, security={"capabilities": dropped}) == f"{NO_CAPABILITIES}\n"
    added = {**dropped, "add_capabilities": ["KILL"]}
    assert pod.says(script, security={"capabilities": added}) == "0000000000000020\n"


def test_no_new_privileges(cri: Cri) -> None:
    """allowPrivilegeEscalation: false."""
    pod = cri.pod()
    script = FIELD.format("NoNewPrivs")
    assert pod.says(script) == "0\n"
    assert pod.says(script, security={"no_new_privs": True}) == "1\n"


def test_a_read_only_root(cri: Cri) -> None:
    """readOnlyRootFilesystem."""
    pod = cri.pod()
    shown = pod.says("touch /file 2>&1 || true", security={"readonly_rootfs": True})
    assert "Read-only file system" in shown


def test_seccomp(cri: Cri, scratch: Path) -> None:
    """seccompProfile: RuntimeDefault, Unconfined, Localhost."""
    pod = cri.pod()
    script = FIELD.format("Seccomp")
    assert pod.says(script, security={"seccomp": {"profile_type": "RuntimeDefault"}}) == "2\n"
    assert pod.says(script, security={"seccomp": {"profile_type": "Unconfined"}}) == "0\n"
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 75}
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}
    (scratch / "profile.json").write_text(json.dumps(profile))
    own = {"profile_type": "Localhost", "localhost_ref": f"{scratch}/profile.json"}
    assert "Value too large" in pod.says("mkdir /tmp/x 2>&1 || true", security={"seccomp": own})


def test_masked_and_read_only_paths(cri: Cri) -> None:
    """procMount: what the kubelet says is masked, is."""
    pod = cri.pod()
    security = {"masked_paths": ["/etc/kept"], "readonly_paths": ["/tmp"]}
    script = "cat /etc/kept; touch /tmp/file 2>&1 || true"
    shown = pod.says(script, security=security)
    assert "from the image" not in shown
    assert "Read-only file system" in shown


def test_privileged(cri: Cri) -> None:
    """securityContext.privileged: all that we have, devices, nothing masked."""
    pod = cri.pod(security_context={"privileged": True})
    script = f"{FIELD.format('Seccomp')}; ls /dev/kmsg; [ -w /proc/sys/kernel/msgmax ] && echo w"
    assert pod.says(script, security={"privileged": True}) == "0\n/dev/kmsg\nw\n"


def test_mounts(cri: Cri, scratch: Path) -> None:
    """volumeMounts: writable, read-only, and propagation from the host."""
    pod = cri.pod()
    (scratch / "file").write_text("from the host\n")
    mounts = [
        {"container_path": "/there", "host_path": str(scratch)},
        {"container_path": "/fixed", "host_path": str(scratch), "readonly": True},
    ]
    script = "cat /there/file; echo new > /there/new; touch /fixed/other 2>&1; cat /fixed/new"
    shown = pod.says(script, mounts=mounts)
    assert shown.startswith("from the host\n")
    assert "Read-only file system" in shown
    assert shown.endswith("new\n")


def test_devices(cri: Cri) -> None:
    """Device plugins: the node, and the permission to use it."""
    pod = cri.pod()
    device = {"container_path": "/dev/there", "host_path": "/dev/zero", "permissions": "r"}
    script = "stat -c '%F %t:%T' /dev/there; head -c 4 /dev/there | wc -c"
    assert pod.says(script, devices=[device]) == "character special file 1:5\n4\n"


def test_environment_and_directory(cri: Cri) -> None:
    """env, workingDir; the image's own environment stays."""
    pod = cri.pod()
    more = {"envs": [{"key": "OWN", "value": "a b"}], "working_dir": "/tmp"}
    assert pod.says("pwd; echo $FROM $OWN", **more) == "/tmp\nimage a b\n"


@pytest.mark.parametrize("grace", [0, 1])
def test_stop(cri: Cri, grace: int) -> None:
    """terminationGracePeriodSeconds: SIGTERM, then SIGKILL."""
    pod = cri.pod()
    name = pod.start(*SLEEP)  # as process 1 it does not hear SIGTERM
    cri.call("StopContainer", container_id=name, timeout=grace)
    assert pod.status(name).exit_code == 137


def test_stop_is_a_request(cri: Cri) -> None:
    """A process that hears SIGTERM ends with its own exit code."""
    pod = cri.pod()
    script = "trap 'exit 12' TERM; echo ready; while :; do usleep 9999; done"
    name = pod.start("sh", "-c", script)
    until(lambda: pod.log(name) == "ready\n", "it is ready")
    cri.call("StopContainer", container_id=name, timeout=20)
    assert pod.status(name).exit_code == 12


def test_the_end_of_a_pod_ends_its_containers(cri: Cri) -> None:
    """StopPodSandbox: no process is left; RemovePodSandbox: no container."""
    pod = cri.pod()
    pids = [pod.pid(pod.start(*SLEEP)) for _ in range(3)]
    cri.call("StopPodSandbox", pod_sandbox_id=pod.name)
    assert not [pid for pid in pids if is_alive(pid)]
    cri.call("RemovePodSandbox", pod_sandbox_id=pod.name)
    assert not cri.call("ListPodSandbox").items


@pytest.mark.parametrize("command", ["no-such", "/no/such", "/bin/not-executable"])
def test_a_missing_program_is_said_as_by_runc(cri: Cri, command: str) -> None:
    """The kubelet shows the text as the container's state: CreateContainerError or RunContainerError."""
    said = {}
    for handler in ("runc", "pyoci"):
        pod = cri.pod(handler)
        with pytest.raises(grpc.RpcError) as error:
            pod.start(command)
        said[handler] = error.value.details().partition("unable to start container process: ")[2]
    assert said["pyoci"] == said["runc"] != ""


def test_containerd_starts_again_under_running_containers(cri: Cri) -> None:
    """The shims stay: containers go on, can be exec'd into, and their end is seen."""
    pod = cri.pod()
    name = pod.start(*SLEEP)
    pid = pod.pid(name)
    assert cri.process is not None
    cri.process.signal(signal.SIGKILL)
    cri.process.wait()
    assert is_alive(pid)
    cri.start_daemon()
    until(cri.is_ready, "containerd is ready again")
    assert pod.pid(name) == pid
    assert pod.exec(name, "cat", "/proc/1/comm").stdout == "sleep\n"
    cri.call("StopContainer", container_id=name, timeout=0)
    assert pod.status(name).exit_code == 137
