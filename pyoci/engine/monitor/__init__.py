# SPDX-License-Identifier: Apache-2.0
"""The monitor: one small process a container, started fresh, that writes its log, serves who attaches, and sees its end.

The launcher starts it as
  `pypod _monitor NAME OWNER WORK`, before the command that will start a container knows which: descriptors of sockets to that
      command, one for the monitor (SOCK_SEQPACKET) and one for the creator, which is forked at once. The command tells whose
      monitor it is, a name that it takes for others to see, and gives word, with the listening socket to which the container's
      terminal comes, if it has one: containers/ahead.py;
  `pypod _monitor RUN`: the container's run directory, whose monitor was killed: it takes over;
  `pypod _monitor RUN rest ...`: it has rested (rest.py).

It imports little: everything else is done by the creator, by `pypod` and `pyoci`, started and ended. Only built-in modules of the
interpreter and a few of ours: 4 MB.
"""

import _socket
import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from typing import NoReturn

    from pyoci.engine.monitor.watch import Watch
else:
    import _signal

_APPEND = posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND | posix.O_CLOEXEC
_READ = 65536
_ARGUMENTS = (
    45  # behind the name in /proc/self/stat: where they begin (proc_pid_stat(5), arg_start)
)


def main() -> int:
    """Watch one container until its end."""
    _, run, *words = sys.argv[1:]
    posix.chdir("/")
    if len(words) == 2:
        return _ahead(*map(int, words))
    from pyoci.engine.monitor import rest
    from pyoci.engine.monitor.watch import Watch

    if words:
        watch = Watch(run, rest.awake(words[1:]))
    else:
        posix.setsid()
        watch = _of(run)
        watch.take_over()
    _ignore_signals()
    watch.run_to_end()
    return 0


def _ahead(owner: int, work: int) -> int:
    """Fork the creator, then wait to be told of which container we are the monitor."""
    posix.setsid()
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    creator = posix.fork()
    if creator == 0:
        posix.close(owner)
        ours.close()
        _create(work, theirs.detach())
    posix.close(work)
    theirs.close()
    posix.set_inheritable(owner, False)  # noqa: FBT003 - the argument has no name
    _ignore_signals()
    run = posix.read(owner, _READ).decode("utf-8", "surrogateescape")
    if not run:
        return 0  # there is nothing to be started
    from pyoci.engine.monitor import clients

    word, console = clients.receive_word(owner)
    if not word:
        return 0
    _take_name(run)
    watch = _of(run)
    watch.begin(owner, ours.detach(), console, creator)
    watch.run_to_end()
    return 0


def _create(work: int, report: int) -> "NoReturn":
    """Be the creator, which imports while nobody waits for it."""
    try:
        import pyoci.engine.containers.preload  # noqa: F401 - that they are loaded is all
        from pyoci.engine.containers import creator

        creator.obey(work, report)
    finally:
        posix._exit(0)  # noqa: SLF001 - nothing of the monitor may run here


def _of(run: str) -> "Watch":
    """Return the watch of a container; what goes wrong with it is written there from now on."""
    from pyoci.engine.monitor.watch import Watch

    null = posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)
    posix.dup2(null, 0)
    posix.dup2(null, 1)
    posix.dup2(posix.open(f"{run}/monitor.log", _APPEND, 0o600), 2)
    posix.close(null)
    return Watch(run)


def _ignore_signals() -> None:
    """Only SIGKILL ends a monitor before its container."""
    for number in (
        _signal.SIGPIPE,
        _signal.SIGHUP,
        _signal.SIGINT,
        _signal.SIGQUIT,
        _signal.SIGTERM,
    ):
        _signal.signal(number, _signal.SIG_IGN)


def _take_name(run: str) -> None:
    """Put the run directory among our arguments, where it has its room: ps(1) tells whose monitor this is."""
    name = run.encode("utf-8", "surrogateescape")[: len(sys.argv[2])]
    with_room = posix.open("/proc/self/cmdline", posix.O_RDONLY | posix.O_CLOEXEC)
    stat = posix.open("/proc/self/stat", posix.O_RDONLY | posix.O_CLOEXEC)
    memory = posix.open("/proc/self/mem", posix.O_RDWR | posix.O_CLOEXEC)
    begins = int(posix.read(stat, _READ).rpartition(b")")[2].split()[_ARGUMENTS])
    at = posix.read(with_room, _READ).index(sys.argv[2].encode())
    posix.pwrite(memory, name.ljust(len(sys.argv[2]), b"\0"), begins + at)
    for fd in (with_room, stat, memory):
        posix.close(fd)
