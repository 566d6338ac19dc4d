# SPDX-License-Identifier: Apache-2.0
"""Users and groups as an image names them: its passwd and group files, opened without following any link out of it."""

import posix

from pyoci.engine.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
_FILE = posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC
_LIMIT = 4 << 20  # of a file that an image may have made
_HIGHEST = (1 << 31) - 1


def read_entries(root: str, name: str) -> list[list[str]]:
    """Return the lines of /etc/NAME below a root, split at colons; a file that is a link, or not there, has none."""
    try:
        top = posix.open(root, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    except FileNotFoundError:
        return []
    fds = [top]
    try:
        fds.append(posix.open("etc", _DIRECTORY, dir_fd=top))
        fds.append(posix.open(name, _FILE, dir_fd=fds[-1]))
        text = posix.read(fds[-1], _LIMIT)
    except OSError:
        return []
    finally:
        for fd in fds:
            posix.close(fd)
    lines = text.decode("utf-8", "replace").split("\n")
    return [line.split(":") for line in lines if line and not line.startswith("#")]


def resolve(root: str, user: str, groups: "list[str]") -> "tuple[dict[str, Any], str]":
    """Return the user object of a process and the home directory, of user[:group] and further groups (moby: getUser)."""
    passwd = read_entries(root, "passwd")
    group = read_entries(root, "group")
    name, _, group_name = user.partition(":")
    uid, gid, login, home = _user(passwd, name or "0")
    if group_name:
        gid = _group(group, group_name, "unable to find group")
        further = []
    else:
        further = [
            int(row[2]) for row in group if len(row) > 3 and login in row[3].split(",") and login
        ]
    for text in groups:
        further.append(_group(group, text, "Unable to find group"))
    additional = [*dict.fromkeys((gid, *further))]
    return {"uid": uid, "gid": gid, "additionalGids": additional}, home


def _user(passwd: list[list[str]], name: str) -> tuple[int, int, str, str]:
    """Return uid, gid, login name and home directory."""
    for row in passwd:
        if len(row) > 5 and name in (row[0], row[2]) and row[2].isdecimal() and row[3].isdecimal():
            return int(row[2]), int(row[3]), row[0], row[5]
    if not name.isdecimal():
        raise EngineError(f"unable to find user {name}: no matching entries in passwd file")
    if int(name) > _HIGHEST:
        raise EngineError(f"uids and gids must be in range 0-{_HIGHEST}")
    return int(name), 0, "", "/"


def _group(group: list[list[str]], name: str, words: str) -> int:
    for row in group:
        if len(row) > 2 and name in (row[0], row[2]) and row[2].isdecimal():
            return int(row[2])
    if not name.isdecimal():
        raise EngineError(f"{words} {name}: no matching entries in group file")
    if int(name) > _HIGHEST:
        raise EngineError(f"uids and gids must be in range 0-{_HIGHEST}")
    return int(name)
