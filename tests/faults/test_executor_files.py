# SPDX-License-Identifier: Apache-2.0
"""native/create.c, files.c, copy.c: nothing is made, opened or changed outside of the root."""

import errno
import os
import stat
from pathlib import Path

import pytest
from faults import plans
from faults.conftest import Spawn

from pyoci.plan import ops

Root = tuple[Path, int]
ROOT = 3
OUT = 10
IN_ROOT = 0x10
DIRECTORY, PLAIN = 0, 1
CHAR = stat.S_IFCHR | 0o666
NULL = os.makedev(1, 3)
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def create(path: str, kind: int = DIRECTORY, mode: int = 0o755) -> plans.Plan:
    return plans.Plan().add("create", OUT, ROOT, path, kind, mode)


def succeed(spawn: Spawn, root: Root, plan: plans.Plan) -> None:
    assert spawn(plan, fds=[root[1]]).finish() == (0, [])


def failure(spawn: Spawn, root: Root, plan: plans.Plan) -> plans.Report:
    status, reports = spawn(plan, fds=[root[1]]).finish()
    assert status == 1
    assert reports[-1].kind == "failed"
    return reports[-1]


def opened(spawn: Spawn, root: Root, plan: plans.Plan) -> str:
    """Return what the descriptor that the plan made in OUT refers to, as a path in the root."""
    run = spawn(plan.add("pass_fd", OUT, 0), fds=[root[1]])
    status, (report,) = run.finish()
    assert (status, report.kind) == (0, "passed")
    path = os.readlink(f"/proc/self/fd/{report.fds[0]}")
    os.close(report.fds[0])
    return path.removeprefix(str(root[0]))


def test_create_makes_parents_and_modes(spawn: Spawn, root: Root) -> None:
    assert opened(spawn, root, create("/a//b/./c/", mode=0o1777)) == "/a/b/c"
    modes = [stat.S_IMODE((root[0] / path).stat().st_mode) for path in ("a", "a/b", "a/b/c")]
    assert modes == [0o755, 0o755, 0o1777]


def test_create_makes_a_file(spawn: Spawn, root: Root) -> None:
    assert opened(spawn, root, create("etc/x/resolv.conf", PLAIN, 0o666)) == "/etc/x/resolv.conf"
    made = (root[0] / "etc/x/resolv.conf").stat()
    assert (stat.S_IFMT(made.st_mode), stat.S_IMODE(made.st_mode)) == (stat.S_IFREG, 0o666)


def test_create_opens_what_is_there(spawn: Spawn, root: Root) -> None:
    (root[0] / "a").mkdir(mode=0o700)
    (root[0] / "file").write_text("kept")
    assert opened(spawn, root, create("a")) == "/a"
    assert opened(spawn, root, create("file", PLAIN)) == "/file"
    assert (root[0] / "file").read_text() == "kept"
    assert (root[0] / "a").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("path", ["", "/", ".", "..", "a/../..", "/../../"])
def test_create_of_the_root_is_the_root(spawn: Spawn, root: Root, path: str) -> None:
    assert opened(spawn, root, create(path)) == ""


@pytest.mark.parametrize(
    ("target", "made"),
    [
        ("/outside/x", "/outside/x"),
        ("../../outside/x", "/outside/x"),
        ("x/y", "/x/y"),
        ("/", "/"),
        ("..", "/"),
        ("/proc/self/root/tmp/x", "/proc/self/root/tmp/x"),
    ],
)
@pytest.mark.parametrize("last", [False, True])
def test_dangling_links_are_followed_inside(
    spawn: Spawn, root: Root, target: str, made: str, last: bool
) -> None:
    """CVE-2019-18837, CVE-2024-45310: the target is made inside the root, not on the host."""
    (root[0] / "link").symlink_to(target)
    path = "link" if last else "link/below"
    expected = made if last else f"{made.rstrip('/')}/below"
    assert opened(spawn, root, create(path)) == expected.rstrip("/")
    assert (root[0] / expected.lstrip("/")).is_dir()
    assert not os.path.exists("/outside")


def test_links_to_links_are_followed_inside(spawn: Spawn, root: Root) -> None:
    (root[0] / "a").symlink_to("/b/../c/file")
    (root[0] / "c").symlink_to("/../../../d")
    assert opened(spawn, root, create("a", PLAIN, 0o600)) == "/d/file"


def test_links_in_a_circle_are_refused(spawn: Spawn, root: Root) -> None:
    (root[0] / "a").symlink_to("b")
    (root[0] / "b").symlink_to("a")
    assert failure(spawn, root, create("a/x")).errno == errno.ELOOP


@pytest.mark.parametrize(
    ("path", "kind", "number"),
    [
        ("file", DIRECTORY, errno.ENOTDIR),
        ("file/below", DIRECTORY, errno.ENOTDIR),
        ("file/below", PLAIN, errno.ENOTDIR),
        ("directory", PLAIN, errno.EISDIR),
        ("", PLAIN, errno.EISDIR),
        ("x" * 300, DIRECTORY, errno.ENAMETOOLONG),
        ("x/" * 3000, DIRECTORY, errno.ENAMETOOLONG),
    ],
)
def test_create_refuses_another_kind(
    spawn: Spawn, root: Root, path: str, kind: int, number: int
) -> None:
    (root[0] / "file").touch()
    (root[0] / "directory").mkdir()
    assert failure(spawn, root, create(path, kind)).errno == number


def test_a_fifo_as_mount_point_does_not_block(spawn: Spawn, root: Root) -> None:
    os.mkfifo(root[0] / "fifo")
    assert opened(spawn, root, create("fifo", PLAIN)) == "/fifo"


def test_a_long_chain_of_components_is_made(spawn: Spawn, root: Root) -> None:
    path = "/".join(["d"] * 500)
    assert opened(spawn, root, create(path)) == f"/{path}"


# --- open, write, verify, close


def test_open_in_the_root_stays_there(spawn: Spawn, root: Root) -> None:
    (root[0] / "link").symlink_to("/etc/passwd")
    plan = plans.Plan().add("open", OUT, ROOT, "link", os.O_RDONLY, 0, IN_ROOT)
    assert failure(spawn, root, plan).errno == errno.ENOENT


def test_write_writes_all(spawn: Spawn, root: Root) -> None:
    (root[0] / "file").touch()
    plan = plans.Plan().add("open", OUT, ROOT, "file", os.O_WRONLY, 0, IN_ROOT)
    succeed(spawn, root, plan.add("write", OUT, b"hello\0there").add("close", OUT))
    assert (root[0] / "file").read_bytes() == b"hello\0there"


def test_a_closed_slot_is_closed(spawn: Spawn, root: Root) -> None:
    plan = create("").add("close", OUT).add("write", OUT, b"x")
    report = failure(spawn, root, plan)
    assert (report.operation, report.errno) == (2, errno.EBADF)


@pytest.mark.parametrize(
    ("path", "kind", "device", "number"),
    [
        ("/dev/null", stat.S_IFCHR, NULL, 0),
        ("/dev/null", stat.S_IFCHR, os.makedev(1, 5), errno.ENODEV),
        ("/dev/null", stat.S_IFREG, 0, errno.ENODEV),
        ("/dev/null", stat.S_IFDIR, 0, errno.ENOTDIR),
        ("/proc", stat.S_IFDIR, 0, 0),
    ],
)
def test_verify_type(
    spawn: Spawn, root: Root, path: str, kind: int, device: int, number: int
) -> None:
    plan = plans.Plan().add("open", OUT, ops.CWD_SLOT, path, os.O_PATH, 0, 0)
    plan.add("verify_type", OUT, kind, device)
    if number:
        assert failure(spawn, root, plan).errno == number
    else:
        succeed(spawn, root, plan)


def test_verify_filesystem(spawn: Spawn, root: Root) -> None:
    plan = plans.Plan().add("open", OUT, ops.CWD_SLOT, "/proc", os.O_PATH, 0, 0)
    succeed(spawn, root, plan.add("verify_filesystem", OUT, 0x9FA0))
    report = failure(spawn, root, plan.add("verify_filesystem", OUT, 0x1021994))
    assert (report.errno, report.detail) == (errno.EINVAL, "another file system")


# --- devices and links


def mknod(path: str, *, mode: int = CHAR, device: int = NULL, owner: int = 0) -> plans.Plan:
    return plans.Plan().add("mknod", ROOT, path, mode, device, owner, owner)


def test_mknod_makes_a_device_whatever_the_umask(spawn: Spawn, root: Root) -> None:
    plan = plans.Plan().add("umask", 0o077)
    plan.add("mknod", ROOT, "dev/x/null", CHAR, NULL, 1000, 1001)
    succeed(spawn, root, plan)
    made = (root[0] / "dev/x/null").stat()
    assert (made.st_mode, made.st_rdev, made.st_uid, made.st_gid) == (CHAR, NULL, 1000, 1001)


def test_mknod_leaves_the_same_device_alone(spawn: Spawn, root: Root) -> None:
    os.mknod(root[0] / "null", stat.S_IFCHR | 0o600, NULL)
    succeed(spawn, root, mknod("null", owner=1000))
    found = (root[0] / "null").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o600, 0)


@pytest.mark.parametrize("what", ["file", "directory", "link", "other"])
def test_mknod_refuses_what_is_another(spawn: Spawn, root: Root, what: str) -> None:
    """security.md, case 22: what we did not make is never given away."""
    victim = root[0] / "victim"
    victim.touch()
    path = root[0] / "null"
    if what == "file":
        path.touch()
    elif what == "directory":
        path.mkdir()
    elif what == "link":
        path.symlink_to("victim")
    else:
        os.mknod(path, CHAR, os.makedev(1, 5))
    report = failure(spawn, root, mknod("null", owner=1000))
    assert (report.errno, report.detail) == (errno.EEXIST, "another file is there: null")
    assert (victim.stat().st_uid, path.lstat().st_uid) == (0, 0)


def test_mknod_makes_a_large_device_number_and_a_fifo(spawn: Spawn, root: Root) -> None:
    device = os.makedev(259, 70000)
    mode = stat.S_IFBLK | 0o660
    succeed(spawn, root, mknod("big", mode=mode, device=device))
    assert (root[0] / "big").stat().st_rdev == device
    succeed(spawn, root, mknod("fifo", mode=stat.S_IFIFO | 0o600, device=0))
    assert stat.S_ISFIFO((root[0] / "fifo").stat().st_mode)


def test_a_parent_that_leads_out_does_not(spawn: Spawn, root: Root, tmp_path: Path) -> None:
    """CVE-2026-41579: an image's /dev that links to the host."""
    victim = tmp_path / "victim"
    victim.mkdir()
    (root[0] / "dev").symlink_to(victim)
    plan = mknod("dev/null").add("symlink", ROOT, "dev/ptmx", "pts/ptmx")
    succeed(spawn, root, plan)
    assert list(victim.iterdir()) == []
    inside = root[0] / str(victim).lstrip("/")
    assert sorted(path.name for path in inside.iterdir()) == ["null", "ptmx"]


def test_symlink_makes_and_accepts_the_same(spawn: Spawn, root: Root) -> None:
    plan = plans.Plan().add("symlink", ROOT, "a/fd", "/proc/self/fd")
    succeed(spawn, root, plan.add("symlink", ROOT, "a/fd", "/proc/self/fd"))
    assert os.readlink(root[0] / "a/fd") == "/proc/self/fd"
    plan = plans.Plan().add("symlink", ROOT, "a/fd", "/proc/self")
    assert failure(spawn, root, plan).errno == errno.EEXIST


# --- copy_up


def test_copy_up_copies_owners_modes_links_and_devices(
    spawn: Spawn, root: Root, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    (source / "deep/er").mkdir(parents=True, mode=0o750)
    (source / "deep/er/file").write_text("x" * 5000)
    (source / "deep/er/file").chmod(0o4755)
    os.chown(source / "deep", 1000, 1001)
    os.chmod(source / "deep", 0o2751)
    (source / "link").symlink_to("/etc/passwd")
    os.mkfifo(source / "fifo", 0o640)
    os.mknod(source / "null", CHAR, NULL)
    for number in range(100):
        (source / f"{number}-{'n' * 40}").touch()
    fd = os.open(source, os.O_PATH)
    run = spawn(plans.Plan().add("copy_up", 4, ROOT), fds=[root[1], fd])
    os.close(fd)
    assert run.finish() == (0, [])
    assert listing(root[0]) == listing(source)
    assert (root[0] / "deep/er/file").read_text() == "x" * 5000


def listing(directory: Path) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for path in directory.rglob("*"):
        status = path.lstat()
        numbers = (status.st_mode, status.st_uid, status.st_gid, status.st_rdev)
        found[str(path.relative_to(directory))] = numbers
    return found


def test_copy_up_has_a_limit_of_depth(spawn: Spawn, root: Root, tmp_path: Path) -> None:
    (tmp_path / "source" / "/".join(["d"] * 70)).mkdir(parents=True)
    fd = os.open(tmp_path / "source", os.O_PATH)
    run = spawn(plans.Plan().add("copy_up", 4, ROOT), fds=[root[1], fd])
    os.close(fd)
    status, (report,) = run.finish()
    assert (status, report.errno, report.detail) == (1, errno.ELOOP, "copy d")
