# SPDX-License-Identifier: Apache-2.0
"""config.json: root and mounts."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blackbox import kernel
from blackbox.bundle import CGROUP, MOUNTS, PROC, SYS, Bundle, MakeBundle, bind, tmpfs, without
from blackbox.processes import is_alive, text, until
from blackbox.runtime import Runtime

OPTIONS = "awk '$5 == \"{}\" {{print $6}}' /proc/self/mountinfo | tail -1"


def flags_of(runtime: Runtime, made: Bundle, place: str = "/mnt") -> set[str]:
    """Return the per-mount flags of a mount point in the container."""
    made.edit(sh=OPTIONS.format(place))
    return set(runtime.output(made.write()).strip().split(","))


@pytest.fixture
def source(scratch: Path) -> Path:
    """A directory of the host with a file, a directory and a program."""
    path = scratch / "source"
    (path / "sub").mkdir(parents=True)
    (path / "file").write_text("content\n")
    return path


def test_a_read_only_root_refuses_writes(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#root: with readonly the root MUST be read-only inside the container."""
    ran = runtime.run(bundle("touch", "/file", readonly=True))
    assert ran.code == 1
    assert ran.stderr == "touch: /file: Read-only file system\n"


def test_a_writable_root_takes_writes(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#root: readonly false."""
    made = bundle("touch", "/file")
    runtime.output(made)
    assert (made.rootfs / "file").exists()


def test_a_root_may_be_absolute(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#root: path absolute."""
    made = bundle("cat", "/etc/passwd")
    made.config["root"]["path"] = str(made.rootfs)
    assert "alice" in runtime.output(made.write())


def test_a_root_may_be_the_bundle_itself(runtime: Runtime, bundle: MakeBundle) -> None:
    """spec.md 2: `.` is allowed."""
    made = bundle("/rootfs/bin/busybox", "echo", "ran")
    made.config["root"]["path"] = "."
    assert runtime.output(made.write()) == "ran\n"


@pytest.mark.parametrize("path", ["nothere", "config.json"])
def test_a_root_must_be_a_directory(runtime: Runtime, bundle: MakeBundle, path: str) -> None:
    """config.md#root: a directory MUST exist at the path."""
    made = bundle("true")
    made.config["root"]["path"] = path
    assert runtime.refuses(made.write())


def test_a_root_that_is_a_link_is_refused(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 24; runc's words in spec.md 12."""
    made = bundle("true")
    (made.path / "link").symlink_to("rootfs")
    made.config["root"]["path"] = "link"
    assert "symlink" in runtime.refuses(made.write())


def test_the_old_root_is_gone(runtime: Runtime, bundle: MakeBundle) -> None:
    """pivot_root(2): nothing of the host's mounts is left."""
    out = runtime.output(bundle("cat", "/proc/self/mountinfo"))
    places = [line.split()[4] for line in out.splitlines()]
    assert places[0] == "/"
    expected = {"/", "/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys"}
    masked = ("/proc/", "/sys/firmware")
    assert {p for p in places if not p.startswith(masked)} == expected


def test_mounts_are_made_in_their_order(runtime: Runtime, bundle: MakeBundle, source: Path) -> None:
    """config.md#mounts: MUST be mounted in the listed order."""
    mounts = [tmpfs("/mnt"), bind(source, "/mnt/a", "bind"), tmpfs("/mnt/a/sub", "size=64k")]
    made = bundle("awk", '$5 ~ "^/mnt" {print $5}', "/proc/self/mountinfo", mounts=mounts)
    # Each can only be there when the one below it was made first; mountinfo lists by age of the mount itself.
    assert sorted(runtime.output(made).split()) == ["/mnt", "/mnt/a", "/mnt/a/sub"]


def test_a_directory_is_bound(runtime: Runtime, bundle: MakeBundle, source: Path) -> None:
    """config.md#mounts: bind; a missing mount point is made."""
    made = bundle("cat", "/new/mnt/file", mounts=[bind(source, "/new/mnt", "bind")])
    assert runtime.output(made) == "content\n"


def test_a_file_is_bound_on_a_missing_file(
    runtime: Runtime, bundle: MakeBundle, source: Path
) -> None:
    """spec.md 4, destination: an empty file when the source is no directory."""
    made = bundle("cat", "/new/name", mounts=[bind(source / "file", "/new/name", "bind")])
    assert runtime.output(made) == "content\n"
    assert (made.rootfs / "new/name").read_text() == ""


def test_a_bind_source_may_be_relative_to_the_bundle(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#mounts: source: relative to the bundle."""
    made = bundle("cat", "/mnt/f", mounts=[bind("data", "/mnt", "bind")])
    (made.path / "data").mkdir()
    (made.path / "data/f").write_text("x\n")
    assert runtime.output(made) == "x\n"


def test_the_option_makes_the_bind_whatever_the_type(
    runtime: Runtime, bundle: MakeBundle, source: Path
) -> None:
    """config.md#mounts: bind or rbind among the options; type is ignored then."""
    mount = bind(source, "/mnt", "rbind") | {"type": "none"}
    assert runtime.output(bundle("cat", "/mnt/file", mounts=[mount])) == "content\n"


def test_a_missing_bind_source_is_an_error_that_names_it(
    runtime: Runtime, bundle: MakeBundle, scratch: Path
) -> None:
    """Issue 2, errors: the step, the place, the object, the cause."""
    message = runtime.refuses(bundle(mounts=[bind(scratch / "nothere", "/mnt", "bind")]))
    assert "nothere" in message
    assert "no such file or directory" in message.lower()


def test_a_file_is_not_mounted_on_a_directory(
    runtime: Runtime, bundle: MakeBundle, scratch: Path
) -> None:
    """cli.md 4, moby: `not a directory` brings the user a hint; the words of mount(2)."""
    (scratch / "file").write_text("x")
    message = runtime.refuses(bundle(mounts=[bind(scratch / "file", "/etc", "bind")]))
    assert message.endswith("not a directory")
    assert 'to rootfs at "/etc"' in message


@pytest.mark.parametrize(
    ("option", "present", "absent"),
    [
        ("ro", "ro", "rw"),
        ("nosuid", "nosuid", ""),
        ("nodev", "nodev", ""),
        ("noexec", "noexec", ""),
        ("noatime", "noatime", "relatime"),
        ("nodiratime", "nodiratime", ""),
        ("relatime", "relatime", ""),
    ],
)
def test_flags_of_a_bind(
    runtime: Runtime, bundle: MakeBundle, source: Path, option: str, present: str, absent: str
) -> None:
    """config.md#mounts-linux: the mount flags, on a bind."""
    flags = flags_of(runtime, bundle(mounts=[bind(source, "/mnt", "bind", option)]))
    assert present in flags
    assert absent not in flags


@pytest.mark.parametrize(
    "option", ["ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime"]
)
def test_flags_of_a_tmpfs(runtime: Runtime, bundle: MakeBundle, option: str) -> None:
    """config.md#mounts-linux: the mount flags, on a new file system."""
    assert option in flags_of(runtime, bundle(mounts=[tmpfs("/mnt", option)]))


@pytest.mark.parametrize("options", [("strictatime",), ("noatime", "strictatime")])
def test_strictatime_leaves_no_atime_flag(
    runtime: Runtime, bundle: MakeBundle, options: tuple[str, ...]
) -> None:
    """config.md#mounts-linux: strictatime."""
    flags = flags_of(runtime, bundle(mounts=[tmpfs("/mnt", *options)]))
    assert not flags & {"relatime", "noatime"}


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        (("nosuid", "suid"), "nosuid"),
        (("ro", "rw"), "ro"),
        (("noexec", "exec"), "noexec"),
        (("nodev", "dev"), "nodev"),
    ],
)
def test_the_later_of_opposite_options_wins(
    runtime: Runtime, bundle: MakeBundle, options: tuple[str, ...], flag: str
) -> None:
    """mount(8): options apply in their order."""
    assert flag not in flags_of(runtime, bundle(mounts=[tmpfs("/mnt", *options)]))


@pytest.mark.parametrize(
    "option", ["lazytime", "nolazytime", "iversion", "noiversion", "silent", "loud", "symfollow"]
)
def test_every_option_that_must_be_known_is(
    runtime: Runtime, bundle: MakeBundle, option: str
) -> None:
    """config.md#mounts-linux: options that runtimes MUST or SHOULD implement."""
    assert runtime.output(bundle("echo", "ran", mounts=[tmpfs("/mnt", option)])) == "ran\n"


@pytest.mark.parametrize(
    "option",
    "async atime bind defaults dev diratime exec noatime nodev nodiratime noexec norelatime "
    "nostrictatime nosuid rbind relatime rprivate private rw strictatime suid sync dirsync".split(),
)
def test_every_old_option_is_known(
    runtime: Runtime, bundle: MakeBundle, source: Path, option: str
) -> None:
    """config.md#mounts-linux."""
    made = bundle("echo", "ran", mounts=[bind(source, "/mnt", "bind", option)])
    assert runtime.output(made) == "ran\n"


def test_nosymfollow(runtime: Runtime, bundle: MakeBundle, source: Path) -> None:
    """config.md#mounts-linux: nosymfollow."""
    (source / "link").symlink_to("file")
    made = bundle("cat", "/mnt/link", mounts=[bind(source, "/mnt", "bind", "nosymfollow")])
    ran = runtime.run(made)
    assert ran.code == 1
    assert "Too many levels of symbolic links" in ran.stderr


@pytest.mark.parametrize(("option", "inner"), [("ro", "rw"), ("rro", "ro")])
def test_recursive_read_only_reaches_the_mounts_below(
    runtime: Runtime,
    bundle: MakeBundle,
    source: Path,
    on_mount: Callable[..., None],
    option: str,
    inner: str,
) -> None:
    """config.md#mounts-linux: ro is one mount, rro the tree."""
    on_mount("none", source / "sub", "tmpfs")
    made = bundle(mounts=[bind(source, "/mnt", "rbind", option)])
    assert "ro" in flags_of(runtime, made)
    assert inner in flags_of(runtime, made, "/mnt/sub")


@pytest.mark.parametrize(
    ("option", "flag"),
    [
        ("rnosuid", "nosuid"),
        ("rnodev", "nodev"),
        ("rnoexec", "noexec"),
        ("rnoatime", "noatime"),
        ("rnodiratime", "nodiratime"),
    ],
)
def test_recursive_flags_reach_the_mounts_below(
    runtime: Runtime,
    bundle: MakeBundle,
    source: Path,
    on_mount: Callable[..., None],
    option: str,
    flag: str,
) -> None:
    """config.md#mounts-linux: the recursive attributes."""
    on_mount("none", source / "sub", "tmpfs")
    made = bundle(mounts=[bind(source, "/mnt", "rbind", option)])
    assert flag in flags_of(runtime, made, "/mnt/sub")


@pytest.mark.parametrize(
    ("option", "flag"), [("rsuid", "nosuid"), ("rdev", "nodev"), ("rexec", "noexec"), ("rrw", "ro")]
)
def test_recursive_clearing_reaches_the_mounts_below(
    runtime: Runtime,
    bundle: MakeBundle,
    source: Path,
    on_mount: Callable[..., None],
    option: str,
    flag: str,
) -> None:
    """config.md#mounts-linux: the recursive attributes, cleared."""
    on_mount("none", source / "sub", "tmpfs", kernel.MS_RDONLY | kernel.MS_NOSUID | 4 | 8)
    made = bundle(mounts=[bind(source, "/mnt", "rbind", option)])
    assert flag not in flags_of(runtime, made, "/mnt/sub")


def test_bind_takes_one_mount_and_rbind_the_tree(
    runtime: Runtime, bundle: MakeBundle, source: Path, on_mount: Callable[..., None]
) -> None:
    """mount(2): MS_REC."""
    on_mount("none", source / "sub", "tmpfs")
    (source / "sub/inner").write_text("")
    mounts = [bind(source, "/one", "bind"), bind(source, "/tree", "rbind")]
    made = bundle(sh="ls /one/sub; echo -; ls /tree/sub", mounts=mounts)
    assert runtime.output(made) == "-\ninner\n"


def test_a_plain_bind_keeps_the_flags_of_its_source(
    runtime: Runtime, bundle: MakeBundle, source: Path, on_mount: Callable[..., None]
) -> None:
    """spec.md 4, read-only bind: only what is named is changed."""
    on_mount("none", source / "sub", "tmpfs", kernel.MS_NOSUID | 8)
    flags = flags_of(runtime, bundle(mounts=[bind(source / "sub", "/mnt", "bind")]))
    assert {"nosuid", "noexec"} <= flags


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("shared", "shared:"),
        ("rshared", "shared:"),
        ("private", ""),
        ("rprivate", ""),
        ("slave", ""),
        ("rslave", ""),
        ("unbindable", "unbindable"),
        ("runbindable", "unbindable"),
    ],
)
def test_propagation_of_a_mount(
    runtime: Runtime, bundle: MakeBundle, source: Path, option: str, expected: str
) -> None:
    """config.md#mounts-linux: the propagation options."""
    show = "awk '$5 == \"/mnt\" {print $7}' /proc/self/mountinfo"
    made = bundle(sh=show, mounts=[bind(source, "/mnt", "bind", option)])
    assert runtime.output(made).strip().removesuffix("-").startswith(expected)


def test_a_slave_mount_receives_from_the_host(
    runtime: Runtime, bundle: MakeBundle, source: Path, on_mount: Callable[..., None]
) -> None:
    """config.md#mounts-linux: rslave."""
    on_mount(source, source, "", kernel.MS_BIND)
    on_mount("none", source, "", kernel.MS_SHARED)
    script = "echo ready; while ! test -e /mnt/sub/new; do sleep 0.02; done; echo seen; sleep 1000"
    made = bundle(sh=script, mounts=[bind(source, "/mnt", "rbind", "rslave")])
    container = runtime.start(made)
    container.written("ready\n")
    on_mount("none", source / "sub", "tmpfs")
    (source / "sub/new").write_text("")
    container.written("seen\n")


def test_a_private_mount_receives_nothing(
    runtime: Runtime, bundle: MakeBundle, source: Path, on_mount: Callable[..., None]
) -> None:
    """config.md#mounts-linux: rprivate."""
    on_mount(source, source, "", kernel.MS_BIND)
    on_mount("none", source, "", kernel.MS_SHARED)
    made = bundle("sleep", "1000", mounts=[bind(source, "/mnt", "rbind", "rprivate")])
    container = runtime.start(made)
    on_mount("none", source / "sub", "tmpfs")
    (source / "sub/new").write_text("")
    assert container.exec("ls", "/mnt/sub").stdout == ""


def test_the_root_does_not_receive_from_the_host_when_private(
    runtime: Runtime, bundle: MakeBundle
) -> None:
    """config-linux.md#rootfs-mount-propagation: private."""
    show = "awk '$5 == \"/\" {print $7}' /proc/self/mountinfo"
    assert runtime.output(bundle(sh=show, rootfsPropagation="private")).strip() == "-"


@pytest.mark.expect_fail_on("runc", "runc 1.1 makes it private all the same")
@pytest.mark.parametrize(("value", "expected"), [("shared", "shared:"), ("unbindable", "unbind")])
def test_the_propagation_of_the_root(
    runtime: Runtime, bundle: MakeBundle, value: str, expected: str
) -> None:
    """config-linux.md#rootfs-mount-propagation."""
    show = "awk '$5 == \"/\" {print $7}' /proc/self/mountinfo"
    assert runtime.output(bundle(sh=show, rootfsPropagation=value)).startswith(expected)


def test_an_unknown_root_propagation_is_refused(runtime: Runtime, bundle: MakeBundle) -> None:
    """spec.md 12: runc's words."""
    assert "rootfsPropagation=odd is not supported" in runtime.refuses(
        bundle(rootfsPropagation="odd")
    )


def test_nothing_propagates_to_the_host(
    runtime: Runtime, bundle: MakeBundle, source: Path, on_mount: Callable[..., None]
) -> None:
    """config-linux.md#rootfs-mount-propagation: the default is no way back."""
    on_mount(source, source, "", kernel.MS_BIND)
    on_mount("none", source, "", kernel.MS_SHARED)
    mounts = [bind(source, "/mnt", "rbind", "rslave"), tmpfs("/mnt/sub")]
    runtime.output(bundle("ls", "/mnt", mounts=mounts))
    before = text("/proc/self/mountinfo")
    container = runtime.start(bundle("sleep", "1000", mounts=mounts))
    assert text("/proc/self/mountinfo") == before
    container.delete("--force")


def test_data_reaches_the_file_system(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#mounts: other options are the file system's."""
    made = bundle(sh="df -k /mnt | tail -1", mounts=[tmpfs("/mnt", "size=128k", "mode=700")])
    assert runtime.output(made).split()[1] == "128"


def test_an_option_that_the_file_system_refuses_is_named(
    runtime: Runtime, bundle: MakeBundle
) -> None:
    """Issue 2, errors."""
    message = runtime.refuses(bundle(mounts=[tmpfs("/mnt", "nosuchoption=1")]))
    assert "/mnt" in message
    if runtime.name == "pyoci":
        assert "nosuchoption" in message


def test_an_unknown_file_system_is_refused(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#mounts: type."""
    mount = {"destination": "/mnt", "type": "nosuchfs", "source": "x"}
    assert "/mnt" in runtime.refuses(bundle(mounts=[mount]))


def test_data_has_no_effect_on_a_bind(runtime: Runtime, bundle: MakeBundle, source: Path) -> None:
    """config.md#linux-mount-options: data is for mount(2), which takes none with MS_BIND; docs/adr/0013."""
    ran = runtime.run(bundle("ls", "/mnt", mounts=[bind(source, "/mnt", "bind", "size=5")]))
    assert ran.code == 0, ran
    assert ran.stdout.split() == sorted(path.name for path in source.iterdir())
    if runtime.name == "pyoci":
        assert "mounts[" in ran.stderr
        assert "a bind mount takes no size" in ran.stderr


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


@pytest.mark.expect_fail_on("runc", "runc 1.1 has no idmapped mounts")
class TestIdMaps:
    """config.md#posix-platform-mounts: uidMappings and gidMappings of a mount."""

    @staticmethod
    def mapped(source: Path, destination: str, host: int, *options: str) -> dict[str, Any]:
        """Return a bind that shows 0.. of the file system as host.. ."""
        mapping = [{"containerID": 0, "hostID": host, "size": 1000}]
        return bind(source, destination, *options) | {
            "uidMappings": mapping,
            "gidMappings": mapping,
        }

    @pytest.mark.parametrize("options", [("bind", "idmap"), ("bind",), ("rbind", "ridmap")])
    def test_owners_are_mapped(
        self, runtime: Runtime, bundle: MakeBundle, source: Path, options: tuple[str, ...]
    ) -> None:
        """A file of uid 7 appears as 5007."""
        os.chown(source / "file", 7, 8)
        mount = self.mapped(source, "/mnt", 5000, *options)
        made = bundle("stat", "-c", "%u %g", "/mnt/file", mounts=[mount])
        assert runtime.output(made) == "5007 5008\n"

    def test_two_mounts_may_have_different_maps(
        self, runtime: Runtime, bundle: MakeBundle, source: Path
    ) -> None:
        """Each mount has a map of its own."""
        mounts = [self.mapped(source, f"/m{host}", host, "bind") for host in (1000, 2000)]
        made = bundle("stat", "-c", "%u", "/m1000/file", "/m2000/file", mounts=mounts)
        assert runtime.output(made) == "1000\n2000\n"

    def test_the_mounts_below_are_mapped_with_ridmap_only(
        self, runtime: Runtime, bundle: MakeBundle, source: Path, on_mount: Callable[..., None]
    ) -> None:
        """The recursive form reaches the tree."""
        if kernel.version() < (6, 3):
            pytest.skip("a tmpfs can be id-mapped from Linux 6.3 on")
        on_mount("none", source / "sub", "tmpfs")
        (source / "sub/inner").write_text("")
        mounts = [
            self.mapped(source, "/one", 1000, "rbind", "idmap"),
            self.mapped(source, "/tree", 2000, "rbind", "ridmap"),
        ]
        made = bundle("stat", "-c", "%u", "/one/sub/inner", "/tree/sub/inner", mounts=mounts)
        assert runtime.output(made) == "0\n2000\n"

    def test_the_containers_map_is_taken_when_none_is_given(
        self, runtime: Runtime, bundle: MakeBundle, source: Path
    ) -> None:
        """spec.md 4.1: idmap without mappings uses the user namespace."""
        made = bundle(
            "stat", "-c", "%u", "/mnt/file", mounts=[bind(source, "/mnt", "bind", "idmap")]
        )
        made.map_users()
        assert runtime.output(made.write()) == "0\n"

    def test_one_kind_of_map_alone_is_refused(
        self, runtime: Runtime, bundle: MakeBundle, source: Path
    ) -> None:
        """config.md: if one is given, the other MUST be."""
        mount = self.mapped(source, "/mnt", 1000, "bind")
        del mount["gidMappings"]
        assert runtime.refuses(bundle(mounts=[mount]))


def test_no_pivot_works(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, --no-pivot: MS_MOVE instead of pivot_root."""
    made = bundle(sh="ls / | sort | head -3; cat /proc/1/cmdline | tr '\\0' ' '")
    assert runtime.output(made, "--no-pivot").split()[:3] == ["bin", "dev", "etc"]


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


def test_many_mounts(runtime: Runtime, bundle: MakeBundle, source: Path) -> None:
    """A hundred binds."""
    mounts = [bind(source, f"/many/{number}", "bind", "ro") for number in range(100)]
    made = bundle(sh="ls /many | wc -l; cat /many/99/file", mounts=mounts)
    assert runtime.output(made).split() == ["100", "content"]


def test_the_bundles_root_mount_is_not_left_in_the_host(
    runtime: Runtime, bundle: MakeBundle
) -> None:
    """The bind of the root onto itself stays in the container's namespace."""
    before = text("/proc/self/mountinfo")
    container = runtime.start(bundle("sleep", "1000"))
    assert text("/proc/self/mountinfo") == before
    container.delete("--force")


def test_a_host_proc_in_the_containers_place_of_sys(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#mounts: a container without /sys and with /proc alone runs."""
    assert runtime.output(bundle("ls", "/sys", all_mounts=[PROC])) == ""
    assert SYS in MOUNTS


def test_a_deep_stack_of_mounts_in_dev(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#mounts: mount points below a mount of the same container are made in it."""
    mounts = [*without(MOUNTS, "/dev/shm"), tmpfs("/dev/shm/a/b")]
    made = bundle("stat", "-c", "%F", "/dev/shm/a/b", all_mounts=mounts)
    assert runtime.output(made) == "directory\n"


def test_a_mount_survives_a_restart_of_exec(runtime: Runtime, bundle: MakeBundle) -> None:
    """exec sees the same mounts as init."""
    container = runtime.start(bundle(sh="echo x >/mnt/x; sleep 1000", mounts=[tmpfs("/mnt")]))
    until(lambda: container.exec("cat", "/mnt/x").stdout == "x\n", "the file is seen")
    assert is_alive(container.pid)
