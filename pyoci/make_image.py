# SPDX-License-Identifier: Apache-2.0
"""Make the image of the package's modules when it is installed: `python3 -I -S -X no_debug_ranges make_image.py OUT MODULE...`.

What only mypy reads is left out, and columns of tracebacks, docstrings and asserts; lines are kept.
"""

import ast
import marshal
import sys
from importlib.util import MAGIC_NUMBER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import CodeType

_LENGTH = 8  # bytes of each length
HEAD = 65536  # of the image, as far as the launcher's first lines read it at once
# A module that has a bundle -> those whose bundles have been run by then.
BUNDLES: dict[str, tuple[str, ...]] = {
    "pyoci.cli": (),
    "pyoci.container": ("pyoci.cli",),
    "pyoci.creation": ("pyoci.cli", "pyoci.container"),
    "pyoci.execution": ("pyoci.cli",),
    "pyoci.events": ("pyoci.cli",),
    "pyoci.engine.cli": (),
    "pyoci.engine.containers.record": ("pyoci.engine.cli",),
    "pyoci.engine.containers.making": ("pyoci.engine.cli",),
    "pyoci.engine.containers.life": ("pyoci.engine.cli",),
    "pyoci.engine.containers.running": ("pyoci.engine.cli",),
    "pyoci.engine.containers.attachment": ("pyoci.engine.cli", "pyoci.engine.containers.running"),
    "pyoci.engine.containers.cleaning": ("pyoci.engine.cli", "pyoci.engine.containers.running"),
    "pyoci.engine.containers.executing": ("pyoci.engine.cli",),
    "pyoci.engine.containers.listing": ("pyoci.engine.cli",),
    "pyoci.engine.containers.preload": ("pyoci.engine.monitor",),
    "pyoci.engine.monitor": (),
    "pyoci.engine.monitor.watch": ("pyoci.engine.monitor",),
}


class Lean(ast.NodeTransformer):
    """A module without what only mypy reads: blocks for type checking, annotations of functions and of globals."""

    def module(self, node: ast.Module) -> ast.Module:
        """Leave all of that out."""
        self.generic_visit(node)
        body: list[ast.stmt] = []
        for statement in node.body:
            if not isinstance(statement, ast.AnnAssign):
                body.append(statement)
            elif statement.value is not None:
                plain = ast.Assign([statement.target], statement.value)
                body.append(ast.copy_location(plain, statement))
        node.body = body
        return node

    def function(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """Leave out annotations of parameters and results."""
        self.generic_visit(node)
        node.returns = None
        given = node.args
        for one in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg):
            if one is not None:
                one.annotation = None
        return node

    def condition(self, node: ast.If) -> "ast.If | list[ast.stmt]":
        """Leave out what is for type checking."""
        self.generic_visit(node)
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return node.orelse or [ast.copy_location(ast.Pass(), node)]
        return node

    visit_FunctionDef, visit_If = function, condition  # noqa: N815 - the names that ast asks for


class Module:
    """A module of the package: its code, and which others of the package it imports when it is run."""

    def __init__(self, path: str) -> None:
        self.path = path[path.rindex("pyoci/") :]
        name = self.path.removesuffix(".py").replace("/", ".")
        self.is_package = name.endswith(".__init__")
        self.name = name.removesuffix(".__init__")
        with open(path, encoding="utf-8") as file:
            tree = ast.parse(file.read(), self.path)
        tree = ast.fix_missing_locations(Lean().module(tree))
        self.imports = [*_imports(tree.body)]
        self.code: CodeType = compile(tree, self.path, "exec", dont_inherit=True, optimize=2)


def _imports(body: "Sequence[ast.stmt]") -> "Iterator[str]":
    """Yield what may be the names of modules that these statements import, but those of functions."""
    for node in body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If):
            yield from _imports([*node.body, *node.orelse])


class Order:
    """Modules in an order in which they can be run, each after all that it imports."""

    def __init__(self, modules: dict[str, Module]) -> None:
        self.modules = modules
        self.begun: set[str] = set()
        self.names: list[str] = []

    def add(self, name: str) -> None:
        """Add a module, behind its package and what it imports; what is no module of ours is passed over."""
        if name not in self.modules or name in self.begun:
            return
        self.add(name.rpartition(".")[0])
        if name in self.begun:
            return  # its package imports it
        self.begun.add(name)
        for other in self.modules[name].imports:
            self.add(other)
        self.names.append(name)


def bundle(modules: dict[str, Module], root: str) -> list[tuple[str, bool, "CodeType"]]:
    """Return what has to be run before a module can be."""
    order = Order(modules)
    for other in BUNDLES[root]:
        order.add(other)
    present = len(order.names)
    order.add(root)
    names = [name for name in order.names[present:] if name != root]
    return [(name, modules[name].is_package, modules[name].code) for name in names]


def make(out: str, paths: "Sequence[str]") -> None:
    """Compile the modules at these paths, which begin with the package's name, into an image."""
    modules = {module.name: module for module in map(Module, paths)}
    places: dict[str, tuple[bool, int, int]] = {}
    bundles: dict[str, tuple[int, int]] = {}
    body = b""
    for name, module in modules.items():
        part = marshal.dumps(module.code)
        places[name] = (module.is_package, len(body), len(part))
        body += part
    for root in BUNDLES:
        if root in modules:
            part = marshal.dumps(bundle(modules, root))
            bundles[root] = (len(body), len(part))
            body += part
    boot = marshal.dumps(modules["pyoci.image"].code)
    head = MAGIC_NUMBER + _sized(boot) + _sized(marshal.dumps((places, bundles)))
    if len(head) > HEAD:
        raise SystemExit(f"{out}: its table has become larger than {HEAD} bytes")
    with open(out, "wb") as file:
        file.write(head + body)


def _sized(part: bytes) -> bytes:
    return len(part).to_bytes(_LENGTH, "little") + part


if __name__ == "__main__":
    make(sys.argv[1], sys.argv[2:])
