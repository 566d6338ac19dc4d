# SPDX-License-Identifier: Apache-2.0
"""tmpfs, proc, sysfs, cgroup, mqueue; paths that are masked or read-only."""

import os
from pathlib import Path

import pytest
from blackbox.bundle import CGROUP, MOUNTS, PROC, SYS, MakeBundle, bind, tmpfs, without
from blackbox.mounts import flags_of
from blackbox.runtime import Runtime


def test_an_unknown_file_system_is_refused(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#mounts: type."""
    mount = {"destination": "/mnt", "type": "nosuchfs", "source": "x"}
    assert "mnt" in runtime.refuses(bundle(mounts=[mount]))


@pytest.mark.parametrize("mode", [0o755, 0o1777, 0o2750])
def test_a_tmpfs_inherits_the_mode_of_its_place(
    runtime: Runtime, bundle: MakeBundle, mode: int
) -> None:
    """spec.md 4, tmpfs without `mode=`."""
    made = bundle("stat", "-c", "%a", "/place", mounts=[tmpfs("/place")])
    (made.rootfs / "place").mkdir()
    (made.rootfs / "place").chmod(mode)
    assert runtime.output(made) == f"{mode:o}\n"


def test_a_tmpfs_takes_its_own_mode(runtime: Runtime, bundle: MakeBundle) -> None:
    """tmpfs(5): mode."""
    made = bundle("stat", "-c", "%a", "/place", mounts=[tmpfs("/place", "mode=711")])
    assert runtime.output(made) == "711\n"


def test_a_read_only_tmpfs_is_read_only(runtime: Runtime, bundle: MakeBundle) -> None:
    """spec.md 4, ro tmpfs: populated first, then made read-only."""
    mounts = [tmpfs("/mnt", "ro"), tmpfs("/mnt/inner")]
    made = bundle(sh="touch /mnt/inner/x && touch /mnt/x", mounts=mounts)
    ran = runtime.run(made)
    assert ran.code == 1
    assert ran.stderr == "touch: /mnt/x: Read-only file system\n"


def test_a_read_only_dev_has_its_devices(runtime: Runtime, bundle: MakeBundle) -> None:
    """spec.md 4, ro /dev."""
    made = bundle(sh="test -c /dev/null && ! touch /dev/x 2>/dev/null")
    made.config["mounts"][1] = tmpfs("/dev", "ro", "mode=755")
    assert runtime.run(made.write()).code == 0


def test_tmpcopyup_copies_what_was_there(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#mounts-linux: tmpcopyup."""
    script = (
        "cat /data/f; readlink /data/l; stat -c '%a %u' /data/d/f2; echo new >/data/f; "
        "stat -c %a /data"
    )
    made = bundle(sh=script, mounts=[tmpfs("/data", "tmpcopyup")])
    data = made.rootfs / "data"
    (data / "d").mkdir(parents=True)
    data.chmod(0o711)
    (data / "f").write_text("old\n")
    (data / "l").symlink_to("f")
    (data / "d/f2").write_text("")
    (data / "d/f2").chmod(0o640)
    os.chown(data / "d/f2", 7, 7)
    assert runtime.output(made).splitlines() == ["old", "f", "640 7", "711"]
    assert (data / "f").read_text() == "old\n"


def test_proc_is_the_containers_own(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#mounts: proc of the new pid namespace."""
    assert runtime.output(bundle("cat", "/proc/1/cmdline")) == "cat\0/proc/1/cmdline\0"


def test_sys_is_read_only(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#mounts: sysfs with ro."""
    assert "ro" in flags_of(runtime, bundle(), "/sys")


def test_the_cgroup_mount_shows_the_controllers(runtime: Runtime, bundle: MakeBundle) -> None:
    """spec.md 4, cgroup type: on v1 one directory a controller, with the container's own inside."""
    if not os.path.isdir("/sys/fs/cgroup/memory"):
        pytest.skip("no v1 hierarchies here")
    script = "ls -d /sys/fs/cgroup/memory/cgroup.procs && cat /sys/fs/cgroup/memory/cgroup.procs"
    made = bundle(sh=script, mounts=[CGROUP])
    out = runtime.output(made).split()
    assert out[0] == "/sys/fs/cgroup/memory/cgroup.procs"
    assert "1" in out[1:]


def test_the_cgroup_mount_is_read_only(runtime: Runtime, bundle: MakeBundle) -> None:
    """spec.md 4, cgroup type: ro for each of its mounts."""
    script = (
        "mkdir /sys/fs/cgroup/x; for d in /sys/fs/cgroup/*/; do mkdir $d/x; done; "
        "ls -d /sys/fs/cgroup/x /sys/fs/cgroup/*/x; true"
    )
    ran = runtime.run(bundle(sh=script, mounts=[CGROUP]))
    assert ran.stdout == ""
    assert "Read-only file system" in ran.stderr


def test_the_cgroup_mount_without_ro_can_be_written(runtime: Runtime, bundle: MakeBundle) -> None:
    """spec.md 4, cgroup type, within the container's own cgroup."""
    if not os.path.isdir("/sys/fs/cgroup/pids"):
        pytest.skip("no v1 hierarchies here")
    mount = CGROUP | {"options": ["nosuid", "noexec", "nodev"]}
    made = bundle(sh="mkdir /sys/fs/cgroup/pids/x && rmdir /sys/fs/cgroup/pids/x", mounts=[mount])
    assert runtime.run(made).code == 0


def test_an_mqueue_is_mounted(runtime: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#default-filesystems."""
    assert runtime.output(bundle("stat", "-f", "-c", "%T", "/dev/mqueue")).strip() != "tmpfs"


def test_a_mount_over_proc_files_for_lxcfs_is_allowed(
    runtime: Runtime, bundle: MakeBundle, source: Path
) -> None:
    """Case 13: /proc/cpuinfo, /proc/uptime."""
    mounts = [bind(source / "file", f"/proc/{name}", "bind") for name in ("cpuinfo", "uptime")]
    assert runtime.output(bundle("cat", "/proc/uptime", mounts=mounts)) == "content\n"


@pytest.mark.parametrize(
    ("path", "kind"), [("/proc/keys", "character special file"), ("/sys/firmware", "directory")]
)
def test_masked_paths_show_nothing(
    runtime: Runtime, bundle: MakeBundle, path: str, kind: str
) -> None:
    """config-linux.md#masked-paths."""
    if not os.path.exists(path):
        pytest.skip(f"this kernel has no {path}")
    made = bundle(sh=f"stat -c %F {path}; ls {path} | grep -v {path}; cat {path} 2>/dev/null; true")
    assert runtime.output(made) == f"{kind}\n"


def test_masked_paths_of_the_image(runtime: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#masked-paths: files, directories, missing ones, the same twice."""
    paths = ["/secret/file", "/secret/dir", "/nothere", "/secret/file"]
    script = "cat /secret/file; ls -A /secret/dir; touch /secret/dir/x"
    made = bundle(sh=script, maskedPaths=paths)
    (made.rootfs / "secret/dir").mkdir(parents=True)
    (made.rootfs / "secret/dir/inner").write_text("secret")
    (made.rootfs / "secret/file").write_text("secret")
    ran = runtime.run(made)
    assert ran.stdout == ""
    assert "Read-only file system" in ran.stderr


@pytest.mark.expect_fail_on("runc", "runc 1.1 fails with ENOTDIR")
def test_a_masked_path_below_a_file_is_not_there(runtime: Runtime, bundle: MakeBundle) -> None:
    """spec.md 9, maskedPaths: ENOTDIR is as good as ENOENT."""
    assert runtime.output(bundle("echo", "ran", maskedPaths=["/etc/passwd/x"])) == "ran\n"


def test_readonly_paths_refuse_writes(runtime: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#readonly-paths."""
    script = "touch /data/x; echo 1 >/data/file; touch /other; cat /data/file"
    made = bundle(sh=script, readonlyPaths=["/data", "/nothere"])
    (made.rootfs / "data").mkdir()
    (made.rootfs / "data/file").write_text("old\n")
    ran = runtime.run(made)
    assert ran.stderr.count("Read-only file system") == 2
    assert ran.stdout == "old\n"


def test_readonly_paths_keep_the_other_flags(runtime: Runtime, bundle: MakeBundle) -> None:
    """spec.md 9, readonlyPaths: ro, keeping flags."""
    mounts = [tmpfs("/mnt", "nosuid", "nodev", "noexec")]
    flags = flags_of(runtime, bundle(mounts=mounts, readonlyPaths=["/mnt"]))
    assert {"ro", "nosuid", "nodev", "noexec"} <= flags


@pytest.mark.parametrize("key", ["maskedPaths", "readonlyPaths"])
def test_paths_need_a_mount_namespace(runtime: Runtime, bundle: MakeBundle, key: str) -> None:
    """spec.md 12."""
    made = bundle("true", all_mounts=[], maskedPaths=[], readonlyPaths=[])
    made.edit(**{key: ["/proc/kcore"]})
    made.set_namespace(mount=None)
    assert runtime.refuses(made.write())


def test_a_host_proc_in_the_containers_place_of_sys(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#mounts: a container without /sys and with /proc alone runs."""
    assert runtime.output(bundle("ls", "/sys", all_mounts=[PROC])) == ""
    assert SYS in MOUNTS


def test_a_deep_stack_of_mounts_in_dev(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#mounts: mount points below a mount of the same container are made in it."""
    mounts = [*without(MOUNTS, "/dev/shm"), tmpfs("/dev/shm/a/b")]
    made = bundle("stat", "-c", "%F", "/dev/shm/a/b", all_mounts=mounts)
    assert runtime.output(made) == "directory\n"
