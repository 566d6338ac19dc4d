# SPDX-License-Identifier: Apache-2.0
"""Options of mounts: flags, recursive ones, propagation, data of file systems: config.md#linux-mount-options."""

from collections.abc import Callable
from pathlib import Path

import pytest
from blackbox import kernel
from blackbox.bundle import MakeBundle, bind, tmpfs
from blackbox.mounts import flags_of
from blackbox.processes import text
from blackbox.runtime import Runtime


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
    assert "mnt" in message
    if runtime.name == "pyoci":
        assert "nosuchoption" in message


def test_data_has_no_effect_on_a_bind(runtime: Runtime, bundle: MakeBundle, source: Path) -> None:
    """config.md#linux-mount-options: data is for mount(2), which takes none with MS_BIND; docs/adr/0013."""
    ran = runtime.run(bundle("ls", "/mnt", mounts=[bind(source, "/mnt", "bind", "size=5")]))
    assert ran.code == 0, ran
    assert ran.stdout.split() == sorted(path.name for path in source.iterdir())
    if runtime.name == "pyoci":
        assert "mounts[" in ran.stderr
        assert "a bind mount takes no size" in ran.stderr
