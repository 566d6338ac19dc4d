# SPDX-License-Identifier: Apache-2.0
"""An ordinary user's containers: all within one user namespace of his, which has mounts and a network of its own.

A process that sleeps, the holder, keeps these namespaces; the first command that needs them makes it, and each command enters them
before it does anything. There it is root: bridges, rules and overlays are made as root makes them. pasta or slirp4netns leads from
that network to the host's; without either nothing leads out. Ports of the host are bound by a process that stays outside as long as
the command, and are served by the monitor (monitor/forward.py), whose sockets may be of another namespace than itself.

The user must have ids to give: /etc/subuid, /etc/subgid, newuidmap(1), newgidmap(1).
"""

import _socket
import fcntl
import posix
import pwd
import select
from sys import byteorder

from pyoci.engine.errors import EngineError
from pyoci.engine.libc import call
from pyoci.engine.networks import publishing
from pyoci.engine.networks.netlink import Netlink
from pyoci.engine.networks.records import Port
from pyoci.engine.places import make_private
from pyoci.identity import is_alive, read, record
from pyoci.jsontext import dumps
from pyoci.linux.process import CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWUSER
from pyoci.spec.reader import parse_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from pyoci.engine.places import Places
    from pyoci.identity import Recorded

WAYS_OUT = ("pasta", "slirp4netns")
HOLDER, WAY_OUT = "holder", "way-out"  # files in the run directory
# Commands that never need the namespaces, and those that need them only where there are any: they make nothing.
OUTSIDE = (
    "builder prune", "history", "image inspect", "image prune", "images", "import", "load", "login",
    "logout", "pull", "push", "rmi", "save", "tag", "version",
)  # fmt: skip
READING = (
    "container inspect", "inspect", "logs", "network check", "network inspect", "network ls", "port", "ps", "stats", "top",
    "volume inspect", "volume ls", "wait",
)  # fmt: skip
_DIRECTORIES = ("/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin", "/sbin")
_KINDS = (("user", CLONE_NEWUSER), ("mnt", CLONE_NEWNS), ("net", CLONE_NEWNET))
_LOOPBACK = 1  # the index of lo, in every namespace
_PACKET = 4096
_SIGPIPE = 13
_NULL = [(posix.POSIX_SPAWN_OPEN, fd, "/dev/null", posix.O_RDWR, 0) for fd in range(3)]
_SLIRP_SECONDS = 5.0


def enter(places: "Places", command: str) -> None:
    """Enter the user's namespaces, made where the command needs them; raises EngineError."""
    if command in OUTSIDE:
        return
    make_private(places.run)
    lock = posix.open(places.run, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        pid = _find(places)
        if not pid:
            if command in READING:
                return
            pid = _make(places)
        elif command not in READING and _way_out_has_ended(places):
            _lead_out(places, pid)
    finally:
        posix.close(lock)
    publishing.elsewhere = _stay_outside()
    _join(pid)


def _find(places: "Places") -> int:
    """Return the pid of the holder, 0 when there is none."""
    try:
        recorded = _recorded(places, HOLDER)
    except FileNotFoundError:
        return 0
    return recorded["pid"] if is_alive(recorded) else 0


def _join(pid: int) -> None:
    """Enter the holder's namespaces, in the directory where we are."""
    directory = posix.getcwd()
    flags = posix.O_RDONLY | posix.O_CLOEXEC
    opened = [(posix.open(f"/proc/{pid}/ns/{name}", flags), kind) for name, kind in _KINDS]
    for fd, kind in opened:
        call("setns", fd, kind)
        posix.close(fd)
    try:
        posix.chdir(directory)
    except OSError:
        posix.chdir("/")


# The holder ---------------------------------------------------------------------------------------


def _make(places: "Places") -> int:
    """Make the namespaces and the process that holds them; returns its pid."""
    maps = {kind: _ids(kind) for kind in ("uid", "gid")}
    ready, go = posix.pipe2(posix.O_CLOEXEC), posix.pipe2(posix.O_CLOEXEC)
    pid = posix.fork()
    if pid == 0:
        _hold(ready[1], go[0])
    posix.close(ready[1])
    posix.close(go[0])
    try:
        if not posix.read(ready[0], 1):
            raise EngineError(
                "no user namespace: see user_namespaces(7), and sysctl user.max_user_namespaces"
            )
        for kind, words in maps.items():
            _run(f"new{kind}map", str(pid), *words)
        posix.write(go[1], b"g")
    finally:
        posix.close(ready[0])
        posix.close(go[1])
    _lead_out(places, pid)
    _write_down(places, HOLDER, pid)
    return pid


def _hold(ready: int, go: int) -> "NoReturn":
    """In the child: make the namespaces, and sleep when the ids are mapped."""
    try:
        posix.setsid()
        call("unshare", CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET)
        Netlink().set_up(_LOOPBACK)
        posix.write(ready, b"r")
        null = posix.open("/dev/null", posix.O_RDWR)
        for fd in range(3):
            posix.dup2(null, fd)
        if posix.read(go, 1):
            posix.execv("/bin/sleep", ["sleep", "infinity"])
    finally:
        posix._exit(1)  # noqa: SLF001 - nothing of the command may run here


def _ids(kind: str) -> list[str]:
    """Return the map of the ids: our own is root's, behind it those that we were given (subuid(5))."""
    own = posix.getuid() if kind == "uid" else posix.getgid()
    user = pwd.getpwuid(posix.getuid()).pw_name
    path = f"/etc/sub{kind}"
    words, first = ["0", str(own), "1"], 1
    for line in read(path).decode("utf-8", "replace").splitlines():
        name, _, rest = line.partition(":")
        start, _, count = rest.partition(":")
        if name in (user, str(posix.getuid())) and count.isdecimal():
            words += [str(first), start, count]
            first += int(count)
    if first == 1:
        remedy = f"usermod --add-sub{kind}s 100000-165535 {user}"
        raise EngineError(f"{path}: no ids for {user}, which containers need: {remedy}")
    return words


def _lead_out(places: "Places", pid: int) -> None:
    """Connect the namespaces with the host's network by what is installed."""
    none = [word for option in "tuTU" for word in (f"-{option}", "none")]
    pid_file = f"{places.run}/pasta.pid"
    pasta = ("--quiet", "--config-net", "--no-map-gw", *none, "--pid", pid_file, str(pid))
    try:
        _run("pasta", *pasta)
        _write_down(places, WAY_OUT, int(read(pid_file)))
    except EngineError:
        _start_slirp(places, pid)


def _way_out_has_ended(places: "Places") -> bool:
    """Tell whether what led out was killed: the holder lives on, and so do the containers. Without any way out nothing has."""
    try:
        return not is_alive(_recorded(places, WAY_OUT))
    except FileNotFoundError:
        return False


def _recorded(places: "Places", name: str) -> "Recorded":
    """Return which process a file of the run directory means; raises FileNotFoundError."""
    return parse_object(read(f"{places.run}/{name}"))  # type: ignore[return-value]  # we alone have written it


def _write_down(places: "Places", name: str, pid: int) -> None:
    """Have a file of the run directory mean a process."""
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC
    fd = posix.open(f"{places.run}/{name}", flags, 0o600)
    posix.write(fd, dumps(record(pid)).encode())
    posix.close(fd)


def _start_slirp(places: "Places", pid: int) -> None:
    program = find_program("slirp4netns")
    if not program:
        return
    reading, writing = posix.pipe2(0)
    posix.set_inheritable(reading, False)  # noqa: FBT003 - the argument has no name
    options = [
        "--configure",
        "--enable-ipv6",
        "--mtu=65520",
        "--disable-host-loopback",
        f"--ready-fd={writing}",
    ]
    child = posix.posix_spawn(
        program,
        ["slirp4netns", *options, str(pid), "tap0"],
        posix.environ,
        file_actions=_NULL,
        setsid=True,
    )
    posix.close(writing)
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    poll.poll(_SLIRP_SECONDS * 1000)  # it is ready, or it has ended
    posix.close(reading)
    _write_down(places, WAY_OUT, child)


def find_program(name: str) -> str:
    """Return where a program is, "" where it is not installed."""
    places = [f"{directory}/{name}" for directory in _DIRECTORIES]
    return next((path for path in places if posix.access(path, posix.X_OK)), "")


def _run(name: str, *words: str) -> None:
    """Run a program to its end; raises EngineError when it is missing or fails."""
    program = find_program(name)
    if not program:
        raise EngineError(f"{name}: not found, which containers of an ordinary user need")
    # pasta refuses to begin where SIGPIPE is ignored, as the interpreter does.
    pid = posix.posix_spawn(
        program, [name, *words], posix.environ, file_actions=_NULL, setsigdef=[_SIGPIPE]
    )
    code = posix.waitstatus_to_exitcode(posix.waitpid(pid, 0)[1])
    if code:
        raise EngineError(f"{name}: exit status {code}")


# Ports of the host --------------------------------------------------------------------------------


class Outside:
    """A process in the host's network namespace, which binds what we are asked to publish."""

    __slots__ = ("_socket",)

    def __init__(self, socket: "_socket.socket") -> None:
        self._socket = socket

    def bind(self, port: Port) -> "_socket.socket | None":
        """Return a socket bound there; raises OSError as bind(2) does."""
        words = {"protocol": port.protocol, "address": port.address, "number": port.number}
        self._socket.send(dumps(words).encode())
        answer, rights, *_ = self._socket.recvmsg(_PACKET, _socket.CMSG_SPACE(4))
        if not rights:
            code = int(answer)
            if code:
                raise OSError(code, posix.strerror(code))
            return None
        return _socket.socket(fileno=int.from_bytes(rights[0][2], byteorder))


def _stay_outside() -> "publishing.Binder":
    """Leave a process behind that lives as long as this one; returns how it is asked."""
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    if posix.fork() == 0:
        try:
            ours.close()
            _serve(theirs)
        finally:
            posix._exit(0)  # noqa: SLF001 - nothing of the command may run here
    theirs.close()
    return Outside(ours).bind


def _serve(socket: "_socket.socket") -> None:
    null = posix.open("/dev/null", posix.O_RDWR)
    for fd in range(3):
        posix.dup2(null, fd)  # who reads the command's output waits for the command alone
    while packet := socket.recv(_PACKET):
        asked: dict[str, Any] = parse_object(packet)
        port = Port((asked["protocol"], asked["address"], asked["number"], "", 0))
        try:
            bound = publishing.bind(port)
        except OSError as error:
            socket.send(str(error.errno or 0).encode())
            continue
        rights = []
        if bound is not None:
            rights = [
                (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, bound.fileno().to_bytes(4, byteorder))
            ]
        socket.sendmsg([b"0"], rights)
        if bound is not None:
            bound.close()
