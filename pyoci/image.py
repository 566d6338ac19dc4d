# SPDX-License-Identifier: Apache-2.0
"""Every module of the package in one file: a command opens one file instead of looking for forty (docs/adr/0005-image.md).

make_image.py makes it when the package is installed. The launcher's first lines open it and run this module, which is in it too,
without looking for anything; without an image, or with one made for another interpreter, each module is found in the usual way.

    magic number of the interpreter, 4 bytes | length of this module's code, 8 bytes | the code | length of the table, 8 bytes
    | the table: module -> package or not, offset, length; and module -> offset, length of its bundle | code and bundles

A bundle is what a module imports, all of it, in the order in which that can be run: one read, one unmarshalling that shares its
strings, and none of what the interpreter does around each import (docs/adr/0020-ahead.md).
"""

import marshal
import posix
import sys
from _frozen_importlib import ModuleSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import Any

_LENGTH = 8  # bytes of each length


class Image:
    """An importer (PEP 451) for what the table names."""

    def __init__(self, fd: int, table: bytes, start: int, directory: str) -> None:
        self.modules: dict[str, tuple[bool, int, int]]
        self.bundles: dict[str, tuple[int, int]]
        self.modules, self.bundles = marshal.loads(table)  # noqa: S302 - ours
        self.fd = fd
        self.start = start
        self.directory = directory

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> ModuleSpec | None:
        """Return where a module of ours is, and run what it imports; None leaves it to the next importer."""
        del path, target
        found = self.modules.get(name)
        if found is None:
            return None
        if name in self.bundles:
            self.run_bundle(*self.bundles.pop(name))
        return self.spec(name, is_package=found[0])

    def spec(self, name: str, *, is_package: bool) -> ModuleSpec:
        """Return what the interpreter wants to know of a module."""
        origin = f"{self.directory}/{name.replace('.', '/')}{'/__init__' if is_package else ''}.py"
        # typeshed wants the abstract base class, which would have to be imported first
        spec = ModuleSpec(name, self, origin=origin, is_package=is_package)  # type: ignore[arg-type]  # our finder loads by itself
        spec.has_location = True
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(origin.rpartition("/")[0])
        return spec

    def load(self, offset: int, length: int) -> "Any":  # noqa: ANN401 - code or a bundle
        """Return what was marshalled at a place."""
        return marshal.loads(posix.pread(self.fd, length, self.start + offset))  # noqa: S302 - ours

    def run_bundle(self, offset: int, length: int) -> None:
        """Make modules, each of which finds there what it imports: what importlib does for each, without its locks and searches."""
        loaded = sys.modules
        rows = [row for row in self.load(offset, length) if row[0] not in loaded]
        for name, is_package, _ in rows:
            module = loaded[name] = type(sys)(name)
            spec = self.spec(name, is_package=is_package)
            module.__spec__, module.__loader__, module.__file__ = spec, self, spec.origin  # type: ignore[assignment]  # as above
            module.__package__ = spec.parent
            if spec.submodule_search_locations is not None:
                module.__path__ = spec.submodule_search_locations
        for name, _, _ in rows:
            package, _, last = name.rpartition(".")
            if package:
                if (
                    package not in loaded
                ):  # it is in a bundle that was to be run before this one, and was not
                    __import__(package)
                setattr(loaded[package], last, loaded[name])
        try:
            while rows:
                exec(rows[0][2], loaded[rows[0][0]].__dict__)  # noqa: S102 - this is what importing is
                del rows[0]
        finally:
            for name, _, _ in rows:  # none, but after a failure
                del loaded[name]

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to the interpreter."""

    def exec_module(self, module: "ModuleType") -> None:
        """Run the module's code."""
        assert module.__spec__ is not None
        _, offset, length = self.modules[module.__spec__.name]
        exec(self.load(offset, length), module.__dict__)  # noqa: S102 - this is what importing is


def install(fd: int, head: bytes, table: int, directory: str) -> None:
    """Import the package's modules from an open image from now on; `head` is its beginning, `table` where the table is."""
    start = table + _LENGTH
    end = start + int.from_bytes(head[table:start], "little")
    image = Image(fd, head[start:end], end, directory)
    sys.meta_path.insert(0, image)
