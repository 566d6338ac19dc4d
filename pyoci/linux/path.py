# SPDX-License-Identifier: Apache-2.0
"""Paths as text, without `os` and its 1 ms; nothing here opens a file or resolves a link."""

import posix


def clean(path: str) -> str:
    """Return the shortest form of an absolute path, as Go's filepath.Clean does, links or not."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def absolute(path: str) -> str:
    """Return the path from the root, clean; a relative one is below the current directory."""
    return clean(path if path.startswith("/") else f"{posix.getcwd()}/{path}")


def parent(path: str) -> str:
    """Return the directory that a path lies in, "." for a bare name."""
    head, slash, _ = path.rpartition("/")
    return head or slash or "."


def name(path: str) -> str:
    """Return the last component of a path."""
    return path.rpartition("/")[2]
