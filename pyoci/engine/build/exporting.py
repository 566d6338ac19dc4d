# SPDX-License-Identifier: Apache-2.0
"""--output: the files of the last stage, into a directory or as an archive (docs of buildx)."""

import os

from pyoci.engine.build.copying import Target
from pyoci.engine.build.sources import Found, Source
from pyoci.engine.build.workspace import View
from pyoci.engine.errors import EngineError
from pyoci.engine.images.tarwrite import tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyoci.engine.build.state import State
    from pyoci.engine.images.store import Session


def archive(session: "Session", state: "State") -> "Iterator[bytes]":
    """Yield an archive of the files of a stage."""
    with View(session, state.layers) as root:
        fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield from tree(fd, whiteouts=False)
        finally:
            os.close(fd)


def copy(session: "Session", state: "State", path: str) -> None:
    """Copy the files of a stage into a directory, beside what is there; they belong to who calls. No link in it leads out of it."""
    try:
        os.makedirs(path, 0o755, exist_ok=True)
        top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise EngineError(f"output {path}: {(error.strerror or '').lower()}") from error
    try:
        with View(session, state.layers) as root:
            source = Source(root, "the image", keeps_owners=True)
            target = Target(top, (os.geteuid(), os.getegid()))
            target.copy(source, Found("", "", is_directory=True), "")
            source.close()
    finally:
        os.close(top)
