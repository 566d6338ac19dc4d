# SPDX-License-Identifier: Apache-2.0
"""The monitor: one small process a container, started fresh, that writes its log, serves who attaches, and sees its end.

The launcher starts it as `pypod _monitor RUN OWNER REPORT CONSOLE CREATOR`: the container's run directory; descriptors of the
command that starts the container (a SOCK_SEQPACKET pair), of the pipe on which the process that makes it reports, and of the
listening socket to which its terminal comes; the pid of the process that makes it, our child. -1 for those that there are not.
Without an owner it takes over a container whose monitor was killed. `pypod _monitor RUN rest ...` is one that rests (rest.py).

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


def main() -> int:
    """Watch one container until its end."""
    from pyoci.engine.monitor import rest
    from pyoci.engine.monitor.watch import Watch

    _signal.signal(_signal.SIGPIPE, _signal.SIG_IGN)
    for number in (_signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM):
        _signal.signal(number, _signal.SIG_IGN)  # only SIGKILL ends it before its container
    _, run, *words = sys.argv[1:]
    posix.chdir("/")
    if words[0] == rest.WORD:
        watch = Watch(run, rest.awake(words[1:]))
    else:
        watch = Watch(run)
        watch.begin(*map(int, words))
    watch.run_to_end()
    return 0
