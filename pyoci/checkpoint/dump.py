# SPDX-License-Identifier: Apache-2.0
"""Checkpoint: the processes of a container become files (criu.org/Checkpoint/Restore)."""

import posix

from pyoci import log, spec, state
from pyoci.checkpoint import criu, outside
from pyoci.errors import StateError, StepError, UsageError, in_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pyoci.spec import Spec
    from pyoci.state import Container

LOG = "dump.log"
_ACCESS = 3  # O_ACCMODE
_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC


class Options:
    """What the command line asks of checkpoint and restore alike."""

    def __init__(  # noqa: PLR0913 - a record: every field is named at the call
        self,
        *,
        images: str,
        work: str = "",
        parent: str = "",
        flags: "Mapping[str, int] | None" = None,
        page_server: tuple[str, int] | None = None,
        status_fd: int = -1,
        cgroup_mode: str = "",
        network_lock: str = "",
        lsm_profile: str = "",
        lsm_mount_context: str = "",
    ) -> None:
        self.images = images
        self.work = work
        self.parent = parent
        self.flags = flags or {}  # of criu, by their names there
        self.page_server = page_server
        self.status_fd = status_fd
        self.cgroup_mode = cgroup_mode
        self.network_lock = network_lock
        self.lsm_profile = lsm_profile
        self.lsm_mount_context = lsm_mount_context

    @property
    def log_directory(self) -> str:
        """Where criu writes its log."""
        return self.work or self.images

    def message(self, annotations: "dict[str, str]") -> "dict[str, Any]":
        """Return the options that both have, as criu takes them."""
        return {
            "log_level": criu.LOG_LEVEL,
            "notify_scripts": True,
            "manage_cgroups": True,
            "manage_cgroups_mode": criu.CGROUP_MODES.get(self.cgroup_mode),
            "network_lock": criu.NETWORK_LOCKS.get(self.network_lock),
            "orphan_pts_master": True,
            "config_file": criu.configuration(annotations),
            **self.flags,
        }


def checkpoint(root: str, identity: str, options: Options, *, pre_dump: bool, leave: bool) -> None:
    """Save a container's processes in files; unless it is left running they are gone."""
    container = state.load(root, identity)
    try:
        if not container.lock():
            raise StateError(f"container {identity} is busy: another command holds it")
        status = container.status()
        if status not in ("running", "paused"):
            raise StateError(f"Container cannot be checkpointed in {status} state")
        _dump(container, options, pre_dump=pre_dump, leave=leave)
    finally:
        container.close()


def _dump(container: "Container", options: Options, *, pre_dump: bool, leave: bool) -> None:
    """Have criu do it; what it cannot leaves the container as it was."""
    record = container.known()
    init = record["init"]
    assert init is not None
    text = container.read(state.CONFIG)
    config = spec.parse(text, log.debug)
    if options.status_fd >= 0:
        _check_status_fd(options.status_fd)
    make_directory(options.images)
    make_directory(options.log_directory)
    images = posix.open(options.images, _DIRECTORY)
    work = posix.open(options.log_directory, _DIRECTORY)
    message = {
        **options.message(config["annotations"]),
        "images_dir_fd": images,
        "work_dir_fd": work,
        "log_file": LOG,
        "root": record["rootfs"],
        "pid": init["pid"],
        "leave_running": leave,
        "freeze_cgroup": _freezer(container),
        "parent_img": _parent(options) or None,
        "track_mem": True if pre_dump or options.parent else None,
    }
    if options.page_server:
        address, port = options.page_server
        message["ps"] = {"address": address, "port": port}
    if options.status_fd >= 0:
        message["status_fd"] = options.status_fd  # of ours: criu opens it anew by /proc
    if not pre_dump:
        message |= _outside(config, init["pid"], record["bundle"])
        outside.save_descriptors(images, init["pid"])
    worker = criu.Worker({})
    try:
        worker.carry_out(criu.PRE_DUMP if pre_dump else criu.DUMP, message, {})
    except StepError as error:
        raise criu.explain(error, options.log_directory, LOG) from error
    finally:
        worker.end()
        posix.close(images)
        posix.close(work)


def _outside(config: "Spec", pid: int, bundle: str) -> "dict[str, Any]":
    """Name what lies outside of the container."""
    spaces = outside.external_namespaces(config, pid)
    return {
        "ext_mnt": outside.external_mounts(pid, config, bundle),
        "external": [f"{space}:{key}" for key, space, _ in spaces],
    }


def make_directory(path: str) -> None:
    """Make a directory for images or logs; one may be used many times."""
    try:
        posix.mkdir(path, 0o700)
    except FileExistsError:
        return


def _check_status_fd(fd: int) -> None:
    """Refuse a descriptor that is not open for writing; the words are runc's."""
    import fcntl

    try:
        mode = fcntl.fcntl(fd, fcntl.F_GETFL) & _ACCESS
    except OSError as error:
        raise UsageError(f"invalid --status-fd argument {fd}: {in_words(error)}") from None
    if mode == posix.O_RDONLY:
        raise UsageError(f"invalid --status-fd argument {fd}: not writable")


def _parent(options: Options) -> str:
    """Return the directory of an earlier dump, relative to the images as criu wants it."""
    if not options.parent:
        return ""
    if options.parent.startswith("/"):
        raise UsageError("--parent-path must be relative")
    try:
        posix.stat(f"{options.images}/{options.parent}")
    except OSError as error:
        raise UsageError(f"invalid --parent-path: {options.parent}: {in_words(error)}") from None
    return options.parent


def _freezer(container: "Container") -> str | None:
    """Return the cgroup by which criu may stop all processes at once, where there is one of the container's own."""
    cgroup = container.cgroup()
    part = cgroup.controller("freezer") if cgroup else None
    return part.full_path if part else None
