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
# Of each group -v takes one.
_MODES = (
    ("ro", "rw"),
    ("z", "Z"),
    ("nocopy",),
    ("consistent", "cached", "delegated", "default"),
    _PROPAGATIONS,
)
_ALL = frozenset(mode for group in _MODES for mode in group)
_BOOLEANS = {"": True, "true": True, "1": True, "false": False, "0": False}
_TMPFS = ("noexec", "nosuid", "nodev")
_TMPFS_DATA = ("size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol")
_TMPFS_FLAGS = frozenset((
    "", "defaults", "exec", "suid", "dev", "ro", "rw", "sync", "async", "dirsync", "remount", "mand", "atime", "diratime",
    "relatime", "strictatime", "bind", "rbind", "unbindable", "runbindable",
))  # fmt: skip


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
    if not text:
        raise EngineError("invalid empty volume spec")
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
    if any(sum(mode in group for mode in modes) > 1 for group in _MODES) or not _ALL.issuperset(
        modes
    ):
        raise EngineError(f"invalid mode: {parts[2]}")
    _check_destination(text, destination, kind)
    _check_modes(text, kind, modes)
    writable = "ro" not in modes
    made = point(kind, source, destination, mode=",".join(modes), writable=writable)
    made["spec"] = ":".join((source, *parts[1:]))
    if kind == "bind":
        made["create"] = True
        made["Source"] = clean(source)
        made["Propagation"] = next((mode for mode in modes if mode in _PROPAGATIONS), "rprivate")
    else:
        made["Name"], made["Source"] = source, ""
        made["Mode"] = (
            made["Mode"] or "z"
        )  # moby's default for a named volume, without a meaning here
        made["copy"] = "nocopy" not in modes
    return made


def _check_modes(text: str, kind: str, modes: list[str]) -> None:
    other, words = (
        ("VolumeOptions", ("nocopy",)) if kind == "bind" else ("BindOptions", _PROPAGATIONS)
    )
    if any(mode in words for mode in modes):
        raise EngineError(
            f"invalid volume specification: '{text}': invalid mount config for type \"{kind}\": "
            f"field {other} must not be specified"
        )


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
    if not text:
        raise ValueError("EOF")
    for field in text.split(","):
        key, equals, value = field.partition("=")
        name = _KEYS.get(key.lower(), key.lower())
        if not equals and name not in ("readonly", "volume-nocopy", "bind-nonrecursive"):
            raise ValueError(f"invalid field '{field}' must be a key=value pair")
        if name in pairs:
            option, _, setting = value.partition("=")
            pairs[name][option] = setting
        elif name not in _FIELDS:
            raise ValueError(f"unexpected key '{key}' in '{field}'")
        fields[name] = value
    kind = fields.get("type", "volume").lower()
    if "target" not in fields:
        raise ValueError("target is required")
    for prefix in ("volume", "bind", "tmpfs"):
        if kind != prefix and any(name.startswith(f"{prefix}-") for name in fields):
            raise ValueError(f"cannot mix '{prefix}-*' options with mount type '{kind}'")
    return _from_fields(kind, fields, pairs)


_KEYS = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
_FIELDS = (
    "type", "source", "target", "readonly", "bind-propagation", "bind-nonrecursive", "bind-recursive", "bind-create-src",
    "volume-nocopy", "volume-driver", "tmpfs-size", "tmpfs-mode", "consistency",
)  # fmt: skip


def _from_fields(kind: str, fields: dict[str, str], pairs: "dict[str, dict[str, str]]") -> "Point":
    source, target = fields.get("source", ""), fields["target"]
    made = point(kind, source, target, writable=not _flag(fields, "readonly"))
    asked: dict[str, Any] = {"Type": kind, "Source": source, "Target": target}
    if not made["RW"]:
        asked["ReadOnly"] = True
    made["asked"] = {key: value for key, value in asked.items() if value}
    if kind == "bind":
        made["Source"] = clean(source) if source.startswith("/") else _absolute(source)
        made["Propagation"] = fields.get("bind-propagation", "rprivate")
        made["create"] = _flag(fields, "bind-create-src")
        made["recursive"] = (
            not _flag(fields, "bind-nonrecursive") and fields.get("bind-recursive") != "disabled"
        )
        if "bind-propagation" in fields:
            made["asked"]["BindOptions"] = {"Propagation": made["Propagation"]}
    elif kind == "volume":
        made["Name"], made["Source"] = source, ""
        made["copy"] = not _flag(fields, "volume-nocopy")
        made["Driver"] = fields.get("volume-driver", "local")
        made["labels"], made["options"] = pairs["volume-label"], pairs["volume-opt"]
        if pairs["volume-label"]:
            made["asked"]["VolumeOptions"] = {"Labels": pairs["volume-label"]}
    else:
        made["Mode"] = _tmpfs_mode(fields, made["asked"])
    return made


def _tmpfs_mode(fields: dict[str, str], asked: "Point") -> str:
    """Return the options of a tmpfs that --mount asks for; notes them as inspect shows them."""
    mode, size = fields.get("tmpfs-mode", "1777"), fields.get("tmpfs-size")
    options: dict[str, int] = {}
    if size is not None:
        try:
            options["SizeBytes"] = sizes.parse(size)
        except ValueError:
            raise ValueError(f"invalid value for tmpfs-size: {size}") from None
    try:
        number = int(mode, 8)
    except ValueError:
        raise ValueError(f"invalid value for tmpfs-mode: {mode}") from None
    if "tmpfs-mode" in fields:
        options["Mode"] = number
    if options:
        asked["TmpfsOptions"] = options
    return f"size={options['SizeBytes']},mode={mode}" if size else f"mode={mode}"


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
        if made["Type"] == "volume" and "asked" not in made:
            made["Driver"] = flags.text("volume-driver", "local")
        if made["Type"] == "volume" and made["Driver"] != "local":
            driver = made["Driver"]
            raise EngineError(
                f'error looking up volume plugin {driver}: plugin "{driver}" not found'
            )
    return points


def _problems(made: "Point") -> list[str]:
    """Return what moby's daemon finds wrong with what --mount asks for (its package volume/mounts)."""
    kind, source, target = made["Type"], made["Source"], made["asked"]["Target"]
    if kind not in ("bind", "volume", "tmpfs"):
        return ["mount type unknown"]
    if not target.startswith("/"):
        return [f"invalid mount path: '{target}' mount path must be absolute"]
    if made["Destination"] == "/":
        return ["invalid specification: destination can't be '/'"]
    if kind == "tmpfs" and source:
        return ["field Source must not be specified"]
    return _problems_of_bind(made, source) if kind == "bind" else []


def _problems_of_bind(made: "Point", source: str) -> list[str]:
    if not source:
        return ["field Source must not be empty"]
    if not source.startswith("/"):
        return [f"invalid mount path: '{source}' mount path must be absolute"]
    if made["Propagation"] not in _PROPAGATIONS:
        return [f"invalid propagation mode: {made['Propagation']}"]
    if not made["create"] and not _exists(source):
        return [f"bind source path does not exist: {source}"]
    return []


def _exists(path: str) -> bool:
    try:
        posix.stat(path)
    except OSError:
        return False
    return True


def tmpfs(options: "dict[str, str] | None") -> "list[Point]":
    """Return the mount points of --tmpfs."""
    for mode in (options or {}).values():
        unknown = [part for part in mode.split(",") if part and not _is_option(part)]
        if unknown:
            shown = " ".join(f'"{part}"' for part in unknown)
            raise EngineError(f"invalid tmpfs option [{shown}]")
    return [point("tmpfs", "", path, mode=mode) for path, mode in (options or {}).items()]


def _is_option(text: str) -> bool:
    name, equals, _ = text.partition("=")
    return (
        name in _TMPFS_DATA if equals else name.removeprefix("no") in _TMPFS_FLAGS or name in _ALL
    )


def check_distinct(points: "list[Point]") -> None:
    """Refuse two mounts in one place; a volume without a name gives way to what has one."""
    seen: set[str] = set()
    for made in points:
        if "spec" not in made and "asked" not in made and made["Type"] == "volume":
            continue
        if made["Destination"] in seen:
            raise EngineError(f"Duplicate mount point: {made['Destination']}")
        seen.add(made["Destination"])


def resolve(
    records: "Records", asked_for: "list[Point]", sources: "list[str]", image: "list[str]"
) -> "list[Point]":
    """Return every mount point of a container: of the image, of others, of the command line; later ones replace earlier ones."""
    points: dict[str, Point] = {path: point("volume", "", path) for path in map(clean, image)}
    for text in sources:
        reference, _, mode = text.partition(":")
        if mode not in ("", "ro", "rw", "z", "Z"):
            raise EngineError(f"invalid mode: {mode}")
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
        made["options"] = found.find(made["Name"]).options
        made["copy"] = made["copy"] and not made["options"].get("device")
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
    if made["options"].get("device"):
        return _driven(made)
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


def _driven(made: "Point") -> "dict[str, Any]":
    """Return a volume whose options say what is mounted there, as for mount(8): a tmpfs, a share of NFS, a directory."""
    kind, words = made["options"]["type"], made["options"].get("o", "")
    options = [word for word in words.split(",") if word]
    if not made["RW"]:
        options.append("ro")
    return {
        "destination": made["Destination"],
        "type": "bind" if kind == "none" else kind,
        "source": made["options"]["device"],
        "options": options,
    }


def is_shown(made: "Point") -> bool:
    """Tell whether inspect shows a mount point: what --tmpfs asks for it shows elsewhere."""
    return made["Type"] != "tmpfs" or "asked" in made


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
