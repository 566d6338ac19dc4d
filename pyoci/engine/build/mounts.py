# SPDX-License-Identifier: Apache-2.0
"""RUN --mount=type=bind|cache|tmpfs|secret|ssh: what each says, with what a missing field stands for (docs of the Dockerfile)."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.build.dockerfile import Instruction

    Fields = dict[str, str]

_OFF = ("false", "0")
_OTHER_NAMES = {
    "src": "source",
    "dst": "target",
    "destination": "target",
    "ro": "readonly",
    "rw": "readwrite",
}
# kind -> field -> what a missing one is
_KINDS: "dict[str, Fields]" = {
    "bind": {"from": "", "source": "/", "target": "", "readwrite": "false", "readonly": "true"},
    "cache": {
        "from": "", "source": "/", "target": "", "id": "", "sharing": "shared", "readonly": "false",
        "readwrite": "true", "mode": "0755", "uid": "0", "gid": "0",
    },
    "tmpfs": {"from": "", "target": "", "size": ""},
    "ssh": {"from": "", "id": "default", "target": "", "required": "false", "mode": "0600", "uid": "0", "gid": "0"},
    "secret": {
        "from": "", "id": "", "target": "", "required": "false", "mode": "0400", "uid": "0", "gid": "0", "env": "",
    },
}  # fmt: skip
_SHARING = ("shared", "private", "locked")
# field -> base, largest
_NUMBERS = {"mode": (8, 0o7777), "uid": (10, (1 << 31) - 1), "gid": (10, (1 << 31) - 1)}


def parse_mount(instruction: "Instruction", text: str) -> "Fields":
    """Return every field of a mount. Raises EngineError with the line."""
    given = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        key = name.strip().lower()
        given[_OTHER_NAMES.get(key, key)] = value if equals else "true"
    kind = given.pop("type", "bind")
    if kind not in _KINDS:
        raise instruction.fail(f'unsupported mount type "{kind}"')
    for name in given:
        if name not in _KINDS[kind]:
            raise instruction.fail(f"unexpected key '{name}' for mount type '{kind}'")
    found = {"type": kind, **_KINDS[kind], **given}
    _check(instruction, found)
    if "readonly" in given and "readwrite" not in given:
        found["readwrite"] = "true" if given["readonly"] in _OFF else "false"
    return found


def _check(instruction: "Instruction", found: "Fields") -> None:
    if found["type"] == "secret":
        if not found["id"] and not found["target"]:
            raise instruction.fail("a secret mount needs an id")
        found["id"] = found["id"] or found["target"].rpartition("/")[2]
        if not found["target"] and not found["env"]:
            found["target"] = f"/run/secrets/{found['id']}"
    elif not found["target"] and found["type"] != "ssh":
        raise instruction.fail(f"a {found['type']} mount needs a target")
    if "sharing" in found and found["sharing"] not in _SHARING:
        raise instruction.fail(f'unsupported sharing value "{found["sharing"]}"')
    for name, (base, largest) in _NUMBERS.items():
        if name not in found:
            continue
        try:
            fits = 0 <= int(found[name], base) <= largest
        except ValueError:
            fits = False
        if not fits:
            raise instruction.fail(f"invalid value '{found[name]}' for key '{name}'")


def is_writable(found: "Fields") -> bool:
    """Tell whether the program may write."""
    return found["readwrite"] not in _OFF
