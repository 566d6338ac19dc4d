# SPDX-License-Identifier: Apache-2.0
"""Why another runtime fails a test: by classes, for a runtime that our suite was not written for.

Our suite speaks runc's command line, so what runc fails is marked `expect_fail_on` beside each test. crun's is another
one, and where it differs many tests fail for one cause. A row names tests (of file::name), the words of the failure and the
cause; the first row that matches counts. Only what was looked into is here: a failure without a row stays unexplained.
"""

import re

from conformance.result import FAIL, Result

# In a failed comparison of messages, what crun says has its marks: `names` so, or the C library's words.
_CRUNS_WORDS = (
    r"`|No such file|Permission denied|Not a directory|[Ii]nvalid|not initialized|No such process|OOM|"
    r"already exists|not running|is paused|required|cannot parse|error loading"
)

# Accepted: the status is 0 where the test waits for an error.
_ACCEPTED = r"^Ran\(0,|^assert 0 (!=|==) |^assert \(0, "

_CRUN: tuple[tuple[str, str, str], ...] = (
    # OCI's validation programs.
    ("^prestart$", r"Broken pipe", "It fails where a hook ends before its state is written to it"),
    # What is not of a class.
    (
        "test_paths::test_a_dangling_link",
        r"No such file",
        "It does not make the target of a link that points to nothing",
    ),
    (
        "test_resources::test_what_engines_write",
        r"net_cls",
        "It wants the net_cls hierarchy for a class 0, which this kernel does not have",
    ),
    # What its command line lacks.
    ("", r"unknown command events", "It has no command `events`"),
    ("test_events", r"^after .* still not", "It has no command `events`"),
    ("", r"unknown command (features|help|foo)", "It has no commands `features` and `help`"),
    (
        "",
        r"unrecognized option|invalid option|requires an argument",
        "It lacks the option, and ends with 64 where runc ends with 1",
    ),
    (
        "test_update|test_resources",
        r"lexical error|cannot parse resources",
        "Its `update` takes plain numbers: no 128m, no word for an error in one",
    ),
    (
        "test_update|test_resources",
        r"writing file `(pids|memory|cpu)\.\S*: (Invalid argument|Numerical)",
        "It writes -1 as it is, which version 1 does not take",
    ),
    (
        "test_update::test_a_stopped_container",
        _ACCEPTED,
        "Its `update` says nothing of a container that has stopped",
    ),
    (
        "test_update::test_no_device_is_denied",
        r"'stopped' == 'running'",
        "Its `update` denies every device for a moment while it writes the rules",
    ),
    (
        "test_listing",
        r"",
        "Help, tables, JSON, the log and the order of options are runc's; crun has its own",
    ),
    (
        "",
        r"^assert (1|64|253|255) == (0|1|255)\b",
        "It has other exit statuses: 255 of a failed `exec`, 1 of all else are runc's",
    ),
    (
        "test_cves::test_a_user_that_is_no_number",
        r"^assert \(1, '.*'\) == \(255",
        "It has other exit statuses: 255 of a failed `exec` is runc's",
    ),
    (
        "test_lifecycle::test_state_",
        r"",
        "Its `state` has other keys, another order and always version 1.0.0",
    ),
    ("test_exec::test_many_execs", r"\[\\n", "Its `ps --format json` has a line for each process"),
    (
        "test_lifecycle::test_a_relative_pid_file",
        r"FileNotFoundError",
        "It enters the bundle first: a relative --pid-file is below it",
    ),
    (
        "test_lifecycle::test_kill_takes_names",
        r"got",
        "It knows signals in capitals only, and sends signal 0 for a name that it does not know",
    ),
    (
        "test_lifecycle::test_kill_refuses_an_unknown",
        _ACCEPTED,
        "It sends signal 0 for a name that it does not know",
    ),
    ("test_exec::test_additional_groups", r"", "It lacks the option -g of `exec`"),
    (
        "test_exec::test_the_environment_is",
        r"KeyError",
        "Its `exec` with --env does not pass on process.env",
    ),
    ("test_exec::test_(exec_keeps_oom|the_umask)", r"", "Its `exec` does not apply this property"),
    (
        "test_exec::test_exec_detached_returns",
        r"== 'sleep",
        "Its `exec --detach` returns before the program has begun",
    ),
    # The record on disk.
    (
        "test_concurrency::test_a_(record|stranger)",
        r"FileNotFoundError|255",
        "The test changes the record of the container, whose name and form are the runtime's own",
    ),
    (
        "test_concurrency::test_a_broken_record",
        r"^assert 0 == 1",
        "The test damages state.json; crun's record has another name",
    ),
    (
        "test_bad_input::test_(an_id_cannot_leave|a_bad_id_is)",
        r"FileNotFoundError",
        "It deletes what an id with `..` in it names, outside of its root",
    ),
    # Properties that are newer than the version, or that it leaves aside.
    (
        "test_scheduling",
        r"",
        "crun 1.8 knows no scheduler, ioPriority, execCPUAffinity and memoryPolicy, which came later, and ignores them",
    ),
    (
        "test_net_devices|what_is_not_done|a_bad_interface_name",
        r"",
        "crun 1.8 knows no netDevices, intelRdt and memoryPolicy, which came later or are not its aim, and ignores them",
    ),
    (
        "TestTime|time",
        r"sync socket|^Ran\(255",
        "A process of its own is killed while it makes the time namespace",
    ),
    ("TestTime::test_offsets_need", _ACCEPTED, "It takes timeOffsets without a new time namespace"),
    (
        "TestIdMaps::.*ridmap",
        r"stat",
        "crun 1.8 has idmap for one mount; ridmap does not show the mounts below",
    ),
    ("cpu.burst", r"cfs_burst", "crun 1.8 knows no cpu.burst"),
    (
        "",
        r"blkio\.weight` for writing: No such file",
        "It looks for blkio.weight only; this kernel calls it blkio.bfq.weight",
    ),
    (
        "test_process::test_a_container_without_linux",
        r"no 'linux' block",
        "It demands `linux`, which is optional",
    ),
    (
        "test_process::test_home_is",
        r"",
        "It sets no HOME where the passwd file has none or the environment an empty one",
    ),
    (
        "test_process::test_the_session_keyring",
        r"",
        "Its session keyring has the container's id for a name, without runc's prefix",
    ),
    (
        "test_process::test_an_(ambient|unknown)_capability",
        r" in ''",
        "It says nothing of a capability that it leaves out",
    ),
    ("test_apparmor", r"not initialized", "It takes `unconfined` for a profile to load"),
    ("test_handover::test_readiness", r"MAINPID", "It says READY=1 without MAINPID"),
    (
        "test_handover::test_socket_activation",
        r"",
        "It sets no LISTEN_PID, and does not look at its own",
    ),
    (
        "test_terminal::test_(a_terminal_without|the_size)",
        r"",
        "Its `run` needs a terminal on its own stdin",
    ),
    (
        "test_seccomp::test_a_(call|newer_call)",
        r"'38",
        "It answers EPERM to calls newer than the profile, where runc answers ENOSYS",
    ),
    (
        "test_seccomp::test_the_listener_is_sent",
        r"timed out",
        "It does not reach the agent here: the listener was not sent within the time",
    ),
    # Mounts.
    (
        "test_mount_options::test_every_option",
        r"Invalid argument",
        "crun 1.8 knows no iversion, loud, silent and symfollow",
    ),
    ("test_mount_options::test_nosymfollow", r"", "crun 1.8 ignores nosymfollow"),
    (
        "test_mount_options::test_recursive",
        r"Invalid argument",
        "Its rnoatime and rnodiratime are refused by mount_setattr(2)",
    ),
    (
        "test_mount_options::test_the_later",
        r"",
        "It never takes a flag back: of opposite options the one that sets wins",
    ),
    (
        "test_mount_options::test_(propagation|a_slave)",
        r"",
        "The propagation that a mount asks for is not there in the container",
    ),
    (
        "test_mount_options::test_a_plain_bind|readonly_paths_keep",
        r"Extra items",
        "Its bind mounts lose the flags of their source",
    ),
    (
        "test_file_systems::test_(a_tmpfs_inherits|tmpcopyup)",
        r"1777",
        "Its tmpfs has mode 1777, not that of the directory it covers",
    ),
    (
        "cgroup_mount_is_read_only|test_delegation::test_a_read_only",
        r"",
        "With version 1 its cgroup mount stays writable where it is to be read-only",
    ),
    (
        "test_file_systems::test_a_masked_path_below",
        r"Not a directory",
        "It takes a masked path below a file for an error",
    ),
    (
        "test_namespaces::test_a_mount_namespace_can_be_joined",
        r"chdir",
        "It does not find the bundle in a mount namespace that is joined",
    ),
    (
        "test_namespaces::test_mounts_without",
        r"",
        "Without a mount namespace it mounts on the host",
    ),
    (
        "test_paths::test_a_root_that_is_exchanged",
        r"",
        "A root that is exchanged while it creates leads it elsewhere",
    ),
    (
        "test_paths::test_an_odd_passwd",
        r"took over|left behind",
        "It opens the container's passwd file without looking what it is: a FIFO holds it",
    ),
    (
        "test_cve_paths::test_(a_console|a_null_device|dev_of_the_image)",
        r"",
        "crun 1.8.1 is open to this: it follows a link of the image out of the container",
    ),
    (
        "test_cve_paths::test_a_mask_is",
        r"took over",
        "With a link for /dev/null in the image its masks hold it up",
    ),
    (
        "test_cve_paths::test_no_kernel_file",
        r"openat",
        "It opens files below /proc by path while the container's tree is there",
    ),
    (
        "test_cves::test_(cwd|the_cwd)",
        r"",
        "crun 1.8.1 is open to CVE-2024-21626: a descriptor of the host's can be the working directory",
    ),
    (
        "test_cves::test_a_user_that_is",
        r"^assert \(0,",
        "It takes a user that is no number for 0, or reads as far as there are digits",
    ),
    (
        "test_cves::test_the_program_of_a_waiting",
        r"",
        "Until `start` the program of its init is its own file",
    ),
    # Hooks.
    (
        "test_hooks::test_a_hook_need_not_read",
        r"141",
        "SIGPIPE of a hook that does not read its stdin ends it",
    ),
    (
        "test_hooks::test_a_hook_reads_the_state",
        r"'(created|starting)'",
        "It says `created` and `starting` where runc says `creating` and `created`",
    ),
    (
        "test_hooks::test_hooks_run_in_their_order",
        r"",
        "It does not wait for startContainer hooks before it runs the poststart hooks",
    ),
    (
        "test_hooks::test_a_failing_hook_fails_start",
        r"",
        "It goes on after a poststart or startContainer hook that fails",
    ),
    ("test_hooks::test_a_failing_poststop", r"", "It says nothing of a poststop hook that fails"),
    (
        "test_hooks::test_poststop_hooks_run",
        r"",
        "It runs no poststop hooks after a create that failed",
    ),
    (
        "test_hooks::test_a_create_container_hook_without_env",
        r"SECRET",
        "Its hooks get its own environment",
    ),
    (
        "test_hooks::test_a_failing_hook_fails_create",
        r"None is not None",
        "It says that a hook failed in its own words",
    ),
    (
        "test_hooks",
        r"error executing hook",
        "It says that a hook failed in its own words, with status 255",
    ),
    (
        "test_hooks",
        r"left behind: process",
        "It kills a hook that takes too long, and not its children",
    ),
    # The end of a container.
    (
        "test_crashes",
        r"init is alone",
        "A process of an `exec` that was killed lives on: no signal of its parent's death",
    ),
    (
        "test_crashes",
        r"",
        "Killed half-way it leaves what its `delete` does not know of: cgroups, a hook, a process",
    ),
    (
        "test_kill_all::test_cgroups_that|test_lifecycle::test_kill_kill_reaches",
        r"still not|is_alive",
        "It kills init alone, without --all, and none in a cgroup that the container made",
    ),
    (
        "test_kill_all::test_kill_all_of",
        r"JSONDecode",
        "Its `ps` fails while processes come and go",
    ),
    (
        "test_kill_all::test_delete_of",
        r"^assert 0 == 1",
        "Its `delete` ends with 0 where the cgroup could not be removed",
    ),
    (
        "test_kill_all::test_pause_of",
        r"^assert 0 == 1",
        "Its `pause` does not wait until everything is frozen",
    ),
    ("test_pause::test_sigkill", r"still not", "SIGKILL does not thaw what is frozen (version 1)"),
    (
        "test_pause::test_exec_that_ignores",
        r"still not",
        "Its `exec` lacks the option --ignore-paused",
    ),
    (
        "test_pause",
        r"'created' == 'paused'|^assert \(0|^assert 0 == 1",
        "It says `paused` of a running container only, and pauses and resumes twice without an error",
    ),
    (
        "test_concurrency::test_six_deletes",
        r"",
        "Of several that delete one container the later ones fail",
    ),
    ("test_concurrency::test_a_cgroup_with", _ACCEPTED, "It takes a cgroup that has processes"),
    (
        "test_memory_limit",
        r"assert None|Killed|0 == 1|OOM-killed",
        "It does not say that a lack of memory killed the program",
    ),
    (
        "test_faults::test_a_full_state_root",
        r"",
        "Where the state cannot be written it leaves its directory",
    ),
    ("", r"left behind: .*cgroup ", "After an error it leaves the container's cgroups (version 1)"),
    ("", r"left behind: mount ", "Without a mount namespace it mounts on the host"),
    # Ordinary users.
    ("test_rootless", r"^assert 0 == 1", "It ignores what it has no right to do, without a word"),
    (
        "test_rootless::test_the_default_root",
        r"",
        "Its default root of an ordinary user has another mode",
    ),
    # What it does not look at, and what it says.
    ("", _ACCEPTED, "It takes the value: it does not look at this"),
    (
        "test_bad_input::test_the_last_of_equal",
        r"",
        "Of equal keys its JSON parser takes the first",
    ),
    (
        "",
        r"(?s)^assert .*(" + _CRUNS_WORDS + ")",
        "It refuses, in words of its own; these are runc's, which engines know",
    ),
    (
        "test_lifecycle::test_a_(bad_interpreter|directory_is)|test_terminal::test_a_terminal_needs",
        r"",
        "It refuses, in words of its own",
    ),
)

# Of the validation programs; what runc fails of our own suite is marked beside the tests, but for what only happens at times.
_RUNC: tuple[tuple[str, str, str], ...] = (
    (
        "test_update::.*pids-limit=4",
        r"runtime/proc\.go",
        "A Go program may need more threads than the limit that the test sets, and ends",
    ),
    (
        "^hooks_stdin$",
        r"passed to",
        "runc 1.1 says `creating` to prestart hooks, and runs poststart hooks in `create`",
    ),
    ("^poststart$", r"before the `start`", "runc 1.1 runs poststart hooks in `create`"),
    ("^poststop_fail$", r"MUST log a warning", "The failure of a poststop hook is an error to it"),
    (
        "^linux_cgroups_(relative_)?memory$",
        r"^memory kernel is set",
        "runc 1.1 ignores limits of the kernel's memory, which config-linux.md#memory does not recommend",
    ),
    (
        "^linux_cgroups_(relative_)?devices$",
        r"^devices c 10:229 rwm is set",
        "The test takes the order in devices.list for that of the rules; runc writes them sorted",
    ),
    (
        "^linux_rootfs_propagation$",
        r"check root propagation: shared",
        "runc 1.1 makes a shared root private, and cannot bind one that is unbindable",
    ),
    (
        "^linux_seccomp$",
        r"working directory is safe",
        "The test's profile refuses getcwd, which runc calls once the filter is loaded",
    ),
)

_ROWS = {"crun version 1.8.1": _CRUN, "runc version 1.1.5+ds1": _RUNC}
# What a version says of itself -> its rows: another version may do what this one does not.
ROWS = {
    version: [(re.compile(tests), re.compile(words), why) for tests, words, why in rows]
    for version, rows in _ROWS.items()
}


def judge(version: str, test: str, result: Result) -> Result:
    """Add the cause of a failure, where one is known of this version of a runtime."""
    if result.status != FAIL or result.cause:
        return result
    failure = result.reason.removeprefix("AssertionError: ")
    for tests, words, why in ROWS.get(version, []):
        if tests.search(test) and words.search(failure):
            return Result(FAIL, result.reason, why)
    return result
