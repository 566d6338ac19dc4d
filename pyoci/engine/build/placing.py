# SPDX-License-Identifier: Apache-2.0
"""What COPY and ADD do when the cache has not what they ask for: copy into a workspace, archives unpacked, owners looked up."""

import os
import stat

from pyoci.engine.below import open_below
from pyoci.engine.build.copying import Target
from pyoci.engine.build.incoming import is_archive, unpack
from pyoci.engine.build.sources import Found, Source
from pyoci.engine.build.workspace import View, Workspace
from pyoci.engine.containers import users

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.build.builder import Builder
    from pyoci.engine.build.copies import Order
    from pyoci.engine.build.metadata import Step

_HEAD = 1 << 16  # bytes of a file that show whether it is an archive


def place(builder: "Builder", step: "Step", order: "Order") -> Workspace:
    """Copy everything into a workspace, and return that."""
    owner = _owner(builder, step, order.owner)
    workspace = Workspace(builder.session, () if order.link else step.state.layers)
    with workspace:
        root = workspace.open()
        try:
            target = Target(root, owner, order.mode)
            for source, found in order.items:
                _put(builder, order, target, source, found)
        finally:
            os.close(root)
    return workspace


def _put(builder: "Builder", order: "Order", target: Target, source: Source, found: Found) -> None:
    path = order.target
    if order.unpacks and not found.is_directory and _is_archive(source, found.path):
        unpacked = _unpack(builder, source, found.path)
        target.copy(unpacked, Found("", ""), path.rstrip("/"))
        unpacked.close()
        return
    if order.parents:
        parent = found.path.rpartition("/")[0]
        path = (
            f"{path.rstrip('/')}/{found.path}"
            if found.is_directory
            else f"{path.rstrip('/')}/{parent}/"
        )
    target.copy(source, found, path)


def _owner(builder: "Builder", step: "Step", text: str) -> tuple[int, int] | None:
    """Return what --chown names: numbers, or names of the image's own passwd and group files."""
    if not text:
        return None
    name, colon, _ = text.partition(":")
    with View(builder.session, step.state.layers) as root:
        if colon:
            user = users.resolve(root, text, [])[0]
            return user["uid"], user["gid"]
        user = users.resolve(root, name, [])[0]
    return user["uid"], int(name) if name.isdecimal() else user["gid"]


def _is_archive(source: Source, path: str) -> bool:
    fd = open_below(source.fd, path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return False  # nobody may ever write into a FIFO
        return is_archive(os.read(fd, _HEAD))
    finally:
        os.close(fd)


def _unpack(builder: "Builder", source: Source, path: str) -> Source:
    """Unpack an archive in a process of its own that has nothing else, and return where."""
    directory = f"{builder.session.path}/archive-{os.urandom(4).hex()}"
    os.mkdir(directory, 0o755)
    fd = source.open(path)
    try:
        unpack(builder.session, fd, directory, path)
    finally:
        os.close(fd)
    return Source(directory, path, keeps_owners=True)
