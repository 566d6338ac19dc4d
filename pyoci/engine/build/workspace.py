# SPDX-License-Identifier: Apache-2.0
"""Where a step of a build works: the layers below it, mounted, and a directory of its own for what it changes.

    SESSION/step-N/upper, work, merged      overlayfs
    SESSION/step-N/stubs                    the lowest layer: empty files and directories to mount on, where the image has none

So what a step leaves in `upper` is its own doing: no mount point of ours is in an image. All mounts are in the builder's own mount
namespace and end with it.
"""

import os

from pyoci.engine import mounts
from pyoci.engine.errors import EngineError
from pyoci.engine.mounts import open_below
from pyoci.engine.overlay import mount_overlay
from pyoci.engine.trees import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyoci.engine.build.cache import Layer
    from pyoci.engine.images.store import Session


class Workspace:
    """One step's root, for a with block; afterwards `layer` makes a layer of it."""

    __slots__ = ("directory", "lowers", "merged", "session", "stubs", "upper")

    def __init__(
        self,
        session: "Session",
        layers: "Iterable[Layer]",
        stubs: "Sequence[tuple[str, bool]]" = (),
    ) -> None:
        self.session = session
        self.stubs = stubs
        self.directory = f"{session.path}/step-{os.urandom(4).hex()}"
        self.upper, self.merged = f"{self.directory}/upper", f"{self.directory}/merged"
        self.lowers = layer_paths(session, layers)

    def __enter__(self) -> "Workspace":
        os.mkdir(self.directory, 0o700)
        below = f"{self.directory}/stubs"
        for path in (self.upper, f"{self.directory}/work", self.merged, below):
            os.mkdir(path, 0o755)
        for path, is_directory in self.stubs:
            _make_stub(below, path, is_directory=is_directory)
        mount_overlay([*self.lowers, below], self.merged, self.upper, f"{self.directory}/work")
        return self

    def __exit__(self, *_: object) -> None:
        mounts.unmount(self.merged)

    def open(self) -> int:
        """Open the root."""
        return os.open(self.merged, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def layer(self) -> "Layer | None":
        """Make a layer of what was changed, None where nothing was; the workspace is unmounted, and gone afterwards."""
        from pyoci.engine.build.cache import Layer
        from pyoci.engine.images import making

        made = making.adopt_changes(self.session, self.upper)
        remove_tree(self.directory)
        return Layer(*made) if made else None


class View:
    """Layers to be read only: for a with block, which gives the path, or opened and closed."""

    __slots__ = ("directory", "is_mounted", "lowers")

    def __init__(self, session: "Session", layers: "Iterable[Layer]") -> None:
        self.directory = f"{session.path}/view-{os.urandom(4).hex()}"
        self.lowers = layer_paths(session, layers)
        self.is_mounted = False

    def open(self) -> str:
        """Mount what has to be, and return where the layers are seen."""
        if len(self.lowers) == 1:
            return self.lowers[0]
        os.mkdir(self.directory)
        if self.lowers:
            mount_overlay(self.lowers, self.directory)
            self.is_mounted = True
        return self.directory

    def close(self) -> None:
        """Unmount it."""
        if self.is_mounted:
            mounts.unmount(self.directory)

    def __enter__(self) -> str:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()


def layer_paths(session: "Session", layers: "Iterable[Layer]") -> list[str]:
    """Return where layers lie, the uppermost first."""
    return [session.store.layer_path(layer.diff_id) for layer in layers][::-1]


def missing(root: str, paths: "Iterable[tuple[str, bool]]") -> list[tuple[str, bool]]:
    """Return those of (path, whether a directory) that a root has not, with its links followed."""
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = [(_missing(fd, path.strip("/")), kind) for path, kind in paths]
    finally:
        os.close(fd)
    return [(path, kind) for path, kind in found if path]


def _missing(root: int, path: str) -> str:
    """Return the path at which something would have to be made, "" where it is there."""
    parent, rest = path, ""
    while True:
        try:
            fd = open_below(root, parent, os.O_PATH)
        except FileNotFoundError:
            parent, _, name = parent.rpartition("/")
            rest = f"{name}/{rest}" if rest else name
            continue
        except OSError as error:
            raise EngineError(f"/{path}: {(error.strerror or '').lower()}") from error
        break
    try:
        top = os.readlink(f"/proc/self/fd/{root}").rstrip("/")
        real = os.readlink(f"/proc/self/fd/{fd}")[len(top) :].strip("/")
    finally:
        os.close(fd)
    return f"{real}/{rest}".strip("/") if rest else ""


def _make_stub(below: str, path: str, *, is_directory: bool) -> None:
    whole = f"{below}/{path}"
    os.makedirs(whole if is_directory else whole.rpartition("/")[0], 0o755, exist_ok=True)
    if not is_directory and not os.path.exists(whole):
        os.close(os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
