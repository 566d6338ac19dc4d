# SPDX-License-Identifier: Apache-2.0
"""`plan`: what a bundle compiles to on this host, operation by operation; makes nothing."""

from pyoci.commands import output
from pyoci.ids import name_of
from pyoci.jsontext import dumps
from pyoci.linux.path import absolute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.commands.settings import Settings
    from pyoci.flags import Flag, Flags
    from pyoci.plan.program import Program

FLAGS: "tuple[Flag, ...]" = (
    ("json", "", "", "print JSON"),
    ("no-pivot", "", "", "as for create"),
    ("no-new-keyring", "", "", "as for create"),
)


def run(arguments: list[str], flags: "Flags", settings: "Settings") -> int:
    """Print the plan of `create` with the place in config.json of each operation."""
    from pyoci.plan import show

    program = compile_bundle(absolute(arguments[0]), flags, settings)
    if flags.is_on("json"):
        output.write(dumps(show.document(program), "  ") + "\n")
    else:
        output.write(show.text(program))
    return 0


def compile_bundle(bundle: str, flags: "Flags", settings: "Settings") -> "Program":
    """Compile a bundle as create would, for a container that is called as its directory."""
    from pyoci import host, log, spec
    from pyoci.cgroup import locate
    from pyoci.plan import compile as compiler
    from pyoci.seccomp import compile_filter

    config = spec.load(f"{bundle}/config.json", log.warning)
    identity = name_of(bundle)
    cgroup = locate(config["linux"]["cgroupsPath"], identity, rootless=settings.is_rootless())
    facts = host.facts(
        config,
        bundle,
        identity,
        cgroup,
        no_pivot=flags.is_on("no-pivot"),
        no_new_keyring=flags.is_on("no-new-keyring"),
    )
    profile = config["linux"]["seccomp"]
    return compiler.create(config, facts, compile_filter(profile, None) if profile else None, [])
