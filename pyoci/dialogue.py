# SPDX-License-Identifier: Apache-2.0
"""What init asks of the runtime while it is made, what it hands over, and why it may have ended."""

import posix

from pyoci import executor, identity, log
from pyoci.errors import PyociError, StepError
from pyoci.jsontext import dumps
from pyoci.placement import make_and_limit
from pyoci.plan import ops

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable

    from pyoci.creation import Creation
    from pyoci.spec import Seccomp
else:
    import _signal

_AFTER_HOOKS = 2  # close_fds and execute end every plan


def converse(creation: "Creation") -> None:
    """Answer init until nothing but the program is left."""
    assert creation.executor is not None
    try:
        while True:
            report = creation.executor.receive()
            if report is None:
                raise died(creation)
            if report.kind == "passed":
                assert report.fd is not None
                PASSED[report.topic](creation, report.fd)
            elif report.kind == "asked":
                creation.executor.go(ASKED[report.topic](creation))
            else:
                break
    except executor.Failure as failure:
        from pyoci import diagnosis

        raise diagnosis.explain(failure, creation.compiled(), creation.spec) from failure
    for warning in creation.executor.warnings:
        from pyoci import diagnosis

        log.warning(diagnosis.warn(warning, creation.compiled()))


def died(creation: "Creation") -> PyociError:
    """Say why init, or the process that was to make it, ended without a word."""
    running = creation.executor
    assert running is not None
    shortage = creation.cgroup.shortage() if creation.cgroup is not None else None
    status = running.reap()
    if shortage is not None:
        from pyoci.cgroup import oom

        why = oom.explain(shortage)
        return StepError(f"container init was OOM-killed (memory limit too low?): {why}")
    filtered = creation.made.known()["status"] == "created" and creation.spec["linux"]["seccomp"]
    if status == -_signal.SIGSYS or filtered:
        return StepError(
            "linux.seccomp: init ended once the filter was loaded: the profile must allow at least "
            "read, write, execve and exit_group",
            "/linux/seccomp",
        )
    how = f"signal {-status}" if status < 0 else f"exit status {status}"
    return StepError(f"container init ended unexpectedly ({how})")


def have_cgroups(creation: "Creation") -> bytes:
    """Let the set-up process go on to its cgroups, which systemd, when it is the one, makes around it.

    Not before it waits for them: one that fails earlier must be there to say so.
    """
    if creation.cgroup is not None and creation.cgroup.unit:
        assert creation.executor is not None
        processes = [creation.executor.setup]
        if creation.cgroup.may_kill_init(creation.spec["linux"]["resources"]):
            from pyoci import keeper

            creation.keeper = keeper.spawn()
            processes.append(creation.keeper.setup)
        creation.cgroup.adopt(processes)
        make_and_limit(creation, creation.cgroup)
        if creation.keeper is not None:
            creation.cgroup.watch()
    return b""


def write_id_maps(creation: "Creation") -> bytes:
    """Map the ids of the new user namespace."""
    from pyoci import idmap

    assert creation.executor is not None
    linux = creation.spec["linux"]
    idmap.write(creation.executor.pid, linux["uidMappings"], linux["gidMappings"])
    return b""


def move_net_devices(creation: "Creation") -> bytes:
    """Move devices of the host into the container's network namespace."""
    assert creation.executor is not None
    from pyoci import netdevices

    creation.devices = netdevices.Devices(creation.executor.pid)
    creation.devices.move(creation.spec["linux"]["netDevices"])
    return b""


def run_runtime_hooks(creation: "Creation") -> bytes:
    """Run prestart and createRuntime hooks, and leave the state for those that init runs itself."""
    assert creation.executor is not None
    entries = creation.spec["hooks"]
    pid = creation.executor.pid
    from pyoci import hooks

    # Of prestart hooks the text says both (docs/adr/0013); the others are told what runc tells them.
    for kind, of_kind, status in (
        ("prestart", entries["prestart"], "created"),
        ("createRuntime", entries["createRuntime"], "creating"),
    ):
        document = dumps(creation.document(status, pid)).encode()
        hooks.run(kind, of_kind, document, creation.made.journal_hook)
    creation.made.known()["hook"] = None
    put_state(creation, "creating")
    return b""


def put_state(creation: "Creation", status: str) -> None:
    """Fill the memfd that is stdin of the hooks in the container, with the pid as they see it."""
    assert creation.executor is not None
    document = creation.document(status, identity.inner_pid(creation.executor.pid))
    posix.ftruncate(creation.state_fd, 0)
    posix.pwrite(creation.state_fd, dumps(document).encode(), 0)


def write_record(creation: "Creation") -> bytes:
    """Make the container whole on disk: its init, its status."""
    assert creation.executor is not None
    body = creation.spec["process"]
    if body and body["selinuxLabel"]:
        from pyoci import labels

        labels.check(body, creation.executor.pid)
    if creation.spec["hooks"]["startContainer"]:
        put_state(creation, "created")
    if creation.cgroup is not None:
        creation.cgroup.tighten()
    record = creation.made.known()
    record["init"] = identity.record(creation.executor.pid)
    record["status"] = "created"
    behind = len(record["startHookSeconds"]) + _AFTER_HOOKS
    record["startHooksAt"] = creation.plan.count - behind
    creation.made.save()
    if creation.detached and creation.cgroup is not None:
        from pyoci import shortcut

        shortcut.write(creation.made, creation.cgroup, creation.spec["linux"]["resources"])
    return b""


def read_home(creation: "Creation", fd: int) -> None:
    """Look the user up in the container's passwd file: through a descriptor, no path of the image is ours to follow."""
    from pyoci import passwd

    body = creation.spec["process"]
    assert body is not None
    creation.home = passwd.home(fd, body["user"]["uid"])
    posix.close(fd)


def tell_home(creation: "Creation") -> bytes:
    """Answer with the user's home directory."""
    return creation.home


def take_console(creation: "Creation", master: int) -> None:
    """Hand the terminal to who asked for it, or keep it for the foreground."""
    if creation.console is None:
        from pyoci import terminal

        creation.master = master
        terminal.adopt(master)
        return
    from pyoci import handover

    handover.send_fd(creation.console, master, b"/dev/ptmx")
    posix.close(master)


def take_listener(profile: "Seccomp", listener: int, pid: int, document: dict[str, object]) -> None:
    """Hand the seccomp listener to its agent."""
    from pyoci.seccomp import agent

    try:
        path, metadata = profile["listenerPath"] or "", profile["listenerMetadata"] or ""
        agent.send(path, listener, pid, metadata, document)
    finally:
        posix.close(listener)


def pass_listener(creation: "Creation", listener: int) -> None:
    """Hand the listener of this container's filter to its agent."""
    assert creation.executor is not None
    profile = creation.spec["linux"]["seccomp"]
    assert profile is not None
    pid = creation.executor.pid
    take_listener(profile, listener, pid, creation.document("creating", pid))


ASKED: "dict[str, Callable[[Creation], bytes]]" = {
    "cgroups": have_cgroups,
    "home": tell_home,
    "id_maps": write_id_maps,
    "net_devices": move_net_devices,
    "runtime_hooks": run_runtime_hooks,
    "ready": write_record,
}
PASSED: "dict[str, Callable[[Creation, int], None]]" = {
    "console": take_console,
    "home": read_home,
    "listener": pass_listener,
}
assert {*ASKED, *PASSED} <= set(ops.TOPICS)
