# SPDX-License-Identifier: Apache-2.0
"""The flags of `build` whose values have fields: --secret, --ssh, --output, --build-context (docs of buildx)."""

import os
import sys

from pyoci.engine.errors import EngineError, PlainError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.build.options import Options
    from pyoci.flags import Flags

_OFF = ("", "false", "0")
# what --output says -> what it means here: files of the last stage, its archive, an image's archive, an image in the store, nothing
_KINDS = {
    "local": "local", "tar": "tar", "docker": "archive", "oci": "archive", "image": "image", "registry": "image",
    "cacheonly": "nothing",
}  # fmt: skip
_FIELDS = ("type", "dest", "name", "push", "tar", "compression", "oci-mediatypes")


class Output:
    """Where the result goes: `path` is "-" for standard output."""

    __slots__ = ("kind", "path")

    def __init__(self, kind: str, path: str) -> None:
        self.kind = kind
        self.path = path


def read(options: "Options", flags: "Flags") -> None:
    """Read these flags into the options."""
    options.secrets = dict(map(_secret, flags.every("secret")))
    options.ssh = dict(map(_agent, flags.every("ssh")))
    options.contexts = dict(map(_context, flags.every("build-context")))
    options.outputs = [_output(text, options) for text in flags.every("output")]
    if len([one for one in options.outputs if one.path == "-"]) > 1:
        raise EngineError("only one output can be written to stdout")
    if flags.is_on("load") and not options.makes_image:
        options.outputs.append(Output("image", ""))
    if flags.is_on("push"):
        options.pushes = True
        if not options.makes_image:
            options.outputs.append(Output("image", ""))
    if options.pushes and not options.tags:
        raise EngineError("tag is needed when pushing to registry")


def _secret(text: str) -> tuple[str, bytes]:
    """Read id=NAME[,src=FILE|,env=NAME]: without either, a variable of that name, or a file."""
    fields = dict(part.partition("=")[::2] for part in text.split(","))
    kind, name = fields.pop("type", ""), fields.pop("id", "")
    source = fields.pop("src", fields.pop("source", ""))
    variable = fields.pop("env", "")
    if fields or not name or kind not in ("", "file", "env"):
        raise PlainError(
            f'invalid argument "{text}" for "--secret" flag: id=NAME[,src=FILE|,env=NAME] is expected'
        )
    if kind == "env":
        variable, source = variable or source or name, ""
    if variable or (not source and kind != "file" and name in os.environ):
        return name, os.environ.get(variable or name, "").encode("utf-8", "surrogateescape")
    try:
        with open(source or name, "rb") as file:
            return name, file.read()
    except OSError as error:
        raise EngineError(
            f"secret {name}: open {source or name}: {(error.strerror or '').lower()}"
        ) from error


def _agent(text: str) -> tuple[str, list[str]]:
    """Read ID[=SOCKET|KEY[,KEY...]]: without a path, the agent of SSH_AUTH_SOCK."""
    name, equals, value = text.partition("=")
    if not name:
        raise PlainError(f'invalid argument "{text}" for "--ssh" flag: default|ID[=SOCKET|KEY]')
    paths = value.split(",") if equals else [os.environ.get("SSH_AUTH_SOCK", "")]
    if paths == [""]:
        raise EngineError(
            "invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set, or give a socket or a key"
        )
    for path in paths:
        if not os.path.exists(path):
            raise EngineError(f"ssh {name}: {path}: no such file or directory")
    return name, paths


def _context(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals or not value:
        raise PlainError(f"invalid context value: {text}, expected key=value")
    return name.lower(), value


def _output(text: str, options: "Options") -> Output:
    """Read type=KIND,dest=PATH, or a directory, or - for an archive on standard output."""
    if text == "-":
        return _checked(Output("tar", "-"), text)
    if "=" not in text:
        return Output("local", text)
    fields = dict(part.partition("=")[::2] for part in text.split(","))
    kind = _KINDS.get(fields.get("type", ""), "")
    unknown = [name for name in fields if name not in _FIELDS]
    if not kind or unknown:
        what = (
            f"unknown field {unknown[0]}" if unknown else f"unknown type {fields.get('type', '')!r}"
        )
        raise PlainError(f'invalid argument "{text}" for "-o, --output" flag: {what}')
    path = fields.get("dest", "")
    if kind == "image":
        options.pushes |= fields["type"] == "registry" or fields.get("push", "") not in _OFF
        options.tags += [name for name in fields.get("name", "").split(",") if name]
        return Output(kind, "")
    if kind == "archive" and not path and fields["type"] == "docker":
        return Output("image", "")  # --load
    if kind == "local" and not path:
        raise EngineError("dest is required for local exporter")
    return _checked(Output(kind, path or "-"), text)


def _checked(output: Output, text: str) -> Output:
    if output.path == "-" and output.kind in ("tar", "archive") and sys.stdout.isatty():
        raise EngineError(f"{text}: dest is required: stdout is a terminal")
    return output
