# SPDX-License-Identifier: Apache-2.0
"""--systemd-cgroup: scopes where systemd is pid 1, as root and as a user with a session.

What is expected is read from the kernel's files and from systemctl.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from blackbox import host
from blackbox.bundle import BASE, CGROUP, Bundle, MakeBundle, without
from blackbox.cgroups import need_cgroupfs
from blackbox.processes import patience, text, until
from blackbox.runtime import Container, Runtime

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        not os.path.isdir("/run/systemd/system"), reason="systemd is not pid 1 of this host"
    ),
]
FLAGS = ["--systemd-cgroup"]
SLEEP = ("sleep", "1000")
SLICE = "pyocitest-inner.slice"
BELOW = "/pyocitest.slice/pyocitest-inner.slice"
MB = 1 << 20
PURE = not os.path.isdir(f"{host.CGROUPS}/memory")
ON_V2 = pytest.mark.skipif(not PURE, reason="cgroup v2 has no controllers on this host")
IN_SUBGROUP = pytest.mark.expect_fail_on("crun", "its cgroup is one below the scope", strict=False)
FUSE = {"path": "/dev/mine", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666}
OPEN = ("sh", "-c", "true </dev/mine")


def systemctl(*words: str) -> str:
    """Return what systemctl says; it must succeed."""
    argv = ["systemctl", *words]
    ran = subprocess.run(argv, capture_output=True, check=False, text=True, timeout=patience(60))
    assert ran.returncode == 0, ran
    return ran.stdout.strip()


def shown(unit: str, name: str) -> str:
    """Return a property of a unit."""
    return systemctl("show", "--value", "--property", name, unit)


def loaded(name: str) -> list[str]:
    """Return the units with this in their names that systemd has in memory, failed ones as well."""
    lines = systemctl("list-units", "--all", "--plain", "--no-legend", f"*{name}*").splitlines()
    return [line for line in lines if ".slice" not in line]


@pytest.fixture
def driver(runtime: Runtime) -> Iterator[Runtime]:
    """The runtime under test; no unit of its containers may be left."""
    yield runtime
    for running in runtime.running:
        running.end()
    for name in host.state_directories(runtime):
        runtime("delete", "--force", name)
    until(lambda: not any(map(loaded, runtime.used)), "no unit is left")


def of_scope(made: Bundle, name: str) -> str:
    """Choose the scope pre-NAME.scope for a bundle, and return its directory."""
    made.edit(cgroupsPath=f"{SLICE}:pre:{name}").write()
    return f"{BELOW}/pre-{name}.scope"


def created(driver: Runtime, made: Bundle, **how: Any) -> tuple[Container, str]:
    """Create a container in a scope named after it; return it with its unit."""
    name = driver.new_id()
    of_scope(made, name)
    ran = driver("create", "--bundle", str(made.path), name, flags=FLAGS, **how)
    assert ran.code == 0, ran
    return Container(driver, name, made), f"pre-{name}.scope"


def cgroup_of(pid: int) -> str:
    """Return the cgroup of a process as systemd sees it."""
    lines = text(f"/proc/{pid}/cgroup").splitlines()
    return next(line[3:] for line in lines if line.startswith("0::"))


def file_of(unit: str, file: str) -> str:
    """Return what a file of a scope's cgroup says."""
    return text(f"{host.CGROUPS}{BELOW}/{unit}/{file}").strip()


@IN_SUBGROUP
def test_a_scope_lies_where_the_path_says(driver: Runtime, bundle: MakeBundle) -> None:
    """cgroupsPath SLICE:PREFIX:NAME; a-b.slice lies in a.slice."""
    container, unit = created(driver, bundle(*SLEEP))
    assert cgroup_of(container.pid) == f"{BELOW}/{unit}"
    assert shown(unit, "ControlGroup") == f"{BELOW}/{unit}"
    assert shown(unit, "Delegate") == "yes"
    assert shown(unit, "DefaultDependencies") == "no"
    assert shown(unit, "ActiveState") == "active"


@IN_SUBGROUP
@pytest.mark.parametrize("path", [None, ""])
def test_without_a_path_it_is_a_scope_of_the_system(
    driver: Runtime, bundle: MakeBundle, path: str | None
) -> None:
    made = bundle(*SLEEP, cgroupsPath=path)
    container = driver.create(made, flags=FLAGS)
    expected = f"/system.slice/{driver.name}-{container.id}.scope"
    assert cgroup_of(container.pid) == expected


@pytest.mark.expect_fail_on("crun", "it takes all after the second colon for a name", strict=False)
@pytest.mark.parametrize("path", ["/pyocitest/x", "pyocitest", "a.slice:b", "a.slice:b:c:d"])
def test_a_path_of_no_unit_is_refused(driver: Runtime, bundle: MakeBundle, path: str) -> None:
    message = driver.refuses(bundle(*SLEEP, cgroupsPath=path), flags=FLAGS)
    if driver.name != "crun":
        assert 'expected cgroupsPath to be of format "slice:prefix:name"' in message


@pytest.mark.expect_fail_on("runc", "1.1 leaves swap alone where none is asked for", strict=False)
@pytest.mark.expect_fail_on("crun", "systemd undoes its limit of swap", strict=False)
@ON_V2
def test_limits_are_the_kernels_and_systemds(driver: Runtime, bundle: MakeBundle) -> None:
    """Both know them, so that neither daemon-reload nor a change by an administrator undoes one."""
    limits = {
        "memory": {"limit": 64 * MB, "reservation": 32 * MB, "swap": 64 * MB},
        "pids": {"limit": 20},
        "cpu": {"shares": 512, "quota": 25000, "period": 50000, "cpus": "0", "mems": "0"},
    }
    container, unit = created(driver, bundle(*SLEEP, resources=BASE["linux"]["resources"] | limits))
    files = {"memory.max": str(64 * MB), "memory.low": str(32 * MB), "memory.swap.max": "0"}
    files |= {"pids.max": "20", "cpu.max": "25000 50000", "cpuset.cpus": "0", "cpuset.mems": "0"}
    weight = file_of(unit, "cpu.weight")
    container.start()
    for change in (["daemon-reload"], ["set-property", "--runtime", unit, "MemoryHigh=60M"]):
        systemctl(*change)
        assert {file: file_of(unit, file) for file in files} == files
        assert file_of(unit, "cpu.weight") == weight
    assert shown(unit, "MemoryMax") == str(64 * MB)
    assert shown(unit, "TasksMax") == "20"
    assert shown(unit, "CPUQuotaPerSecUSec") == "500ms"
    assert shown(unit, "AllowedCPUs") == "0"


@pytest.mark.expect_fail_on("crun", "systemd's percent is its quota", strict=False)
@ON_V2
def test_an_update_is_told_to_systemd(driver: Runtime, bundle: MakeBundle) -> None:
    """What was not given stays; what was, stays after systemd has written it again."""
    limits = {"memory": {"limit": 64 * MB}, "pids": {"limit": 20}}
    container, unit = created(driver, bundle(*SLEEP, resources=limits))
    container.start()
    words = ["--memory", str(80 * MB), "--cpu-period", "100000", "--cpu-quota", "12500"]
    ran = driver("update", *words, container.id)
    assert ran.code == 0, ran
    files = {"memory.max": str(80 * MB), "pids.max": "20"}
    assert file_of(unit, "cpu.max") == "12500 100000"
    assert shown(unit, "MemoryMax") == str(80 * MB)
    systemctl("set-property", "--runtime", unit, "MemoryHigh=70M", "TasksAccounting=yes")
    systemctl("daemon-reload")
    assert {file: file_of(unit, file) for file in files} == files


@pytest.mark.expect_fail_on("crun", "what it changed first stays", strict=False)
@ON_V2
def test_an_update_that_is_refused_changes_nothing(driver: Runtime, bundle: MakeBundle) -> None:
    container, unit = created(driver, bundle(*SLEEP, resources={"pids": {"limit": 20}}))
    container.start()
    ran = driver("update", "--pids-limit", "30", "--cpuset-cpus", "4000", container.id)
    assert ran.code == 1
    assert file_of(unit, "pids.max") == "20"
    if driver.name == "pyoci":
        assert shown(unit, "TasksMax") == "20"


@ON_V2
def test_unified_keys_are_properties_too(driver: Runtime, bundle: MakeBundle) -> None:
    unified = {"memory.high": str(48 * MB), "cpu.weight": "77", "pids.max": "33"}
    _, unit = created(driver, bundle(*SLEEP, resources={"unified": unified}))
    assert shown(unit, "MemoryHigh") == str(48 * MB)
    assert shown(unit, "CPUWeight") == "77"
    assert shown(unit, "TasksMax") == "33"
    assert {file: file_of(unit, file) for file in unified} == unified


@pytest.mark.expect_fail_on("crun", "it counts itself", strict=False)
@ON_V2
def test_one_process_is_enough_for_a_limit_of_one(driver: Runtime, bundle: MakeBundle) -> None:
    """The set-up process is not what the limit is spent on, and leaves no room behind it."""
    container, unit = created(driver, bundle(*SLEEP, resources={"pids": {"limit": 1}}))
    assert file_of(unit, "pids.max") == "1"
    container.start()
    assert container.status == "running"


def test_a_device_stays_denied(driver: Runtime, bundle: MakeBundle) -> None:
    """dev.bats: daemon-reload gives no device back."""
    container, _ = created(driver, bundle(*SLEEP, devices=[FUSE]))
    container.start()
    assert "Operation not permitted" in container.exec(*OPEN).stderr
    systemctl("daemon-reload")
    assert "Operation not permitted" in container.exec(*OPEN).stderr


def test_an_allowed_device_stays_allowed(driver: Runtime, bundle: MakeBundle) -> None:
    rules = [{"allow": False, "access": "rwm"}]
    rules.append({"allow": True, "type": "c", "major": 10, "minor": 229, "access": "r"})
    container, _ = created(driver, bundle(*SLEEP, devices=[FUSE], resources={"devices": rules}))
    container.start()
    assert container.exec(*OPEN).code == 0
    systemctl("daemon-reload")
    assert container.exec(*OPEN).code == 0
    assert container.exec("sh", "-c", "true >/dev/mine").code == 1


def test_annotations_are_properties(driver: Runtime, bundle: MakeBundle) -> None:
    said = {
        "TimeoutStopUSec": "uint64 7000000",
        "KillSignal": "2",
        "CollectMode": "'inactive-or-failed'",
        "After": "['dbus.service']",
    }
    made = bundle(*SLEEP, annotations={f"org.systemd.property.{k}": v for k, v in said.items()})
    _, unit = created(driver, made)
    assert shown(unit, "TimeoutStopUSec") == "7s"
    assert shown(unit, "KillSignal") == "2"
    assert shown(unit, "CollectMode") == "inactive-or-failed"
    assert "dbus.service" in shown(unit, "After").split()


@pytest.mark.parametrize("name", ["OnFailure", "Conflicts", "NoSuchThing"])
def test_an_annotation_off_list_is_refused(driver: Runtime, bundle: MakeBundle, name: str) -> None:
    if driver.name != "pyoci":
        pytest.skip("a list is pyoci's own: runc and crun hand on whatever systemd takes")
    key = f"org.systemd.property.{name}"
    made = bundle(*SLEEP, annotations={key: "['rescue.target']"}, cgroupsPath="")
    assert key.rpartition(".")[2] in driver.refuses(made, flags=FLAGS)


def test_the_whole_life_of_a_container(driver: Runtime, bundle: MakeBundle) -> None:
    """Later commands get no flag: the record knows the driver."""
    container, unit = created(driver, bundle(*SLEEP))
    container.start()
    pid = container.exec("sh", "-c", "cat /proc/self/cgroup")
    assert pid.code == 0, pid
    assert str(container.pid) in driver("ps", container.id).stdout
    container.stop()
    container.delete()
    assert loaded(unit) == []
    assert not os.path.exists(f"{host.CGROUPS}{BELOW}/{unit}")


@IN_SUBGROUP
def test_exec_is_in_the_scope(driver: Runtime, bundle: MakeBundle) -> None:
    container, unit = created(driver, bundle(*SLEEP))
    container.start()
    held = driver.spawn("exec", container.id, "sh", "-c", "echo ready; exec sleep 1001")
    until(lambda: text(held.out) == "ready\n", "its program has begun")
    path = f"{host.CGROUPS}/{'' if PURE else 'unified'}{BELOW}/{unit}/cgroup.procs"
    assert len(text(path).split()) == 2
    container.kill()
    assert held.wait().code == 137


def test_run_in_the_foreground(driver: Runtime, bundle: MakeBundle) -> None:
    made = bundle("sh", "-c", "exit 7")
    name = driver.new_id()
    of_scope(made, name)
    for _ in range(2):  # the second time by the plan that was kept
        ran = driver("run", "--bundle", str(made.path), name, flags=FLAGS)
        assert ran.code == 7, ran
        assert loaded(name) == []


@IN_SUBGROUP
@ON_V2
def test_a_container_has_cgroups_of_its_own(driver: Runtime, bundle: MakeBundle) -> None:
    """Delegate=yes: systemd leaves alone what is below; delete removes it."""
    script = (
        "mkdir /sys/fs/cgroup/inner /sys/fs/cgroup/inner/deep && echo 1 > /sys/fs/cgroup/inner/cgroup.procs"
        " && echo +pids > /sys/fs/cgroup/cgroup.subtree_control && echo 9 > /sys/fs/cgroup/inner/pids.max"
        " && echo done && exec sleep 1000"
    )
    cgroup = CGROUP | {"options": ["rw", "nosuid", "noexec", "nodev"]}
    sysfs = [{"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]}, cgroup]
    made = bundle("sh", "-c", script, all_mounts=[*without(BASE["mounts"], "/sys"), *sysfs])
    made.set_namespace(cgroup="")
    name = driver.new_id()
    directory = of_scope(made, name)
    running = driver.spawn("run", "--bundle", str(made.path), name, flags=FLAGS)
    until(lambda: "done" in text(running.out), text(running.err))
    systemctl("daemon-reload")
    assert text(f"{host.CGROUPS}{directory}/inner/pids.max") == "9\n"
    container = Container(driver, name, made)
    assert cgroup_of(container.pid) == f"{directory}/inner"
    assert container.exec("true").code == 0
    container.delete("--force")
    assert not os.path.exists(f"{host.CGROUPS}{directory}")


def test_delete_after_systemd_stopped_the_unit(driver: Runtime, bundle: MakeBundle) -> None:
    container, unit = created(driver, bundle(*SLEEP))
    container.start()
    systemctl("stop", unit)
    container.wait("stopped")
    container.delete()
    assert loaded(unit) == []


def test_a_container_that_is_out_of_memory_leaves_no_failed_unit(
    driver: Runtime, bundle: MakeBundle
) -> None:
    limit = {"memory": {"limit": 16 * MB, "swap": 16 * MB}}
    eat = "x=xxxxxxxxxxxxxxxx; while :; do x=$x$x; done"
    container, unit = created(driver, bundle("sh", "-c", eat, resources=limit))
    container.start()
    container.wait("stopped")
    container.delete()
    assert loaded(unit) == []


@pytest.mark.expect_fail_on("runc", "1.1 creates beside the unit that is there", strict=False)
def test_a_unit_of_somebody_else_is_left_alone(driver: Runtime, bundle: MakeBundle) -> None:
    """Two that choose the same name: the second is told so, the first lives on."""
    made = bundle(*SLEEP)
    name = driver.new_id()
    of_scope(made, name)
    unit = f"pre-{name}.service"
    systemctl("start", "dbus.service")
    scope = f"pre-{name}.scope"
    other = subprocess.Popen(
        ["systemd-run", "--quiet", "--scope", f"--unit={scope}", "--slice=other.slice", *SLEEP]
    )
    try:
        until(lambda: loaded(scope), f"{unit} is there")
        ran = driver("create", "--bundle", str(made.path), name, flags=FLAGS)
        assert ran.code == 1
        assert scope in ran.message
        assert other.poll() is None
        assert shown(scope, "ActiveState") == "active"
    finally:
        other.kill()
        other.wait()
    until(lambda: not loaded(scope), f"{scope} is gone")


def test_a_create_that_fails_leaves_no_unit(driver: Runtime, bundle: MakeBundle) -> None:
    made = bundle("no-such-program")
    name = driver.new_id()
    of_scope(made, name)
    assert driver("create", "--bundle", str(made.path), name, flags=FLAGS).code == 1
    assert loaded(name) == []
    assert not (driver.root / name).exists()


def test_a_limit_that_is_refused_leaves_no_unit(driver: Runtime, bundle: MakeBundle) -> None:
    made = bundle(*SLEEP, resources={"cpu": {"cpus": "4000-4001"}})
    name = driver.new_id()
    of_scope(made, name)
    ran = driver("create", "--bundle", str(made.path), name, flags=FLAGS)
    assert ran.code == 1
    assert "cpuset" in ran.message or "AllowedCPUs" in ran.message
    assert loaded(name) == []


def test_a_runtime_that_was_killed_leaves_what_delete_removes(
    driver: Runtime, bundle: MakeBundle
) -> None:
    """The journal names the unit before it is made."""
    if driver.name != "pyoci":
        pytest.skip("runc and crun record too late what they made")
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "kill -9 $PPID"]}
    made = bundle(*SLEEP, hooks={"createRuntime": [hook]})
    name = driver.new_id()
    of_scope(made, name)
    assert driver("create", "--bundle", str(made.path), name, flags=FLAGS).code == 137
    assert driver("delete", "--force", name).code == 0
    assert loaded(name) == []


@ON_V2
def test_a_container_is_restored_into_a_scope(
    driver: Runtime, bundle: MakeBundle, scratch: Path
) -> None:
    """The flag counts for restore as it does for create."""
    if shutil.which("criu") is None:
        pytest.skip("criu is not installed")
    if driver.name == "crun":
        pytest.skip("Debian's crun has no criu in it")
    nowhere = ["sh", "-c", '"$@" </dev/null >/dev/null 2>&1', "sh"]
    # criu interrupts the system call, and the sleep of busybox 1.37 ends then.
    made = bundle(sh="while :; do sleep 1000; done", resources={"memory": {"limit": 64 * MB}})
    container, _ = created(driver, made, wrap=nowhere)
    container.start()
    where = ["--image-path", str(scratch / "images"), "--work-path", str(scratch / "images")]
    ran = driver("checkpoint", *where, container.id, seconds=120)
    assert ran.code == 0, ran
    name = driver.new_id()
    directory = of_scope(made, name)
    ran = driver(
        *("restore", "--bundle", str(made.path), *where, "--detach", name),
        flags=FLAGS,
        wrap=nowhere,
        seconds=120,
    )
    assert ran.code == 0, text(scratch / "images/restore.log")[-2000:]
    assert cgroup_of(Container(driver, name, made).pid) == directory
    assert file_of(f"pre-{name}.scope", "memory.max") == str(64 * MB)
    assert driver("delete", "--force", name).code == 0
    assert loaded(name) == []


def test_without_systemd_it_says_so(driver: Runtime, bundle: MakeBundle) -> None:
    if driver.name != "pyoci":
        pytest.skip("the words are pyoci's")
    wrap = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /run/systemd && exec "$@"', "sh"]
    message = driver.refuses(bundle(*SLEEP, cgroupsPath=""), flags=FLAGS, wrap=wrap)
    words = "systemd cgroup flag passed, but systemd support for managing cgroups is not available"
    assert message.startswith(words) or words in message


def test_without_a_bus_root_asks_systemd_itself(driver: Runtime, bundle: MakeBundle) -> None:
    """As early at boot, when there is no bus yet."""
    if driver.name != "pyoci":
        pytest.skip("crun knows one way only")
    wrap = ["env", "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/no-such-bus"]
    container, unit = created(driver, bundle(*SLEEP), wrap=wrap)
    assert shown(unit, "ActiveState") == "active"
    assert driver("delete", "--force", container.id, wrap=wrap).code == 0
    assert loaded(unit) == []


def test_without_the_flag_such_a_path_is_a_path(runtime: Runtime, bundle: MakeBundle) -> None:
    """The cgroupfs driver takes any; a colon is a letter."""
    need_cgroupfs(runtime)
    path = f"/{runtime.session}/a.slice:b:c"
    container = runtime.create(bundle(*SLEEP, cgroupsPath=path))
    assert path in text(f"/proc/{container.pid}/cgroup")
    container.delete("--force")
    for root in host.hierarchies():
        shutil.rmtree(f"{root}/{runtime.session}", ignore_errors=True)


# An ordinary user with a session


def session_of(uid: int) -> str:
    """Return the cgroup of a user's own systemd."""
    return f"/user.slice/user-{uid}.slice/user@{uid}.service"


def users() -> list[pwd.struct_passwd]:
    """Return the users that have a session now."""
    found = [entry for entry in pwd.getpwall() if entry.pw_uid >= 1000]
    return [entry for entry in found if os.path.exists(f"/run/user/{entry.pw_uid}/bus")]


class User:
    """Calls of the runtime made by a user, from its session or from outside of it."""

    def __init__(self, runtime: Runtime, entry: pwd.struct_passwd, place: str) -> None:
        self.runtime = runtime
        self.uid = entry.pw_uid
        self.environment = {"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": f"/run/user/{self.uid}"}
        ids = [f"--reuid={self.uid}", f"--regid={entry.pw_gid}", "--init-groups"]
        self.wrap = ["setpriv", *ids]
        if place:
            enter = f'echo $$ > {host.CGROUPS}{place}/cgroup.procs && exec "$@"'
            self.wrap = ["sh", "-c", enter, "sh", *self.wrap]

    def __call__(self, *words: str, **how: Any) -> Any:
        return self.runtime(*words, wrap=self.wrap, env=self.environment, **how)

    def bundle(self, bundle: MakeBundle, *words: str, **edits: Any) -> tuple[str, Bundle]:
        """Return a new id and a bundle of the user's for it."""
        mounts = [*without(BASE["mounts"], "/sys", "/dev/mqueue", "/dev/pts"), SYS]
        made = bundle(*words, all_mounts=mounts, **edits)
        made.set_namespace(user="", network=None, cgroup="")
        mapping = [{"containerID": 0, "hostID": self.uid, "size": 1}]
        made.edit(uidMappings=mapping, gidMappings=mapping).write()
        for directory, names, files in os.walk(made.path):
            for name in (".", *names, *files):
                path = os.path.join(directory, name)
                if not path.endswith("/bin/busybox"):
                    os.lchown(path, self.uid, self.uid)
        return self.runtime.new_id(), made


SYS = {
    "destination": "/sys",
    "type": "none",
    "source": "/sys",
    "options": ["rbind", "nosuid", "noexec", "nodev", "ro"],
}


@pytest.fixture(params=["in its session", "outside of its session"])
def user(runtime: Runtime, request: pytest.FixtureRequest) -> Iterator[User]:
    """An ordinary user with a systemd of its own; no unit of its may be left."""
    found = users()
    if not found:
        pytest.skip("no ordinary user has a session: loginctl enable-linger USER")
    runtime.root = runtime.scratch / "user-root"
    runtime.root.mkdir(mode=0o700)
    os.chown(runtime.root, found[0].pw_uid, found[0].pw_gid)
    place = ""
    if request.param == "in its session":
        place = f"{session_of(found[0].pw_uid)}/app.slice/{runtime.session}"
        os.makedirs(f"{host.CGROUPS}{place}", exist_ok=True)
        os.chown(f"{host.CGROUPS}{place}", found[0].pw_uid, found[0].pw_gid)
    made = User(runtime, found[0], place)
    yield made
    for running in runtime.running:
        running.end()
    for name in host.state_directories(runtime):
        made("delete", "--force", name)
    host.remove_cgroups(runtime.session)


@IN_SUBGROUP
@ON_V2
def test_a_users_scope_is_below_its_own_systemd(user: User, bundle: MakeBundle) -> None:
    """The user's bus by XDG_RUNTIME_DIR; the default slice is user.slice."""
    limits = {"memory": {"limit": 64 * MB}, "pids": {"limit": 20}}
    name, made = user.bundle(bundle, *SLEEP, resources=limits, cgroupsPath="")
    ran = user("create", "--bundle", str(made.path), name, flags=FLAGS)
    assert ran.code == 0, ran
    place = f"{session_of(user.uid)}/user.slice/{user.runtime.name}-{name}.scope"
    pid = Container(user.runtime, name, made).pid
    assert cgroup_of(pid) == place
    assert text(f"{host.CGROUPS}{place}/memory.max") == f"{64 * MB}\n"
    assert text(f"{host.CGROUPS}{place}/pids.max") == "20\n"
    assert user("start", name).code == 0
    ran = user("exec", name, "true")
    assert ran.code == 0, ran
    assert user("delete", "--force", name).code == 0
    assert not os.path.exists(f"{host.CGROUPS}{place}")


@IN_SUBGROUP
@ON_V2
def test_a_user_may_name_slice_and_scope(user: User, bundle: MakeBundle) -> None:
    name, made = user.bundle(bundle, *SLEEP, cgroupsPath="pyocitest-inner.slice:pre:" + "one")
    ran = user("create", "--bundle", str(made.path), name, flags=FLAGS)
    assert ran.code == 0, ran
    pid = Container(user.runtime, name, made).pid
    assert cgroup_of(pid) == f"{session_of(user.uid)}{BELOW}/pre-one.scope"
    assert user("delete", "--force", name).code == 0


@ON_V2
def test_a_user_without_a_bus_is_told_so(user: User, bundle: MakeBundle) -> None:
    if user.runtime.name != "pyoci":
        pytest.skip("the words are pyoci's")
    user.environment["XDG_RUNTIME_DIR"] = str(user.runtime.scratch)
    name, made = user.bundle(bundle, *SLEEP, cgroupsPath="")
    ran = user("create", "--bundle", str(made.path), name, flags=FLAGS)
    assert ran.code == 1
    words = (
        "cannot reach the user's systemd: neither DBUS_SESSION_BUS_ADDRESS is set nor is there a"
    )
    assert words in ran.message
    assert not (user.runtime.root / name).exists()


@ON_V2
def test_a_user_without_systemd_has_what_was_delegated(user: User, bundle: MakeBundle) -> None:
    """The cgroupfs driver: a cgroup next to its own where that is the user's, otherwise none."""
    need_cgroupfs(user.runtime, "about the other driver")
    name, made = user.bundle(bundle, *SLEEP, resources=None, cgroupsPath=None)
    ran = user("create", "--bundle", str(made.path), name)
    assert ran.code == 0, ran
    pid = Container(user.runtime, name, made).pid
    delegated = f"{session_of(user.uid)}/app.slice/{name}"
    if "sh" in user.wrap:
        assert cgroup_of(pid) == delegated
    else:
        assert not os.path.exists(f"{host.CGROUPS}{delegated}")
    assert user("delete", "--force", name).code == 0


@ON_V2
def test_a_limit_that_a_user_was_not_delegated_is_refused(user: User, bundle: MakeBundle) -> None:
    """Without a permission for any cgroup at all."""
    need_cgroupfs(user.runtime, "about the other driver")
    limits = {"pids": {"limit": 20}}
    name, made = user.bundle(bundle, *SLEEP, resources=limits, cgroupsPath=None)
    ran = user("create", "--bundle", str(made.path), name)
    if "sh" in user.wrap:
        assert ran.code == 0, ran
        assert user("delete", "--force", name).code == 0
    else:
        assert ran.code == 1
        assert "rootless needs no limits + no cgrouppath" in ran.message
        assert not (user.runtime.root / name).exists()
