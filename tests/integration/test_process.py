# SPDX-License-Identifier: Apache-2.0
"""config.json: process: arguments, environment, directory, user, capabilities, limits."""

import os
import re
from pathlib import Path

import pytest
from blackbox.bundle import CAPABILITIES, DEV, PROC, MakeBundle, bind, tmpfs
from blackbox.runtime import Runtime

MASKS = {"CapInh": "inheritable", "CapPrm": "permitted", "CapEff": "effective", "CapAmb": "ambient"}
NONE: dict[str, list[str]] = {"bounding": [], "effective": [], "permitted": []}
NUMBERS = {
    "CAP_CHOWN": 0,
    "CAP_DAC_OVERRIDE": 1,
    "CAP_KILL": 5,
    "CAP_NET_BIND_SERVICE": 10,
    "CAP_SYS_CHROOT": 18,
    "CAP_AUDIT_WRITE": 29,
}


def capability_sets(status: str) -> dict[str, int]:
    """Return the Cap lines of /proc/PID/status."""
    return {
        k: int(v, 16) for k, v in re.findall(r"^(Cap\w+):\s+([0-9a-f]+)$", status, re.MULTILINE)
    }


def mask(names: list[str]) -> int:
    """Return the bits of capabilities."""
    return sum(1 << NUMBERS[name] for name in names)


def test_args_are_passed_as_they_are(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#process: args as execvp's argv."""
    words = ["", "a b", "$HOME", "'\"", "\n", "\u00e4\u20ac", "-x"]
    out = runtime.output(bundle(args=["printf", "[%s]", *words]))
    assert out == "".join(f"[{word}]" for word in words)


def test_a_program_is_looked_up_in_the_configured_path(
    runtime: Runtime, bundle: MakeBundle
) -> None:
    """config.md#process: args: the PATH of env, not the runtime's."""
    made = bundle("tool", env=["PATH=/opt:/bin"])
    (made.rootfs / "opt").mkdir()
    (made.rootfs / "opt/tool").write_text("#!/bin/sh\necho found\n")
    (made.rootfs / "opt/tool").chmod(0o755)
    assert runtime.output(made) == "found\n"


def test_a_relative_program_is_looked_up_from_cwd(runtime: Runtime, bundle: MakeBundle) -> None:
    """execve(2): a name with a slash is relative to the working directory."""
    assert runtime.output(bundle("./echo", "x", cwd="/bin")) == "x\n"


def test_the_environment_is_exactly_the_configured_one(
    runtime: Runtime, bundle: MakeBundle
) -> None:
    """cli.md 3.4: the container env comes only from config.json, never from the caller."""
    made = bundle("env")
    made.process["env"] = ["PATH=/bin", "A=1", "HOME=/x", "B=", "C=a=b"]
    out = runtime.output(made.write(), env={"PATH": os.environ["PATH"], "SECRET": "1"})
    assert sorted(out.splitlines()) == ["A=1", "B=", "C=a=b", "HOME=/x", "PATH=/bin"]


def test_the_last_of_equal_environment_names_wins(runtime: Runtime, bundle: MakeBundle) -> None:
    """spec.md 3, env."""
    made = bundle("env")
    made.process["env"] = ["PATH=/bin", "A=1", "HOME=/", "A=2"]
    assert sorted(runtime.output(made.write()).splitlines()) == ["A=2", "HOME=/", "PATH=/bin"]


@pytest.mark.parametrize(
    ("env", "uid", "home"),
    [
        ([], 0, "/root"),
        (["HOME="], 0, "/root"),
        (["HOME=/given"], 0, "/given"),
        ([], 1000, "/home/alice"),
        ([], 4242, "/"),
    ],
)
def test_home_is_filled_in_from_the_containers_passwd(
    runtime: Runtime, bundle: MakeBundle, env: list[str], uid: int, home: str
) -> None:
    """spec.md 3, env: HOME filled from the container's passwd if missing or empty, else `/`."""
    made = bundle(sh="echo $HOME", env=env, user={"uid": uid, "gid": 0})
    assert runtime.output(made) == f"{home}\n"


def test_home_without_a_passwd_file_is_the_root(runtime: Runtime, bundle: MakeBundle) -> None:
    """spec.md 3, env."""
    made = bundle(sh="echo $HOME")
    (made.rootfs / "etc/passwd").unlink()
    assert runtime.output(made) == "/\n"


@pytest.mark.parametrize("entry", ["NOEQUALS", "=value"])
def test_an_environment_entry_must_be_a_pair(
    runtime: Runtime, bundle: MakeBundle, entry: str
) -> None:
    """Case 67."""
    assert entry in runtime.refuses(bundle("env", env=[entry]))


def test_cwd_is_the_working_directory(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#process: cwd."""
    assert runtime.output(bundle("pwd", cwd="/etc")) == "/etc\n"


def test_a_missing_cwd_is_made(runtime: Runtime, bundle: MakeBundle) -> None:
    """spec.md 3, cwd: made inside the root."""
    made = bundle(sh="pwd; stat -c '%a %u' .", cwd="/new/deep/dir")
    assert runtime.output(made) == "/new/deep/dir\n755 0\n"


def test_cwd_may_be_a_link_inside_the_root(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 23: resolved inside the root."""
    made = bundle(sh="pwd -P", cwd="/link")
    (made.rootfs / "link").symlink_to("/etc")
    assert runtime.output(made) == "/etc\n"


def test_cwd_may_be_in_a_mount(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#process: cwd, as the container sees it."""
    assert runtime.output(bundle("pwd", cwd="/mnt/d", mounts=[tmpfs("/mnt")])) == "/mnt/d\n"


@pytest.mark.parametrize("cwd", ["", "relative", None])
def test_cwd_must_be_absolute(runtime: Runtime, bundle: MakeBundle, cwd: str | None) -> None:
    """config.md#process: cwd MUST be an absolute path; runc's words in cli.md 2."""
    assert "Cwd" in runtime.refuses(bundle("true", cwd=cwd))


def test_cwd_that_the_user_may_not_enter_works_as_root(
    runtime: Runtime, bundle: MakeBundle
) -> None:
    """spec.md 3, cwd: chdir as root first."""
    made = bundle(sh="id -u", cwd="/private", user={"uid": 1000, "gid": 1000})
    (made.rootfs / "private").mkdir(mode=0o700)
    assert runtime.output(made) == "1000\n"


def test_cwd_that_only_the_user_may_enter_works(
    runtime: Runtime, bundle: MakeBundle, scratch: Path
) -> None:
    """spec.md 3, cwd: retried as the user (root without DAC_OVERRIDE may not)."""
    made = bundle("pwd", cwd="/private", user={"uid": 1000, "gid": 1000})
    (made.rootfs / "private").mkdir(mode=0o700)
    os.chown(made.rootfs / "private", 1000, 1000)
    assert runtime.output(made) == "/private\n"


@pytest.mark.parametrize(("uid", "gid"), [(0, 0), (1, 0), (1000, 1000), (4242, 7), (0, 5)])
def test_the_process_runs_as_the_user(
    runtime: Runtime, bundle: MakeBundle, uid: int, gid: int
) -> None:
    """config.md#posix-platform-user."""
    made = bundle(sh="grep -E '^[UG]id' /proc/self/status", user={"uid": uid, "gid": gid})
    uids, gids = (line.split()[1:] for line in runtime.output(made).splitlines())
    assert (uids, gids) == ([str(uid)] * 4, [str(gid)] * 4)


def test_additional_groups_are_set(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#posix-platform-user: additionalGids."""
    user = {"uid": 1, "gid": 2, "additionalGids": [5, 29]}
    out = runtime.output(bundle("grep", "Groups", "/proc/self/status", user=user))
    assert out.split() == ["Groups:", "5", "29"]


@pytest.mark.root("setpriv gives the caller groups")
def test_the_callers_groups_are_dropped(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#posix-platform-user: no groups but the configured ones."""
    made = bundle("grep", "Groups", "/proc/self/status")
    wrap = ["setpriv", "--groups", "7,8"]
    assert runtime.output(made, wrap=wrap).split() == ["Groups:"]


@pytest.mark.parametrize(
    ("value", "expected"), [(0o077, "77"), (0o002, "2"), (0, "0"), (None, "22")]
)
def test_umask_is_the_configured_one_or_022(
    runtime: Runtime, bundle: MakeBundle, probe: Path, value: int | None, expected: str
) -> None:
    """config.md#posix-platform-user: umask; spec.md 3: 0022 when absent."""
    user = {"uid": 0, "gid": 0} | ({} if value is None else {"umask": value})
    made = bundle("/probe", "umask", user=user, mounts=[bind(probe, "/probe", "bind", "ro")])
    assert runtime.output(made) == f"{expected}\n"


def test_the_five_capability_sets_are_exact(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#linux-process: capabilities, each set by itself."""
    sets = {
        "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT"],
        "permitted": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"],
        "effective": ["CAP_KILL", "CAP_CHOWN"],
        "inheritable": ["CAP_CHOWN"],
        "ambient": ["CAP_CHOWN"],
    }
    # Not uid 0: execve gives root all of its bounding set back (capabilities(7)).
    user = {"uid": 1000, "gid": 1000}
    found = capability_sets(
        runtime.output(bundle("cat", "/proc/self/status", capabilities=sets, user=user))
    )
    assert found["CapBnd"] == mask(sets["bounding"])
    assert found["CapInh"] == mask(sets["inheritable"])
    assert found["CapAmb"] == mask(sets["ambient"])
    assert found["CapPrm"] == found["CapEff"] == mask(sets["ambient"])


def test_roots_capabilities_are_the_configured_ones(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#linux-process: capabilities."""
    names = ["CAP_CHOWN", "CAP_KILL"]
    found = capability_sets(runtime.output(bundle("cat", "/proc/self/status", caps=names)))
    assert found["CapBnd"] == found["CapEff"] == found["CapPrm"] == mask(names)
    assert found["CapInh"] == found["CapAmb"] == 0


def test_no_capabilities_at_all(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#linux-process: capabilities: empty sets are empty."""
    out = runtime.output(bundle("cat", "/proc/self/status", capabilities=NONE))
    assert set(capability_sets(out).values()) == {0}


def test_a_user_that_is_not_root_has_no_capabilities(runtime: Runtime, bundle: MakeBundle) -> None:
    """capabilities(7): without ambient ones."""
    made = bundle("cat", "/proc/self/status", user={"uid": 1000, "gid": 1000})
    found = capability_sets(runtime.output(made))
    assert found["CapEff"] == found["CapPrm"] == 0
    assert found["CapBnd"] == mask(CAPABILITIES)


def test_an_unknown_capability_is_a_warning_that_names_it(
    runtime: Runtime, bundle: MakeBundle
) -> None:
    """Case 37: a warning, never silence; config.md: an error SHOULD NOT be generated."""
    made = bundle("echo", "ran", caps=["CAP_KILL", "CAP_NO_SUCH"])
    ran = runtime.run(made)
    assert (ran.code, ran.stdout) == (0, "ran\n")
    assert "CAP_NO_SUCH" in ran.stderr


@pytest.mark.expect_fail_on("runc", "runc 1.1 is silent")
def test_an_ambient_capability_that_cannot_be_raised_is_a_warning(
    runtime: Runtime, bundle: MakeBundle
) -> None:
    """cli.md 5: `can't raise ambient capability CAP_X: `."""
    made = bundle("echo", "ran")
    made.process["capabilities"]["ambient"] = ["CAP_KILL"]
    ran = runtime.run(made.write())
    assert (ran.code, ran.stdout) == (0, "ran\n")
    assert "can't raise ambient capability CAP_KILL: " in ran.stderr


def test_a_capability_works(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#linux-process: with CAP_CHOWN root may give files away, without it may not."""
    script = "touch /tmp/f && chown 5 /tmp/f && stat -c %u /tmp/f"
    assert runtime.output(bundle(sh=script, caps=["CAP_CHOWN"])) == "5\n"
    assert runtime.run(bundle(sh=script)).code == 1


@pytest.mark.parametrize(
    ("kind", "flag"),
    [("NOFILE", "-n"), ("CORE", "-c"), ("DATA", "-d"), ("STACK", "-s"), ("CPU", "-t")],
)
def test_resource_limits_are_set(
    runtime: Runtime, bundle: MakeBundle, kind: str, flag: str
) -> None:
    """config.md#posix-process: rlimits."""
    unit = {"CORE": 512, "STACK": 1024, "DATA": 1024}.get(kind, 1)
    limits = [{"type": f"RLIMIT_{kind}", "soft": 800 * unit, "hard": 900 * unit}]
    made = bundle(sh=f"ulimit -S {flag}; ulimit -H {flag}", rlimits=limits)
    assert runtime.output(made) == "800\n900\n"


def test_an_infinite_limit_is_no_limit(runtime: Runtime, bundle: MakeBundle) -> None:
    """getrlimit(2): RLIM_INFINITY is 2^64-1."""
    top = 2**64 - 1
    limits = [{"type": "RLIMIT_CORE", "soft": top, "hard": top}]
    assert runtime.output(bundle(sh="ulimit -c", rlimits=limits)) == "unlimited\n"


def test_an_unknown_limit_is_refused(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#posix-process: valid values."""
    limits = [{"type": "RLIMIT_NOSUCH", "soft": 1, "hard": 1}]
    assert "RLIMIT_NOSUCH" in runtime.refuses(bundle(rlimits=limits))


@pytest.mark.expect_fail_on("runc", "runc does not look for duplicates")
def test_a_limit_given_twice_is_refused(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#posix-process: duplicate entries MUST be an error."""
    limit = {"type": "RLIMIT_NOFILE", "soft": 64, "hard": 64}
    assert "RLIMIT_NOFILE" in runtime.refuses(bundle(rlimits=[limit, limit]))


def test_a_soft_limit_above_the_hard_one_is_refused(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 70."""
    limits = [{"type": "RLIMIT_NOFILE", "soft": 65, "hard": 64}]
    assert runtime.refuses(bundle(rlimits=limits))


@pytest.mark.parametrize("value", [True, False])
def test_no_new_privileges(runtime: Runtime, bundle: MakeBundle, value: bool) -> None:  # noqa: FBT001 - a parameter of pytest
    """config.md#linux-process: noNewPrivileges."""
    out = runtime.output(bundle("grep", "NoNewPrivs", "/proc/self/status", noNewPrivileges=value))
    assert out.split()[1] == str(int(value))


def test_oom_score_adj_is_set(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#linux-process: oomScoreAdj."""
    made = bundle("cat", "/proc/self/oom_score_adj", oomScoreAdj=333)
    assert runtime.output(made) == "333\n"


def test_oom_score_adj_is_kept_when_absent(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#linux-process: if not set, MUST NOT be changed."""
    made = bundle("cat", "/proc/self/oom_score_adj")
    wrap = ["sh", "-c", 'echo 77 >/proc/self/oom_score_adj; exec "$@"', "sh"]
    assert runtime.output(made, wrap=wrap) == "77\n"


def test_oom_score_adj_out_of_range_is_refused(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 70."""
    assert runtime.refuses(bundle(oomScoreAdj=1001))


def test_a_process_is_needed(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, create: runc's words."""
    assert "process property must not be empty" in runtime.refuses(bundle(process=None))


def test_arguments_are_needed(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, create: runc's words."""
    assert "args must not be empty" in runtime.refuses(bundle(args=[]))


@pytest.mark.parametrize(
    ("key", "module"), [("apparmorProfile", "apparmor"), ("selinuxLabel", "selinux")]
)
def test_a_label_without_its_security_module_is_refused(
    runtime: Runtime, bundle: MakeBundle, key: str, module: str
) -> None:
    """Case 44: a label requested, the module absent."""
    lsm = Path("/sys/kernel/security/lsm")
    if lsm.exists() and module in lsm.read_text():
        pytest.skip(f"this machine has {module}")
    message = runtime.refuses(bundle(**{key: "system_u:system_r:x_t:s0"}))
    assert module in message.lower()


def test_a_script_without_an_interpreter_line_is_an_error(
    runtime: Runtime, bundle: MakeBundle
) -> None:
    """spec.md 3, args: ENOEXEC is an error, there is no fallback to sh."""
    made = bundle("/script")
    (made.rootfs / "script").write_text("echo ran\n")
    (made.rootfs / "script").chmod(0o755)
    ran = runtime.run(made)
    assert ran.code != 0
    assert ran.stdout == ""
    assert "exec format error" in ran.stderr.lower()


def test_only_three_files_are_open(runtime: Runtime, bundle: MakeBundle) -> None:
    """runtime-linux.md#file-descriptors; case 30."""
    out = runtime.output(bundle("ls", "/proc/self/fd"))
    assert out.split() == ["0", "1", "2", "3"]


def test_the_standard_files_can_be_opened_again_by_a_user(
    runtime: Runtime, bundle: MakeBundle
) -> None:
    """spec.md 0.1 step 22: the pipes are given to the process's user."""
    made = bundle(sh="echo out >/proc/self/fd/1", user={"uid": 1000, "gid": 1000})
    wrap = ["sh", "-c", '"$@" | cat', "sh"]
    assert runtime.output(made, wrap=wrap) == "out\n"


@pytest.mark.expect_fail_on("runc", "runc 1.1 has no personality")
def test_personality_is_set(runtime: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#personality: LINUX32."""
    made = bundle("uname", "-m", personality={"domain": "LINUX32"})
    assert runtime.output(made).strip() in ("i686", "armv8l", "armv7l")


def test_the_session_keyring_is_the_containers_own(
    runtime: Runtime, bundle: MakeBundle, probe: Path
) -> None:
    """cli.md 2, --no-new-keyring: `_ses.<id>` by default, the caller's with it."""
    made = bundle("/probe", "keyring", mounts=[bind(probe, "/probe", "bind", "ro")])
    out = runtime.output(made)
    assert f"_ses.{runtime.session}-" in out
    assert "_ses.pyoci" not in runtime.output(made, "--no-new-keyring")


@pytest.mark.root("a user needs a user namespace")
@pytest.mark.expect_fail_on("runc", "runc 1.1 needs /proc, and leaves a mount behind")
def test_a_container_without_linux_runs(runtime: Runtime, bundle: MakeBundle) -> None:
    """spec.md 2: `linux` may be absent: no namespaces."""
    made = bundle(sh="echo ran", linux=None, hostname=None, all_mounts=[])
    made.config["process"].pop("capabilities")
    ran = runtime.run(made.write())
    assert (ran.code, ran.stdout) == (0, "ran\n"), ran


def test_other_platforms_objects_are_ignored(runtime: Runtime, bundle: MakeBundle) -> None:
    """spec.md 2: solaris, windows, vm, zos must be ignored."""
    made = bundle("echo", "ran", solaris={"milestone": "x"}, unknown={"x": [1]})
    assert runtime.output(made) == "ran\n"


def test_mounts_may_be_few(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#mounts: OPTIONAL."""
    assert runtime.output(bundle("ls", "/proc/self/fd", all_mounts=[PROC, DEV]))
