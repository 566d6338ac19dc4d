# SPDX-License-Identifier: Apache-2.0
"""What is mounted in a container: read from -v, --mount, --tmpfs, --volumes-from; kept as inspect shows it; given to the runtime.

A mount point is one dictionary, Docker's MountPoint with what only we need under lower-case names.
"""

import posix
from _stat import S_ISDIR

from pyoci.engine import sizes, volumes
from pyoci.engine.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.engine.containers.record import Records
    from pyoci.engine.volumes import Volumes
    from pyoci.flags import Flags

    Point = dict[str, Any]

_PROPAGATIONS = ("shared", "rshared", "slave", "rslave", "private", "rprivate")
_OTHER_MODES = ("ro", "rw", "z", "Z", "nocopy", "consistent", "cached", "delegated")
_BOOLEANS = {"": True, "true": True, "1": True, "false": False, "0": False}
_TMPFS = ("noexec", "nosuid", "nodev")


def point(
    kind: str, source: str, destination: str, *, mode: str = "", writable: bool = True
) -> "Point":
    """Return a mount point with its destination cleaned."""
    return {
        "Type": kind,
        "Name": "",
        "Source": source,
        "Destination": clean(destination),
        "Driver": "local" if kind == "volume" else "",
        "Mode": mode,
        "RW": writable,
        "Propagation": "rprivate" if kind == "bind" else "",
        "copy": kind == "volume",
        "create": False,
        "labels": {},
        "options": {},
    }


def clean(path: str) -> str:
    """Return an absolute path without doubled or trailing slashes, dots and what leads back."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def parse_volume(text: str) -> "Point":
    """Read -v: /c, name:/c, /host:/c, each with :options behind it."""
    parts = text.split(":")
    if "" in parts:
        raise EngineError(f"invalid spec: {text}: empty section between colons", 125)
    if len(parts) > 3:
        raise EngineError(f"invalid volume specification: '{text}'")
    if len(parts) == 1:
        _check_destination(text, text, "volume")
        return point("volume", "", text)
    source, destination = parts[:2]
    source = _absolute(source)
    kind = "bind" if source.startswith("/") else "volume"
    modes = parts[2].split(",") if len(parts) == 3 else []
    for mode in modes:
        if mode not in (*_PROPAGATIONS, *_OTHER_MODES):
            raise EngineError(f"invalid mode: {parts[2]}")
    _check_destination(text, destination, kind)
    writable = "ro" not in modes
    made = point(kind, source, destination, mode=",".join(modes), writable=writable)
    if kind == "bind":
        made["create"] = True
        made["Source"] = clean(source)
        made["Propagation"] = next((mode for mode in modes if mode in _PROPAGATIONS), "rprivate")
    else:
        made["Name"], made["Source"] = source, ""
        made["copy"] = "nocopy" not in modes
    return made


def _absolute(source: str) -> str:
    """Make ./x and ../x absolute, as Docker's client does."""
    if source in (".", "..") or source.startswith(("./", "../")):
        return clean(f"{posix.getcwd()}/{source}")
    return source


def _check_destination(text: str, destination: str, kind: str) -> None:
    problem = ""
    if not destination.startswith("/"):
        problem = f"invalid mount path: '{destination}' mount path must be absolute"
    elif clean(destination) == "/":
        problem = "invalid specification: destination can't be '/'"
    if problem:
        raise EngineError(
            f"invalid volume specification: '{text}': invalid mount config for type \"{kind}\": {problem}"
        )


def parse_mount(text: str) -> "Point":
    """Read --mount: type=bind,src=...,dst=...; raises ValueError with the words of Docker's client."""
    fields: dict[str, str] = {}
    pairs: dict[str, dict[str, str]] = {"volume-label": {}, "volume-opt": {}}
    for field in text.split(","):
        key, equals, value = field.partition("=")
        name = _KEYS.get(key.lower(), key.lower())
        if not equals and name not in ("readonly", "volume-nocopy", "bind-nonrecursive"):
            raise ValueError(f"invalid field '{field}' must be a key=value pair")
        if name in pairs:
            option, _, setting = value.partition("=")
            pairs[name][option] = setting
        elif name in _FIELDS:
            fields[name] = value
        else:
            raise ValueError(f"unexpected key '{key}' in '{field}'")
    kind = fields.get("type", "volume").lower()
    if kind not in ("bind", "volume", "tmpfs"):
        raise ValueError(f"unsupported mount type '{kind}'")
    if "target" not in fields:
        raise ValueError("target is required")
    return _from_fields(kind, fields, pairs)


_KEYS = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
_FIELDS = (
    "type", "source", "target", "readonly", "bind-propagation", "bind-nonrecursive", "bind-recursive", "bind-create-src",
    "volume-nocopy", "volume-driver", "tmpfs-size", "tmpfs-mode", "consistency",
)  # fmt: skip


def _from_fields(kind: str, fields: dict[str, str], pairs: "dict[str, dict[str, str]]") -> "Point":
    source = fields.get("source", "")
    writable = not _flag(fields, "readonly")
    made = point(kind, source, fields["target"], writable=writable)
    if kind == "bind":
        if not source:
            raise ValueError("source is required for type=bind")
        made["Source"] = clean(_absolute(source))
        made["Propagation"] = fields.get("bind-propagation", "rprivate")
        made["create"] = _flag(fields, "bind-create-src")
        made["recursive"] = (
            not _flag(fields, "bind-nonrecursive") and fields.get("bind-recursive") != "disabled"
        )
    elif kind == "volume":
        made["Name"], made["Source"] = source, ""
        made["copy"] = not _flag(fields, "volume-nocopy")
        made["labels"], made["options"] = pairs["volume-label"], pairs["volume-opt"]
    else:
        if source:
            raise ValueError('cannot mix "source" with type=tmpfs')
        size = fields.get("tmpfs-size")
        mode = f"mode={fields.get('tmpfs-mode', '1777')}"
        made["Mode"] = f"size={sizes.parse(size)},{mode}" if size else mode
    return made


def _flag(fields: dict[str, str], name: str) -> bool:
    """Return a field that is true or false, or only there."""
    if name not in fields:
        return False
    if fields[name] not in _BOOLEANS:
        raise ValueError(f"invalid value for {name}: {fields[name]}")
    return _BOOLEANS[fields[name]]


def asked(flags: "Flags") -> "list[Point]":
    """Return what -v, --mount and --tmpfs ask for, checked against the host as far as Docker's daemon does."""
    points = [parse_volume(text) for text in flags.every("volume")]
    for text in flags.every("mount"):
        made = parse_mount(text)
        for problem in _problems(made):
            raise EngineError(f'invalid mount config for type "{made["Type"]}": {problem}')
        points.append(made)
    for made in points:
        if made["Name"]:
            volumes.check_name(made["Name"])
    return points


def _problems(made: "Point") -> list[str]:
    if made["Destination"] == "/":
        return ["invalid specification: destination can't be '/'"]
    if made["Type"] == "bind" and not made["create"] and not _exists(made["Source"]):
        return [f"bind source path does not exist: {made['Source']}"]
    return []


def _exists(path: str) -> bool:
    try:
        posix.stat(path)
    except OSError:
        return False
    return True


def tmpfs(options: "dict[str, str] | None") -> "list[Point]":
    """Return the mount points of --tmpfs."""
    return [point("tmpfs", "", path, mode=mode) for path, mode in (options or {}).items()]


def resolve(
    records: "Records", asked_for: "list[Point]", sources: "list[str]", image: "list[str]"
) -> "list[Point]":
    """Return every mount point of a container: of the image, of others, of the command line; later ones replace earlier ones."""
    points: dict[str, Point] = {path: point("volume", "", path) for path in map(clean, image)}
    for text in sources:
        reference, _, mode = text.partition(":")
        for inherited in records.find(reference).document["Mounts"]:
            if inherited["Type"] == "tmpfs":
                continue
            writable = inherited["RW"] and mode != "ro"
            points[inherited["Destination"]] = {**inherited, "RW": writable, "copy": False}
    points.update({made["Destination"]: made for made in asked_for})
    return sorted(
        points.values(), key=lambda made: (made["Destination"].count("/"), made["Destination"])
    )


def claim(found: "Volumes", container: str, points: "list[Point]") -> list[str]:
    """Have the volumes of a container, within the transaction that writes its row; returns the names of those that are new."""
    new = []
    for made in points:
        if made["Type"] != "volume":
            continue
        anonymous = not made["Name"]
        if anonymous:
            made["Name"] = volumes.make_name()
        if found.ensure(
            made["Name"], anonymous=anonymous, labels=made["labels"], options=made["options"]
        ):
            new.append(made["Name"])
        made["Source"] = f"{found.places.root}/volumes/{made['Name']}/_data"
        found.use(container, made["Name"])
    return new


def prepare(points: "list[Point]", found: "Volumes") -> None:
    """Make the directories that mounting needs: of volumes, and of -v where the host has none (moby: root's, 0755)."""
    for made in points:
        if made["Type"] == "volume":
            found.data(made["Name"])
        elif made["Type"] == "bind" and not _exists(made["Source"]):
            if not made["create"]:
                raise EngineError(
                    f'invalid mount config for type "bind": bind source path does not exist: {made["Source"]}'
                )
            _make_directories(made["Source"])


def _make_directories(path: str) -> None:
    try:
        posix.mkdir(path, 0o755)
    except FileExistsError:
        return
    except FileNotFoundError:
        _make_directories(path.rpartition("/")[0])
        posix.mkdir(path, 0o755)
    except OSError as error:
        raise EngineError(
            f"error while creating mount source path '{path}': mkdir {path}: {(error.strerror or '').lower()}"
        ) from error


def entry(made: "Point") -> "dict[str, Any]":
    """Return a mount point as an entry of config.json's mounts; read-only covers what is mounted below it, too."""
    if made["Type"] == "tmpfs":
        options = [*_TMPFS, *(part for part in made["Mode"].split(",") if part)]
        if not made["RW"]:
            options.append("ro")
        return {
            "destination": made["Destination"],
            "type": "tmpfs",
            "source": "tmpfs",
            "options": options,
        }
    recursive = "recursive" not in made or made["recursive"]
    options = ["rbind" if recursive else "bind", made["Propagation"] or "rprivate"]
    if not made["RW"]:
        options.append("rro" if recursive else "ro")
    return {
        "destination": made["Destination"],
        "type": "bind",
        "source": made["Source"],
        "options": options,
    }


def shown(made: "Point") -> "Point":
    """Return a mount point as inspect shows it."""
    return {
        key: value
        for key, value in made.items()
        if key[0].isupper() and not (key in ("Name", "Driver") and not value)
    }


def is_directory(path: str) -> bool:
    """Tell whether a path of the host is a directory."""
    return S_ISDIR(posix.stat(path).st_mode)
