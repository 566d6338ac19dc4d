# SPDX-License-Identifier: Apache-2.0
"""`check`: everything that is wrong with a bundle, or that this host lacks; runs nothing."""

import os

from pyoci import log
from pyoci.commands import output
from pyoci.errors import PyociError, SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyoci.commands.settings import Settings
    from pyoci.flags import Flag, Flags
    from pyoci.spec import Spec

FLAGS: "tuple[Flag, ...]" = (
    ("bundle", "b", "DIR", "path to the bundle directory (default: the current directory)"),
    ("no-host", "", "", "look at config.json only, not at what this host lacks"),
)


def run(arguments: list[str], flags: "Flags", settings: "Settings") -> int:  # noqa: ARG001 - what every command gets
    """Print a line for each problem and return 1, or 0 for none; warnings go to the log."""
    from pyoci.spec import explain

    bundle = os.path.abspath(arguments[0] if arguments else flags.text("bundle") or ".")
    path = f"{bundle}/config.json"
    spec, problems = explain.examine(path)
    if not explain.has_jsonschema():
        log.warning("jsonschema is not installed: of several wrong types only the first is named")
    if spec is None and not problems:
        log.warning("config.json is for another platform: only its form was checked")
    elif spec is not None and not problems:
        for warning in explain.warnings(path):
            log.warning(warning)
        if not flags.is_on("no-host"):
            problems = list(_host_problems(spec, bundle))
    output.write("".join(f"{log.printable(line)}\n" for line in problems))
    return 1 if problems else 0


def _host_problems(spec: "Spec", bundle: str) -> "Iterator[str]":
    """Yield what this host lacks, and last what only compiling the plan finds; one line a place."""
    from pyoci.spec.lacks import lacks

    places = set()
    for place, reason in lacks(spec, bundle):
        places.add(place)
        yield str(SpecError(place, reason))
    problem = _plan_problem(spec, bundle) if spec["process"] is not None else None
    if problem and not (isinstance(problem, SpecError) and problem.place in places):
        yield str(problem)


def _plan_problem(spec: "Spec", bundle: str) -> PyociError | None:
    """Compile the plan: mount options and the like are refused only there."""
    from pyoci import host
    from pyoci.plan import compile as compiler

    try:
        compiler.create(spec, host.facts(spec, bundle, "check", None), None, [])
    except PyociError as error:
        return error
    return None
