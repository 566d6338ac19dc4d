# SPDX-License-Identifier: Apache-2.0
"""`container prune`: remove every container that does not run."""

from pyoci.engine import events
from pyoci.engine.commands.several import warn
from pyoci.engine.containers.record import Records
from pyoci.engine.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (
    ("filter", "", "filter", 'Provide filter values (e.g. "until=<timestamp>")'),
    ("force", "f", "", "Do not prompt for confirmation"),
)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Remove what does not run, and print what was."""
    del arguments
    from pyoci.engine import sizes
    from pyoci.engine.prompts import confirm

    if not flags.is_on("force") and not confirm(
        "WARNING! This will remove all stopped containers."
    ):
        return 0
    removed, freed = remove(Records(places), parse_filters(flags.every("filter")))
    if removed:
        print("Deleted Containers:\n" + "".join(f"{name}\n" for name in removed))
    print(f"Total reclaimed space: {sizes.tell(freed)}")
    return 0


def remove(records: Records, check: dict[str, list[str]]) -> tuple[list[str], int]:
    """Remove the containers that do not run and pass the filters; returns their ids and the bytes they had written."""
    from pyoci.engine import moments
    from pyoci.engine.containers import description, life, orphans, state

    removed, freed = [], 0
    for container in records.all():
        stopped = state.seen(container, warn)["Status"] not in (*state.RUNNING, "dead")
        old = all(container.created < moments.read(text) for text in check.get("until", ()))
        if stopped and old and matches(container.config["Labels"], check):
            freed += description.writable_size(container)
            life.remove(records, container, force=False, volumes=False)
            removed.append(container.id)
    orphans.remove(records)
    events.of_prune(records.places, events.CONTAINER, freed)
    return removed, freed


def parse_filters(filters: list[str]) -> dict[str, list[str]]:
    """Return values by name of filter: until, label, label!."""
    found: dict[str, list[str]] = {}
    for text in filters:
        name, _, value = text.partition("=")
        if name not in ("until", "label", "label!"):
            raise EngineError(f"Invalid filter '{name}'")
        if name == "until":
            _check_moment(value)
        found.setdefault(name, []).append(value)
    return found


def _check_moment(text: str) -> None:
    from pyoci.engine import moments

    try:
        moments.read(text)
    except ValueError:
        raise EngineError(f'failed to parse value as time or duration: "{text}"') from None


def matches(labels: dict[str, str], check: dict[str, list[str]]) -> bool:
    """Tell whether an object with these labels is asked for."""

    def has(text: str) -> bool:
        name, equals, value = text.partition("=")
        return name in labels and (not equals or labels[name] == value)

    return all(map(has, check.get("label", []))) and not any(map(has, check.get("label!", [])))
