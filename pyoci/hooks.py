# SPDX-License-Identifier: Apache-2.0
"""Hooks of the runtime's namespace: prestart, createRuntime, poststart, poststop (config.md#posix-platform-hooks)."""

import posix
import select
from time import monotonic

from pyoci import log
from pyoci.errors import HookError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyoci.spec import Hook

_KEPT = 65536
_SIGKILL = 9
_IGNORED_BY_PYTHON = (13, 25)  # SIGPIPE, SIGXFSZ: a program must find the defaults


def run(
    kind: str, hooks: "list[Hook]", state: bytes, started: "Callable[[int], None] | None" = None
) -> None:
    """Run hooks in order, the state on stdin; the first that fails raises HookError.

    `started` is told the process group of each, so that it can be journalled before it is waited for.
    """
    for index, hook in enumerate(hooks):
        _run(f"{kind} hook #{index}", hook, state, started)


def run_poststop(hooks: "list[Hook]", state: bytes) -> None:
    """Run every poststop hook: a failure is a warning and the next one runs (runtime.md#lifecycle, step 13)."""
    for index, hook in enumerate(hooks):
        try:
            _run(f"poststop hook #{index}", hook, state, None)
        except HookError as error:
            log.warning(str(error))


def _run(name: str, hook: "Hook", state: bytes, started: "Callable[[int], None] | None") -> None:
    timeout = hook["timeout"]
    deadline = None if timeout is None else monotonic() + timeout
    outputs = (_Output(), _Output())
    try:
        pid = _spawn(name, hook, state, outputs)
        if started is not None:
            started(pid)
        status = _wait(pid, outputs, deadline)
    finally:
        for output in outputs:
            output.close()
    texts = f"stdout: {outputs[0].text()}, stderr: {outputs[1].text()}"
    if status is None:
        raise HookError(
            f"error running {name}: hook ran past specified timeout of {timeout:.1f}s, {texts}"
        )
    if status:
        code = posix.waitstatus_to_exitcode(status)
        reason = f"exit status {code}" if code >= 0 else f"signal {-code}"
        raise HookError(f"error running {name}: {reason}, {texts}")


class _Output:
    """The reading end of a hook's stdout or stderr; keeps the last 64 KiB."""

    __slots__ = ("data", "read", "write")

    def __init__(self) -> None:
        self.read, self.write = posix.pipe2(posix.O_CLOEXEC)
        posix.set_blocking(self.read, False)
        self.data = b""

    def drain(self) -> bool:
        """Take what is there; False at the end."""
        while True:
            try:
                part = posix.read(self.read, _KEPT)
            except BlockingIOError:
                return True
            if not part:
                return False
            self.data = (self.data + part)[-_KEPT:]

    def text(self) -> str:
        return self.data.decode("utf-8", "replace").strip()

    def close(self) -> None:
        posix.close(self.read)
        if self.write >= 0:
            posix.close(self.write)


def _spawn(name: str, hook: "Hook", state: bytes, outputs: "tuple[_Output, _Output]") -> int:
    stdin = posix.memfd_create("state", 1)  # a pipe would block a writer whose hook never reads
    try:
        posix.write(stdin, state)
        posix.lseek(stdin, 0, 0)
        return posix.posix_spawn(
            hook["path"],
            hook["args"] or [hook["path"]],
            dict(posix.environ) if hook["env"] is None else _environment(hook["env"]),
            file_actions=[
                (posix.POSIX_SPAWN_DUP2, stdin, 0),
                (posix.POSIX_SPAWN_DUP2, outputs[0].write, 1),
                (posix.POSIX_SPAWN_DUP2, outputs[1].write, 2),
            ],
            setpgroup=0,
            setsigmask=(),
            setsigdef=_IGNORED_BY_PYTHON,
        )
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise HookError(f"error running {name}: {hook['path']}: {reason}") from error
    finally:
        posix.close(stdin)
        for output in outputs:
            posix.close(output.write)
            output.write = -1


def _environment(entries: list[str]) -> "dict[str, str]":
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def _wait(pid: int, outputs: "tuple[_Output, _Output]", deadline: float | None) -> int | None:
    """Wait for the hook itself, never for a daemon that keeps its output open; None past the deadline."""
    pidfd = posix.pidfd_open(pid)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    by_fd = {output.read: output for output in outputs}
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    try:
        while True:
            left = None if deadline is None else max(0, int((deadline - monotonic()) * 1000) + 1)
            if deadline is not None and monotonic() >= deadline:
                posix.killpg(pid, _SIGKILL)
                posix.waitpid(pid, 0)
                return None
            ended = False
            for fd, _ in poll.poll(left):
                if fd == pidfd:
                    ended = True
                elif not by_fd[fd].drain():
                    poll.unregister(fd)
            if ended:
                for output in outputs:
                    output.drain()
                return posix.waitpid(pid, 0)[1]
    finally:
        posix.close(pidfd)
