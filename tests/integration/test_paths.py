# SPDX-License-Identifier: Apache-2.0
"""The root file system as an attacker: what is left of the matrix's part A, and descriptors (B)."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from blackbox.bundle import MOUNTS, MakeBundle, bind, tmpfs, without
from blackbox.processes import Running, rounds, text, until
from blackbox.runtime import Runtime

SLEEP = ("sleep", "1000")
NULL = {"path": "/dev/mine", "type": "c", "major": 1, "minor": 3, "uid": 7, "gid": 7}


def test_a_masked_path_through_a_link_stays_inside(
    runtime: Runtime, bundle: MakeBundle, victim: Path
) -> None:
    """Case 7."""
    made = bundle(*SLEEP, maskedPaths=["/link/marker"], readonlyPaths=["/link"])
    (made.rootfs / "link").symlink_to(victim)
    runtime.run(bundle("true", maskedPaths=["/link/marker"]))
    runtime.try_create(made)
    assert (victim / "marker").read_text() == "host\n"


@pytest.mark.parametrize("kind", ["fifo", "socket", "device"])
@pytest.mark.parametrize("place", ["/place", "/dev/ptmx", "/dev/null"])
def test_a_special_file_at_a_mount_point_does_not_block(
    runtime: Runtime, bundle: MakeBundle, scratch: Path, kind: str, place: str
) -> None:
    """Case 20: within a second."""
    (scratch / "source").write_text("content\n")
    mounts = [*without(MOUNTS, "/dev"), bind(scratch / "source", place, "bind")]
    made = bundle("cat", place, all_mounts=mounts)
    path = f"{made.rootfs}{place}"
    mode = {"fifo": stat.S_IFIFO, "socket": stat.S_IFSOCK, "device": stat.S_IFCHR}[kind]
    os.mknod(path, mode | 0o666, os.makedev(1, 3) if kind == "device" else 0)
    ran = runtime.run(made, seconds=5)
    assert ran.stdout in ("content\n", "")


def test_a_device_below_a_link_is_made_inside(
    runtime: Runtime, bundle: MakeBundle, victim: Path
) -> None:
    """Case 21."""
    made = bundle("true", devices=[NULL | {"path": "/link/mine"}])
    (made.rootfs / "link").symlink_to(victim)
    runtime.run(made)
    assert not (victim / "mine").exists()


def test_a_device_that_is_a_link_is_not_given_away(
    runtime: Runtime, bundle: MakeBundle, victim: Path
) -> None:
    """Case 22."""
    made = bundle("true", devices=[NULL | {"path": "/place"}])
    (made.rootfs / "place").symlink_to(victim / "marker")
    runtime.run(made)
    assert (victim / "marker").stat().st_uid == 0


@pytest.mark.parametrize("target", ["{}", "../../../../../../..{}", "{}/new"])
def test_cwd_through_links_stays_inside(
    runtime: Runtime, bundle: MakeBundle, victim: Path, target: str
) -> None:
    """Case 23."""
    made = bundle("pwd", "-P", cwd="/link/dir")
    (made.rootfs / "link").symlink_to(target.format(victim))
    ran = runtime.run(made)
    assert not (victim / "dir").exists()
    assert not (victim / "new").exists()
    assert ran.code != 0 or ran.stdout.startswith("/")


def test_a_dangling_link_is_made_inside(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 17."""
    made = bundle("touch", "/link/file", mounts=[tmpfs("/link")])
    (made.rootfs / "link").symlink_to("/to/be/made")
    assert runtime.run(made).code == 0
    assert (made.rootfs / "to/be/made").is_dir()


@pytest.mark.parametrize("place", ["/../../../../{}", "/a/../../../{}"])
def test_dots_in_a_destination_stay_inside(
    runtime: Runtime, bundle: MakeBundle, victim: Path, place: str
) -> None:
    """Case 15."""
    runtime.run(bundle("true", mounts=[tmpfs(place.format(f"{victim}/deep"))]))
    assert not (victim / "deep").exists()


@pytest.mark.expect_fail_on("runc", "runc 1.1 looks the root up again", strict=False)
def test_a_root_that_is_exchanged_while_creating(
    runtime: Runtime, bundle: MakeBundle, probe: Path, victim: Path
) -> None:
    """Case 24: pinned by a descriptor: nothing is made outside."""
    made = bundle("true", mounts=[tmpfs("/newdir")])
    (made.path / "other").symlink_to(victim)
    words = [str(probe), "swap", str(made.rootfs), str(made.path / "other")]
    runtime.running.append(Running(words, runtime.outputs))
    for _ in rounds(30):
        runtime.run(made)
    assert not (victim / "newdir").exists()


def test_tmpcopyup_through_a_link_copies_nothing_of_the_host(
    runtime: Runtime, bundle: MakeBundle, victim: Path
) -> None:
    """Case 25."""
    made = bundle("ls", "/link", mounts=[tmpfs("/link", "tmpcopyup")])
    (made.rootfs / "link").symlink_to(victim)
    assert "marker" not in runtime.run(made).stdout


def test_tmpcopyup_leaves_no_temporary_files(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 25."""
    before = set(os.listdir("/tmp"))
    runtime.run(bundle("true", mounts=[tmpfs("/etc", "tmpcopyup")]))
    new = {name for name in set(os.listdir("/tmp")) - before if "runc" in name or "pyoci-t" in name}
    assert not {name for name in new if not name.startswith("pyoci-test-")}


@pytest.mark.parametrize("name", ["etc/passwd", "etc/group"])
def test_an_odd_passwd_file_does_no_harm(
    runtime: Runtime, bundle: MakeBundle, victim: Path, name: str
) -> None:
    """Case 34: a link, a FIFO, rubbish: parsed by nobody but a few careful lines."""
    made = bundle(sh="echo $HOME", user={"uid": 1000, "gid": 1000})
    for kind in ("link", "fifo", "rubbish", "device", "directory"):
        path = made.rootfs / name
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()
        if kind == "link":
            path.symlink_to(victim / "marker")
        elif kind == "fifo":
            os.mkfifo(path)
        elif kind == "rubbish":
            path.write_bytes(b"\xff:\0:::" * 100000)
        elif kind == "device":
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
        else:
            path.mkdir()
        if runtime.name == "runc" and kind in ("fifo", "device", "directory"):
            continue
        ran = runtime.run(made, seconds=5)
        assert "host" not in ran.stdout


def test_the_files_of_a_waiting_init_are_few(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 31; cli.md 2: pts, anon_inode, sockets, pipes, exec.fifo, /proc, a memfd."""
    container = runtime.create(bundle(*SLEEP))
    directory = f"/proc/{container.pid}/fd"
    for name in os.listdir(directory):
        target = os.readlink(f"{directory}/{name}")
        assert target.startswith(
            ("anon_inode:", "socket:", "pipe:", "/memfd:", "/dev/null", "/proc", "/dev/pts")
        ) or target.endswith(("exec.fifo", ".out", ".err")), target


def test_a_waiting_init_cannot_be_read_from_a_user_namespace(
    runtime: Runtime, bundle: MakeBundle
) -> None:
    """Case 45: /proc/PID/fd of the runtime is closed to a container's root."""
    made = bundle(
        sh="for p in /proc/[0-9]*; do ls $p/fd >/dev/null 2>&1 && echo $p; done; sleep 1000"
    )
    made.map_users()
    made.config["mounts"] = [bind("/proc", "/proc", "rbind"), *without(MOUNTS, "/proc")]
    made.set_namespace(pid=None)
    made.edit(maskedPaths=[], readonlyPaths=[])
    made.write()
    waiting = runtime.create(bundle(*SLEEP))
    container = runtime.start(made)
    until(lambda: container.stdout, "it has looked")
    seen = {int(line.rpartition("/")[2]) for line in container.stdout.split()}
    assert waiting.pid not in seen
    assert os.getpid() not in seen


def test_nothing_of_the_image_is_loaded(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 34: hostile libraries in the image are never opened by the runtime."""
    made = bundle("echo", "ran")
    for name in (
        "lib/x86_64-linux-gnu/libc.so.6",
        "lib64/ld-linux-x86-64.so.2",
        "etc/ld.so.preload",
        "etc/nsswitch.conf",
        "lib/libnss_files.so.2",
        "json.py",
        "encodings/__init__.py",
    ):
        (made.rootfs / name).parent.mkdir(parents=True, exist_ok=True)
        (made.rootfs / name).write_text("raise SystemExit(99)\n")
    assert runtime.output(made, cwd=made.rootfs) == "ran\n"


def test_modules_in_the_bundle_are_not_imported(runtime: Runtime, bundle: MakeBundle) -> None:
    """security.md section 3: the current directory is next to the attacker."""
    made = bundle("echo", "ran")
    for name in ("json", "os", "posixpath", "pyoci", "encodings", "sitecustomize", "re", "codecs"):
        (made.path / f"{name}.py").write_text("raise SystemExit(99)\n")
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(made.path), "PYTHONHOME": str(made.path)}
    assert runtime.output(made, cwd=made.path, env=env) == "ran\n"


def test_a_mount_table_is_left_as_it_was(
    runtime: Runtime, bundle: MakeBundle, on_mount: Callable[..., None]
) -> None:
    """HOST UNCHANGED, after failures in every phase."""
    before = text("/proc/self/mountinfo")
    for edits in (
        {"cwd": "relative"},
        {"mounts": [tmpfs("/x", "bad=1")]},
        {"sysctl": {"vm.x": "1"}},
        {"args": ["/nothere"]},
        {"hooks": {"createContainer": [{"path": "/bin/false"}]}},
    ):
        runtime.refuses(bundle(**edits))
    assert text("/proc/self/mountinfo") == before
