# SPDX-License-Identifier: Apache-2.0
"""The root, bind mounts and their order, owners that are mapped: config.md#root, config.md#mounts."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blackbox import kernel
from blackbox.bundle import MakeBundle, bind, tmpfs
from blackbox.processes import is_alive, text, until
from blackbox.runtime import Runtime


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
    """config.md#mounts: MUST be mounted in the listed order.

    OCI's program `mounts` takes the order of mountinfo for it: since Linux 6.8 that of making, until then of attaching.
    """
    mounts = [tmpfs("/mnt"), bind(source, "/mnt/a", "rbind"), tmpfs("/mnt/a/sub", "size=64k")]
    made = bundle("awk", "{print $5}", "/proc/self/mountinfo", mounts=mounts)
    listed = [entry["destination"] for entry in made.config["mounts"]]
    assert [place for place in runtime.output(made).split() if place in listed] == listed


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


def test_bind_takes_one_mount_and_rbind_the_tree(
    runtime: Runtime, bundle: MakeBundle, source: Path, on_mount: Callable[..., None]
) -> None:
    """mount(2): MS_REC."""
    on_mount("none", source / "sub", "tmpfs")
    (source / "sub/inner").write_text("")
    mounts = [bind(source, "/one", "bind"), bind(source, "/tree", "rbind")]
    made = bundle(sh="ls /one/sub; echo -; ls /tree/sub", mounts=mounts)
    assert runtime.output(made) == "-\ninner\n"


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


def test_a_mount_survives_a_restart_of_exec(runtime: Runtime, bundle: MakeBundle) -> None:
    """exec sees the same mounts as init."""
    container = runtime.start(bundle(sh="echo x >/mnt/x; sleep 1000", mounts=[tmpfs("/mnt")]))
    until(lambda: container.exec("cat", "/mnt/x").stdout == "x\n", "the file is seen")
    assert is_alive(container.pid)
