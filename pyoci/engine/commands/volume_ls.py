# SPDX-License-Identifier: Apache-2.0
"""`volume ls`: list volumes."""

from pyoci.engine.containers.record import Records
from pyoci.engine.errors import EngineError
from pyoci.engine.tables import render
from pyoci.engine.volumes import Volumes
from pyoci.flags import BOOLEANS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.engine.volumes import Volume
    from pyoci.flags import Flags

HEADERS = {
    "Name": "VOLUME NAME",
    "Driver": "DRIVER",
    "Scope": "SCOPE",
    "Mountpoint": "MOUNTPOINT",
    "Labels": "LABELS",
    "Links": "LINKS",
    "Size": "SIZE",
    "Availability": "AVAILABILITY",
    "Group": "GROUP",
    "Status": "STATUS",
}
DEFAULT = "{{.Driver}}\\t{{.Name}}"
RAW = "name: {{.Name}}\ndriver: {{.Driver}}\n"
FLAGS: "tuple[Flag, ...]" = (
    ("filter", "f", "filter", 'Provide filter values (e.g. "dangling=true")'),
    ("format", "", "string", "Format output: 'table', 'table TEMPLATE', 'json' or a Go template"),
    ("quiet", "q", "", "Only display volume names"),
)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Print the volumes by name."""
    del arguments
    volumes = Volumes(places, Records(places).database)
    check = parse_filters(flags.every("filter"))
    found = [volume for volume in volumes.all() if matches(volume, check)]
    if "dangling" in check:
        wanted = BOOLEANS.get(check["dangling"][-1], True)
        found = [volume for volume in found if (not volumes.users(volume.name)) == wanted]
    form = flags.text("format")
    if flags.is_on("quiet") and not form:
        print("".join(f"{volume.name}\n" for volume in found), end="")
        return 0
    rows = [row(volume, places) for volume in found]
    print(render(form, rows, HEADERS, DEFAULT, "*formatter.volumeContext", RAW), end="")
    return 0


def row(volume: "Volume", places: "Places") -> dict[str, object]:
    """Return what a table or a template can show of a volume."""
    return {
        "Name": volume.name,
        "Driver": "local",
        "Scope": "local",
        "Mountpoint": f"{places.root}/volumes/{volume.name}/_data",
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(volume.labels.items())),
        "Links": "N/A",
        "Size": "N/A",
        "Availability": "N/A",
        "Group": "N/A",
        "Status": "N/A",
    }


def parse_filters(filters: list[str]) -> dict[str, list[str]]:
    """Return values by name of filter."""
    found: dict[str, list[str]] = {}
    for text in filters:
        name, _, value = text.partition("=")
        if name not in ("name", "label", "label!", "driver", "dangling", "all"):
            raise EngineError(f"Invalid filter '{name}'")
        found.setdefault(name, []).append(value)
    return found


def matches(volume: "Volume", check: dict[str, list[str]]) -> bool:
    """Tell whether a volume is asked for, as far as itself is concerned."""

    def has_label(text: str) -> bool:
        name, equals, value = text.partition("=")
        return name in volume.labels and (not equals or volume.labels[name] == value)

    names, drivers = check.get("name", []), check.get("driver", [])
    return (
        (not names or any(name in volume.name for name in names))
        and (not drivers or "local" in drivers)
        and all(map(has_label, check.get("label", [])))
        and not any(map(has_label, check.get("label!", [])))
    )
