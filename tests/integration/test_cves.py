# SPDX-License-Identifier: Apache-2.0
"""One test, at least, for each published advisory of this field; docs/cves.md is the index."""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from blackbox import host
from blackbox.bundle import CAPABILITIES, MOUNTS, PTS, Bundle, MakeBundle, bind, tmpfs, without
from blackbox.console import Receiver
from blackbox.processes import Ran, Running, rounds, text, until
from blackbox.runtime import Container, Runtime

INDEX = Path(__file__).resolve().parents[2] / "docs/cves.md"
ROUNDS = rounds(50)
SLEEP = ("sleep", "1000")
ADVISORIES = """
CVE-2016-3697 CVE-2016-9962 CVE-2019-5736 CVE-2019-16884 CVE-2019-19921 GHSA-g54h-m393-cpwq
CVE-2021-30465 CVE-2021-43784 CVE-2022-29162 CVE-2023-25809 CVE-2023-27561 CVE-2023-28642
GHSA-5g49-rx9x-qfc6 CVE-2024-21626 CVE-2024-45310 CVE-2025-31133 CVE-2025-52565 CVE-2025-52881
CVE-2026-41579 CVE-2019-18837 CVE-2022-27650 CVE-2025-24965 CVE-2026-88264 CVE-2026-88265
CVE-2026-30892 CVE-2026-47766 CVE-2025-27612 CVE-2025-54867 CVE-2025-62161 CVE-2025-62596
GHSA-3q8j-pf29-vwv8
""".split()


def runtime_files(program: str) -> list[Path]:
    """Return every file that the runtime consists of and a container must never change."""
    real = Path(program).resolve()
    found = [real]
    for package in Path(program).parent.parent.glob("lib*/python*/site-packages/pyoci"):
        found += [path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"]
        found.append(Path(shutil.which("python3") or "/usr/bin/python3").resolve())
    return found


def digest(files: list[Path]) -> list[str]:
    """Return the SHA-256 of files."""
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]


@pytest.fixture
def untouched(runtime: Runtime) -> Iterator[None]:
    """Compare the runtime's own files before and after."""
    files = runtime_files(runtime.program)
    before = digest(files)
    yield
    assert digest(files) == before


def with_probe(bundle: MakeBundle, probe: Path, *args: str, **edits: Any) -> Bundle:
    """Return a bundle with the helper program at /probe."""
    made = bundle(args=["/probe", *args], **edits)
    made.edit(mounts=[bind(probe, "/probe", "bind", "ro")])
    return made.write()


def settled(runtime: Runtime, made: Bundle, *options: str) -> Ran:
    """Create a container, successfully or not, within ten seconds, and delete it."""
    container, ran = runtime.try_create(made, *options, seconds=10)
    if ran.code == 0:
        container.start()
        container.delete("--force")
    return ran


def test_the_index_is_complete() -> None:
    """docs/cves.md names each advisory of security.md section 1 with a test that exists."""
    rows = re.findall(
        r"^\| ((?:CVE|GHSA)\S+) \|[^|]*\| `(\w+)::(\w+)` \|", INDEX.read_text(), re.MULTILINE
    )
    assert sorted({row[0] for row in rows}) == sorted(ADVISORIES)
    for advisory, module, name in rows:
        source = (Path(__file__).parent / f"{module}.py").read_text()
        body = source.partition(f"def {name}(")[2].partition("\ndef ")[0]
        assert advisory in body, f"{module}::{name} should name {advisory}"


def test_a_numeric_user_is_a_number(runtime: Runtime, bundle: MakeBundle) -> None:
    """CVE-2016-3697 (R1): not a name of the container's passwd."""
    made = bundle(*SLEEP)
    (made.rootfs / "etc/passwd").write_text("1000:x:0:0::/:/bin/sh\n0:x:7:7::/:/bin/sh\n")
    container = runtime.start(made)
    assert container.exec("--user", "1000", "--", "id", "-u").stdout == "1000\n"


@pytest.mark.parametrize(
    ("user", "uid", "gid"), [("1", "1", "0"), ("1:2", "1", "2"), ("0", "0", "0"), ("007", "7", "0")]
)
def test_a_user_is_never_another_one(
    runtime: Runtime, bundle: MakeBundle, user: str, uid: str, gid: str
) -> None:
    """CVE-2026-30892 (C8), case 35: `-u 1` is uid 1."""
    container = runtime.start(bundle(*SLEEP))
    ran = container.exec("--user", user, "--", "sh", "-c", "id -u; id -g")
    assert ran.stdout.split() == [uid, gid]


@pytest.mark.parametrize(
    "user",
    ["-1", "1x", "4294967296", "4294967295", " 1", "1:", ":1", "1:2:3", "1:x", "0x1", "alice"],
)
def test_a_user_that_is_no_number_is_refused(
    runtime: Runtime, bundle: MakeBundle, user: str
) -> None:
    """CVE-2016-3697, CVE-2026-30892, case 35."""
    if runtime.name == "runc" and user in ("4294967295", "4294967296", "1:2:3"):
        pytest.skip("runc 1.1 takes it")
    container = runtime.start(bundle(*SLEEP))
    ran = container.exec(f"--user={user}", "--", "id", "-u")
    assert (ran.code, ran.stdout) == (255 if runtime.name != "runc" else ran.code or 255, "")


def test_nothing_is_seen_of_a_process_that_comes_in(
    runtime: Runtime, bundle: MakeBundle, probe: Path
) -> None:
    """CVE-2016-9962 (R2), case 32: neither its program nor its files nor its directories."""
    container = runtime.start(with_probe(bundle, probe, "watch"))
    container.written("ready\n")
    for _ in ROUNDS:
        assert container.exec("true").code == 0
    for line in container.stdout.splitlines()[1:]:
        assert re.match(r"/bin/|/$|/dev/null|pipe:|/probe|/tmp/pyoci-test.*/out/", line), line


def test_a_tracer_in_the_container_sees_no_host_path(
    runtime: Runtime, bundle: MakeBundle, probe: Path
) -> None:
    """CVE-2016-9962 (R2): with CAP_SYS_PTRACE, which may look past non-dumpable."""
    made = with_probe(bundle, probe, "watch", caps=[*CAPABILITIES, "CAP_SYS_PTRACE"])
    container = runtime.start(made)
    container.written("ready\n")
    for _ in ROUNDS:
        assert container.exec("true").code == 0
    places = [line for line in container.stdout.splitlines()[1:] if line.startswith("/")]
    inside = re.compile(
        r"/bin/|/$|/dev/null|/probe|/proc|/etc/passwd|/memfd:|/tmp/pyoci-test.*/out/"
    )
    known = [place for place in places if inside.match(place)]
    if runtime.name == "pyoci":
        assert places == known


def test_the_interpreter_line_cannot_name_the_runtime(
    runtime: Runtime, bundle: MakeBundle, untouched: None
) -> None:
    """CVE-2019-5736 (R3a, C1, Y1), case 33."""
    made = bundle("/bin/entry", "x")
    (made.rootfs / "bin/entry").write_text("#!/proc/self/exe\n")
    (made.rootfs / "bin/entry").chmod(0o755)
    runtime.run(made)


def test_the_program_of_an_exec_cannot_be_overwritten(
    runtime: Runtime, bundle: MakeBundle, probe: Path, untouched: None
) -> None:
    """CVE-2019-5736 (R3b, C1, Y1), case 33: pid 1 opens /proc/PID/exe of all that come in."""
    made = with_probe(bundle, probe, "spoil", caps=[*CAPABILITIES, "CAP_SYS_PTRACE"])
    made.own_program()
    container = runtime.start(made)
    container.written("ready\n")
    for _ in ROUNDS:
        container.exec("/proc/self/exe")
        container.exec("true")


def test_the_program_of_a_waiting_init_is_no_file_of_the_host(
    runtime: Runtime, bundle: MakeBundle
) -> None:
    """CVE-2019-5736 (R3c): a sealed memory file, or another file than any of the runtime's."""
    container = runtime.create(bundle(*SLEEP))
    info = os.stat(f"/proc/{container.pid}/exe")
    installed = [os.stat(path) for path in runtime_files(runtime.program)]
    if runtime.name != "runc":  # 1.1 binds its own file read-only
        assert (info.st_dev, info.st_ino) not in [(each.st_dev, each.st_ino) for each in installed]
    with pytest.raises(OSError, match="busy|not permitted|Read-only"):
        os.close(os.open(f"/proc/{container.pid}/exe", os.O_WRONLY))


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


@pytest.mark.parametrize("resources", [None, {}, {"devices": []}])
def test_without_device_rules_everything_is_denied(
    runtime: Runtime, bundle: MakeBundle, resources: Any
) -> None:
    """GHSA-g54h-m393-cpwq (R6), case 43."""
    script = "mknod /tmp/b b 254 0; dd if=/tmp/b count=1; echo >/dev/null && echo null"
    ran = runtime.run(bundle(sh=script, caps=["CAP_MKNOD"], resources=resources))
    assert "Operation not permitted" in ran.stderr
    assert ran.stdout == "null\n"


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


def test_long_values_do_not_overflow_into_others(runtime: Runtime, bundle: MakeBundle) -> None:
    """CVE-2021-43784 (R8), case 66: a namespace path of 70 000 bytes."""
    made = bundle(*SLEEP)
    made.set_namespace(ipc="/proc/self/ns/" + "x" * 70000)
    runtime.refuses(made.write())


@pytest.mark.parametrize("count", [200, 341, 6000])
def test_many_mappings_are_exact_or_refused(
    runtime: Runtime, bundle: MakeBundle, count: int
) -> None:
    """CVE-2021-43784 (R8), case 66."""
    made = bundle("cat", "/proc/self/uid_map")
    made.map_users()
    lines = [{"containerID": n, "hostID": 100000 + 2 * n, "size": 1} for n in range(count)]
    made.edit(uidMappings=lines)
    ran = runtime.run(made.write())
    if ran.code == 0:
        assert len(ran.stdout.splitlines()) == count
    else:
        assert count > 340, ran
        assert ran.stderr.strip()


def test_a_large_environment(runtime: Runtime, bundle: MakeBundle) -> None:
    """CVE-2021-43784 (R8), case 66: 200 000 bytes."""
    env = [f"V{n}=" + "x" * 1000 for n in range(200)]
    assert runtime.output(bundle(sh="echo ${#V199}", env=env)) == "1000\n"


def test_exec_adds_no_inheritable_capability(runtime: Runtime, bundle: MakeBundle) -> None:
    """CVE-2022-29162, CVE-2022-27650, CVE-2025-27612 (R9, C4, Y3), case 36."""
    container = runtime.start(bundle(*SLEEP))
    wanted = "CapInh:\t0000000000000000\n"
    command = ["grep", "CapInh", "/proc/self/status"]
    assert container.exec("--cap", "CAP_CHOWN", "--", *command).stdout == wanted
    process = {
        "args": command,
        "cwd": "/",
        "env": ["PATH=/bin"],
        "user": {"uid": 0, "gid": 0},
        "capabilities": {k: ["CAP_CHOWN"] for k in ("bounding", "effective", "permitted")},
    }
    assert container.exec_process(process).stdout == wanted


@pytest.mark.parametrize("key", ["../../../../tmp/{}", "{}", "../{}", "a/b", "..", "."])
def test_a_unified_key_stays_in_its_cgroup(
    runtime: Runtime, bundle: MakeBundle, scratch: Path, key: str
) -> None:
    """GHSA-5g49-rx9x-qfc6 (R12), case 55."""
    (scratch / "target").write_text("before")
    name = key.format(scratch / "target")
    runtime.refuses(bundle(*SLEEP, resources={"unified": {name: "after"}}))
    assert (scratch / "target").read_text() == "before"


LEAKED = ["bash", "-c", 'exec 9</; exec "$@"', "bash"]


@pytest.mark.parametrize("number", range(3, 16))
def test_cwd_cannot_be_a_descriptor_of_the_runtime(
    runtime: Runtime, bundle: MakeBundle, victim: Path, number: int
) -> None:
    """CVE-2024-21626 (R13, Y2), case 27."""
    script = f"cat ../../../../../..{victim}/marker"
    ran = runtime.run(bundle(sh=script, cwd=f"/proc/self/fd/{number}"), wrap=LEAKED)
    assert "host" not in ran.stdout


@pytest.mark.parametrize("number", range(3, 16))
def test_the_cwd_of_exec_cannot_be_a_descriptor_of_the_runtime(
    runtime: Runtime, bundle: MakeBundle, victim: Path, number: int
) -> None:
    """CVE-2024-21626 (R13, Y2), case 28."""
    container = runtime.start(bundle(*SLEEP), wrap=LEAKED)
    command = ["--", "cat", f"../../../../../..{victim}/marker"]
    ran = container.exec("--cwd", f"/proc/self/fd/{number}", *command, wrap=LEAKED)
    assert "host" not in ran.stdout


@pytest.mark.parametrize("number", range(3, 16))
def test_a_program_cannot_be_reached_through_a_descriptor(
    runtime: Runtime, bundle: MakeBundle, number: int
) -> None:
    """CVE-2024-21626 (R13), case 29: args[0] = /proc/self/fd/N/... ."""
    made = bundle(f"/proc/self/fd/{number}/bin/busybox", "cat", "/etc/hostname")
    made.edit(args=[f"/proc/self/fd/{number}{shutil.which('cat')}", "/etc/passwd"])
    ran = runtime.run(made.write(), wrap=LEAKED)
    assert ran.code != 0
    assert "root" not in ran.stdout


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
