# SPDX-License-Identifier: Apache-2.0
"""native/: single operations of the kernel, in namespaces of their own."""

import errno
import fcntl
import os
import resource
import signal
import socket
import stat
import struct
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults import plans
from faults.conftest import Spawn

from pyoci.plan import ops

Root = tuple[Path, int]
NO_SLOT = ops.NO_SLOT
CWD = ops.CWD_SLOT
BUSYBOX = "/bin/busybox"
NEWNS, NEWUTS, NEWUSER, NEWPID, NEWNET = 0x20000, 0x4000000, 0x10000000, 0x20000000, 0x40000000
RECURSIVE, EMPTY_PATH, MS_SLAVE = 0x8000, 0x1000, 1 << 19
SET_STRING, CREATE = 1, 6
RDONLY = 1
FS, MOUNT, OUT, TOP = 10, 11, 12, 13
FALSE_ERRNO = 77
needs_busybox = pytest.mark.skipif(not os.access(BUSYBOX, os.X_OK), reason="needs busybox-static")
pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


def succeed(run: plans.Run) -> list[plans.Report]:
    status, reports = run.finish()
    assert status == 0, reports
    return reports


def failure(run: plans.Run) -> plans.Report:
    status, reports = run.finish()
    assert status == 1
    assert reports[-1].kind == "failed"
    return reports[-1]


def private(flags: int = NEWNS) -> plans.Plan:
    plan = plans.Plan().add("unshare", flags)
    return plan.add("slave_root", RECURSIVE, MS_SLAVE)


def filesystem(plan: plans.Plan, kind: str, options: dict[str, str], attributes: int) -> None:
    """Make a mount of this file system in slot MOUNT."""
    plan.add("fsopen", FS, kind)
    for key, value in options.items():
        plan.add("fsconfig", FS, SET_STRING, key, value)
    plan.add("fsconfig", FS, CREATE, None, None).add("fsmount", MOUNT, FS, attributes)


def run_shell(plan: plans.Plan, script: str) -> plans.Plan:
    plan.add("find_program", BUSYBOX, None)
    return plan.add("execute", ["sh", "-c", script], ["PATH=/bin:/usr/bin"])


# --- mounts


def test_a_mount_is_made_by_descriptor_and_not_on_the_host(spawn: Spawn, root: Root) -> None:
    plan = private().add("open", TOP, CWD, str(root[0]), os.O_PATH, 0, 0)
    filesystem(plan, "tmpfs", {"size": "65536", "mode": "0750"}, RDONLY)
    plan.add("create", OUT, TOP, "mnt", 0, 0o755).add("move_mount", MOUNT, OUT)
    run = spawn(run_shell(plan, f"grep {root[0]} /proc/self/mountinfo; stat -c %a {root[0]}/mnt"))
    succeed(run)
    assert "/root/mnt ro," in run.text()
    assert run.text().endswith("750\n")
    assert str(root[0]) not in Path("/proc/self/mountinfo").read_text()


def test_the_kernel_s_words_are_reported(spawn: Spawn) -> None:
    plan = plans.Plan().add("fsopen", FS, "tmpfs").add("fsconfig", FS, SET_STRING, "bad", "1")
    report = failure(spawn(plan))
    assert (report.operation, report.errno) == (1, errno.EINVAL)
    assert "Unknown parameter 'bad'" in report.detail


def test_a_value_that_the_file_system_refuses_is_explained(spawn: Spawn) -> None:
    plan = plans.Plan().add("fsopen", FS, "tmpfs").add("fsconfig", FS, SET_STRING, "size", "x")
    report = failure(spawn(plan))
    assert report.errno == errno.EINVAL
    assert "size" in report.detail


def test_attributes_are_set_on_a_cloned_tree(spawn: Spawn, root: Root) -> None:
    (root[0] / "source").mkdir()
    plan = private().add("open_tree", MOUNT, CWD, f"{root[0]}/source", 1)
    plan.add("mount_setattr", MOUNT, 0, RDONLY, 0, 0, NO_SLOT)
    plan.add("open", TOP, CWD, str(root[0]), os.O_PATH, 0, 0)
    plan.add("create", OUT, TOP, "target", 0, 0o755).add("move_mount", MOUNT, OUT)
    run = spawn(run_shell(plan, f"touch {root[0]}/target/x; touch {root[0]}/source/x"))
    succeed(run)
    assert "Read-only file system" in run.error_text()


def test_an_id_mapped_mount(spawn: Spawn, root: Root) -> None:
    source = root[0] / "source"
    source.mkdir()
    os.chown(source, 5, 6)
    plan = private().add("user_namespace", 20, "0 1000 100\n", "0 2000 100\n")
    plan.add("open_tree", MOUNT, CWD, str(source), 1)
    plan.add("mount_setattr", MOUNT, 0, 0x100000, 0, 0, 20)
    plan.add("open", TOP, CWD, str(root[0]), os.O_PATH, 0, 0)
    plan.add("create", OUT, TOP, "target", 0, 0o755).add("move_mount", MOUNT, OUT)
    run = spawn(run_shell(plan, f"stat -c %u:%g {root[0]}/target"))
    status, reports = run.finish()
    if status and reports[-1].errno == errno.EINVAL:
        pytest.skip("the file system of the test cannot be mapped")
    assert run.text() == "1005:2006\n"


def enter(plan: plans.Plan, root: Root, operation: str) -> plans.Plan:
    """Make a tmpfs with busybox the root, by this operation."""
    filesystem(plan, "tmpfs", {"mode": "0755"}, 0)
    for name in ("bin", "proc", "dev"):
        plan.add("create", NO_SLOT, MOUNT, name, 0, 0o755)
    plan.add("create", OUT, MOUNT, "bin/busybox", 1, 0o755)
    plan.add("open_tree", 14, CWD, BUSYBOX, 1)
    if operation != "move_root":
        plan.add("attach_root", MOUNT, str(root[0]))
        plan.add("move_mount", 14, OUT)
    plan.add(operation, MOUNT)
    return plan


@pytest.mark.parametrize("operation", ["pivot_root", "chroot"])
@needs_busybox
def test_the_root_is_changed(spawn: Spawn, root: Root, operation: str) -> None:
    plan = enter(private(), root, operation).add("chdir", "/bin", 1)
    run = spawn(run_shell(plan, "pwd; echo /*"))
    succeed(run)
    assert run.text() == "/bin\n/bin /dev /proc\n"
    assert str(root[0]) not in Path("/proc/self/mountinfo").read_text()


@needs_busybox
def test_the_old_root_is_gone_after_pivot_root(spawn: Spawn, root: Root) -> None:
    plan = enter(private(), root, "pivot_root")
    plan.add("fsopen", FS, "proc").add("fsconfig", FS, CREATE, None, None)
    plan.add("fsmount", MOUNT, FS, 0).add("open", OUT, CWD, "/proc", os.O_PATH, 0, 0)
    run = spawn(run_shell(plan.add("move_mount", MOUNT, OUT), "cut -d' ' -f5 /proc/self/mountinfo"))
    succeed(run)
    assert run.text() == "/\n/bin/busybox\n/proc\n"


def test_move_root(spawn: Spawn, root: Root) -> None:
    plan = enter(private(), root, "move_root").add("open", OUT, CWD, "/bin", os.O_PATH, 0, 0)
    succeed(spawn(plan))


def test_pivot_root_of_what_is_no_mount_names_the_call(spawn: Spawn, root: Root) -> None:
    plan = private().add("open", TOP, CWD, str(root[0]), os.O_PATH, 0, 0).add("pivot_root", TOP)
    report = failure(spawn(plan))
    assert report.errno in (errno.EINVAL, errno.EBUSY)  # the latter on the file system of /
    assert report.detail == "pivot_root"


def test_chdir_to_a_place_outside_of_the_root_is_refused(spawn: Spawn, root: Root) -> None:
    """CVE-2024-21626: a descriptor of the host as working directory."""
    plan = plans.Plan().add("open", OUT, CWD, "/", os.O_RDONLY, 0, 0)
    plan.add("open", TOP, CWD, str(root[0]), os.O_PATH, 0, 0)
    plan.add("open_tree", MOUNT, CWD, "/proc", 1 | RECURSIVE).add("unshare", NEWNS)
    plan.add("slave_root", RECURSIVE, MS_SLAVE)
    plan.add("open_tree", MOUNT, CWD, "/proc", 1 | RECURSIVE)
    plan.add("create", 14, TOP, "proc", 0, 0o755)
    plan.add("open", 15, CWD, f"{root[0]}/proc", os.O_PATH, 0, 0)
    plan.add("move_mount", MOUNT, 15).add("open", TOP, CWD, str(root[0]), os.O_PATH, 0, 0)
    plan.add("chroot", TOP)
    # The first free number: plan and the slots were opened from 3 on, "/" is the first of them.
    plan.add("chdir", "/proc/self/fd/3", 1)
    report = failure(spawn(plan))
    assert report.errno == errno.ENOENT
    assert report.detail == "outside of the container: /proc/self/fd/3"


def test_a_second_chdir_is_done_only_when_the_first_was_refused(spawn: Spawn, root: Root) -> None:
    root[0].parent.chmod(0o755)
    root[0].chmod(0o700)
    os.chown(root[0], 1000, 1000)
    plan = plans.Plan().add("chdir", "/bin", 0).add("chdir", "/missing", 1)
    run = spawn(run_shell(plan, "pwd -P"))
    succeed(run)
    assert run.text() in ("/bin\n", "/usr/bin\n")


def test_a_refused_chdir_is_done_again_with_another_identity(spawn: Spawn, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir(mode=0o700)
    os.chown(place, 1000, 1000)
    tmp_path.chmod(0o755)
    plan = plans.Plan().add("open", OUT, CWD, str(tmp_path), os.O_PATH, 0, 0)
    plan.add("chroot", OUT).add("keep_capabilities", 0)
    plan.add("drop_bounding", 0).add("capabilities", 0xC0, 0xC0, 0)  # CAP_SETGID, CAP_SETUID
    plan.add("set_gid", 1001).add("chdir", "/place", 0)
    other = plans.Plan()
    other.rows = [*plan.rows]
    other.add("chdir", "/place", 1)
    assert failure(spawn(other)).errno == errno.EACCES
    plan.add("set_gid", 1000).add("set_uid", 1000).add("chdir", "/place", 1)
    succeed(spawn(plan))


# --- namespaces


def test_hostname_and_domainname(spawn: Spawn) -> None:
    plan = plans.Plan().add("unshare", NEWUTS).add("hostname", "box").add("domainname", "example")
    run = spawn(run_shell(plan, "cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname"))
    succeed(run)
    assert run.text() == "box\nexample\n"
    assert socket.gethostname() != "box"


def test_loopback_is_up_in_a_new_network_namespace(spawn: Spawn) -> None:
    plan = plans.Plan().add("unshare", NEWNET).add("loopback_up")
    run = spawn(run_shell(plan, "ip link show lo"))
    succeed(run)
    assert "LOOPBACK,UP" in run.text()


def test_setns_joins(spawn: Spawn) -> None:
    holder = subprocess.Popen(
        [BUSYBOX, "unshare", "-u", "sh", "-c", "hostname joined; echo; exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    path = f"/proc/{holder.pid}/ns/uts"
    plan = plans.Plan().add("open", OUT, CWD, path, os.O_RDONLY, 0, 0).add("setns", OUT, NEWUTS)
    run = spawn(run_shell(plan, "hostname"))
    succeed(run)
    holder.communicate()
    assert run.text() == "joined\n"


def test_a_user_namespace_has_its_maps_and_no_process(spawn: Spawn) -> None:
    plan = plans.Plan().add("user_namespace", OUT, "0 1000 10\n5000 1 1\n", "0 2000 10\n")
    (report,) = succeed(spawn(plan.add("pass_fd", OUT, 0)))
    fd = report.fds[0]
    command = ["nsenter", f"--user=/proc/self/fd/{fd}", "cat"]
    command += ["/proc/self/uid_map", "/proc/self/gid_map"]
    shown = subprocess.run(command, pass_fds=[fd], capture_output=True, check=True, text=True)
    os.close(fd)
    assert shown.stdout.split() == ["0", "1000", "10", "5000", "1", "1", "0", "2000", "10"]


def test_a_map_that_the_kernel_refuses_is_named(spawn: Spawn) -> None:
    report = failure(spawn(plans.Plan().add("user_namespace", OUT, "0 0 0\n", "0 0 1\n")))
    assert (report.errno, report.detail) == (errno.EINVAL, "write uid_map")


def test_init_is_the_first_of_a_new_pid_namespace(spawn: Spawn) -> None:
    plan = plans.Plan().add("clone", NEWPID | NEWNS, NO_SLOT)
    run = spawn(run_shell(plan.add("slave_root", RECURSIVE, MS_SLAVE), "echo $$"))
    succeed(run)
    assert run.text() == "1\n"


def test_a_clone_that_is_refused_is_reported(spawn: Spawn) -> None:
    plan = plans.Plan().add("open", OUT, CWD, "/", os.O_RDONLY, 0, 0).add("clone", 0, OUT)
    report = failure(spawn(plan))
    assert (report.errno, report.detail) == (errno.EBADF, "clone3")


# --- identity


def status_of(spawn: Spawn, plan: plans.Plan) -> dict[str, str]:
    plan.add("find_program", BUSYBOX, None)
    run = spawn(plan.add("execute", ["cat", "/proc/self/status"], []))
    succeed(run)
    lines = (line.split(":", 1) for line in run.text().splitlines())
    return {key: value.strip() for key, value in lines}


@needs_busybox
def test_identity_and_capabilities(spawn: Spawn) -> None:
    plan = plans.Plan().add("set_groups", struct.pack("<3I", 5, 6, 70000))
    plan.add("keep_capabilities", 1).add("drop_bounding", 0x21)
    plan.add("set_gid", 1001).add("set_uid", 1000)
    plan.add("capabilities", 0x21, 0x21, 0x20).add("ambient", 0x20).add("no_new_privs")
    found = status_of(spawn, plan)
    assert found["Uid"].split() == ["1000"] * 4
    assert found["Gid"].split() == ["1001"] * 4
    assert found["Groups"].split() == ["5", "6", "70000"]
    sets = [int(found[f"Cap{name}"], 16) for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")]
    assert sets == [0x20, 0x20, 0x20, 0x21, 0x20]
    assert found["NoNewPrivs"] == "1"


def test_an_ambient_capability_that_cannot_be_is_a_warning(spawn: Spawn) -> None:
    plan = plans.Plan().add("capabilities", 1, 1, 0).add("ambient", 1 << 5)
    (report,) = succeed(spawn(plan))
    assert (report.kind, report.value, report.errno) == ("warned", 5, errno.EPERM)


@needs_busybox
def test_limits_and_umask(spawn: Spawn) -> None:
    plan = plans.Plan().add("umask", 0o027).add("set_limit", resource.RLIMIT_NOFILE, 64, 128)
    plan.add("set_limit", resource.RLIMIT_CORE, 5120, 10240)
    plan.add("raise_limit", resource.RLIMIT_CORE, 5).add("default_signals").add("set_sid")
    run = spawn(run_shell(plan, "umask; ulimit -Sn; ulimit -Hn; ulimit -Sc; ulimit -Hc"))
    succeed(run)
    assert run.text().split() == ["0027", "64", "128", "10", "20"]


@needs_busybox
def test_signals_are_reset(spawn: Spawn) -> None:
    """Python ignores SIGPIPE and SIGXFSZ, and the plan's process inherits that."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    try:
        found = status_of(spawn, plans.Plan().add("default_signals"))
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
    assert (int(found["SigBlk"], 16), int(found["SigIgn"], 16)) == (0, 0)


@needs_busybox
def test_personality(spawn: Spawn) -> None:
    run = spawn(run_shell(plans.Plan().add("personality", 8), "uname -m"))
    succeed(run)
    assert run.text() in ("i686\n", "armv8l\n")


def test_a_session_keyring(spawn: Spawn) -> None:
    plan = plans.Plan().add("session_keyring", "_ses.test", ignore=(errno.ENOSYS,))
    run = spawn(run_shell(plan, "cat /proc/keys"))
    succeed(run)
    assert "_ses.test" in run.text() or not os.path.exists("/proc/keys")


def statement(code: int, k: int, jt: int = 0, jf: int = 0) -> bytes:
    return struct.pack("<HBBI", code, jt, jf, k)


def refuse_sethostname() -> bytes:
    number = {"x86_64": 170, "aarch64": 161}[os.uname().machine]
    load_number = statement(0x20, 0)
    test = statement(0x15, number, 0, 1)
    return load_number + test + statement(0x06, 0x50000 | FALSE_ERRNO) + statement(0x06, 0x7FFF0000)


def test_a_seccomp_filter_is_in_force(spawn: Spawn) -> None:
    plan = plans.Plan().add("seccomp", NO_SLOT, refuse_sethostname(), 0).add("hostname", "x")
    report = failure(spawn(plan))
    assert (report.operation, report.errno) == (1, FALSE_ERRNO)


def test_privileges_that_cannot_be_given_up_end_it(spawn: Spawn) -> None:
    """security.md, case 39: prctl(PR_SET_NO_NEW_PRIVS) fails, and nothing after it is done."""
    program = statement(0x20, 16) + statement(0x15, 38, 0, 1)  # the first argument of any call
    program += statement(0x06, 0x50000 | errno.EPERM) + statement(0x06, 0x7FFF0000)
    plan = plans.Plan().add("seccomp", NO_SLOT, program, 0).add("no_new_privs").add("tell", 0)
    status, reports = spawn(plan).finish()
    assert (status, [report.kind for report in reports]) == (1, ["failed"])
    assert (reports[0].operation, reports[0].errno) == (1, errno.EPERM)


def test_a_seccomp_listener_is_passed(spawn: Spawn) -> None:
    plan = plans.Plan().add("seccomp", OUT, refuse_sethostname(), 8).add("pass_fd", OUT, 5)
    (report,) = succeed(spawn(plan))
    assert os.readlink(f"/proc/self/fd/{report.fds[0]}") == "anon_inode:seccomp notify"
    os.close(report.fds[0])


@pytest.mark.parametrize("filter_bytes", [b"", b"1234", bytes(8 * 4097)])
def test_a_filter_of_a_wrong_length_is_refused(spawn: Spawn, filter_bytes: bytes) -> None:
    plan = plans.Plan().add("seccomp", NO_SLOT, filter_bytes, 0)
    assert failure(spawn(plan)).errno == errno.EINVAL


def test_close_fds_works_where_the_filter_forbids_close_range(spawn: Spawn) -> None:
    """security.md, case 40."""
    program = statement(0x20, 0) + statement(0x15, 436, 0, 1)
    program += statement(0x06, 0x50000 | errno.EPERM) + statement(0x06, 0x7FFF0000)
    plan = plans.Plan().add("open", OUT, CWD, "/", os.O_RDONLY, 0, 0)
    plan.add("seccomp", NO_SLOT, program, 0).add("close_fds", 1, 3)
    run = spawn(run_shell(plan, "readlink /proc/self/fd/*; ls /proc/self/fd"))
    succeed(run)
    assert "/" not in run.text().splitlines()
    assert not {"100", "101", "102", "103"} & set(run.text().split())


# --- terminals and stdio


def devpts(root: Root) -> plans.Plan:
    plan = private().add("open", TOP, CWD, str(root[0]), os.O_PATH, 0, 0)
    filesystem(plan, "devpts", {"mode": "0620", "ptmxmode": "0666"}, 0)
    plan.add("create", OUT, TOP, "dev/pts", 0, 0o755).add("move_mount", MOUNT, OUT)
    return plan.add("open", TOP, CWD, str(root[0]), os.O_PATH, 0, 0)


@needs_busybox
def test_a_terminal_from_the_container_s_devpts(spawn: Spawn, root: Root) -> None:
    plan = devpts(root).add("open_terminal", 15, 16, TOP, 30, 90).add("pass_fd", 15, 4)
    plan.add("clone", 0, NO_SLOT).add("set_sid").add("use_terminal", 16, 1000)
    script = "stat -c %u /proc/self/fd/0 -L; stty size; echo > /dev/tty && echo yes"
    run = spawn(run_shell(plan, script))
    report = run.report()
    assert report is not None
    assert report.kind == "passed"
    master = report.fds[0]
    succeed(run)
    shown = ""
    while "yes" not in shown:  # a terminal's output comes in as many pieces as it was written in
        shown += os.read(master, 4096).decode()
    assert shown.split()[:3] == ["1000", "30", "90"]
    assert fcntl.fcntl(master, fcntl.F_GETFL) & os.O_NONBLOCK == 0
    os.close(master)


@pytest.mark.parametrize("what", ["missing", "file", "fifo", "device"])
def test_a_false_ptmx_is_refused_at_once(spawn: Spawn, root: Root, what: str) -> None:
    """CVE-2025-52565: what an image puts there is neither opened nor changed."""
    path = root[0] / "dev/pts/ptmx"
    path.parent.mkdir(parents=True)
    if what == "file":
        path.write_text("kept")
    if what == "fifo":
        os.mkfifo(path)
    if what == "device":
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    report = failure(spawn(plans.Plan().add("open_terminal", 15, 16, 3, 0, 0), fds=[root[1]]))
    assert report.errno == (errno.ENOENT if what == "missing" else errno.ENODEV)
    assert report.detail == "open dev/pts/ptmx"


@needs_busybox
def test_pipes_are_given_and_files_are_not(spawn: Spawn) -> None:
    reader, writer = os.pipe()
    run = spawn(plans.Plan().add("own_stdio", 1000), stdin=reader)
    succeed(run)
    assert os.fstat(reader).st_uid == 1000
    assert os.fstat(run.output.fileno()).st_uid == 0
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize(
    ("mode", "device", "taken"),
    [
        (stat.S_IFCHR | 0o666, os.makedev(1, 3), True),
        (stat.S_IFCHR | 0o666, os.makedev(1, 5), False),
        (stat.S_IFREG | 0o666, 0, False),
        (stat.S_IFIFO | 0o666, 0, False),
        (0, 0, False),
    ],
)
def test_null_is_reopened_only_when_it_is_null(
    spawn: Spawn, root: Root, mode: int, device: int, taken: bool
) -> None:
    """CVE-2025-31133: the container's /dev/null is verified."""
    plan = private().add("open", TOP, CWD, str(root[0]), os.O_PATH, 0, 0)
    filesystem(plan, "tmpfs", {}, 0)
    plan.add("create", OUT, TOP, "dev", 0, 0o755).add("move_mount", MOUNT, OUT)
    plan.add("open", TOP, CWD, str(root[0]), os.O_PATH, 0, 0)
    if mode:
        plan.add("mknod", TOP, "dev/null", mode, device, 0, 0)
    plan.add("reopen_null", TOP).add("open", OUT, CWD, "/proc/self/fd/0", os.O_PATH, 0, 0)
    run = spawn(plan.add("pass_fd", OUT, 0))
    (report,) = succeed(run)
    found = os.fstat(report.fds[0])
    assert found.st_rdev == os.makedev(1, 3)
    assert (found.st_dev != os.stat("/dev/null").st_dev) == taken
    os.close(report.fds[0])


# --- devices of a cgroup


@pytest.fixture
def cgroup() -> Iterator[Path]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    found = [line.split()[4] for line in lines if " - cgroup2 " in line]
    if not found:
        pytest.skip("no cgroup2 mount")
    path = Path(found[0]) / f"pyoci-test-{os.getpid()}"
    path.mkdir()
    yield path
    path.rmdir()


@needs_busybox
def test_a_device_filter_is_attached_and_init_starts_inside(spawn: Spawn, cgroup: Path) -> None:
    """All devices are refused: mov r0, 0; exit."""
    program = struct.pack("<BBhi", 0xB7, 0, 0, 0) + struct.pack("<BBhi", 0x95, 0, 0, 0)
    plan = plans.Plan().add("open", OUT, CWD, str(cgroup), os.O_RDONLY | os.O_DIRECTORY, 0, 0)
    plan.add("device_filter", OUT, program).add("clone", 0, OUT)
    run = spawn(run_shell(plan, "grep 0:: /proc/self/cgroup; cat /dev/zero"))
    list(run.reports())
    assert run.wait() == 1
    assert cgroup.name in run.text()
    assert "not permitted" in run.error_text()


def test_a_damaged_device_filter_names_the_call(spawn: Spawn, cgroup: Path) -> None:
    plan = plans.Plan().add("open", OUT, CWD, str(cgroup), os.O_RDONLY | os.O_DIRECTORY, 0, 0)
    report = failure(spawn(plan.add("device_filter", OUT, bytes(8))))
    assert report.detail == "bpf(BPF_PROG_LOAD)"


def test_the_window_of_a_terminal_may_be_left_alone(spawn: Spawn, root: Root) -> None:
    plan = devpts(root).add("open_terminal", 15, 16, TOP, 0, 0).add("pass_fd", 15, 4)
    (report,) = succeed(spawn(plan))
    size = fcntl.ioctl(report.fds[0], termios.TIOCGWINSZ, bytes(8))
    assert struct.unpack("4H", size)[:2] == (0, 0)
    os.close(report.fds[0])
