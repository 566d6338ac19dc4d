# SPDX-License-Identifier: Apache-2.0
"""Which kernel parameters a container may set: those that its own namespaces hold."""

from pyoci.errors import SpecError
from pyoci.plan.namespaces import sysctl_path
from pyoci.spec.reader import pointer

# ipc_namespaces(7); the others belong to a namespace by their first component.
_IPC = (
    "kernel/msgmax",
    "kernel/msgmnb",
    "kernel/msgmni",
    "kernel/sem",
    "kernel/shm_rmid_forced",
    "kernel/shmall",
    "kernel/shmmax",
    "kernel/shmmni",
)


def check(key: str, namespaces: set[str]) -> None:
    """Refuse a parameter that the host would share (config-linux.md#sysctl)."""
    problem = _problem(sysctl_path(key), namespaces)
    if problem:
        raise SpecError(pointer("/linux/sysctl", key), f'sysctl "{key}" {problem}')


def _problem(file: str, namespaces: set[str]) -> str:
    kind = ""
    if file in _IPC or file.startswith("fs/mqueue/"):
        kind = "ipc"
    elif file.startswith("net/"):
        kind = "network"
    elif file.startswith("user/"):
        kind = "user"
    elif file == "kernel/domainname":
        kind = "uts"
    elif file == "kernel/hostname":
        return 'is not allowed as it conflicts with the OCI "hostname" field'
    if kind in namespaces:
        return ""
    if kind == "ipc":
        return "is not allowed in the hosts ipc namespace"
    if kind == "network":
        return "is not allowed in host network namespace"
    return "is not in a separate kernel namespace"
