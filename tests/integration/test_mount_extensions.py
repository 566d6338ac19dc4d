# SPDX-License-Identifier: Apache-2.0
"""Options of mounts beyond config.md: crun's, and what mount(2) does with a remount (spec.md 4.1)."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from blackbox.bundle import MakeBundle, bind, tmpfs
from blackbox.processes import text
from blackbox.runtime import Runtime

NOT_IN_RUNC = pytest.mark.expect_fail_on("runc", "the option is crun's")
NOT_IN_CRUN = pytest.mark.expect_fail_on("crun", "the option is younger than crun 1.8")


@pytest.fixture
def source(scratch: Path) -> Path:
    """A directory of the host with a file, and a link to it."""
    path = scratch / "source"
    path.mkdir()
    (path / "file").write_text("content\n")
    (path / "link").symlink_to("file")
    (path / "nowhere").symlink_to("../not/there")
    return path


@NOT_IN_RUNC
@NOT_IN_CRUN
@pytest.mark.parametrize(("name", "target"), [("link", "file"), ("nowhere", "../not/there")])
def test_a_link_is_made_again(
    runtime: Runtime, bundle: MakeBundle, source: Path, name: str, target: str
) -> None:
    """copy-symlink: podman's no-dereference; a link to nothing as well, and the same once more."""
    made = bundle(
        "readlink", "/new/name", mounts=[bind(source / name, "/new/name", "bind", "copy-symlink")]
    )
    assert runtime.output(made) == f"{target}\n"
    assert runtime.output(made) == f"{target}\n"
    assert os.readlink(made.rootfs / "new/name") == target


def test_what_is_no_link_is_bound(runtime: Runtime, bundle: MakeBundle, source: Path) -> None:
    """copy-symlink means nothing for a file."""
    mount = bind(source / "file", "/name", "bind", "copy-symlink")
    assert runtime.output(bundle("cat", "/name", mounts=[mount])) == "content\n"


@NOT_IN_RUNC
@NOT_IN_CRUN
def test_a_link_does_not_take_another_file_s_place(
    runtime: Runtime, bundle: MakeBundle, source: Path
) -> None:
    """symlink(2): what is there stays."""
    made = bundle(mounts=[bind(source / "link", "/etc/passwd", "bind", "copy-symlink")])
    before = (made.rootfs / "etc/passwd").read_text()
    assert runtime.refuses(made)
    assert (made.rootfs / "etc/passwd").read_text() == before


@NOT_IN_RUNC
@NOT_IN_CRUN
def test_a_link_of_the_image_is_covered(runtime: Runtime, bundle: MakeBundle, source: Path) -> None:
    """dest-nofollow: the mount lies on the link itself, and where it points to nothing has changed."""
    made = bundle(
        sh="cat /link; cat /aim", mounts=[bind(source / "file", "/link", "bind", "dest-nofollow")]
    )
    (made.rootfs / "link").symlink_to("aim")
    (made.rootfs / "aim").write_text("own\n")
    assert runtime.output(made) == "content\nown\n"


def test_a_place_that_is_missing_is_made(
    runtime: Runtime, bundle: MakeBundle, source: Path
) -> None:
    """dest-nofollow has no effect where there is no link."""
    mount = bind(source / "file", "/new/name", "bind", "dest-nofollow")
    assert runtime.output(bundle("cat", "/new/name", mounts=[mount])) == "content\n"


@pytest.mark.expect_fail_on("runc", "runc 1.1 has no idmapped mounts")
def test_an_id_map_may_be_the_container_s(
    runtime: Runtime, bundle: MakeBundle, source: Path
) -> None:
    """idmap=uids=@FS-CONTAINER-LENGTH: in the container the owner has the number that is asked for."""
    os.chown(source / "file", 7, 8)
    mount = bind(source, "/mnt", "bind", "idmap=uids=@7-3-1;gids=@8-4-1")
    made = bundle("stat", "-c", "%u %g", "/mnt/file", mounts=[mount])
    made.map_users()
    assert runtime.output(made.write()) == "3 4\n"


def test_a_file_system_of_the_container_is_changed(runtime: Runtime, bundle: MakeBundle) -> None:
    """mount(2), MS_REMOUNT: flags and options of the file system itself."""
    again = tmpfs("/mnt", "remount", "size=64k", "sync")
    made = bundle("awk", '$5 == "/mnt" {print $NF}', "/proc/self/mountinfo")
    made.config["mounts"] += [tmpfs("/mnt", "size=1m"), again]
    options = runtime.output(made.write()).strip().split(",")
    assert "size=64k" in options
    assert "sync" in options


@pytest.mark.expect_fail_on("runc", "runc changes the host's file system")
@pytest.mark.expect_fail_on("crun", "crun changes the host's file system")
def test_a_file_system_of_the_host_is_not_changed(
    runtime: Runtime, bundle: MakeBundle, scratch: Path, on_mount: Callable[..., None]
) -> None:
    """All of its mounts would show it, the host's as well. One of our own: some runtimes do it."""
    host = scratch / "host"
    host.mkdir()
    on_mount("none", host, "tmpfs")
    again = tmpfs("/mnt", "remount", "sync") | {"type": "none"}
    ran = runtime.run(bundle("true", mounts=[bind(host, "/mnt", "bind"), again]))
    shown = [line for line in text("/proc/self/mountinfo").splitlines() if f" {host} " in line]
    assert "sync" not in shown[0].split()[-1].split(",")
    assert ran.code == 1
    assert "of the host" in ran.message
