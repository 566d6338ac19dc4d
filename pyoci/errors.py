# SPDX-License-Identifier: Apache-2.0
"""Every error that a user can meet. Its text is one line, lower case, without a full stop.

PyociError                 exit status 1
├── UsageError             the command line is wrong
├── SpecError              config.json (or process.json) breaks the specification; knows the place
├── Unsupported            valid, but not done yet, or not on this kernel; names it
├── StateError             no such container, exists already, wrong status
├── StepError              the kernel said no: the step, the place, the object, the cause, the likely reason
├── CgroupError            a limit or a cgroup could not be made
└── HookError              a hook failed; keeps its output
"""


class PyociError(Exception):
    """A failure that its text explains to the user; `status` is the exit status."""

    status = 1


class UsageError(PyociError):
    """The command line is wrong; `command` names the one whose help is shown, "" none."""

    def __init__(self, message: str, command: str = "") -> None:
        super().__init__(message)
        self.command = command


class SpecError(PyociError):
    """config.json breaks the specification at `place`, a JSON pointer such as /mounts/3/type."""

    def __init__(self, place: str, problem: str, file: str = "config.json") -> None:
        self.place = place
        self.problem = problem
        super().__init__(f"{file}: {readable(place)}: {problem}" if place else f"{file}: {problem}")


class Unsupported(PyociError):
    """Valid, but not done: by this version or on this host. The message names the property."""


class StateError(PyociError):
    """The container does not exist, exists already, or has the wrong status."""


class StepError(PyociError):
    """The kernel refused a step; `errno` is its reason, `place` the JSON pointer that asked for the step."""

    def __init__(self, message: str, place: str = "", errno: int = 0) -> None:
        super().__init__(message)
        self.place = place
        self.errno = errno


class CgroupError(PyociError):
    """A cgroup could not be made, entered, limited or removed."""


class HookError(PyociError):
    """A hook failed, ran past its timeout or could not be started."""


def readable(place: str) -> str:
    """Turn a JSON pointer into what a person reads: /mounts/3/type is mounts[3].type."""
    text = ""
    for escaped in place.split("/")[1:]:
        part = escaped.replace("~1", "/").replace("~0", "~")
        if part.isdigit():
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def in_words(error: OSError) -> str:
    """Say a system call's failure: the file, then the reason in small letters, as moby wants it."""
    reason = (error.strerror or type(error).__name__).lower()
    name = error.filename
    if isinstance(name, bytes):
        name = name.decode("utf-8", "surrogateescape")
    return f"{name}: {reason}" if name else reason


def where_from(error: Exception) -> str:
    """Name a bug: its kind, its text, the line that raised it."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__}: {error} ({place})"
