# SPDX-License-Identifier: Apache-2.0
"""Standard output: data only, whole, and an end that a pipeline expects."""

import posix
import sys

from pyoci.errors import StepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal

STDOUT = 1


def write(text: str) -> None:
    """Write text; when the reader has gone, end as any program does, by SIGPIPE."""
    rest = text.encode("utf-8", "surrogateescape")
    while rest:
        try:
            rest = rest[posix.write(STDOUT, rest) :]
        except BlockingIOError:
            _await_room()
        except BrokenPipeError:
            end_by_pipe()
        except OSError as error:
            raise _failure(error) from error


def _await_room() -> None:
    import select

    poll = select.poll()
    poll.register(STDOUT, select.POLLOUT)
    poll.poll()


def flush() -> None:
    """Write what `print` has kept back."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        end_by_pipe()
    except OSError as error:
        # The interpreter would try again at its end, and say so.
        posix.dup2(posix.open("/dev/null", posix.O_WRONLY | posix.O_CLOEXEC), STDOUT)
        raise _failure(error) from error


def end_by_pipe() -> None:
    """End this process by SIGPIPE, which the interpreter ignores until told otherwise."""
    _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (_signal.SIGPIPE,))
    posix.kill(posix.getpid(), _signal.SIGPIPE)


def _failure(error: OSError) -> StepError:
    return StepError(f"write to standard output: {(error.strerror or '').lower()}")
