# SPDX-License-Identifier: Apache-2.0
"""Make a container: from the command line to its row, its directories, its snapshot. Nothing of it runs yet."""

import posix
import time

from pyoci.engine import events
from pyoci.engine.containers import links, mounts, names, network, networking, request, root
from pyoci.engine.containers.record import Container, Records, make_directories
from pyoci.engine.errors import EngineError
from pyoci.engine.volumes import Volumes
from pyoci.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.engine.images.records import Image
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

    Document = dict[str, Any]

_JOINS = "container:"


def make(records: Records, arguments: list[str], flags: "Flags") -> Container:
    """Make the container that `create` and `run` ask for; raises EngineError, and leaves nothing then."""
    places = records.places
    cidfile = flags.text("cidfile")
    if cidfile and posix.access(cidfile, posix.F_OK):
        raise EngineError(
            "container ID file found, make sure the other container isn't running or delete "
            f"{cidfile}",
            125,
        )
    document: Document = {
        "Config": request.config(arguments, flags),
        "HostConfig": request.host_config(flags),
    }
    asked = mounts.asked(flags)
    name = flags.text("name").removeprefix("/")
    if name:
        names.check(name)
    image = _image(records, arguments[0], flags.text("platform"))
    identity = names.make_id()
    request.complete(document, {**image.config["config"]}, identity)
    document["NetworkSettings"] = network.settings(networking.asked(flags, identity))
    document["macs"] = networking.macs(flags)
    container = _container(places, identity, name, image.id, document)
    _refer(records, container)
    named = network.is_users(container.host_config["NetworkMode"])
    found = [] if named else links.parse(records, flags.every("link"))
    points = _points(records, container, asked)
    volumes = Volumes(places, records.database)
    with records.database.writing():
        records.add(container, named=bool(name))
        root.claim(records, container, image)
        new = mounts.claim(volumes, container.id, points)
        links.save(records, container, found)
        records.save(container)
    try:
        make_directories(container)
        mounts.prepare(points, volumes)
        root.make(records, container)
        if cidfile:
            _write(cidfile, identity)
    except BaseException:
        _discard(records, container, volumes=True)
        raise
    for name in new:
        events.of_volume(places, "create", name)
    events.of_container(container, "create")
    container.is_new = True
    return container


def _image(records: Records, name: str, platform: str) -> "Image":
    """Return the image; one that is made for another platform than was asked for is none, and may be pulled for that one."""
    image = root.resolve(records, name)
    if platform:
        from pyoci.engine.images.manifests import check_platform

        check_platform(image.config, platform, name)
    return image


def _container(
    places: "Places", identity: str, name: str, image: str, document: "Document"
) -> Container:
    """Return a container that is not written down yet."""
    directory = f"{places.root}/containers/{identity}"
    document["files"] = directory
    document["Mounts"] = []
    row = (identity, name, time.time_ns(), image, dumps(document))
    return Container(places, row)


def _refer(records: Records, container: Container) -> None:
    """Have ids in the place of names of other containers, and take over what belongs to their network."""
    host, own = container.host_config, container.config
    for key in ("NetworkMode", "PidMode", "IpcMode"):
        if host[key].startswith(_JOINS):
            other = records.find(host[key].removeprefix(_JOINS))
            host[key] = f"{_JOINS}{other.id}"
            if key == "NetworkMode":
                own["Hostname"], own["Domainname"] = (
                    other.config["Hostname"],
                    other.config["Domainname"],
                )
                container.document["files"] = other.document["files"]


def _points(
    records: Records, container: Container, asked: "list[mounts.Point]"
) -> "list[mounts.Point]":
    """Put the mount points of a container into its document, and return them."""
    host, own = container.host_config, container.config
    every = [*asked, *mounts.tmpfs(host["Tmpfs"])]
    mounts.check_distinct(every)
    points = mounts.resolve(records, every, host["VolumesFrom"] or [], [*own["Volumes"]])
    host["Binds"] = [made["spec"] for made in asked if "spec" in made] or None
    host["Mounts"] = [made["asked"] for made in asked if "asked" in made] or None
    anonymous = [made for made in asked if "spec" not in made and "asked" not in made]
    own["Volumes"] = {**own["Volumes"], **{made["Destination"]: {} for made in anonymous}}
    container.document["Mounts"] = points
    return points


def _write(path: str, text: str) -> None:
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC
    try:
        fd = posix.open(path, flags, 0o644)
    except OSError as error:
        words = f"open {path}: {(error.strerror or '').lower()}"
        # Docker's client takes every "no such file" for a program that is not there.
        code = 127 if isinstance(error, FileNotFoundError) else 125
        raise EngineError(f"failed to create the container ID file: {words}", code) from error
    try:
        posix.write(fd, text.encode())
    finally:
        posix.close(fd)


def discard(records: Records, container: Container, *, volumes: bool) -> None:
    """Remove a container that does not run, with all that is its own; with `volumes` also its anonymous ones."""
    for name in _discard(records, container, volumes=volumes):
        events.of_volume(container.places, "destroy", name)
    events.of_container(container, "destroy")


def _discard(records: Records, container: Container, *, volumes: bool) -> list[str]:
    """Do that, and return the volumes that went."""
    from pyoci.engine.trees import remove_tree

    found = Volumes(records.places, records.database)
    anonymous = found.of_container(container.id) if volumes else []
    root.remove(records, container)
    remove_tree(container.run)
    remove_tree(container.directory)
    # The row goes last: what a SIGKILL leaves can be seen, and removed once more.
    with records.database.writing():
        records.remove(container)
        going = [name for name in anonymous if not found.users(name)]
        for name in going:
            found.forget(name)
    for name in going:
        remove_tree(found.directory(name))
    return going
