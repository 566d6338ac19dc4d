# SPDX-License-Identifier: Apache-2.0
"""Restore: another way to create a container, whose init criu makes from images."""

import posix

from pyoci import creation, dialogue, host, identity, placement
from pyoci.checkpoint import criu, outside, places, private
from pyoci.checkpoint.dump import Options, make_directory
from pyoci.creation import Creation
from pyoci.errors import SpecError, StepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LOG = "restore.log"
ROOT = "criu-root"
_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC
_FIRST_FILE = 4


class Restored:
    """What criu made, in the place of an executor: the pid of an init that is our child."""

    __slots__ = ("pid", "setup", "warnings")

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.setup = 0
        self.warnings: list[object] = []

    def close(self) -> None:
        """Hold nothing."""


class Restoration(Creation):
    """A container that is made from images."""

    def __init__(
        self, options: "creation.CreateOptions", images: Options, *, detached: bool
    ) -> None:
        super().__init__(options, detached=detached)
        self.images = images
        self.steps = STEPS


def check_images(restoration: Creation) -> None:
    """Refuse what cannot be restored before anything is made."""
    assert isinstance(restoration, Restoration)
    criu.find()
    posix.close(posix.open(restoration.images.images, _DIRECTORY))
    root = restoration.spec["root"]
    if root is None:
        raise SpecError("/root", "is required")


def make_places(restoration: Creation) -> None:
    """Make what mounts are attached to, where the root lacks it."""
    options, config = restoration.options, restoration.spec
    facts = host.facts(config, options.bundle, options.id, restoration.cgroup)
    places.make(restoration.made.known()["rootfs"], config, facts)


def bring_back(restoration: Creation) -> None:
    """Have criu make the processes, in the container's cgroups, as children of ours."""
    assert isinstance(restoration, Restoration)
    options, made = restoration.images, restoration.made
    make_directory(options.log_directory)
    posix.mkdir(ROOT, 0o700, dir_fd=made.directory)
    place = f"{restoration.options.root}/{restoration.options.id}/{ROOT}"
    try:
        with private.Mounts() as mounts:
            mounts.bind(made.known()["rootfs"], place)
            pid = _restore(restoration, options, place)
    except StepError as error:
        raise criu.explain(error, options.log_directory, LOG) from error
    finally:
        posix.rmdir(ROOT, dir_fd=made.directory)
    restoration.executor = Restored(pid)  # type: ignore[assignment]  # as much of one as is used


def _restore(restoration: Restoration, options: Options, place: str) -> int:
    """Send the request; criu takes the directories from us, so they must be of its mount namespace."""
    images = posix.open(options.images, _DIRECTORY)
    work = posix.open(options.log_directory, _DIRECTORY)
    files, inherited = _files(restoration, images)
    worker = criu.Worker(files)
    bundle, cgroup = restoration.options.bundle, restoration.cgroup
    try:
        message = {
            **options.message(restoration.spec["annotations"]),
            "images_dir_fd": images,
            "work_dir_fd": work,
            "log_file": LOG,
            "root": place,
            "rst_sibling": True,
            "evasive_devices": True,
            "cg_root": _enter_cgroups(restoration, worker.pid),
            "ext_mnt": outside.mount_sources(restoration.spec, bundle, cgroup),
            "inherit_fd": inherited,
            "lsm_profile": options.lsm_profile or None,
            "lsm_mount_context": options.lsm_mount_context or None,
        }
        notes = {
            "setup-namespaces": lambda pid, _: _run_hooks(restoration, pid),
            "orphan-pts-master": lambda _, fd: _take_terminal(restoration, fd),
        }
        return worker.carry_out(criu.RESTORE, message, notes)
    finally:
        worker.end()
        for fd in (images, work, *(fd for fd in files.values() if fd > max(outside.STANDARD))):
            posix.close(fd)


def write_record(restoration: Creation) -> None:
    """Make the container whole on disk: it runs."""
    assert restoration.executor is not None
    if restoration.cgroup is not None:
        restoration.cgroup.tighten()
    record = restoration.made.known()
    record["init"] = identity.record(restoration.executor.pid)
    record["status"] = "created"
    restoration.made.save()


def _files(restoration: Creation, images: int) -> "tuple[dict[int, int], list[dict[str, Any]]]":
    """Return what criu shall inherit: our standard descriptors for pipes that were there, and joined namespaces."""
    files: dict[int, int] = {}
    inherited: list[dict[str, Any]] = []
    for number, name in enumerate(outside.load_descriptors(images)):
        if "pipe:" in name:
            files[_FIRST_FILE + len(files)] = number
            inherited.append({"key": name, "fd": _FIRST_FILE + len(files) - 1})
    for key, _, path in outside.external_namespaces(restoration.spec, posix.getpid()):
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
        files[_FIRST_FILE + len(files)] = fd
        inherited.append({"key": key, "fd": _FIRST_FILE + len(files) - 1})
    return files, inherited


def _enter_cgroups(restoration: Creation, pid: int) -> "list[dict[str, str]]":
    """Put criu, and with it what it makes, into the container's cgroups; returns their roots."""
    cgroup = restoration.cgroup
    if cgroup is None:
        return []
    if cgroup.unit:
        cgroup.adopt([pid])
        placement.make_and_limit(restoration, cgroup)
    for part in cgroup.parts:
        fd = posix.open(f"{part.full_path}/cgroup.procs", posix.O_WRONLY | posix.O_CLOEXEC)
        try:
            posix.write(fd, str(pid).encode())
        finally:
            posix.close(fd)
    lines = identity.read(f"/proc/{pid}/cgroup").decode().splitlines()
    rows = [line.split(":", 2) for line in lines]
    # Without a controller it is the root of all: so on version 2, where there is but one hierarchy.
    return [
        {"ctrl": names, "path": path} if names else {"path": path}
        for _, names, path in rows
        if names or cgroup.version == 2
    ]


def _run_hooks(restoration: Creation, pid: int) -> None:
    """Run the hooks of the runtime's namespace, once the container's namespaces are there."""
    from pyoci import hooks
    from pyoci.jsontext import dumps

    entries = restoration.spec["hooks"]
    for kind, of_kind, status in (
        ("prestart", entries["prestart"], "created"),
        ("createRuntime", entries["createRuntime"], "creating"),
    ):
        document = dumps(restoration.document(status, pid)).encode()
        hooks.run(kind, of_kind, document, restoration.made.journal_hook)


def _take_terminal(restoration: Creation, master: int | None) -> None:
    if master is not None:
        dialogue.take_console(restoration, master)


STEPS = (
    check_images,
    creation.check_request,
    creation.claim,
    placement.make_cgroup,
    make_places,
    bring_back,
    write_record,
    creation.hand_over,
)
