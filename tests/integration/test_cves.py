# SPDX-License-Identifier: Apache-2.0
"""One test, at least, for each published advisory of this field; docs/cves.md is the index.

Those of paths are in test_cve_paths.py.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from blackbox.bundle import CAPABILITIES, Bundle, MakeBundle, bind
from blackbox.processes import rounds
from blackbox.runtime import Runtime

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


@pytest.mark.parametrize("resources", [None, {}, {"devices": []}])
def test_without_device_rules_everything_is_denied(
    runtime: Runtime, bundle: MakeBundle, resources: Any
) -> None:
    """GHSA-g54h-m393-cpwq (R6), case 43."""
    script = "mknod /tmp/b b 254 0; dd if=/tmp/b count=1; echo >/dev/null && echo null"
    ran = runtime.run(bundle(sh=script, caps=["CAP_MKNOD"], resources=resources))
    assert "Operation not permitted" in ran.stderr
    assert ran.stdout == "null\n"


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
