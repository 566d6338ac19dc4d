# SPDX-License-Identifier: Apache-2.0
"""The configuration file, with the keys that Docker's daemon.json has for the same: registries, what containers and networks get.

    {"registry-mirrors": ["https://mirror.example"], "insecure-registries": ["registry.example:5000", "10.0.0.0/8"],
     "log-driver": "json-file", "log-opts": {"max-size": "10m"}, "dns": ["192.0.2.1"], "dns-opts": [], "dns-search": [],
     "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 1024, "Hard": 4096}},
     "icc": false, "bip": "10.1.0.1/24", "default-address-pools": [{"base": "10.2.0.0/16", "size": 24}]}

The file is $PYPOD_CONFIG, else /etc/pypod/config.json, for a user ~/.config/pypod/config.json. What it says of containers counts
when they are made, icc and bip when the bridge of the default network is made: the first time, after a boot.
Other keys of Docker's say nothing.
"""

from pyoci.engine.errors import EngineError
from pyoci.engine.images.config import parse_document
from pyoci.engine.places import is_rootless
from pyoci.linux.environment import variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SYSTEM = "/etc/pypod/config.json"
# key -> type of its value, and of the members of that
_KEYS: "dict[str, tuple[type, type | None]]" = {
    "registry-mirrors": (list, str),
    "insecure-registries": (list, str),
    "log-driver": (str, None),
    "log-opts": (dict, str),
    "dns": (list, str),
    "dns-opts": (list, str),
    "dns-search": (list, str),
    "default-ulimits": (dict, dict),
    "icc": (bool, None),
    "bip": (str, None),
    "default-address-pools": (list, dict),
}
_WORDS = {str: "string", dict: "object", list: "array", bool: "boolean"}


def path() -> str:
    """Return where the file is."""
    if variable("PYPOD_CONFIG"):
        return variable("PYPOD_CONFIG")
    if not is_rootless():
        return _SYSTEM
    return f"{variable('XDG_CONFIG_HOME') or variable('HOME') + '/.config'}/pypod/config.json"


def read() -> "dict[str, Any]":
    """Return what the file says, with every key above: what is missing is empty, and icc on."""
    try:
        with open(path(), "rb") as file:
            found = parse_document(file.read(), path())
    except FileNotFoundError:
        found = {}
    for name, (kind, member) in _KEYS.items():
        value = found.setdefault(name, True if kind is bool else kind())
        if type(value) is not kind:
            raise EngineError(f"{path()}: {name}: must be a JSON {_WORDS[kind]}")
        if member is not None:
            _check_members(name, found[name], member)
    return found


def _check_members(name: str, value: "dict[str, Any] | list[Any]", member: type) -> None:
    for inner in value.values() if isinstance(value, dict) else value:
        if type(inner) is not member:
            raise EngineError(f"{path()}: {name}: each must be a JSON {_WORDS[member]}")
