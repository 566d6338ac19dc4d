# SPDX-License-Identifier: Apache-2.0
"""Where a container's processes are counted: its cgroup and resctrl groups, made and limited before init exists."""

import posix

from pyoci import log
from pyoci.cgroup import locate
from pyoci.linux.path import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroup import Cgroup
    from pyoci.creation import Creation
    from pyoci.spec import Spec

_CGROUPS = "/sys/fs/cgroup/"


def find_cgroup(creation: "Creation") -> "Cgroup":
    """Return where the container's cgroup will be, by the driver that was asked for."""
    options, path = creation.options, creation.spec["linux"]["cgroupsPath"]
    if not options.systemd_cgroup:
        return locate(path, options.id, rootless=options.rootless)
    from pyoci.cgroup.systemd import scope

    annotations = creation.spec["annotations"]
    return scope.locate(path, options.id, annotations, rootless=options.rootless)


def settle_cgroup(creation: "Creation") -> None:
    """Make the cgroup early where the plan must know what there is.

    An ordinary user may have to go without some, and a bind mount may have one for its source.
    """
    mounts = creation.spec["mounts"]
    if creation.options.rootless or any(f"{row['source']}/".startswith(_CGROUPS) for row in mounts):
        make_cgroup(creation)


def make_cgroup(creation: "Creation") -> None:
    """Make and limit the cgroup before init exists: not even its first page is charged elsewhere."""
    if creation.cgroup is not None and not (creation.has_cgroup or creation.cgroup.unit):
        make_and_limit(creation, creation.cgroup)


def make_and_limit(creation: "Creation", cgroup: "Cgroup") -> None:
    """Make the cgroup and write its limits; the record is that of what there is."""
    resources = creation.spec["linux"]["resources"]
    creation.has_cgroup = True
    cgroup.make(resources)
    made = cgroup.record()
    if made != creation.made.known()["cgroup"]:  # an ordinary user may have to go without some
        creation.made.known()["cgroup"] = made
        creation.made.save()
    for warning in cgroup.apply(resources):
        log.warning(warning)
    if cgroup.version == 2 and cgroup.parts and may_manage_cgroup(creation.spec):
        delegate_cgroup(creation)


def may_manage_cgroup(config: "Spec") -> bool:
    """Tell whether the container is to have cgroups of its own: its own namespace, and a mount to write to."""
    kinds = [(row["type"], row["path"]) for row in config["linux"]["namespaces"]]
    return ("cgroup", None) in kinds and any(
        mount["type"] in {"cgroup", "cgroup2"}
        and f"{clean(mount['destination'])}/" == _CGROUPS
        and "ro" not in mount["options"]
        for mount in config["mounts"]
    )


def delegate_cgroup(creation: "Creation") -> None:
    """Give the cgroup to the container's user, as runc does with systemd's; an unmapped user has none."""
    from pyoci.cgroup import v2
    from pyoci.idmap import host_id

    assert creation.cgroup is not None
    linux, body = creation.spec["linux"], creation.spec["process"]
    inside = body["user"]["uid"] if body else 0
    in_user = any(row["type"] == "user" for row in linux["namespaces"])
    uid = host_id(linux["uidMappings"], inside) if in_user else inside
    if uid is not None and uid != posix.geteuid():
        refused = v2.delegate(creation.cgroup.parts[0], uid)
        if refused is not None:
            log.warning(f"the container cannot manage its cgroup: {refused}")


def enter_rdt(creation: "Creation") -> None:
    """Put the set-up process, and with it init, into the container's resctrl groups."""
    wanted = creation.spec["linux"]["intelRdt"]
    if wanted is None:
        return
    from pyoci import rdt

    assert creation.executor is not None
    record = creation.made.known()
    groups = record["rdt"] = rdt.plan(wanted, creation.options.id)
    creation.made.save()
    rdt.make(wanted, groups, creation.executor.setup)
