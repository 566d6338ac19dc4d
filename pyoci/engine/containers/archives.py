# SPDX-License-Identifier: Apache-2.0
"""What `cp` sends: a tar archive of one file or tree, and how its name follows from source and target (docker cp's rules)."""

import os
import tarfile

from pyoci.engine.errors import EngineError, PlainError

_BLOCK = 1 << 18
_RECORD, _END = 512, 1024  # of tar: what everything is padded to, what stands at the end


def write(fd: int, path: str, *, follow: bool) -> None:
    """Write a path as an archive; what is in a directory when the path ends in /. ."""
    if follow:
        path = os.path.realpath(path) + ("/." if path.endswith("/.") else "")
    contents = path.endswith("/.")
    name = "." if contents else os.path.basename(path.rstrip("/")) or "."
    with (
        os.fdopen(os.dup(fd), "wb") as file,
        tarfile.open(fileobj=file, mode="w|", bufsize=_BLOCK) as archive,
    ):
        archive.add(path.rstrip("/") or "/", arcname=name)


def read(fd: int, source: str, target: str, *, owners: bool) -> int:
    """Unpack an archive of one source at a target: into a directory that exists, else under the target's name.

    Returns how many bytes the archive has, as tar pads them.
    """
    size = _END
    with (
        os.fdopen(os.dup(fd), "rb") as file,
        tarfile.open(fileobj=file, mode="r|", bufsize=_BLOCK) as archive,
    ):
        archive.extraction_filter = lambda member, _: member
        place = None
        for member in archive:
            place = place or _Place(source, target, is_directory=member.isdir())
            member.name = place.rename(member)
            if member.islnk():
                member.linkname = place.rename_text(member.linkname)
            if not owners:
                member.uid, member.gid = os.getuid(), os.getgid()
                member.uname = member.gname = ""
            place.check(member.name)
            archive.extract(member, place.directory, set_attrs=True, numeric_owner=True)
            size += _RECORD + -(-member.size // _RECORD) * _RECORD
    return size


class _Place:
    """Where an archive goes: a directory, and the name that its first part gets there, None to keep it."""

    def __init__(self, source: str, target: str, *, is_directory: bool) -> None:
        self.name: str | None = None
        if os.path.isdir(target):
            self.directory = target
            return
        if source == "-":
            raise NotADirectoryError(target)
        if target.endswith("/") and not is_directory:
            raise PlainError("no such directory")
        if is_directory and os.path.exists(target):
            raise PlainError("cannot copy directory")
        self.directory, self.name = os.path.split(target.rstrip("/"))
        self.directory = self.directory or "."
        if not os.path.isdir(self.directory):
            raise FileNotFoundError(os.path.abspath(self.directory))

    def check(self, name: str) -> None:
        """Refuse a member that would be written through a link which the archive itself has made."""
        top = os.path.realpath(self.directory)
        parent = os.path.realpath(os.path.join(top, os.path.dirname(name.rstrip("/"))))
        if parent != top and not parent.startswith(f"{top.rstrip('/')}/"):
            raise EngineError(f"{name}: leads out of {self.directory}")

    def rename(self, member: "tarfile.TarInfo") -> str:
        """Return the name of a member at its place."""
        return self.rename_text(member.name)

    def rename_text(self, text: str) -> str:
        """Return a name with its first part changed, where that is wanted."""
        if self.name is None:
            return text
        rest = text.partition("/")[2] if text != "." else ""
        return f"{self.name}/{rest}" if rest else self.name
