# SPDX-License-Identifier: Apache-2.0
"""`spec`: write a config.json to begin with."""

import errno
import posix

from pyoci.errors import PyociError
from pyoci.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.commands.settings import Settings
    from pyoci.flags import Flag, Flags

FLAGS: "tuple[Flag, ...]" = (
    ("bundle", "b", "DIR", "path to the bundle directory (default: the current directory)"),
    ("rootless", "", "", "write a configuration for a container of an ordinary user"),
)


def run(arguments: list[str], flags: "Flags", settings: "Settings") -> int:  # noqa: ARG001 - what every command gets
    """Write config.json into the bundle; one that exists is never touched."""
    from pyoci.cgroup.layout import find
    from pyoci.spec.template import rootless_template, template

    unified = find()[0] == "v2"
    if flags.is_on("rootless"):
        uid, gid = posix.geteuid(), posix.getegid()
        document = rootless_template(uid, gid, cgroup_namespace=unified)
    else:
        document = template(cgroup_namespace=unified)
    _write(flags.text("bundle") or ".", dumps(document, "\t").encode() + b"\n")
    return 0


def _write(bundle: str, text: bytes) -> None:
    path = f"{bundle}/config.json"
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC
    try:
        fd = posix.open(path, flags, 0o666)
    except FileExistsError:
        raise PyociError("File config.json exists. Remove it first") from None
    except OSError as error:
        raise PyociError(f"{path}: {(error.strerror or '').lower()}") from error
    try:
        written = posix.write(fd, text)
        if written != len(text):
            raise OSError(errno.ENOSPC, "no space left on device")
    except OSError as error:
        posix.unlink(path)
        raise PyociError(f"{path}: {(error.strerror or '').lower()}") from error
    finally:
        posix.close(fd)
