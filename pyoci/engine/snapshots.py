# SPDX-License-Identifier: Apache-2.0
"""The writable layer of a container on the layers of its image: overlayfs, mounted by the new mount API.

    ROOT/snapshots/ID/upper     what the container has changed
    ROOT/snapshots/ID/work      overlayfs's own
    ROOT/snapshots/ID/merged    where it is mounted, in our mount namespace
    ROOT/base                   below every image: the files that a container's own are mounted on, and the mark of a container

How: overlay.py.
"""

import posix

from pyoci.engine.errors import EngineError
from pyoci.engine.images import records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.database import Database
    from pyoci.engine.images.records import Image
    from pyoci.engine.places import Places

_MOUNTED_ON = ("etc/hostname", "etc/hosts", "etc/resolv.conf")
_MARK = ".dockerenv"  # by which programs know that they are in a container
_NEW = posix.O_WRONLY | posix.O_CREAT | posix.O_NOFOLLOW | posix.O_CLOEXEC


class Snapshot:
    """The writable layer of one container."""

    __slots__ = ("container", "database", "directory", "places")

    def __init__(self, database: "Database", places: "Places", container: str) -> None:
        records.require(database)
        self.database = database
        self.places = places
        self.container = container
        self.directory = f"{places.root}/snapshots/{container}"

    @property
    def upper(self) -> str:
        """The directory of what has been changed."""
        return f"{self.directory}/upper"

    @property
    def merged(self) -> str:
        """Where the whole is mounted."""
        return f"{self.directory}/merged"

    def record(self, image: "Image") -> None:
        """Note that this container needs an image; inside the transaction that makes the container."""
        self.database.change("INSERT INTO snapshot VALUES (?, ?)", self.container, image.id)

    def create(self) -> None:
        """Make the directories, which may be there from an attempt that was killed."""
        self.places.directory("snapshots", self.container)
        for name, mode in (("upper", 0o755), ("work", 0o700), ("merged", 0o700)):
            try:
                posix.mkdir(f"{self.directory}/{name}", mode)
            except FileExistsError:
                continue
            posix.chmod(f"{self.directory}/{name}", mode)  # whatever the umask is

    def image(self) -> str:
        """Return the id of the image below."""
        row = self.database.row("SELECT image FROM snapshot WHERE container = ?", self.container)
        if row is None:
            raise EngineError(f"container {self.container} has no writable layer")
        return str(row[0])

    def lowers(self) -> list[str]:
        """Return the directories of the image's layers, the uppermost first."""
        rows = self.database.rows(
            "SELECT diff_id FROM image_layer WHERE image = ? ORDER BY position DESC", self.image()
        )
        return [records.layer_path(self.places, str(diff_id)) for (diff_id,) in rows]

    def below(self) -> list[str]:
        """Return what overlayfs has below the writable layer, the uppermost first."""
        base = f"{self.places.root}/base"
        if not posix.access(f"{base}/{_MARK}", posix.F_OK):
            _make_base(base)
        return [*self.lowers(), base]

    def is_mounted(self) -> bool:
        """Tell whether it is mounted."""
        from pyoci.engine.overlay import is_mounted

        return is_mounted(self.directory)

    def mount(self) -> str:
        """Mount it, unless it is, and return where."""
        from pyoci.engine.overlay import mount_layer

        mount_layer(self.directory, self.below())
        return self.merged

    def unmount(self) -> bool:
        """Unmount it, also where it is still used; False when it was not mounted."""
        from pyoci.engine import mounts

        found = False
        while mounts.unmount(self.merged):
            found = True
        return found

    def remove(self) -> None:
        """Unmount it and remove all that the container has written; what is gone already is well."""
        from pyoci.engine.trees import remove_tree

        self.unmount()
        remove_tree(self.directory)
        self.forget()

    def forget(self) -> None:
        """Need the image no more; inside the transaction that removes the container."""
        self.database.change("DELETE FROM snapshot WHERE container = ?", self.container)

    def bytes(self) -> int:
        """Return how many bytes the container has written (`ps --size`)."""
        from pyoci.engine.trees import measure

        return measure(self.upper)

    def changes(self) -> list[tuple[str, str]]:
        """Return what has been changed, as (A | C | D, path), in the order of paths (`diff`)."""
        from pyoci.engine.images.changes import changes

        return changes(self.upper, self.lowers())


def _make_base(base: str) -> None:
    """Make what lies below every image: what else would be made in each writable layer, and removed with it."""
    for path in (base, f"{base}/etc"):
        try:
            posix.mkdir(path)
        except FileExistsError:
            pass  # from an attempt that was killed
        posix.chmod(path, 0o755)
    for name in (*_MOUNTED_ON, _MARK):
        fd = posix.open(f"{base}/{name}", _NEW, 0o644)
        posix.fchmod(fd, 0o755 if name == _MARK else 0o644)
        posix.close(fd)


def create(database: "Database", places: "Places", container: str, image: "Image") -> Snapshot:
    """Make the writable layer of a new container."""
    snapshot = Snapshot(database, places, container)
    snapshot.record(image)
    snapshot.create()
    return snapshot
