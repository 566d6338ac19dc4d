# SPDX-License-Identifier: Apache-2.0
"""Plans of `run` kept for the next time: a plan is to a bundle what a .pyc is to a module (docs/adr/0006-plan-cache.md).

An entry holds the complete spec, the plan, and the facts that the plan was made from. It is named by the bytes
of config.json and all of us and the host that compile them; its plan is used where the facts are the same once
more. What may differ, the container's id and its cgroups' directories, is filled in (`Late`).
"""

import marshal
import posix
from _frozen_importlib_external import MAGIC_NUMBER

from pyoci import store
from pyoci.plan.encode import Plan
from pyoci.plan.program import late

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.plan.encode import LateWord
    from pyoci.plan.facts import Facts
    from pyoci.spec import Spec

FORMAT = 2  # raise it whenever an entry is written otherwise
_IMAGE = "modules.image"  # all of our code in one file, made with each build
_OF_A_CONTAINER = ("identity", "cgroups", "unified")  # facts: `_alike` has what counts of them


class Entry:
    """A spec and its plan, as they were kept."""

    __slots__ = ("_facts", "_plan", "spec")

    def __init__(  # noqa: PLR0913, PLR0917 - the members of what marshal wrote
        self,
        spec: "Spec",
        facts: dict[str, object],
        shared: bytes,
        late: "list[LateWord]",
        clones: tuple[int, ...],
        count: int,
    ) -> None:
        self.spec = spec
        self._facts = facts
        self._plan = Plan(shared, late, clones, count)

    def plan(self, facts: "Facts") -> Plan | None:
        """Return the plan for another container of the bundle; None where the facts have changed."""
        if self._facts != _alike(facts):
            return None
        words = self._plan.late
        return self._plan.fill(
            [late(facts, source, before, after) for _, before, source, after in words]
        )


def key(config: bytes, bundle: str) -> str | None:
    """Return the name of an entry; None without the package's image, which tells one build of us from another."""
    try:
        build = posix.stat(f"{__file__.rpartition('/')[0]}/{_IMAGE}")
    except OSError:
        return None
    us = (FORMAT, MAGIC_NUMBER, build.st_mtime_ns, build.st_size)
    return store.name("plan", us, bundle, config)


def load(directory: str, name: str) -> Entry | None:
    """Return what is kept under this name; None when there is nothing, or nothing whole."""
    try:
        with store.Store(directory, make=False) as kept:
            content = kept.load(name)
    except OSError:
        return None
    # Written by us, for us alone: the store has looked at owner, mode and checksum.
    return None if content is None else Entry(*marshal.loads(content))  # noqa: S302 - a file that only we can have written


def save(directory: str, name: str, spec: "Spec", facts: "Facts", plan: Plan) -> None:
    """Keep a plan; one that cannot be kept is compiled again the next time."""
    entry: tuple[Any, ...] = (spec, _alike(facts), plan.shared, plan.late, plan.clones, plan.count)
    content = marshal.dumps(entry)
    try:
        with store.Store(directory, make=True) as kept:
            kept.save(name, content)
    except OSError:
        return


def _alike(facts: "Facts") -> dict[str, object]:
    """Return the facts that must be the same: all, and of the cgroups how they are mounted."""
    same = {name: value for name, value in vars(facts).items() if name not in _OF_A_CONTAINER}
    directories = [directory for _, directory in facts.cgroups]
    same["hierarchies"] = [
        # A v1 hierarchy has its name in the plan from where it is mounted, and one may have several.
        (name, directory == facts.unified or directory.split("/")[:5], directories.index(directory))
        for name, directory in facts.cgroups
    ]
    return same
