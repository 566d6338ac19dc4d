# SPDX-License-Identifier: Apache-2.0
"""Every module of the package in one file: a command opens one file instead of looking for forty (docs/adr/0005-image.md).

`python3 -I -S image.py OUT MODULE...` makes it when the package is installed. The launcher's first lines open it and run this
module, which is in it too, without looking for anything; without an image, or with one made for another interpreter, each module
is found in the usual way.

    magic number of the interpreter, 4 bytes | length of this module's code, 8 bytes | the code | length of the table, 8 bytes
    | the table: module -> package or not, offset, length | the code of each module
"""

import marshal
import posix
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, ModuleType

_LENGTH = 8  # bytes of each length


class Image:
    """An importer (PEP 451) for what the table names: module -> package or not, offset, length."""

    def __init__(self, fd: int, table: bytes, start: int, directory: str) -> None:
        self.modules: dict[str, tuple[bool, int, int]] = marshal.loads(table)  # noqa: S302 - ours
        self.fd = fd
        self.start = start
        self.directory = directory

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> ModuleSpec | None:
        """Return where a module of ours is; None leaves it to the next importer."""
        del path, target
        found = self.modules.get(name)
        if found is None:
            return None
        origin = f"{self.directory}/{name.replace('.', '/')}{'/__init__' if found[0] else ''}.py"
        # typeshed wants the abstract base class, which would have to be imported first
        spec = ModuleSpec(name, self, origin=origin, is_package=found[0])  # type: ignore[arg-type]  # our finder loads by itself
        spec.has_location = True
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(origin.rpartition("/")[0])
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to the interpreter."""

    def exec_module(self, module: "ModuleType") -> None:
        """Run the module's code."""
        assert module.__spec__ is not None
        _, offset, length = self.modules[module.__spec__.name]
        code: CodeType = marshal.loads(posix.pread(self.fd, length, self.start + offset))  # noqa: S302 - ours
        exec(code, module.__dict__)  # noqa: S102 - this is what importing is


def install(fd: int, head: bytes, table: int, directory: str) -> None:
    """Import the package's modules from an open image from now on; `head` is its beginning, `table` where the table is."""
    start = table + _LENGTH
    end = start + int.from_bytes(head[table:start], "little")
    image = Image(fd, head[start:end], end, directory)
    sys.meta_path.insert(0, image)


def make(out: str, paths: "Sequence[str]") -> None:
    """Compile the modules at these paths, which begin with the package's name, into an image."""
    modules: dict[str, tuple[bool, int, int]] = {}
    code = boot = b""
    for path in paths:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        relative = path[path.rindex("pyoci/") :]
        name = relative.removesuffix(".py").replace("/", ".")
        compiled = marshal.dumps(compile(text, relative, "exec", dont_inherit=True, optimize=2))
        if name == "pyoci.image":
            boot = compiled
        modules[name.removesuffix(".__init__")] = (
            name.endswith(".__init__"),
            len(code),
            len(compiled),
        )
        code += compiled
    table = marshal.dumps(modules)
    with open(out, "wb") as file:
        file.write(MAGIC_NUMBER + _sized(boot) + _sized(table) + code)


def _sized(part: bytes) -> bytes:
    return len(part).to_bytes(_LENGTH, "little") + part


if __name__ == "__main__":
    make(sys.argv[1], sys.argv[2:])
