# SPDX-License-Identifier: Apache-2.0
"""The options in front of the command, and what follows from them: where the containers are."""

import posix

from pyoci.errors import StepError, UsageError
from pyoci.flags import BOOLEANS, Flags
from pyoci.linux.path import absolute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.flags import Flag

FLAGS: "tuple[Flag, ...]" = (
    ("debug", "", "", "write each step to the log, and a traceback where one helps"),
    ("log", "", "FILE", "append the log to this file (default: standard error)"),
    ("log-format", "", "FORMAT", "text or json (default: text)"),
    ("root", "", "DIR", "directory of all containers, best on a tmpfs (default: below /run)"),
    ("criu", "", "PROGRAM", "ignored, for old callers"),
    (
        "systemd-cgroup",
        "",
        "",
        "let systemd make the cgroup; linux.cgroupsPath is SLICE:PREFIX:NAME",
    ),
    (
        "rootless",
        "",
        "WHEN",
        "ignore cgroup permission errors: true, false or auto (default: auto)",
    ),
    ("version", "v", "", "print what this program is"),
)
_STICKY_PRIVATE = 0o1700
_WHOLE_HOST = b"0 0 4294967295"


class Settings(Flags):
    """The global options of one call."""

    __slots__ = ("program",)

    def __init__(self, flags: Flags, program: str) -> None:
        super().__init__(flags.values)
        self.program = program  # what we are called: pyoci or runc

    def root(self) -> str:
        """Return the directory of all containers, absolute; a user's default one is made (cli.md 1)."""
        if self.is_given("root"):
            root = absolute(self.text("root"))
        elif _is_for_user():
            root = _user_root(self.program)
        else:
            root = f"/run/{self.program}"
        if root == "/":
            raise UsageError("Option --root argument should not be set to /")
        return root

    def is_rootless(self) -> bool:
        """Tell whether the lack of permission for cgroups is no error."""
        word = self.text("rootless", "auto")
        if word in BOOLEANS:
            return BOOLEANS[word]
        if word != "auto":
            raise UsageError(f'invalid value "{word}" for --rootless: not true, false or auto')
        return posix.geteuid() != 0 or _is_in_user_namespace()


def _is_for_user() -> bool:
    """Tell whether XDG_RUNTIME_DIR counts: not for root, nor for a namespace's USER=root."""
    from pyoci.linux.environment import variable

    if not variable("XDG_RUNTIME_DIR"):
        return False
    return posix.geteuid() != 0 or (variable("USER") != "root" and _is_in_user_namespace())


def _user_root(program: str) -> str:
    """Make a user's default root, sticky: then nobody cleans it up (XDG base directories)."""
    from pyoci.linux.environment import variable

    root = absolute(f"{variable('XDG_RUNTIME_DIR')}/{program}")
    try:
        _make(root)
        posix.chmod(root, _STICKY_PRIVATE)
    except OSError as error:
        raise StepError(f"root directory {root}: {(error.strerror or '').lower()}") from error
    return root


def _make(path: str) -> None:
    """Make a directory and its parents, 0700."""
    try:
        posix.mkdir(path, 0o700)
    except FileExistsError:
        return
    except FileNotFoundError:
        _make(path.rpartition("/")[0])
        posix.mkdir(path, 0o700)


def _is_in_user_namespace() -> bool:
    """Tell whether our ids are not the host's (user_namespaces(7)); without /proc they are."""
    try:
        fd = posix.open("/proc/self/uid_map", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return False
    try:
        return b" ".join(posix.read(fd, 4096).split()) != _WHOLE_HOST
    finally:
        posix.close(fd)
