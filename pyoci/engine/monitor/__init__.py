# SPDX-License-Identifier: Apache-2.0
"""The monitor: one small process a container, started fresh, that writes its log, serves who attaches, and sees its end.

The launcher starts it as `pypod _monitor RUN OWNER REPORT CREATOR`: the container's run directory; descriptors of the command
that starts the container (a SOCK_SEQPACKET pair), and of the pipe on which the process that makes it reports; the pid of that
process, our child. -1 for those that there are not. It begins when its owner gives word, with the listening socket to which the
container's terminal comes, if it has one. Without an owner it takes over a container whose monitor was killed. `pypod _monitor RUN
rest ...` is one that rests (rest.py).

It imports little and forks nothing of itself: everything else is done by `pypod` and `pyoci`, started and ended. Only built-in
modules of the interpreter and a few of ours: 4 MB.
"""

import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal

_APPEND = posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND | posix.O_CLOEXEC


def main() -> int:
    """Watch one container until its end."""
    from pyoci.engine.monitor import clients, rest
    from pyoci.engine.monitor.watch import Watch

    _signal.signal(_signal.SIGPIPE, _signal.SIG_IGN)
    for number in (_signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM):
        _signal.signal(number, _signal.SIG_IGN)  # only SIGKILL ends it before its container
    _, run, *words = sys.argv[1:]
    posix.chdir("/")
    if words[0] == rest.WORD:
        watch = Watch(run, rest.awake(words[1:]))
    else:
        owner, report, creator = map(int, words)
        console = -1
        if owner >= 0:
            word, console = clients.receive_word(owner)
            if not word:
                return 0  # there is nothing to be started
        posix.dup2(posix.open(f"{run}/monitor.log", _APPEND, 0o600), 2)
        watch = Watch(run)
        watch.begin(owner, report, console, creator)
    watch.run_to_end()
    return 0
