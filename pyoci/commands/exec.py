# SPDX-License-Identifier: Apache-2.0
"""`exec`: run one more process in a container."""

from pyoci.commands.create import path
from pyoci.errors import UsageError
from pyoci.ids import check_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.commands.settings import Settings
    from pyoci.execution import ExecOptions
    from pyoci.flags import Flag, Flags
    from pyoci.spec import Process

FLAGS: "tuple[Flag, ...]" = (
    ("console-socket", "", "PATH", "unix socket that receives the terminal's master"),
    ("pidfd-socket", "", "PATH", "unix socket that receives a pidfd of the process"),
    ("cwd", "", "DIR", "current directory of the process"),
    ("env", "e", "NAME=VALUE...", "add to the environment"),
    ("tty", "t", "", "give the process a terminal"),
    ("user", "u", "UID[:GID]", "numbers of the user and group"),
    ("additional-gids", "g", "GID...", "numbers of further groups"),
    ("process", "p", "FILE", "read the whole process from a JSON file"),
    ("detach", "d", "", "return when the process has been started"),
    ("pid-file", "", "FILE", "write the pid of the process here"),
    ("process-label", "", "LABEL", "SELinux label of the process"),
    ("apparmor", "", "PROFILE", "AppArmor profile of the process"),
    ("no-new-privs", "", "", "let the process gain no privileges"),
    ("cap", "c", "CAP...", "add a capability"),
    ("preserve-fds", "", "N", "pass N descriptors from 3 on to the process"),
    ("cgroup", "", "[CONTROLLER:]PATH...", "run the process in this sub-cgroup, which exists"),
    ("ignore-paused", "", "", "allow it in a paused container"),
)
_NO_ID = (1 << 32) - 1  # setresuid(2) takes -1 for "no change"


def run(arguments: list[str], flags: "Flags", settings: "Settings") -> int:
    """Run a process; the status is its own, 0 when detached, 255 when it could not be run."""
    from pyoci import execution

    return execution.exec_process(options(arguments, flags, settings))


def options(arguments: list[str], flags: "Flags", settings: "Settings") -> "ExecOptions":
    """Return what is asked for; beside a process file the flags that describe one do not count."""
    from pyoci.execution import ExecOptions

    check_id(arguments[0])
    check_user(flags)
    process = load_process(flags.text("process"))
    if process is None and len(arguments) < 2:
        raise UsageError("exec args cannot be empty")
    return ExecOptions(
        root=settings.root(),
        id=arguments[0],
        process=process,
        args=arguments[1:],
        cwd=flags.text("cwd"),
        env=flags.every("env"),
        tty=flags.is_on("tty"),
        user=flags.text("user"),
        additional_gids=[id_of(gid, "gid") for gid in flags.every("additional-gids")],
        process_label=flags.text("process-label"),
        apparmor=flags.text("apparmor"),
        no_new_privs=flags.is_on("no-new-privs"),
        caps=flags.every("cap"),
        detach=flags.is_on("detach"),
        pid_file=path(flags, "pid-file"),
        console_socket=path(flags, "console-socket"),
        pidfd_socket=path(flags, "pidfd-socket"),
        preserve_fds=flags.number("preserve-fds"),
        cgroup=flags.every("cgroup"),
        ignore_paused=flags.is_on("ignore-paused"),
    )


def load_process(file: str) -> "Process | None":
    """Read a process object; the file may be a pipe."""
    if not file:
        return None
    from pyoci import spec

    return spec.load_process(file)


def check_user(flags: "Flags") -> None:
    """Refuse a user that is not numbers; no name is looked up (CVE-2016-3697, CVE-2026-30892)."""
    if not flags.is_given("user"):
        return
    uid, colon, gid = flags.text("user").partition(":")
    id_of(uid, "uid")
    if colon:
        id_of(gid, "gid")


def id_of(text: str, kind: str) -> int:
    """Return the number of a user or group."""
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) < _NO_ID):
        raise UsageError(f'bad {kind}: "{text}" is not a number from 0 to {_NO_ID - 1}')
    return int(text)
