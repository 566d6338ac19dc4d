# SPDX-License-Identifier: Apache-2.0
"""config.json: namespaces, new and joined, with their settings: names, mappings, time, sysctl."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from blackbox import kernel
from blackbox.bundle import MOUNTS, Bundle, MakeBundle, bind, tmpfs, without
from blackbox.processes import text
from blackbox.runtime import Container, Runtime

FILES = {
    "pid": "pid",
    "network": "net",
    "ipc": "ipc",
    "uts": "uts",
    "mount": "mnt",
    "user": "user",
    "cgroup": "cgroup",
    "time": "time",
}
SIMPLE = ("network", "ipc", "uts", "cgroup", "pid")


def namespace(pid: int | str, kind: str) -> str:
    """Return the identity of a namespace of a process."""
    return os.readlink(f"/proc/{pid}/ns/{FILES[kind]}")


def plain(bundle: MakeBundle, *args: str, **edits: object) -> Bundle:
    """Return a bundle without what needs uts, ipc or network namespaces of its own."""
    return bundle(*args, hostname=None, all_mounts=without(MOUNTS, "/dev/mqueue", "/sys"), **edits)


@pytest.mark.parametrize("kind", [*SIMPLE, "mount", "user"])
def test_a_configured_namespace_is_a_new_one(
    runtime: Runtime, bundle: MakeBundle, kind: str
) -> None:
    """config-linux.md#namespaces: no path: a new one MUST be created."""
    made = bundle("sleep", "1000")
    if kind == "user":
        made.map_users()
    made.set_namespace(**{kind: ""})
    pid = runtime.create(made.write()).pid
    assert namespace(pid, kind) != namespace("self", kind)


@pytest.mark.expect_fail_on("runc", "runc 1.1 has no time namespaces")
def test_a_time_namespace_is_a_new_one(runtime: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#namespaces: time."""
    made = bundle("sleep", "1000")
    made.set_namespace(time="")
    assert namespace(runtime.create(made.write()).pid, "time") != namespace("self", "time")


@pytest.mark.parametrize("kind", [*SIMPLE, "user"])
def test_an_unconfigured_namespace_is_the_runtimes(
    runtime: Runtime, bundle: MakeBundle, kind: str
) -> None:
    """config-linux.md#namespaces: not specified: the runtime's MUST be inherited."""
    made = plain(bundle, "sleep", "1000")
    made.set_namespace(**{kind: None})
    pid = runtime.create(made.write()).pid
    assert namespace(pid, kind) == namespace("self", kind)


@pytest.mark.parametrize("kind", ["network", "ipc", "uts", "pid", "cgroup"])
def test_a_path_joins_another_containers_namespace(
    runtime: Runtime, bundle: MakeBundle, kind: str
) -> None:
    """config-linux.md#namespaces: path: the process MUST be placed there."""
    first_bundle = bundle("sleep", "1000")
    first_bundle.set_namespace(**{kind: ""})
    first = runtime.start(first_bundle.write())
    second = plain(bundle, "sleep", "1000")
    second.set_namespace(**{kind: f"/proc/{first.pid}/ns/{FILES[kind]}"})
    container = runtime.start(second.write())
    assert namespace(container.pid, kind) == namespace(first.pid, kind)
    container.delete("--force")
    assert first.status == "running"


@pytest.mark.expect_fail_on("runc", "runc pivots the root of all who live there", strict=False)
def test_a_mount_namespace_can_be_joined(runtime: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#namespaces: mount, by path; those who live in it keep their root and what they see."""
    first = runtime.start(bundle("sleep", "1000"))
    mounts = Path(f"/proc/{first.pid}/mountinfo").read_text()
    made = bundle("sleep", "1000", all_mounts=[], readonly=False)
    made.config["root"]["path"] = "/"
    made.edit(maskedPaths=[], readonlyPaths=[])
    # Its /proc shows its processes: without them there is no /proc/self.
    made.set_namespace(mount=f"/proc/{first.pid}/ns/mnt", pid=f"/proc/{first.pid}/ns/pid")
    container = runtime.start(made.write())
    assert namespace(container.pid, "mount") == namespace(first.pid, "mount")
    ran = container.exec("cat", "/proc/self/mountinfo")
    assert (ran.code, ran.stdout, ran.stderr) == (0, mounts, "")
    container.delete("--force")
    assert first.status == "running"
    assert first.exec("true").code == 0


def test_a_bound_namespace_file_can_be_joined(
    runtime: Runtime, bundle: MakeBundle, scratch: Path, on_mount: Callable[..., None]
) -> None:
    """spec.md 6: paths of namespaces may be bind mounts of them."""
    first = runtime.start(bundle("sleep", "1000"))
    place = scratch / "ns"
    place.write_text("")
    on_mount(f"/proc/{first.pid}/ns/net", place, "", kernel.MS_BIND)
    made = plain(bundle, "sleep", "1000")
    made.set_namespace(network=str(place))
    container = runtime.start(made.write())
    assert namespace(container.pid, "network") == namespace(first.pid, "network")


@pytest.mark.expect_fail_on("runc", "runc 1.1 wants the mappings too")
def test_a_user_namespace_can_be_joined(runtime: Runtime, bundle: MakeBundle) -> None:
    """spec.md 6: user namespace by path, with what it owns."""
    first_bundle = bundle("sleep", "1000")
    first_bundle.map_users()
    first = runtime.start(first_bundle.write())
    made = plain(bundle, sh="id -u; cat /proc/self/uid_map; sleep 1000")
    made.map_users()
    made.edit(uidMappings=None, gidMappings=None)
    made.set_namespace(
        **{kind: f"/proc/{first.pid}/ns/{FILES[kind]}" for kind in ("user", "ipc", "network")}
    )
    container = runtime.start(made.write())
    assert container.written("100000").split() == ["0", "0", "100000", "65536"]
    assert namespace(container.pid, "user") == namespace(first.pid, "user")


@pytest.mark.parametrize("kind", ["cgroup", "time"])
@pytest.mark.expect_fail_on("runc", "runc 1.1 wants the mappings too")
def test_a_user_namespace_is_joined_with_one_that_it_does_not_own(
    runtime: Runtime, bundle: MakeBundle, kind: str
) -> None:
    """user_namespaces(7): who has entered it has no right to those of the host any more."""
    first_bundle = bundle("sleep", "1000")
    first_bundle.map_users()
    first = runtime.start(first_bundle.write())
    other_bundle = bundle("sleep", "1000")
    other_bundle.set_namespace(**{kind: ""})
    other = runtime.start(other_bundle.write())
    made = plain(bundle, "sleep", "1000")
    made.map_users()
    made.edit(uidMappings=None, gidMappings=None)
    made.set_namespace(user=f"/proc/{first.pid}/ns/user")
    made.set_namespace(**{kind: f"/proc/{other.pid}/ns/{FILES[kind]}"})
    container = runtime.start(made.write())
    assert namespace(container.pid, "user") == namespace(first.pid, "user")
    assert namespace(container.pid, kind) == namespace(other.pid, kind)
    ran = container.exec("readlink", f"/proc/self/ns/{FILES[kind]}")
    assert ran.stdout.strip() == namespace(other.pid, kind)


@pytest.mark.skipif(
    tuple(map(int, os.uname().release.split(".")[:2])) < (6, 15),
    reason="mounts in a detached tree need Linux 6.15",
)
@pytest.mark.expect_fail_on("runc", "its mounts are the host's, and stay there", strict=False)
def test_mounts_without_a_mount_namespace_are_nowhere_on_the_host(
    runtime: Runtime, bundle: MakeBundle, scratch: Path
) -> None:
    """config-linux.md#namespaces: what is not named is inherited; the root is a tree of its own all the same."""
    before = text("/proc/self/mountinfo")
    script = "readlink /proc/self/ns/mnt; echo x >/scratch/file; echo y >/file; cat /proc/1/comm; sleep 1000"
    made = bundle(sh=script, mounts=[tmpfs("/scratch")], maskedPaths=None, readonlyPaths=None)
    made.config["root"]["readonly"] = True
    made.set_namespace(mount=None)
    container = runtime.start(made.write())
    shown = container.written("sh\n").split()
    assert shown[0] == namespace("self", "mount")
    assert "Read-only file system" in container.stderr
    assert text("/proc/self/mountinfo") == before
    assert container.exec("cat", "/scratch/file").stdout == "x\n"
    assert not (made.rootfs / "scratch/file").exists()
    assert not (made.rootfs / "file").exists()
    container.stop()
    container.delete()
    assert text("/proc/self/mountinfo") == before


def test_a_shared_network_is_shared(runtime: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#namespaces: network: the same interfaces."""
    caps = ["CAP_NET_ADMIN"]
    first = runtime.start(
        bundle(sh="ip addr add 127.9.9.9/8 dev lo; echo ok; sleep 1000", caps=caps)
    )
    first.written("ok\n")
    made = bundle("ip", "addr", "show", "lo")
    made.set_namespace(network=f"/proc/{first.pid}/ns/net")
    assert "127.9.9.9" in runtime.output(made.write())


def test_a_shared_pid_namespace_shows_the_others(runtime: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#namespaces: pid."""
    first = runtime.start(bundle("sleep", "1234"))
    made = bundle("cat", "/proc/1/cmdline")
    made.set_namespace(pid=f"/proc/{first.pid}/ns/pid")
    assert runtime.output(made.write()) == "sleep\0" + "1234\0"


@pytest.mark.parametrize("path", ["/nothere", "relative", "/etc/passwd"])
def test_a_path_that_is_no_namespace_is_refused(
    runtime: Runtime, bundle: MakeBundle, path: str
) -> None:
    """config-linux.md#namespaces: path: absolute, and of the right type."""
    made = bundle("true")
    made.set_namespace(ipc=path)
    assert runtime.refuses(made.write())


def test_a_namespace_of_another_type_is_refused(runtime: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#namespaces: not associated with that type: MUST error."""
    made = bundle("true")
    made.set_namespace(ipc="/proc/self/ns/uts")
    assert runtime.refuses(made.write())


def test_a_namespace_given_twice_is_refused(runtime: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#namespaces: duplicates MUST be an error; runc's words in spec.md 6."""
    made = bundle("true")
    made.linux["namespaces"].append({"type": "ipc"})
    assert "duplicate" in runtime.refuses(made.write()).lower()


def test_an_unknown_namespace_is_refused(runtime: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#namespaces: type."""
    made = bundle("true")
    made.linux["namespaces"].append({"type": "nosuch"})
    assert "nosuch" in runtime.refuses(made.write())


def test_the_hostname_is_set(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#hostname."""
    assert runtime.output(bundle("hostname", hostname="my-name")) == "my-name\n"


def test_a_hostname_needs_a_uts_namespace(runtime: Runtime, bundle: MakeBundle) -> None:
    """spec.md 12; the host's name must not change."""
    before = os.uname().nodename
    made = bundle("true", hostname="other")
    made.set_namespace(uts=None)
    assert runtime.refuses(made.write())
    assert os.uname().nodename == before


@pytest.mark.expect_fail_on("runc", "runc 1.1 has no domainname")
def test_the_domainname_is_set(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#domainname."""
    made = bundle("cat", "/proc/sys/kernel/domainname", domainname="example.org")
    assert runtime.output(made) == "example.org\n"


def test_a_joined_uts_namespace_takes_the_hostname(runtime: Runtime, bundle: MakeBundle) -> None:
    """spec.md 2: hostname needs a new or joined UTS namespace."""
    first = runtime.start(bundle("sleep", "1000"))
    made = bundle("hostname", hostname="joined")
    made.set_namespace(uts=f"/proc/{first.pid}/ns/uts")
    assert runtime.output(made.write()) == "joined\n"


def test_loopback_is_up_in_a_new_network(runtime: Runtime, bundle: MakeBundle) -> None:
    """spec.md 6: lo is up in a new namespace."""
    assert "127.0.0.1" in runtime.output(bundle("ip", "addr", "show", "lo"))


def mapped(bundle: MakeBundle, *args: str, **edits: object) -> Bundle:
    """Return a bundle in a user namespace that maps 0.. to 100000.. ."""
    made = bundle(*args, **edits)
    made.map_users()
    return made.write()


def test_mappings_are_as_configured(runtime: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#user-namespace-mappings."""
    made = bundle(sh="cat /proc/self/uid_map /proc/self/gid_map")
    made.map_users()
    uids = [(0, 100000, 10), (10, 200000, 20)]
    gids = [(0, 100000, 50)]

    def lines(rows: list[tuple[int, int, int]]) -> list[dict[str, int]]:
        return [{"containerID": c, "hostID": h, "size": n} for c, h, n in rows]

    made.edit(uidMappings=lines(uids), gidMappings=lines(gids))
    out = runtime.output(made.write())
    assert [tuple(map(int, line.split())) for line in out.splitlines()] == uids + gids


def test_root_in_a_user_namespace_is_somebody_on_the_host(
    runtime: Runtime, bundle: MakeBundle
) -> None:
    """config-linux.md#user-namespace-mappings."""
    container = runtime.start(mapped(bundle, sh="id -u; touch /tmp/f; echo ok; sleep 1000"))
    assert container.written("ok").split() == ["0", "ok"]
    assert os.stat(f"/proc/{container.pid}").st_uid == 100000
    assert (container.bundle.rootfs / "tmp/f").stat().st_uid == 100000


def test_a_user_in_a_user_namespace(runtime: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#user-namespace-mappings: process.user is in the container's ids."""
    made = mapped(bundle, "id", user={"uid": 5, "gid": 6, "additionalGids": [7]})
    assert runtime.output(made).split()[:2] == ["uid=5", "gid=6"]


@pytest.mark.parametrize("user", [{"uid": 70000, "gid": 0}, {"uid": 0, "gid": 70000}])
def test_a_user_that_is_not_mapped_is_refused(
    runtime: Runtime, bundle: MakeBundle, user: dict[str, int]
) -> None:
    """Case 47: a clear error."""
    assert runtime.refuses(mapped(bundle, "true", user=user))


def test_a_user_namespace_needs_mappings(runtime: Runtime, bundle: MakeBundle) -> None:
    """spec.md 12."""
    made = bundle("true")
    made.set_namespace(user="")
    assert "mapping" in runtime.refuses(made.write())


@pytest.mark.expect_fail_on("runc", "runc 1.1 ignores them")
def test_mappings_need_a_user_namespace(runtime: Runtime, bundle: MakeBundle) -> None:
    """spec.md 12."""
    mapping = [{"containerID": 0, "hostID": 100000, "size": 1}]
    assert runtime.refuses(bundle("true", uidMappings=mapping, gidMappings=mapping))


def test_the_state_directory_is_not_open_to_the_mapped_user(
    runtime: Runtime, bundle: MakeBundle
) -> None:
    """security.md 2, state dir: root 0700."""
    runtime.create(mapped(bundle, "sleep", "1000"))
    assert runtime.root.stat().st_mode & 0o077 in (0, 0o011)


@pytest.mark.expect_fail_on("runc", "runc 1.1 has no time namespaces")
class TestTime:
    """config-linux.md#offset-for-time-namespace."""

    OFFSETS = {"monotonic": {"secs": 100000, "nanosecs": 0}, "boottime": {"secs": 200000}}  # noqa: RUF012 - a constant

    def test_offsets_are_set(self, runtime: Runtime, bundle: MakeBundle, probe: Path) -> None:
        """Both clocks are ahead of the host's."""
        made = bundle("/probe", "clocks", mounts=[bind(probe, "/probe", "bind", "ro")])
        made.set_namespace(time="")
        made.edit(timeOffsets=self.OFFSETS)
        monotonic, boottime = map(int, runtime.output(made.write()).split())
        uptime = float(text("/proc/uptime").split()[0])
        assert abs(boottime - uptime - 200000) < 60
        assert abs(boottime - monotonic - 100000) < 3600

    def test_exec_sees_the_same_clocks(
        self, runtime: Runtime, bundle: MakeBundle, probe: Path
    ) -> None:
        """exec joins the time namespace."""
        made = bundle("sleep", "1000", mounts=[bind(probe, "/probe", "bind", "ro")])
        made.set_namespace(time="")
        made.edit(timeOffsets=self.OFFSETS)
        container = runtime.start(made.write())
        boottime = int(container.exec("/probe", "clocks").stdout.split()[1])
        assert boottime > 200000

    def test_offsets_need_a_new_time_namespace(self, runtime: Runtime, bundle: MakeBundle) -> None:
        """spec.md 12: runc's words."""
        message = runtime.refuses(bundle("true", timeOffsets=self.OFFSETS))
        assert "time namespace" in message


@pytest.mark.parametrize(
    ("name", "value", "path"),
    [
        ("kernel.shmmax", "65536", "kernel/shmmax"),
        ("fs.mqueue.msg_max", "17", "fs/mqueue/msg_max"),
        ("net.ipv4.ip_unprivileged_port_start", "0", "net/ipv4/ip_unprivileged_port_start"),
        ("net/ipv4/conf/lo/forwarding", "1", "net/ipv4/conf/lo/forwarding"),
        ("kernel.domainname", "example.org", "kernel/domainname"),
    ],
)
def test_a_sysctl_of_a_namespace_is_set(
    runtime: Runtime, bundle: MakeBundle, name: str, value: str, path: str
) -> None:
    """config-linux.md#sysctl."""
    made = bundle("cat", f"/proc/sys/{path}", sysctl={name: value})
    assert runtime.output(made) == f"{value}\n"


@pytest.mark.parametrize(
    "name",
    [
        "vm.swappiness",
        "kernel.core_pattern",
        "kernel.hostname",
        "kernel.sysrq",
        ".net.ipv4.ip_forward",
        "/net/ipv4/ip_forward",
        "net/../kernel/core_pattern",
        "net...kernel.core_pattern",
        "fs.file-max",
        "",
    ],
)
def test_a_sysctl_of_the_host_is_refused(runtime: Runtime, bundle: MakeBundle, name: str) -> None:
    """Cases 51, 53 and 54."""
    before = text("/proc/sys/kernel/core_pattern")
    runtime.refuses(bundle("true", sysctl={name: "1"}))
    assert text("/proc/sys/kernel/core_pattern") == before


@pytest.mark.parametrize(
    ("kind", "name"), [("network", "net.core.somaxconn"), ("ipc", "kernel.shmmax")]
)
def test_a_sysctl_needs_its_namespace(
    runtime: Runtime, bundle: MakeBundle, kind: str, name: str
) -> None:
    """Case 52: without the namespace it would be the host's."""
    made = plain(bundle, "true", sysctl={name: "4444"})
    made.set_namespace(**{kind: None})
    runtime.refuses(made.write())


def test_a_network_sysctl_with_the_hosts_network_by_path_is_refused(
    runtime: Runtime, bundle: MakeBundle, scratch: Path, on_mount: Callable[..., None]
) -> None:
    """Case 52: the host's network namespace, named by a bind of it."""
    place = scratch / "net"
    place.write_text("")
    on_mount("/proc/self/ns/net", place, "", kernel.MS_BIND)
    before = text("/proc/sys/net/core/somaxconn")
    made = plain(bundle, "true", sysctl={"net.core.somaxconn": "4444"})
    made.set_namespace(network=str(place))
    runtime.refuses(made.write())
    assert text("/proc/sys/net/core/somaxconn") == before


def test_a_sysctl_that_the_kernel_has_not_is_named(runtime: Runtime, bundle: MakeBundle) -> None:
    """spec.md 9, sysctl: a missing file is an error."""
    message = runtime.refuses(bundle("true", sysctl={"net.ipv4.no_such_thing": "1"}))
    assert "no_such_thing" in message


def test_a_sysctl_works_with_proc_sys_read_only(runtime: Runtime, bundle: MakeBundle) -> None:
    """spec.md 9, sysctl: before /proc/sys is made read-only."""
    made = bundle(
        sh="cat /proc/sys/kernel/shmall; echo 1 >/proc/sys/kernel/shmall",
        sysctl={"kernel.shmall": "12345"},
    )
    ran = runtime.run(made)
    assert ran.stdout == "12345\n"
    assert "Read-only" in ran.stderr


def test_exec_joins_all_namespaces(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, exec."""
    made = bundle("sleep", "1000")
    made.map_users()
    made.set_namespace(cgroup="")
    container: Container = runtime.start(made.write())
    out = container.exec("sh", "-c", "cd /proc/self/ns; for n in *; do readlink $n; done").stdout
    inside = set(out.split())
    kinds = ("pid", "network", "ipc", "uts", "mount", "user", "cgroup")
    assert {namespace(container.pid, kind) for kind in kinds} <= inside
