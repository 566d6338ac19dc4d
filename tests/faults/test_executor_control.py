# SPDX-License-Identifier: Apache-2.0
"""native/control.c, hooks.c, program.c: init and the runtime, hooks, the program."""

import errno
import os
import signal
from pathlib import Path

import pytest
from faults import plans
from faults.conftest import Spawn

from pyoci.plan import ops

NO_SLOT = ops.NO_SLOT
BUSYBOX = "/bin/busybox"
pytestmark = pytest.mark.skipif(not os.access(BUSYBOX, os.X_OK), reason="needs busybox-static")


def topic(name: str) -> int:
    return ops.TOPICS.index(name)


def shell(script: str, *, timeout_ms: int = 0, index: int = 0) -> plans.Plan:
    argv = ["sh", "-c", script]
    return plans.Plan().add("hook", "/bin/sh", argv, ["PATH=/bin"], 2, timeout_ms, index)


def failure(run: plans.Run) -> plans.Report:
    status, reports = run.finish()
    assert status == 1
    assert reports[-1].kind == "failed"
    return reports[-1]


def test_a_plan_without_operations_succeeds(spawn: Spawn) -> None:
    assert spawn(plans.Plan()).finish() == (0, [])


def test_init_is_our_child_and_waits_for_the_word(spawn: Spawn) -> None:
    plan = plans.Plan().add("clone", 0, NO_SLOT).add("ask", topic("ready"))
    run = spawn(plan.add("tell", topic("sealed")))
    kinds = [run.report(), run.report()]
    assert {report.kind for report in kinds if report} == {"cloned", "asked"}  # two processes
    assert Path(f"/proc/{run.init}/stat").read_text().split()[3] == str(os.getpid())
    assert Path(f"/proc/{run.init}/comm").read_text() == "pyoci:[INIT]\n"
    run.answer()
    status, (told,) = run.finish()
    assert (status, told.kind, told.value) == (0, "told", topic("sealed"))


@pytest.mark.parametrize("word", [b"no", b"x", None])
def test_init_ends_without_the_word(spawn: Spawn, word: bytes | None) -> None:
    run = spawn(plans.Plan().add("ask", 0).add("tell", 1))
    assert run.report()
    if word is None:
        run.socket.close()
    else:
        run.answer(word)
    assert run.wait() == 1


def test_a_runtime_that_is_gone_ends_init(spawn: Spawn) -> None:
    plan = plans.Plan().add("ask", 0).add("parent_death_signal", signal.SIGKILL)
    run = spawn(plan.add("hook", "/bin/sh", ["sh", "-c", "echo ran >&2"], None, 2, 0, 0))
    assert run.report()
    os.kill(run.pid, signal.SIGSTOP)  # it must find the word and the end of the runtime together
    run.answer()
    run.socket.close()
    os.kill(run.pid, signal.SIGCONT)
    assert run.wait() == 1
    assert run.error_text() == ""


def test_an_expected_error_skips(spawn: Spawn) -> None:
    plan = plans.Plan()
    plan.add("open", 5, ops.CWD_SLOT, "/missing", 0, 0, 0, ignore=(errno.ENOENT,), skip=1)
    plan.add("tell", 1).add("tell", 2)
    status, reports = spawn(plan).finish()
    assert (status, [report.value for report in reports]) == (0, [2])


def test_success_skips_nothing(spawn: Spawn) -> None:
    plan = plans.Plan()
    plan.add("open", 5, ops.CWD_SLOT, "/", 0, 0, 0, ignore=(errno.ENOENT,), skip=1)
    status, reports = spawn(plan.add("tell", 1).add("tell", 2)).finish()
    assert (status, [report.value for report in reports]) == (0, [1, 2])


def test_another_error_is_reported_with_its_operation(spawn: Spawn) -> None:
    plan = plans.Plan().add("tell", 1)
    plan.add("open", 5, ops.CWD_SLOT, "/missing", 0, 0, 0, ignore=(errno.EPERM,), skip=0)
    report = failure(spawn(plan))
    assert (report.operation, report.errno) == (1, errno.ENOENT)


def test_a_descriptor_is_passed(spawn: Spawn) -> None:
    plan = plans.Plan().add("open", 5, ops.CWD_SLOT, "/proc", os.O_PATH, 0, 0)
    status, (report,) = spawn(plan.add("pass_fd", 5, topic("console"))).finish()
    assert (status, report.kind, report.value) == (0, "passed", topic("console"))
    assert os.readlink(f"/proc/self/fd/{report.fds[0]}") == "/proc"
    os.close(report.fds[0])


def test_forgotten_descriptors_are_closed(spawn: Spawn) -> None:
    """CVE-2024-21626: preserved ones are below BASE, everything above the plan is closed."""
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 200)
    os.close(null)
    try:
        run = spawn(plans.Plan().add("clone", 0, NO_SLOT).add("ask", 0))
    finally:
        os.close(200)
    assert [run.report(), run.report()]
    fds = {int(name) for name in os.listdir(f"/proc/{run.init}/fd")}
    run.answer()
    assert run.finish() == (0, [])
    assert {fd for fd in fds if fd >= plans.BASE} == {100, 101, 102}


# --- hooks


def test_a_hook_gets_the_state_and_its_environment(spawn: Spawn, tmp_path: Path) -> None:
    script = f"cd {tmp_path}; cat > state; echo $PATH > path; ls /proc/self/fd > fds"
    plan = shell(script).add("hook", "/bin/sh", ["sh", "-c", "cat >&2; exit 3"], None, 2, 0, 1)
    report = failure(spawn(plan, state=b"the state"))
    assert (tmp_path / "state").read_text() == "the state"
    assert (tmp_path / "path").read_text() == "/bin\n"
    assert (tmp_path / "fds").read_text().split() == ["0", "1", "2", "3"]  # 3 is ls's own
    assert (report.operation, report.detail) == (1, "the state")  # rewound for the second
    assert os.waitstatus_to_exitcode(report.value) == 3


def test_a_failing_hook_shows_its_last_words(spawn: Spawn) -> None:
    report = failure(spawn(shell("seq 1 5000; echo the end; kill -9 $$")))
    assert len(report.detail) == 4000
    assert report.detail.endswith("5000\nthe end\n")
    assert os.waitstatus_to_exitcode(report.value) == -9


def test_a_hook_that_is_missing_says_so(spawn: Spawn) -> None:
    report = failure(spawn(plans.Plan().add("hook", "/missing", ["x"], [], 2, 0, 0)))
    assert (report.errno, report.value) == (errno.ENOENT, 0)


def test_a_hook_past_its_timeout_is_killed_with_its_children(spawn: Spawn) -> None:
    seconds = 100_000 + os.getpid()  # by which the processes are ours
    report = failure(spawn(shell(f"echo begun; sleep {seconds} & sleep {seconds}", timeout_ms=300)))
    assert (report.errno, report.detail) == (errno.ETIME, "begun\n")
    assert not processes(f"sleep\000{seconds}")


def test_a_daemon_that_keeps_the_pipe_does_not_hold_init_back(spawn: Spawn) -> None:
    seconds = 200_000 + os.getpid()
    run = spawn(shell(f"sleep {seconds} & echo $! >&2", timeout_ms=60_000))
    assert run.finish() == (0, [])
    (daemon,) = processes(f"sleep\000{seconds}")  # nobody waited for it
    os.kill(daemon, signal.SIGKILL)


def test_a_hook_that_ignores_a_large_state_ends(spawn: Spawn) -> None:
    assert spawn(shell("exit 0", timeout_ms=5000), state=bytes(200_000)).finish() == (0, [])


def processes(command: str) -> list[int]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if command in Path(f"/proc/{name}/cmdline").read_text():
                found.append(int(name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


# --- the program


def program(name: str, path: str | None, *argv: str) -> plans.Plan:
    return plans.Plan().add("find_program", name, path).add("execute", [name, *argv], ["A=b"])


@pytest.mark.parametrize(
    ("name", "path"),
    [("sh", "/missing:/bin"), ("sh", "/etc/passwd:/etc:/usr/bin:/bin"), ("/bin/sh", None)],
)
def test_a_program_is_found_and_executed(spawn: Spawn, name: str, path: str | None) -> None:
    run = spawn(program(name, path, "-c", "echo $0 $A; exit 7"))
    assert run.finish() == (7, [])
    assert run.text() == f"{name} b\n"


@pytest.mark.parametrize(
    ("name", "path", "number"),
    [
        ("missing", "/bin:/usr/bin", errno.ENOENT),
        ("missing", None, errno.ENOENT),
        ("", "/bin", errno.ENOENT),
        ("passwd", "/missing:/etc", errno.EACCES),
        ("/etc/passwd", None, errno.EACCES),
        ("/etc", None, errno.EISDIR),
        ("/missing", None, errno.ENOENT),
        ("bin", "/", errno.ENOENT),
    ],
)
def test_a_program_that_cannot_be_found_is_named(
    spawn: Spawn, name: str, path: str | None, number: int
) -> None:
    report = failure(spawn(program(name, path)))
    assert (report.operation, report.errno, report.detail) == (0, number, name)


def test_init_waits_for_the_start(spawn: Spawn) -> None:
    plan = plans.Plan().add("find_program", "sh", "/bin").add("tell", topic("ready"))
    plan.add("wait_start", 1).add("close_fds", 1, 3)
    run = spawn(plan.add("execute", ["sh", "-c", "echo /proc/self/fd/*"], []))
    assert run.report()
    assert os.waitpid(run.pid, os.WNOHANG) == (0, 0)
    run.start()
    assert run.finish() == (0, [])
    assert run.text() == "/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 /proc/self/fd/3\n"


def late(tmp_path: Path, name: str = "script", content: str = "#!/missing/interpreter\n") -> str:
    path = tmp_path / name
    path.write_text(content)
    path.chmod(0o755)
    return str(path)


def test_a_failure_after_the_start_is_a_line_and_a_record(spawn: Spawn, tmp_path: Path) -> None:
    path = late(tmp_path)
    plan = plans.Plan().add("find_program", path, None).add("wait_start", 1)
    run = spawn(plan.add("close_fds", 1, 3).add("execute", [path], []))
    run.start()
    assert run.finish() == (1, [])
    assert run.error_text() == f"exec {path}: no such file or directory\n"
    report = run.late_report()
    assert (report.kind, report.operation, report.errno) == ("failed", 3, errno.ENOENT)


def test_a_file_that_is_no_program_is_an_exec_format_error(spawn: Spawn, tmp_path: Path) -> None:
    path = late(tmp_path, content="not a program")
    plan = plans.Plan().add("find_program", path, None).add("wait_start", 1)
    run = spawn(plan.add("execute", [path], []))
    run.start()
    assert run.finish() == (1, [])
    assert run.error_text() == f"exec {path}: exec format error\n"


def test_a_failing_start_hook_is_a_line_and_a_record(spawn: Spawn) -> None:
    plan = plans.Plan().add("wait_start", 1)
    plan.add("hook", "/bin/sh", ["sh", "-c", "echo one; echo two; exit 5"], None, 2, 0, 4)
    run = spawn(plan)
    run.start()
    assert run.finish() == (1, [])
    words = "error running startContainer hook #4: exit status 5, output: one two\n"
    assert run.error_text() == words
    report = run.late_report()
    assert (report.operation, report.value, report.detail) == (1, 5 << 8, "one\ntwo\n")


def test_a_waiting_init_is_small(spawn: Spawn) -> None:
    """Issue 2: at most 200 KB of private memory; here at most 100."""
    run = spawn(plans.Plan().add("clone", 0, NO_SLOT).add("tell", 0).add("wait_start", 1))
    assert [run.report(), run.report()]
    lines = Path(f"/proc/{run.init}/smaps_rollup").read_text().splitlines()
    private = sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
    run.start()
    assert run.finish() == (0, [])
    assert private <= 100
