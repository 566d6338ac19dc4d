# SPDX-License-Identifier: Apache-2.0
"""Directories whose container or volume is gone: what a command leaves that was killed after it had removed the row.

A row is written before its directories are made, so a directory that is seen before the rows are read has one, or had one.
"""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.containers.record import Records


def remove(records: "Records") -> None:
    """Remove every directory that no row asks for."""
    places = records.places
    for top, kind in (
        (f"{places.run}/containers", "container"),
        (f"{places.root}/containers", "container"),
        (f"{places.root}/snapshots", "container"),
        (f"{places.root}/volumes", "volume"),
    ):
        seen = _listed(top)
        if not seen:
            continue
        column = "id" if kind == "container" else "name"
        known = {str(row[0]) for row in records.database.rows(f"SELECT {column} FROM {kind}")}  # noqa: S608 - two words of ours
        for name in seen - known:
            from pyoci.engine.mounts import unmount
            from pyoci.engine.trees import remove_tree

            while unmount(f"{top}/{name}/merged"):
                pass
            remove_tree(f"{top}/{name}")


def _listed(path: str) -> set[str]:
    try:
        return {*posix.listdir(path)}
    except FileNotFoundError:
        return set()
