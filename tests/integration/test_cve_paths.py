# SPDX-License-Identifier: Apache-2.0
"""The advisories that are about paths: mount points, links of the image, masks, devices, the terminal."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blackbox import host
from blackbox.bundle import MOUNTS, PTS, Bundle, MakeBundle, bind, tmpfs, without
from blackbox.console import Receiver
from blackbox.processes import Ran, Running, rounds, text, until
from blackbox.runtime import Container, Runtime

ROUNDS = rounds(50)
SLEEP = ("sleep", "1000")


def settled(runtime: Runtime, made: Bundle, *options: str) -> Ran:
    """Create a container, successfully or not, within ten seconds, and delete it."""
    container, ran = runtime.try_create(made, *options, seconds=10)
    if ran.code == 0:
        container.start()
        container.delete("--force")
    return ran


def test_proc_cannot_be_another_directory(
    runtime: Runtime, bundle: MakeBundle, scratch: Path
) -> None:
    """CVE-2019-16884 (R4, C2), case 11: labels would be written to a fake file."""
    (scratch / "fake/self/attr").mkdir(parents=True)
    (scratch / "fake/self/attr/exec").write_text("")
    mounts = [*without(MOUNTS, "/proc"), bind(scratch / "fake", "/proc", "bind")]
    runtime.refuses(bundle(*SLEEP, all_mounts=mounts, maskedPaths=[], readonlyPaths=[]))
    assert (scratch / "fake/self/attr/exec").read_text() == ""


@pytest.mark.parametrize(
    "place",
    [
        "/proc/self/attr",
        "/proc/sys",
        "/sys/../proc/sys",
        "/proc/1/attr/exec",
        "/proc/sysrq-trigger",
    ],
)
def test_places_inside_proc_are_refused(
    runtime: Runtime, bundle: MakeBundle, scratch: Path, place: str
) -> None:
    """CVE-2019-16884 (R4, C2), case 12; runc's words in spec.md 4."""
    (scratch / "fake").mkdir()
    message = runtime.refuses(bundle(*SLEEP, mounts=[bind(scratch / "fake", place, "bind")]))
    assert "inside /proc" in message


@pytest.mark.parametrize("name", ["proc", "sys"])
@pytest.mark.parametrize("target", ["/evil", "evil", "/nothere"])
def test_proc_and_sys_must_be_ordinary_directories(
    runtime: Runtime, bundle: MakeBundle, name: str, target: str
) -> None:
    """CVE-2019-19921, CVE-2025-54867 (R5, Y4), cases 9 and 10."""
    made = bundle(*SLEEP)
    (made.rootfs / name).rmdir()
    (made.rootfs / "evil").mkdir()
    (made.rootfs / name).symlink_to(target)
    assert "must be mounted on ordinary directory" in runtime.refuses(made)


def test_a_link_at_proc_is_not_followed_into_a_mount(runtime: Runtime, bundle: MakeBundle) -> None:
    """CVE-2023-27561, CVE-2023-28642 (R11): the check was made after the path was resolved."""
    made = bundle(*SLEEP)
    (made.rootfs / "proc").rmdir()
    (made.rootfs / "a/b").mkdir(parents=True)
    (made.rootfs / "proc").symlink_to("/a/b")
    made.config["mounts"] = [tmpfs("/a"), *made.config["mounts"]]
    assert "must be mounted on ordinary directory" in runtime.refuses(made.write())


@pytest.fixture
def racing(probe: Path, scratch: Path, runtime: Runtime) -> Callable[[str], Path]:
    """Make a volume in which `a` (a directory) and `b` (a link) change places for ever."""

    def make(target: str) -> Path:
        volume = scratch / "volume"
        (volume / "a").mkdir(parents=True)
        (volume / "b").symlink_to(target)
        words = [str(probe), "swap", str(volume / "a"), str(volume / "b")]
        runtime.running.append(Running(words, runtime.outputs))
        return volume

    return make


def test_a_mount_point_that_is_exchanged_while_mounting(
    runtime: Runtime, bundle: MakeBundle, racing: Callable[[str], Path], victim: Path
) -> None:
    """CVE-2021-30465 (R7), case 18."""
    volume = racing("/")
    mounts = [bind(volume, "/v", "rbind"), tmpfs("/v/a/x"), bind(victim, "/v/a/y", "bind", "ro")]
    made = bundle(*SLEEP, mounts=mounts)
    foreign = {"boot", "lib", "opt", "srv"} - set(os.listdir(made.rootfs))
    for _ in ROUNDS:
        container, ran = runtime.try_create(made)
        if ran.code == 0:
            assert not foreign & set(container.exec("ls", "/v/a/").stdout.split())
            container.delete("--force")


@pytest.mark.expect_fail_on("runc", "runc 1.1.5 has CVE-2024-45310", strict=False)
def test_a_mount_point_that_is_exchanged_while_made(
    runtime: Runtime, bundle: MakeBundle, racing: Callable[[str], Path], scratch: Path
) -> None:
    """CVE-2024-45310 (R14), case 19: nothing is made on the host."""
    (scratch / "outside").mkdir()
    volume = racing(str(scratch / "outside"))
    (scratch / "file").write_text("")
    mounts = [
        bind(volume, "/v", "rbind"),
        tmpfs("/v/a/newdir"),
        bind(scratch / "file", "/v/a/newfile", "bind"),
    ]
    for _ in ROUNDS:
        settled(runtime, bundle(*SLEEP, mounts=mounts))
    assert os.listdir(scratch / "outside") == []


@pytest.mark.expect_fail_on("runc", "runc 1.1.5 looks its path up twice", strict=False)
def test_a_read_only_path_that_is_exchanged(
    runtime: Runtime, bundle: MakeBundle, racing: Callable[[str], Path]
) -> None:
    """GHSA-3q8j-pf29-vwv8 (Y6), case 8: always read-only, or not there."""
    volume = racing("/tmp")
    mounts = [bind(volume, "/v", "rbind")]
    script = "i=0; while [ $i -lt 50 ]; do touch /v/a/x 2>/dev/null && rm /v/a/x && echo wrote; i=$((i+1)); done"
    for _ in rounds(25):
        made = bundle(sh=script, mounts=mounts, readonlyPaths=["/v"])
        ran = runtime.run(made)
        assert "wrote" not in ran.stdout or ran.code != 0 or (made.rootfs / "tmp").exists()


def masked(bundle: MakeBundle, **edits: Any) -> Bundle:
    """Return a bundle without a /dev mount and with a masked file."""
    script = "cat /secret 2>/dev/null; stat -c %t:%T /secret; echo written >/secret; cat /fake"
    made = bundle(sh=script, maskedPaths=["/secret"], **edits)
    made.config["mounts"] = without(MOUNTS, "/dev")
    (made.rootfs / "secret").write_text("secret\n")
    (made.rootfs / "fake").write_text("fake\n")
    return made.write()


@pytest.mark.expect_fail_on("runc", "runc 1.1.5 has CVE-2025-31133")
def test_a_mask_is_the_real_null_device(runtime: Runtime, bundle: MakeBundle) -> None:
    """CVE-2025-31133, CVE-2025-62161 (R15, Y5), case 5: /dev/null of the image is a link."""
    made = masked(bundle)
    (made.rootfs / "dev/null").symlink_to("/fake")
    ran = runtime.run(made, seconds=5)
    if ran.code == 0 or "1:3" in ran.stdout:
        assert ran.stdout == "1:3\nfake\n"
    assert (made.rootfs / "fake").read_text() == "fake\n"
    assert "secret" not in ran.stdout


def test_a_mask_needs_no_null_device_of_the_image(runtime: Runtime, bundle: MakeBundle) -> None:
    """CVE-2025-31133, CVE-2025-62596 (R15, Y5), case 6: missing: never unmasked."""
    ran = runtime.run(masked(bundle))
    assert "secret" not in ran.stdout


@pytest.mark.parametrize("kind", ["file", "fifo"])
def test_a_terminal_needs_a_real_ptmx(
    runtime: Runtime, bundle: MakeBundle, scratch: Path, kind: str
) -> None:
    """CVE-2025-52565 (R16b), case 20: a file or a FIFO in its place: fails, at once."""
    made = bundle(*SLEEP, terminal=True)
    made.config["mounts"] = without(MOUNTS, "/dev")
    (made.rootfs / "dev/pts").mkdir()
    for name in ("dev/ptmx", "dev/pts/ptmx"):
        if kind == "fifo":
            os.mkfifo(made.rootfs / name)
        else:
            (made.rootfs / name).write_text("content")
    receiver = Receiver(scratch / "s")
    _container, ran = runtime.try_create(
        made.write(), "--console-socket", str(receiver.path), seconds=5
    )
    receiver.close()
    assert ran.code == 1
    if kind == "file":
        assert (made.rootfs / "dev/pts/ptmx").read_text() == "content"


def test_the_console_is_the_terminal(runtime: Runtime, bundle: MakeBundle, scratch: Path) -> None:
    """CVE-2025-52565 (R16c): the same device, of the devpts driver."""
    script = "stat -L -c %t:%T /dev/console /proc/self/fd/0 >/out; sleep 1000"
    made = bundle(sh=script, terminal=True)
    receiver = Receiver(scratch / "s")
    runtime.start(made, "--console-socket", str(receiver.path))
    receiver.receive()
    out = made.rootfs / "out"
    until(lambda: out.exists() and len(out.read_text().split()) == 2, "it has looked")
    console, terminal = out.read_text().split()
    assert console == terminal
    assert console.startswith("88:")
    receiver.close()


@pytest.mark.expect_fail_on("runc", "runc 1.1.5 has CVE-2025-52881", strict=False)
def test_no_kernel_file_is_written_through_the_containers_tree(
    runtime: Runtime, bundle: MakeBundle, scratch: Path
) -> None:
    """CVE-2025-52881, CVE-2025-62596 (R17, Y5): init opens nothing by a path in /proc, from its birth on."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("needs strace")
    made = bundle(*SLEEP, sysctl={"kernel.shmmax": "65536"}, oomScoreAdj=100)
    made.map_users()
    log = scratch / "trace"
    log.write_text("")
    wrap = [strace, "-f", "-qq", "-o", str(log), "-e", "trace=openat,openat2,pivot_root,move_mount"]
    command = runtime.making("create", made.write())
    running = runtime.spawn(*command, wrap=wrap)
    container = Container(runtime, command[-1], made)
    until(lambda: runtime("state", container.id).code == 0, "there is a record", 10)
    container.wait("created")
    until(lambda: "pivot_root(" in text(log), "the root was entered")
    container.delete("--force")
    running.wait()
    calls = [line.partition(" ")[::2] for line in text(log).splitlines()]
    (init,) = {pid for pid, call in calls if "pivot_root(" in call}
    # With O_PATH nothing is read or written: so are the places found that are to be masked.
    opened = [
        call for pid, call in calls if pid == init and "open" in call and "O_PATH" not in call
    ]
    assert not [call for call in opened if re.search(r'\(AT_FDCWD, "/proc/.', call)]
    written = [call for call in opened if "O_WRONLY" in call or "O_RDWR" in call]
    kernels = [call for call in written if re.search(r'"(self|thread-self|sys)/', call)]
    assert any("sys/kernel/shmmax" in call for call in kernels)
    for call in kernels:
        assert "RESOLVE_NO_XDEV" in call, call
        assert "RESOLVE_NO_MAGICLINKS" in call, call


def test_redirected_kernel_files_stay_untouched(
    runtime: Runtime, bundle: MakeBundle, victim: Path
) -> None:
    """CVE-2025-52881 (R17): names of /proc in the image that are links elsewhere."""
    made = bundle("true", sysctl={"kernel.shmmax": "65536"}, oomScoreAdj=100)
    place = made.rootfs / "proc"
    for name in ("self", "thread-self", "sys", "1"):
        (place / name).symlink_to(victim)
    assert runtime.run(made).code == 0


DEVICES = ["fd", "stdin", "stdout", "stderr", "core", "null", "zero", "full", "tty", "random"]


@pytest.mark.expect_fail_on("runc", "runc 1.1.5 has CVE-2026-41579", strict=False)
@pytest.mark.parametrize(
    "mounts", [MOUNTS, without(MOUNTS, "/dev"), [*without(MOUNTS, "/dev"), PTS]]
)
def test_dev_of_the_image_may_be_a_link(
    runtime: Runtime, bundle: MakeBundle, victim: Path, mounts: list[Any]
) -> None:
    """CVE-2026-41579, CVE-2026-47766 (R18, C9), cases 1 and 2: to a directory of the host."""
    made = bundle("true", all_mounts=mounts)
    (made.rootfs / "dev").rmdir()
    (made.rootfs / "dev").symlink_to(victim)
    runtime.run(made)
    assert (victim / "ptmx").read_text() == "regular\n"
    assert not [name for name in DEVICES if os.path.lexists(victim / name)]


@pytest.mark.parametrize("target", ["{}", "../../../../../../../..{}"])
def test_a_mount_point_through_a_link_stays_inside(
    runtime: Runtime, bundle: MakeBundle, victim: Path, target: str
) -> None:
    """CVE-2019-18837 (C3), cases 15 and 16."""
    made = bundle("ls", "/", mounts=[bind(victim, "/link/newdir", "bind"), tmpfs("/link/other")])
    (made.rootfs / "link").symlink_to(target.format(victim))
    runtime.run(made)
    assert not (victim / "newdir").exists()


@pytest.mark.expect_fail_on("runc", "runc 1.1.5 follows some of them", strict=False)
@pytest.mark.parametrize(
    "name",
    [
        "dev/null", "dev/zero", "dev/full", "dev/tty", "dev/random", "dev/urandom", "dev/console",
        "dev/ptmx", "dev/fd", "dev/stdin", "dev/stdout", "dev/stderr", "dev/core", "dev/pts",
        "dev/shm", "dev/mqueue", "work", "mnt", "file", "dev/mine", ".dockerenv", "run",
    ],
)  # fmt: skip
def test_no_file_is_made_through_a_link_of_the_image(
    runtime: Runtime, bundle: MakeBundle, victim: Path, name: str
) -> None:
    """CVE-2025-24965 (C5), case 26: every name that the runtime may make."""
    device = {"path": "/dev/mine", "type": "c", "major": 1, "minor": 3, "uid": 7, "gid": 7}
    mounts = [*without(MOUNTS, "/dev"), tmpfs("/mnt"), bind("/etc/hostname", "/file", "bind", "ro")]
    made = bundle("true", cwd="/work", all_mounts=mounts, devices=[device])
    path = made.rootfs / name
    if path.is_dir():
        path.rmdir()
    path.symlink_to(victim / "new")
    runtime.run(made)
    assert not os.path.lexists(victim / "new")


@pytest.mark.expect_fail_on("runc", "runc 1.1.5 follows it", strict=False)
def test_a_console_is_not_made_through_a_link(
    runtime: Runtime, bundle: MakeBundle, victim: Path, scratch: Path
) -> None:
    """CVE-2026-88264 (C6, R16a), case 3: no /dev mount, devpts kept."""
    made = bundle(*SLEEP, terminal=True, all_mounts=[*without(MOUNTS, "/dev"), PTS])
    (made.rootfs / "dev/console").symlink_to(victim / "pwn")
    receiver = Receiver(scratch / "s")
    settled(runtime, made, "--console-socket", str(receiver.path))
    receiver.close()
    assert not os.path.lexists(victim / "pwn")


@pytest.mark.expect_fail_on("runc", "runc 1.1.5 opens it again, whatever it is")
@pytest.mark.parametrize("pipe", [False, True])
def test_a_null_device_that_is_none_is_not_used(
    runtime: Runtime, bundle: MakeBundle, scratch: Path, pipe: bool
) -> None:
    """CVE-2026-88265 (C7), case 4: a host file bound in, with rdev 0 like a pipe's."""
    target = scratch / "data"
    target.write_text("content\n")
    mounts = [*without(MOUNTS, "/dev"), bind(target, "/data/f", "bind")]
    user = {"uid": 1234, "gid": 1234}
    made = bundle("echo", "HELLO", all_mounts=mounts, user=user)
    (made.rootfs / "dev/null").symlink_to("/data/f")
    wrap = ["sh", "-c", '"$@" | cat', "sh"] if pipe else []
    ran = runtime.run(made, wrap=wrap)
    assert target.read_text() == "content\n"
    assert target.stat().st_uid == 0
    assert ran.stdout == "HELLO\n" or "/dev/null" in ran.message, ran


def test_the_victim_is_watched(victim: Path) -> None:
    """The fixture notices what it should: devices, links and files."""
    before = host.listing(victim)
    (victim / "new").symlink_to("x")
    assert host.listing(victim) != before
    (victim / "new").unlink()
    assert host.listing(victim) == before
