# SPDX-License-Identifier: Apache-2.0
"""list, ps, log files, and the command line itself."""

import getpass
import json
import re
from pathlib import Path

import pytest
from blackbox.bundle import MakeBundle
from blackbox.processes import text
from blackbox.runtime import ENVIRONMENT, Runtime

SLEEP = ("sleep", "1000")
USER = getpass.getuser()
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|\+00:00)"


def test_an_empty_list_is_null(runtime: Runtime) -> None:
    """cli.md 2, list: no containers: `null`."""
    runtime.root.mkdir()
    assert runtime("list", "--format", "json").stdout.strip() == "null"


def test_list_as_json(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, list: one compact line, literally."""
    container = runtime.create(bundle(*SLEEP))
    out = runtime("list", "--format", "json").stdout
    state = container.state()
    wanted = (
        f'[{{"ociVersion":"{state["ociVersion"]}","id":"{container.id}","pid":{state["pid"]},'
        f'"status":"created","bundle":"{state["bundle"]}","rootfs":"{state["rootfs"]}",'
        f'"created":"{state["created"]}","owner":"{USER}"}}]'
    )
    assert out.rstrip("\n") == wanted


def test_list_as_a_table(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, list: columns."""
    container = runtime.create(bundle(*SLEEP))
    header, row = runtime("list").stdout.splitlines()
    assert header.split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    state = container.state()
    expected = [
        container.id,
        str(state["pid"]),
        "created",
        state["bundle"],
        state["created"],
        USER,
    ]
    assert row.split() == expected
    assert header.index("PID") == row.index(str(state["pid"]), len(container.id))


def test_a_quiet_list_is_ids(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, list --quiet: sorted by name."""
    made = bundle(*SLEEP)
    ids = sorted(runtime.create(made).id for _ in range(3))
    assert runtime("list", "--quiet").stdout.split() == ids


def test_list_shows_the_stopped(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, list: pid 0."""
    container = runtime.start(bundle("true"))
    container.wait()
    listed = json.loads(runtime("list", "--format", "json").stdout)
    assert [(c["status"], c["pid"]) for c in listed] == [("stopped", 0)]


def test_list_keeps_no_descriptors(runtime: Runtime, bundle: MakeBundle) -> None:
    """With 500 containers a descriptor each would be one too many."""
    made = bundle(*SLEEP)
    ids = {runtime.create(made).id for _ in range(12)}
    wrap = ["sh", "-c", 'ulimit -n 16; exec "$@"', "sh"]
    ran = runtime("list", "--quiet", wrap=wrap)
    assert ran.code == 0, ran
    assert set(ran.stdout.split()) == ids


def test_an_unknown_format_of_list(runtime: Runtime) -> None:
    """cli.md 2, list: `invalid format option`."""
    runtime.root.mkdir()
    ran = runtime("list", "--format", "xml")
    assert ran.code == 1
    assert "invalid format option" in ran.message


@pytest.mark.expect_fail_on("runc", "runc 1.1 makes the directory")
def test_list_of_a_root_that_is_not_there_fails(runtime: Runtime) -> None:
    """cli.md 2, list: an explicit root that does not exist is an error."""
    assert runtime("list").code == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"id":5}', "\0\0"])
def test_a_broken_record_does_not_hide_the_others(
    runtime: Runtime, bundle: MakeBundle, content: str
) -> None:
    """Case 89."""
    container = runtime.create(bundle(*SLEEP))
    broken = runtime.root / "broken"
    broken.mkdir()
    (broken / "state.json").write_text(content)
    ran = runtime("list", "--quiet")
    assert container.id in ran.stdout.split()
    assert container.status == "created"
    assert runtime("state", "broken").code == 1
    runtime("delete", "--force", "broken")
    for leftover in broken.glob("*"):
        leftover.unlink()
    if broken.exists():
        broken.rmdir()


def test_ps_as_json(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, ps: `[1,2,3]` of host pids and nothing else."""
    container = runtime.start(bundle(sh="sleep 1000 & sleep 1000 & echo ready; wait"))
    container.written("ready")
    ran = runtime("ps", "--format", "json", container.id)
    assert re.fullmatch(r"\[\d+,\d+,\d+\]\n?", ran.stdout)
    assert container.pid in json.loads(ran.stdout)
    assert ran.stderr == ""


def test_ps_as_a_table(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, ps: the host's ps, its rows filtered."""
    container = runtime.start(bundle("sleep", "4321"))
    header, row = runtime("ps", container.id).stdout.splitlines()
    assert header.split()[:3] == ["UID", "PID", "PPID"]
    assert row.split()[1] == str(container.pid)
    assert "sleep 4321" in row


def test_ps_passes_its_arguments_on(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 1: `ps ID -ef`: options end at the id."""
    container = runtime.start(bundle("sleep", "4321"))
    header, row = runtime("ps", container.id, "-o", "pid,comm").stdout.splitlines()
    assert header.split() == ["PID", "COMMAND"]
    assert row.split() == [str(container.pid), "sleep"]


def test_ps_of_a_stopped_container(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, ps: `null`, rc 0."""
    container = runtime.start(bundle("true"))
    container.wait()
    ran = runtime("ps", "--format", "json", container.id)
    assert (ran.code, ran.stdout.strip()) == (0, "null")


def test_a_text_log(runtime: Runtime, scratch: Path) -> None:
    """cli.md 1.2: the error goes to the log and to stderr."""
    log = scratch / "log"
    ran = runtime("state", "nothere", flags=["--log", str(log)])
    assert ran.code == 1
    assert re.fullmatch(
        rf'time="{TIME}" level=error msg="container does not exist"\n', log.read_text()
    )
    assert ran.stderr == "container does not exist\n"


def test_a_json_log(runtime: Runtime, scratch: Path) -> None:
    """cli.md 1.2: exactly level, msg, time; one line on failure, which podman decodes whole."""
    log = scratch / "log"
    flags = ["--log", str(log), "--log-format", "json"]
    ran = runtime("state", "nothere", flags=flags)
    assert ran.code == 1
    line = json.loads(log.read_text())
    assert sorted(line) == ["level", "msg", "time"]
    assert (line["level"], line["msg"]) == ("error", "container does not exist")
    assert re.fullmatch(TIME, line["time"])
    assert ran.stderr == "container does not exist\n"


def test_a_failed_create_writes_one_json_line(
    runtime: Runtime, bundle: MakeBundle, scratch: Path
) -> None:
    """cli.md 1.2: warnings must not spoil it."""
    log = scratch / "log"
    made = bundle("/no/such", caps=["CAP_NO_SUCH"])
    runtime.refuses(made, flags=["--log", str(log), "--log-format", "json"])
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert lines[-1]["level"] == "error"
    assert "no such file or directory" in lines[-1]["msg"]
    if runtime.name != "runc":
        assert len(lines) == 1


def test_a_log_is_appended_to(runtime: Runtime, scratch: Path) -> None:
    """cli.md 1: never truncated."""
    log = scratch / "log"
    log.write_text("before\n")
    runtime("state", "nothere", flags=["--log", str(log)])
    assert log.read_text().startswith("before\n")
    assert len(log.read_text().splitlines()) == 2


def test_a_success_logs_nothing(runtime: Runtime, bundle: MakeBundle, scratch: Path) -> None:
    """cli.md 1.2."""
    log = scratch / "log"
    flags = ["--log", str(log), "--log-format", "json"]
    runtime.create(bundle(*SLEEP), flags=flags)
    assert text(log) == ""


def test_debug_logs_debug_lines(runtime: Runtime, bundle: MakeBundle, scratch: Path) -> None:
    """cli.md 1.2: level=debug."""
    log = scratch / "log"
    runtime.create(bundle(*SLEEP), flags=["--debug", "--log", str(log)])
    assert "level=debug" in text(log)


def test_an_unknown_log_format(runtime: Runtime) -> None:
    """cli.md 1: `invalid log-format: X`, or unknown."""
    ran = runtime("state", "x", flags=["--log-format", "xml"])
    assert ran.code == 1
    assert "log-format" in ran.stderr


def test_the_version(runtime: Runtime) -> None:
    """cli.md 1.1: one word `version` only, a line with the specification's."""
    ran = runtime("--version")
    lines = ran.stdout.splitlines()
    assert ran.code == 0
    assert re.fullmatch(rf"{runtime.name} version \S+", lines[0])
    assert not any("version" in line for line in lines[1:])
    assert any(re.fullmatch(r"spec: \d+\.\d+\.\d+\S*", line) for line in lines)


def test_a_link_called_runc_is_runc(runtime: Runtime, scratch: Path) -> None:
    """Issue 2: a symlink called `runc` behaves as runc, --version included."""
    link = scratch / "runc"
    link.symlink_to(runtime.program)
    runtime.program = str(link)
    assert runtime("--version").stdout.startswith("runc version ")


@pytest.mark.parametrize("flag", ["--help", "-h", "help"])
def test_help(runtime: Runtime, flag: str) -> None:
    """cli.md 1: exit 0."""
    ran = runtime(flag)
    assert ran.code == 0
    assert ran.stdout.startswith("NAME:")
    for command in "create delete exec kill list ps run spec start state features".split():
        assert command in ran.stdout


@pytest.mark.parametrize("command", "create delete exec kill list ps run spec start state".split())
def test_help_of_a_command(runtime: Runtime, command: str) -> None:
    """cli.md 1: `<cmd> -h`: exit 0."""
    ran = runtime(command, "--help")
    assert ran.code == 0
    assert ran.stdout.startswith("NAME:")
    assert command in ran.stdout.splitlines()[1]


def test_no_command_is_help(runtime: Runtime) -> None:
    """cli.md 1: exit 0."""
    ran = runtime()
    assert ran.code == 0
    assert ran.stdout.startswith("NAME:")


def test_an_unknown_topic(runtime: Runtime) -> None:
    """cli.md 1: `No help topic for 'foo'`."""
    ran = runtime("foo", "-h")
    assert ran.code != 0
    assert "No help topic for 'foo'" in ran.stdout + ran.stderr


@pytest.mark.parametrize(
    "args", [("state",), ("start",), ("kill",), ("delete",), ("state", "a", "b")]
)
def test_a_wrong_number_of_arguments(runtime: Runtime, args: tuple[str, ...]) -> None:
    """cli.md 1: usage on stdout, the number in the error, exit 1."""
    ran = runtime(*args)
    assert ran.code == 1
    assert ran.stdout.startswith("Incorrect Usage")
    assert "requires" in ran.message


@pytest.mark.parametrize("args", [("state", "--nosuch", "x"), ("--nosuch", "state", "x")])
def test_an_unknown_option(runtime: Runtime, args: tuple[str, ...]) -> None:
    """cli.md 1: exit 1."""
    ran = runtime(*args)
    assert ran.code == 1
    assert "nosuch" in ran.stdout + ran.stderr


def test_an_option_without_its_argument(runtime: Runtime) -> None:
    """cli.md 1: podman and cri-o look for `flag needs an argument`."""
    ran = runtime("create", "--bundle")
    assert ran.code == 1
    both = ran.stdout + ran.stderr
    assert "flag needs an argument" in both or "requires an argument" in both


@pytest.mark.parametrize(
    "form", [["--bundle", "{}"], ["--bundle={}"], ["-b", "{}"], ["-b={}"], ["-bundle", "{}"]]
)
def test_every_form_of_an_option(runtime: Runtime, bundle: MakeBundle, form: list[str]) -> None:
    """cli.md 1: --flag v, --flag=v, -f v, -f=v, -flag v."""
    made = bundle("echo", "ran")
    name = runtime.new_id()
    made.place(runtime.cgroups_path(name))
    ran = runtime("run", *(word.format(made.path) for word in form), name)
    assert (ran.code, ran.stdout) == (0, "ran\n")


def test_options_may_follow_the_id(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 1: except for exec, ps and kill."""
    container = runtime.create(bundle(*SLEEP))
    if runtime.name == "runc":
        pytest.skip("runc 1.1 stops at the first argument")
    assert runtime("delete", container.id, "--force").code == 0


def test_a_root_of_slash_is_refused(runtime: Runtime) -> None:
    """cli.md 1: `Option --root argument should not be set to /`."""
    argv = [runtime.program, "--root", "/", "list"]
    runtime.command = lambda *args, flags=(): argv
    ran = runtime()
    if runtime.name != "runc":
        assert ran.code == 1
        assert "Option --root argument should not be set to /" in ran.message


def test_without_an_environment(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 3.4: podman runs `delete` with neither PATH nor HOME."""
    container = runtime.create(bundle(*SLEEP))
    assert runtime("delete", "--force", container.id, env={}).code == 0
    assert ENVIRONMENT


def test_an_empty_runtime_directory_is_unset(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 3.4: XDG_RUNTIME_DIR may be set but empty."""
    env = ENVIRONMENT | {"XDG_RUNTIME_DIR": ""}
    assert runtime.output(bundle("echo", "ran"), env=env) == "ran\n"


def test_stdin_may_be_closed(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, start: works with stdin closed."""
    container = runtime.create(bundle(*SLEEP))
    wrap = ["sh", "-c", 'exec "$@" <&-', "sh"]
    assert runtime("start", container.id, wrap=wrap).code == 0
    assert container.status == "running"


@pytest.mark.root("spec without --rootless is for root")
def test_spec_writes_a_config_that_runs(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, spec."""
    made = bundle()
    (made.path / "config.json").unlink()
    assert runtime("spec", "--bundle", str(made.path)).code == 0
    config = json.loads((made.path / "config.json").read_text())
    assert config["process"]["args"] == ["sh"]
    assert config["process"]["terminal"] is True
    assert config["root"] == {"path": "rootfs", "readonly": True}
    config["process"]["terminal"] = False
    config["process"]["args"] = ["echo", "ran"]
    made.config = config
    made.edit(mounts=[])
    assert runtime.output(made.write()) == "ran\n"


def test_spec_does_not_overwrite(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, spec: `File config.json exists. Remove it first`."""
    ran = runtime("spec", "--bundle", str(bundle().path))
    assert ran.code == 1
    assert "File config.json exists. Remove it first" in ran.message


def test_a_rootless_spec(runtime: Runtime, scratch: Path) -> None:
    """cli.md 2, spec --rootless."""
    assert runtime("spec", "--rootless", cwd=scratch).code == 0
    config = json.loads((scratch / "config.json").read_text())
    kinds = [namespace["type"] for namespace in config["linux"]["namespaces"]]
    assert "user" in kinds
    assert "network" not in kinds
    assert config["linux"]["uidMappings"][0]["size"] == 1


def test_features(runtime: Runtime) -> None:
    """cli.md 2, features: JSON only, with what callers look for."""
    ran = runtime("features")
    assert ran.code == 0
    assert ran.stderr == ""
    features = json.loads(ran.stdout)
    assert len(features["hooks"]) == 6
    assert features["ociVersionMin"] and features["ociVersionMax"]
    assert "user" in features["linux"]["namespaces"]
    assert features["linux"]["seccomp"]["enabled"] is True
    if runtime.name != "runc":
        assert "rro" in features["mountOptions"]
        assert {"idmap", "ridmap"} <= set(features["mountOptions"])
        assert features["linux"]["mountExtensions"]["idmap"]["enabled"] is True
        assert features["linux"]["netDevices"] is not None
