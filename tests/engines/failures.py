# SPDX-License-Identifier: Apache-2.0
"""Failures that an engine translates: the containers, and what may differ from runc in its words."""

import re

from blackbox.processes import Ran

# Containers that fail, whose engine says so: (options that docker and podman share, command).
FAILURES: dict[str, tuple[list[str], list[str]]] = {
    "missing": ([], ["no-such-program"]),
    "missing path": ([], ["/no/such"]),
    "not executable": ([], ["/bin/not-executable"]),
    "directory": ([], ["/etc"]),
    "in a file": ([], ["/etc/passwd/x"]),
    "interpreter": ([], ["/bin/no-interpreter"]),
    "empty": ([], [""]),
    "code": ([], ["sh", "-c", "exit 42"]),
    "signal": ([], ["sh", "-c", "kill -9 $$; sleep 0.1; echo process 1 survives"]),
    "user": (["--user", "nobody-knows"], ["true"]),
    "work directory": (["--workdir", "/etc/passwd"], ["true"]),
    "work directory of others": (["--workdir=/root", "--user=77", "--cap-drop=all"], ["pwd"]),
    "path of user": (["--env=PATH=/root", "--user=77"], ["ls"]),
}
# What the kernel or the runtime refuses: pyoci names the place in config.json, runc its own steps. The
# exit code, the cause and what the engine makes of the words are the same.
REFUSALS: dict[str, tuple[list[str], str]] = {
    "sysctl of the host": (["--sysctl", "net.no.such=1"], "no such file or directory"),
    "file on directory": (["--volume=/etc/hostname:/etc"], "not a directory"),
    "directory on file": (["--volume=/usr/share:/etc/passwd"], "not a directory"),
    "below a file": (["--volume=/usr/share:/etc/passwd/x"], "not a directory"),
    "on proc": (["--volume=/usr/share:/proc/none"], "cannot be mounted because it is inside /proc"),
}
# Out of memory, and the engine hears of it: it listens once the container has started, so that what eats
# waits for a file of the host, GATE/open.
GATE = "/gate"
EAT = [
    "sh",
    "-c",
    f"until [ -e {GATE}/open ]; do usleep 10000; done; dd if=/dev/zero of=/dev/null bs=64M count=4",
]
HINT = "Are you trying to mount a directory onto a file"
# Not here: a missing interpreter. pyoci still hears of it and says so (126 or 127), runc does not (1).
EXEC_FAILURES = ["no-such", "/no/such", "/bin/not-executable", "/etc"]
# (pattern, replacement, reason): applied to both outputs.
DIFFERENCES = [
    (r"\b[0-9a-f]{12,64}\b", "ID", "the container's own id"),
    (r"\S*/?(runc|pyoci|crun)\b(?=:| (create|run|exec) failed)", "RUNTIME", "each gives its name"),
    ("unable to start container process: ", "", "runc's name of a step"),
    ("is a directory: permission denied", "permission denied", "newer runcs say the first half"),
    (": the one that is there may not be executed", "", "pyoci says more"),
    (r"time=.*error waiting for container: .*\n", "", "the client says so, or is too late"),
    (r"\bc\d+\b", "NAME", "the container's own name"),
    (r'rootfs="[^"]*"|\S*/(merged|rootfs|vfs/dir/ID)', "ROOT", "where the root of a container is"),
]


def normal(ran: Ran) -> tuple[int, str, str]:
    """Return exit code and outputs without what differs on purpose."""
    texts = [ran.stdout, ran.stderr]
    for pattern, replacement, _ in DIFFERENCES:
        texts = [re.sub(pattern, replacement, text) for text in texts]
    return ran.code, texts[0].strip(), texts[1].strip()


def same(expected: Ran, got: Ran) -> None:
    """Fail unless two runtimes' failures read the same."""
    assert normal(got) == normal(expected)


def same_refusal(expected: Ran, got: Ran, cause: str) -> None:
    """Fail unless two refusals have one exit code and cause, and one hint of the engine."""
    assert (got.code, got.stdout) == (expected.code, expected.stdout)
    for word in (cause, HINT):
        assert (word in got.stderr) == (word in expected.stderr), (expected, got)
