# SPDX-License-Identifier: Apache-2.0
"""Say why: an operation that the kernel refused, in one line with its place in config.json and the likely reason."""

import errno
import posix

from pyoci.errors import HookError, StepError, readable
from pyoci.linux.process import CAPABILITIES, PROC_SUPER_MAGIC
from pyoci.plan.options import LABELS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.executor import Failure, Report
    from pyoci.plan.program import Operation, Program
    from pyoci.spec import Spec

_MUST_BE_ORDINARY = "must be mounted on ordinary directory"

# runc's words, which logs are searched for.
STARTING = "unable to start container process: "
DURING = "error during container init: "


def explain(failure: "Failure", program: "Program", spec: "Spec") -> StepError | HookError:
    """Turn a report of the executor into the error that a user reads."""
    if failure.operation >= len(program.operations):
        return StepError(f"the executor refused its plan: {failure.detail}", "", failure.errno)
    operation = program.operations[failure.operation]
    if operation.name == "hook":
        return HookError(STARTING + DURING + hook_text(failure, operation))
    if operation.name == "find_program":
        return StepError(
            STARTING + program_text(failure, operation), operation.place, failure.errno
        )
    if operation.name == "verify_filesystem" and operation.place.startswith("/mounts/"):
        text = STARTING + DURING + proc_text(operation, spec)
        return StepError(text, operation.place, failure.errno)
    parts = [subject(operation, spec), operation.name.replace("_", " ")]
    if (operation.name, failure.errno) == ("create", errno.EISDIR):
        text = f"{STARTING}{DURING}{parts[0]}: a file cannot be mounted on a directory: not a directory"
        return StepError(text, operation.place, errno.ENOTDIR)
    detail = failure.detail.strip().removeprefix("e ")  # the kernel's mark of an error (fsopen(2))
    cause = posix.strerror(failure.errno).lower()
    if detail:
        parts.append(detail)
    if cause not in detail.lower():
        parts.append(cause)
    reason = likely_reason(failure.errno, operation, spec)
    if reason:
        parts.append(reason)
    text = STARTING + DURING + ": ".join(part for part in parts if part)
    return StepError(text, operation.place, failure.errno)


def warn(report: "Report", program: "Program") -> str:
    """Say what the executor went on without (its one warning: an ambient capability)."""
    cause = posix.strerror(report.errno).lower()
    if program.operations[report.operation].name == "ambient":
        return f"can't raise ambient capability {CAPABILITIES[report.value]}: {cause}"
    return f"{report.detail}: {cause}"


def subject(operation: "Operation", spec: "Spec") -> str:
    """Name the place in config.json and the object there."""
    place = operation.place
    text = readable(place)
    parts = place.split("/")
    if parts[1:2] == ["mounts"] and len(parts) > 2:
        mount = spec["mounts"][int(parts[2])]
        source = mount["source"] or mount["type"] or ""
        return f'{text}: error mounting "{source}" to rootfs at "{mount["destination"]}"'
    if parts[1:3] == ["linux", "devices"] and len(parts) > 3 and parts[3].isdigit():
        return f"{text}: device {spec['linux']['devices'][int(parts[3])]['path']}"
    if place.startswith("/linux/namespaces/") and len(parts) > 3:
        namespace = spec["linux"]["namespaces"][int(parts[3])]
        return f"{text}: {namespace['type']} namespace {namespace['path'] or ''}".rstrip()
    if parts[1:2] == ["root"] and spec["root"]:
        return f"{text}: {spec['root']['path']}"
    return text


def hook_text(failure: "Failure", operation: "Operation") -> str:
    """Say how a hook failed, in runc's words."""
    _, _, kind, index = operation.place.split("/")
    timeout = operation.arguments[4]
    assert isinstance(timeout, int)
    return hook_words(f"{kind} hook #{index}", failure, timeout / 1000)


def hook_words(hook: str, failure: "Failure", seconds: float) -> str:
    """Say how a hook that init ran has failed; its stdout and stderr came through one pipe."""
    name = f"error running {hook}"
    output = failure.detail.strip()
    if failure.value:
        code = posix.waitstatus_to_exitcode(failure.value)
        status = f"exit status {code}" if code >= 0 else f"signal {-code}"
        return f"{name}: {status}, output: {output}"
    if failure.errno == errno.ETIME:
        return f"{name}: hook ran past specified timeout of {seconds:.1f}s, output: {output}"
    return f"{name}: {posix.strerror(failure.errno).lower()}: {output}"


def proc_text(operation: "Operation", spec: "Spec") -> str:
    """Say which rule of mounts on /proc was broken, in runc's words."""
    mount = spec["mounts"][int(operation.place.split("/")[2])]
    if operation.arguments[1] == PROC_SUPER_MAGIC:
        return f'{readable(operation.place)}: "{mount["source"]}" cannot be mounted on /proc: it is not of type proc'
    return (
        f'{readable(operation.place)}: "{mount["destination"]}" cannot be mounted '
        "because it is inside /proc"
    )


def program_text(failure: "Failure", operation: "Operation") -> str:
    """Say that the program is missing, in the words that docker and podman turn into 127 and 126."""
    name = operation.arguments[0]
    assert isinstance(name, str)
    cause = posix.strerror(failure.errno).lower()
    if failure.errno == errno.EISDIR:
        # The first half for people, the second for engines that know no other word for 126.
        return f'exec: "{name}": is a directory: permission denied'
    if "/" in name:
        verb = "stat " if failure.errno in (errno.ENOENT, errno.ENOTDIR) else ""
        return f'exec: "{name}": {verb + name + ": " if verb else ""}{cause}'
    # The same for one that is there but may not be executed: runc's search goes on, and 127 is its end.
    more = ": the one that is there may not be executed" if failure.errno == errno.EACCES else ""
    return f'exec: "{name}": executable file not found in $PATH{more}'


def likely_reason(code: int, operation: "Operation", spec: "Spec") -> str:
    """Say in words what the kernel's number hides, where experience knows."""
    for reason in (
        _of_the_root,
        _of_a_search,
        _of_an_ordinary_directory,
        _of_rights,
        _of_a_label,
        _of_a_detached_root,
    ):
        text = reason(code, operation, spec)
        if text:
            return text
    return _REASONS.get((operation.name, code), "")


def _of_the_root(code: int, operation: "Operation", spec: "Spec") -> str:
    del spec
    is_root = operation.place == "/root/path" and operation.name == "open"
    if is_root and code in (errno.ELOOP, errno.ENOTDIR):
        return "invalid rootfs: not a directory, or a symlink"
    return ""


def _of_a_search(code: int, operation: "Operation", spec: "Spec") -> str:
    del spec
    if code != errno.EACCES or operation.name not in {"open", "open_tree"}:
        return ""
    path = operation.arguments[2]
    return unsearchable(path) if isinstance(path, str) and path.startswith("/") else ""


def _of_an_ordinary_directory(code: int, operation: "Operation", spec: "Spec") -> str:
    if operation.place.startswith("/mounts/") and code in (errno.ELOOP, errno.ENOTDIR):
        destination = spec["mounts"][int(operation.place.split("/")[2])]["destination"].strip("/")
        return _MUST_BE_ORDINARY if destination in {"proc", "sys"} else ""
    return ""


def _of_rights(code: int, operation: "Operation", spec: "Spec") -> str:
    del spec
    if operation.place == "/process/apparmorProfile" and code == errno.ENOENT:
        return "no such profile is loaded (apparmor_parser --replace FILE loads one)"
    is_score = operation.name == "write" and operation.place == "/process/oomScoreAdj"
    if is_score and code in (errno.EACCES, errno.EPERM):
        return "lowering it needs CAP_SYS_RESOURCE, which the runtime does not have"
    return ""


def _of_a_label(code: int, operation: "Operation", spec: "Spec") -> str:
    del spec
    label: object = ""
    if operation.place == "/process/selinuxLabel" and operation.name == "write":
        label = operation.arguments[1]
    elif operation.name == "fsconfig" and operation.arguments[2] in LABELS:
        label = operation.arguments[3]
    if code != errno.EINVAL or not label:
        return ""
    text = label.decode() if isinstance(label, bytes) else label
    return f'the loaded policy knows no label "{text}"'


def _of_a_detached_root(code: int, operation: "Operation", spec: "Spec") -> str:
    own = any(row["type"] == "mount" for row in spec["linux"]["namespaces"])
    if operation.name == "move_mount" and code == errno.EINVAL and not own:
        return "mounts without a mount namespace need Linux 6.15 or newer"
    return ""


_NO_RESOURCE = "raising a hard limit needs CAP_SYS_RESOURCE, which the runtime does not have"
_NO_PRIORITY = (
    "it needs CAP_SYS_NICE on the host; real time also cpu.rt_runtime_us in the cgroup (v1), "
    "and SCHED_DEADLINE a cpuset of all processors"
)
_CHROOT = (
    "who joins the container would be on the host; start the runtime in a mount namespace whose root "
    "was changed with pivot_root(2), as systemd-nspawn does"
)
_REASONS = {
    ("raise_limit", errno.EPERM): _NO_RESOURCE,
    ("set_limit", errno.EPERM): _NO_RESOURCE,
    ("set_uid", errno.EINVAL): "the id is not in the container's map",
    ("set_gid", errno.EINVAL): "the id is not in the container's map",
    ("clone", errno.ENOSPC): "the limit of namespaces is reached (/proc/sys/user/max_*_namespaces)",
    ("clone", errno.EPERM): "making these namespaces needs root or a user namespace",
    ("scheduler", errno.EPERM): _NO_PRIORITY,
    ("scheduler", errno.EINVAL): "this kernel has no such policy, or not with these values",
    ("io_priority", errno.EPERM): "the class needs CAP_SYS_ADMIN or CAP_SYS_NICE on the host",
    ("affinity", errno.EINVAL): "none of these processors is there, or in the cgroup's cpuset",
    (
        "memory_policy",
        errno.EINVAL,
    ): "the kernel does not know the mode, a flag or one of the nodes",
    ("clone", errno.EAGAIN): "the limit of processes is reached (RLIMIT_NPROC or pids.max)",
    (
        "clone",
        errno.EBUSY,
    ): "the cgroup has controllers enabled for its children: no process may enter it",
    (
        "clone",
        errno.EOPNOTSUPP,
    ): 'the cgroup is below a threaded one (cgroup.type is "domain invalid"), so that no process may '
    "enter it: choose another linux.cgroupsPath",
    ("setns", errno.EINVAL): "the file is not a namespace of this type, or it is our own already",
    ("fsconfig", errno.EINVAL): "the file system refused a mount option",
    ("open_tree", errno.ENOENT): "the source does not exist",
    (
        "pivot_root",
        errno.EINVAL,
    ): "the runtime's own root is a ramfs or not a mount: see --no-pivot",
    ("pivot_root", errno.EOPNOTSUPP): _CHROOT,
    ("move_root", errno.EOPNOTSUPP): _CHROOT,
    ("seccomp", errno.EINVAL): "the kernel refused the filter or one of its flags",
    ("device_filter", errno.EPERM): "loading a device filter needs CAP_BPF or root",
}


def unsearchable(path: str) -> str:
    """Name the first parent directory of a path that we may not search."""
    directory = ""
    for part in path.split("/")[1:-1]:
        directory += "/" + part
        if not posix.access(directory, posix.X_OK, effective_ids=True):
            try:
                mode = posix.stat(directory).st_mode & 0o7777
            except OSError:
                return f"{directory} lies in a directory that cannot be searched"
            return f"directory {directory} (mode {mode:04o}) cannot be searched by uid {posix.geteuid()}"
    return ""
