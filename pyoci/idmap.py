# SPDX-License-Identifier: Apache-2.0
"""Write the id maps of a new user namespace (user_namespaces(7), newuidmap(1))."""

import posix

from pyoci.errors import StepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec import IDMapping

HELPER_DIRECTORIES = ("/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin", "/sbin")


def write(pid: int, uids: "list[IDMapping]", gids: "list[IDMapping]") -> None:
    """Map the ids of the namespace that `pid` has just made; without privilege through newuidmap and newgidmap."""
    if posix.geteuid() == 0:
        _write(pid, "uid_map", uids)
        _write(pid, "gid_map", gids)
        return
    if _is_own(uids, posix.geteuid()):
        _write(pid, "uid_map", uids)
    else:
        _help("newuidmap", pid, uids, "/linux/uidMappings")
    if _is_own(gids, posix.getegid()):
        _put(pid, "setgroups", "deny")
        _write(pid, "gid_map", gids)
    else:
        _help("newgidmap", pid, gids, "/linux/gidMappings")


def host_id(mappings: "list[IDMapping]", inside: int) -> int | None:
    """Return the host's number of an id of the container; None for one that is not mapped."""
    for row in mappings:
        if 0 <= inside - row["containerID"] < row["size"]:
            return row["hostID"] + inside - row["containerID"]
    return None


def _is_own(mappings: "list[IDMapping]", own: int) -> bool:
    return len(mappings) == 1 and mappings[0]["hostID"] == own and mappings[0]["size"] == 1


def _write(pid: int, name: str, mappings: "list[IDMapping]") -> None:
    lines = "".join(f"{row['containerID']} {row['hostID']} {row['size']}\n" for row in mappings)
    try:
        _put(pid, name, lines)
    except OSError as error:
        place = "/linux/" + ("uidMappings" if name == "uid_map" else "gidMappings")
        reason = (error.strerror or "").lower()
        raise StepError(
            f"{place[7:]}: write {name} of the user namespace: {reason}: "
            f"the ids must not overlap, and the host ids must be the caller's to give",
            place,
            error.errno or 0,
        ) from error


def _put(pid: int, name: str, text: str) -> None:
    fd = posix.open(f"/proc/{pid}/{name}", posix.O_WRONLY | posix.O_CLOEXEC)
    try:
        posix.write(fd, text.encode())
    finally:
        posix.close(fd)


def _help(name: str, pid: int, mappings: "list[IDMapping]", place: str) -> None:
    """Have the set-uid helper write a map: it checks /etc/subuid and /etc/subgid."""
    ids = [str(row[key]) for row in mappings for key in ("containerID", "hostID", "size")]
    for directory in HELPER_DIRECTORIES:
        try:
            child = posix.posix_spawn(f"{directory}/{name}", [name, str(pid), *ids], {})
        except FileNotFoundError:
            continue
        status = posix.waitstatus_to_exitcode(posix.waitpid(child, 0)[1])
        if status:
            raise StepError(
                f"{place[1:].replace('/', '.')}: {name} {' '.join(ids)} refused (exit status {status}): "
                f"does /etc/{'subuid' if name == 'newuidmap' else 'subgid'} give these ids to the caller?",
                place,
            )
        return
    raise StepError(
        f"{name} is not installed (Debian: uidmap), and mapping other ids needs it", place
    )
