# SPDX-License-Identifier: Apache-2.0
"""config.md#mounts: golden plans of every kind of mount."""

import re
from typing import Any

import pytest
from plans import ALL, bind, facts, lines, mount, program, spec

from pyoci.errors import SpecError, Unsupported
from pyoci.plan import rootfs
from pyoci.plan.program import Program

GUARD = [
    "verify_filesystem fd=target magic=40864 ignore=EINVAL skip=1",
    "verify_filesystem fd=target magic=0",
]
CREATE = "create out=target root=root path='{}' kind={} mode={}"
SET = "mount_setattr mount={} flags={} set={} clear={} propagation={} user_namespace={}"
MAP = [{"containerID": 0, "hostID": 500, "size": 10}]
MAP_SLOT = "'idmap 0 500 10/0 500 10'"
MAPPED = f"user_namespace out={MAP_SLOT} uid_map='0 500 10\\n' gid_map='0 500 10\\n'"


def setattr_line(
    slot: str,
    flags: str = "0",
    more: str = "0",
    less: str = "0",
    kind: str = "0",
    user: str = "none",
) -> str:
    return SET.format(slot, flags, more, less, kind, user)


def options_of(*options: str, type_: str | None = None) -> list[str]:
    """The lines of a bind mount of /host/dir at /m that set attributes."""
    plan = lines(spec(mount("/m", type_, *options, source="/host/dir")), "/mounts/0")
    return [line for line in plan if line.startswith("mount_setattr")]


def test_a_bind_mount_of_a_directory() -> None:
    assert lines(spec(bind("/m", "/host/dir")), "/mounts/0") == [
        "open_tree out=source0 dir=cwd path='/host/dir' flags=CLONE|CLOEXEC",
        setattr_line("source0", "RECURSIVE", kind="SLAVE"),
        CREATE.format("/m", "directory", "0o755"),
        *GUARD,
        "move_mount mount=source0 target=target",
        "close fd=source0",
    ]


def test_a_bind_mount_of_a_file_makes_a_file() -> None:
    plan = lines(spec(bind("/m", "/host/file")), "/mounts/0")
    assert CREATE.format("/m", "file", "0o644") in plan


def test_a_relative_source_is_below_the_bundle() -> None:
    plan = lines(spec(bind("m", "dir", "rbind")), "/mounts/0")
    assert plan[0].endswith("path='/bundle/dir' flags=CLONE|CLOEXEC|RECURSIVE")
    assert CREATE.format("/m", "directory", "0o755") in plan


@pytest.mark.parametrize(
    ("type_", "options"),
    [("bind", ()), ("none", ("bind",)), ("tmpfs", ("rbind",)), (None, ("bind",))],
)
def test_what_makes_a_bind_mount(type_: str | None, options: tuple[str, ...]) -> None:
    """config.md#mounts: with bind or rbind among the options the type is a dummy."""
    plan = lines(spec(mount("/m", type_, *options, source="/host/dir")), "/mounts/0")
    assert plan[0].startswith("open_tree out=source0 dir=cwd path='/host/dir'")


def test_only_what_is_named_changes_on_a_bind_mount() -> None:
    assert options_of("bind", "ro", "exec") == [
        setattr_line("source0", "RECURSIVE", "RDONLY", "NOEXEC", "SLAVE")
    ]


def test_a_plain_option_is_for_the_top_of_a_tree_alone() -> None:
    assert options_of("rbind", "ro") == [
        setattr_line("source0", "0", "RDONLY"),
        setattr_line("source0", "RECURSIVE", kind="SLAVE"),
    ]


def test_a_recursive_option_is_for_the_whole_tree() -> None:
    assert options_of("rbind", "rro", "rnoatime") == [
        setattr_line("source0", "RECURSIVE", "RDONLY|NOATIME", "ATIME", "SLAVE")
    ]


def test_private_needs_no_other_step() -> None:
    assert options_of("rbind", "rprivate", "nosuid") == [
        setattr_line("source0", "0", "NOSUID"),
        setattr_line("source0", "RECURSIVE", kind="PRIVATE"),
    ]


def test_shared_is_shared_with_nobody_outside() -> None:
    """The clone is a slave of the host's first, then the head of a group of its own."""
    assert options_of("rbind", "rshared") == [
        setattr_line("source0", "RECURSIVE", kind="SLAVE"),
        setattr_line("source0", "RECURSIVE", kind="SHARED"),
    ]


def test_rootfs_propagation_shared_keeps_sources_in_the_hosts_group() -> None:
    plan = lines(spec(bind("/m", "/host/dir", "rbind"), rootfsPropagation="rshared"), "/mounts/0")
    assert not [line for line in plan if line.startswith("mount_setattr")]


MIXED = (
    bind("/a", "/host/dir"),
    mount("/proc", "proc"),
    bind("/b", "/host/dir", "rbind"),
    mount("/sys/fs/cgroup", "cgroup"),
    mount("/c", "tmpfs"),
    bind("/d", "/host/dir"),
)


def makers(*namespaces: str, privileged: bool = True) -> list[str]:
    """The slots of the mounts of MIXED, in the order in which they are made."""
    compiled = program(spec(*MIXED, namespaces=namespaces), facts(privileged=privileged))
    slots = {number: name for name, number in compiled.slots.items()}
    made = [
        slots[operation.arguments[0]]
        for operation in compiled.operations
        if operation.name in {"open_tree", "fsmount"} and operation.place.startswith("/mounts/")
    ]
    return list(dict.fromkeys(made))


@pytest.mark.parametrize("privileged", [True, False])
def test_mounts_are_made_in_order(privileged: bool) -> None:  # noqa: FBT001 - pytest names it
    """Linux 6.8: mountinfo lists them so, and config.md#mounts is about that order."""
    assert makers(*ALL, privileged=privileged) == [f"source{i}" for i in range(6)]


@pytest.mark.parametrize("namespaces", [(*ALL, "user"), ("mount=/run/ns",)])
def test_what_init_may_not_clone_is_cloned_before_it_is_there(namespaces: tuple[str, ...]) -> None:
    """mount_namespaces(7): a user namespace takes rights away, a joined mount namespace the host."""
    assert makers(*namespaces) == [f"source{i}" for i in (0, 2, 5, 1, 3, 4)]


def test_every_mount_is_made_before_the_image_can_be_seen() -> None:
    """CVE-2021-30465: no path that is looked up on the host can lead through the container's root."""
    names = [operation.name for operation in program(spec(*MIXED)).operations]
    attached = names.index("attach_root")
    assert "fsmount" not in names[attached:]
    assert "open_tree" not in names[attached:]


def test_proc_needs_an_ordinary_directory() -> None:
    """CVE-2023-27561: looked up without links, made only when missing, looked up again."""
    strict = (
        "open out=target dir=root path='/proc' flags=DIRECTORY|NOFOLLOW|PATH mode=0o0 "
        "resolve=NO_SYMLINKS|IN_ROOT"
    )
    assert lines(spec(mount("/proc", "proc")), "/mounts/0") == [
        "fsopen out=fs type='proc' skip=3",
        "fsconfig fs=fs command=SET_STRING key='source' value='proc'",
        "fsconfig fs=fs command=CREATE skip=1",
        "fsmount out=source0 fs=fs attributes=0",
        strict + " ignore=ENOENT",
        CREATE.format("/proc", "directory", "0o755"),
        strict,
        "move_mount mount=source0 target=target",
        "close fd=source0",
    ]


def test_a_tmpfs_with_options() -> None:
    plan = lines(
        spec(mount("/t", "tmpfs", "nosuid", "mode=1777", "size=64m", "lazytime")), "/mounts/0"
    )
    assert plan[:7] == [
        "fsopen out=fs type='tmpfs' skip=6",
        "fsconfig fs=fs command=SET_STRING key='source' value='tmpfs'",
        "fsconfig fs=fs command=SET_FLAG key='lazytime'",
        "fsconfig fs=fs command=SET_STRING key='mode' value='1777'",
        "fsconfig fs=fs command=SET_STRING key='size' value='64m'",
        "fsconfig fs=fs command=CREATE skip=1",
        "fsmount out=source0 fs=fs attributes=NOSUID",
    ]
    assert plan[-2:] == ["move_mount mount=source0 target=target", "close fd=source0"]


def test_a_tmpfs_without_a_mode_has_that_of_the_directory_it_covers() -> None:
    """Looked at before it may be made: a directory of our own has no mode to give."""
    plan = lines(spec(mount("/t", "tmpfs", "size=1m")), "/mounts/0")
    assert plan[-8:] == [
        "open out=covered dir=root path='/t' flags=DIRECTORY|PATH mode=0o0 "
        "resolve=NO_MAGICLINKS|IN_ROOT ignore=ENOENT",
        CREATE.format("/t", "directory", "0o755"),
        *GUARD,
        "copy_mode from=covered to=source0 ignore=EBADF skip=1",
        "close fd=covered",
        "move_mount mount=source0 target=target",
        "close fd=source0",
    ]


@pytest.mark.parametrize(
    "entry", [mount("/t", "tmpfs", "mode=700"), mount("/t", "mqueue"), bind("/t", "/host/dir")]
)
def test_nothing_else_has_the_mode_of_what_it_covers(entry: dict[str, Any]) -> None:
    assert not [line for line in lines(spec(entry), "/mounts/0") if "covered" in line]


def test_a_tmpfs_that_makes_its_directory_has_no_mode_of_an_earlier_one() -> None:
    """The slot is empty again after each mount, so that `copy_mode` finds nothing to copy."""
    plan = lines(spec(mount("/a", "tmpfs"), mount("/b", "tmpfs")), "/mounts")
    for index, line in enumerate(plan):
        if line.startswith("copy_mode"):
            assert plan[index + 1] == "close fd=covered"


def test_a_read_only_tmpfs_is_filled_first() -> None:
    plan = lines(spec(mount("/t", "tmpfs", "ro", "tmpcopyup")), "/mounts/0")
    assert "fsmount out=source0 fs=fs attributes=0" in plan
    assert plan[-6:] == [
        "copy_up from=target to=source0",
        "copy_mode from=covered to=source0 ignore=EBADF skip=1",
        "close fd=covered",
        "move_mount mount=source0 target=target",
        setattr_line("source0", "0", "RDONLY"),
        "close fd=source0",
    ]


def test_read_only_is_told_to_a_file_system_on_a_disk() -> None:
    plan = lines(spec(mount("/d", "ext4", "ro", source="/dev/vdb")), "/mounts/0")
    assert "fsconfig fs=fs command=SET_FLAG key='ro'" in plan
    assert "fsmount out=source0 fs=fs attributes=RDONLY" in plan
    plan = lines(spec(mount("/d", "sysfs", "ro")), "/mounts/0")
    assert not [line for line in plan if "key='ro'" in line]


def test_a_label_goes_to_file_systems_that_have_labels() -> None:
    label = "fsconfig fs=fs command=SET_STRING key='context' value='u:r:t:s0:c1,c2'"
    document = spec(
        mount("/proc", "proc"),
        mount("/t", "tmpfs"),
        bind("/b", "/host/dir"),
        mountLabel="u:r:t:s0:c1,c2",
    )
    assert [label in lines(document, f"/mounts/{i}", facts(selinux=True)) for i in range(3)] == [
        False,
        True,
        False,
    ]
    assert label not in lines(document, "/mounts/1")


def test_a_label_of_the_mount_itself_wins() -> None:
    document = spec(mount("/t", "tmpfs", 'context="a,b"'), mountLabel="c")
    plan = lines(document, "/mounts/0", facts(selinux=True))
    assert len([line for line in plan if "key='context'" in line]) == 1


def test_another_kind_of_context_by_annotation() -> None:
    document = spec(mount("/t", "tmpfs"), mountLabel="c")
    document["annotations"]["run.oci.mount_context_type"] = "rootcontext"
    plan = lines(document, "/mounts/0", facts(selinux=True))
    assert "fsconfig fs=fs command=SET_STRING key='rootcontext' value='c'" in plan


def test_sysfs_in_a_user_namespace_falls_back_to_the_hosts() -> None:
    """Without a network namespace of its own the kernel refuses a new sysfs (EPERM)."""
    namespaces = tuple(name for name in ALL if name != "network")
    plan = lines(
        spec(mount("/sys", "sysfs", "ro", "nosuid"), namespaces=(*namespaces, "user")), "/mounts/0"
    )
    assert plan[:2] == [
        "open_tree out=source0 dir=cwd path='/sys' flags=CLONE|CLOEXEC|RECURSIVE",
        setattr_line("source0", "RECURSIVE", "RDONLY|NOSUID", "0", "PRIVATE"),
    ]
    assert plan[2:6] == [
        "fsopen out=fs type='sysfs' ignore=EPERM skip=3",
        "fsconfig fs=fs command=SET_STRING key='source' value='sysfs'",
        "fsconfig fs=fs command=CREATE ignore=EPERM skip=1",
        "fsmount out=source0 fs=fs attributes=RDONLY|NOSUID ignore=EPERM",
    ]


@pytest.mark.parametrize("namespaces", [ALL, (*ALL, "user")])
def test_sysfs_with_an_own_network_namespace_is_new(namespaces: tuple[str, ...]) -> None:
    plan = lines(spec(mount("/sys", "sysfs"), namespaces=namespaces), "/mounts/0")
    assert not [line for line in plan if "open_tree" in line or "EPERM" in line]


def test_the_hosts_cgroups_below_a_read_only_sys_are_read_only() -> None:
    """CVE-2023-25809."""
    plan = lines(spec(bind("/sys", "/sys", "rbind", "ro")), "/mounts/0")
    assert setattr_line("source0", "RECURSIVE", "RDONLY", "0", "SLAVE") in plan


def test_an_unprivileged_bind_mount_may_have_to_bring_all_that_lies_below() -> None:
    """mount_namespaces(7): inherited mounts cannot be taken off what they cover."""
    plan = lines(spec(bind("/m", "/host/dir")), "/mounts/0", facts(privileged=False))
    assert plan[:2] == [
        "open_tree out=source0 dir=cwd path='/host/dir' flags=CLONE|CLOEXEC|RECURSIVE",
        "open_tree out=source0 dir=cwd path='/host/dir' flags=CLONE|CLOEXEC ignore=EINVAL",
    ]


def test_a_remount_changes_what_is_there() -> None:
    document = spec(bind("/m", "/host/dir"), mount("/m", None, "remount", "bind", "ro", "suid"))
    assert lines(document, "/mounts/1") == [
        "open out=target dir=root path='/m' flags=PATH mode=0o0 resolve=NO_MAGICLINKS|IN_ROOT",
        setattr_line("target", "0", "RDONLY", "NOSUID"),
    ]


def test_a_remount_changes_the_file_system_that_is_the_containers_own() -> None:
    """mount(2): MS_REMOUNT without MS_BIND."""
    document = spec(mount("/m", "tmpfs"), mount("/m", "tmpfs", "remount", "sync", "size=64k"))
    assert lines(document, "/mounts/1")[1:5] == [
        "fspick out=fs mount=target",
        "fsconfig fs=fs command=SET_FLAG key='sync'",
        "fsconfig fs=fs command=SET_STRING key='size' value='64k'",
        "fsconfig fs=fs command=RECONFIGURE",
    ]


@pytest.mark.parametrize("there", [[bind("/m", "/host/dir")], [], [mount("/other", "tmpfs")]])
def test_a_remount_does_not_change_a_file_system_of_the_host(there: list[dict[str, Any]]) -> None:
    """Its other mounts on the host would show the change."""
    document = spec(*there, mount("/m", None, "remount", "sync"))
    with pytest.raises(SpecError, match="of the host") as caught:
        lines(document, "/mounts")
    assert caught.value.place == f"/mounts/{len(there)}/options/1"


def test_a_link_is_copied() -> None:
    """crun's copy-symlink."""
    entry = bind("/m", "/host/link", "bind", "copy-symlink")
    plan = lines(spec(entry), "/mounts/0", facts(links={"/host/link": "../there"}))
    assert plan == ["symlink root=root path='/m' target='../there'"]


def test_what_is_no_link_is_bound_all_the_same() -> None:
    plan = lines(spec(bind("/m", "/host/dir", "bind", "copy-symlink")), "/mounts/0")
    assert plan[0].startswith("open_tree out=source0 dir=cwd path='/host/dir'")


def test_a_link_may_be_mounted_over() -> None:
    """crun's dest-nofollow."""
    plan = lines(spec(bind("/m", "/host/dir", "bind", "dest-nofollow")), "/mounts/0")
    assert plan[2:5] == [
        "open out=target dir=root path='/m' flags=NOFOLLOW|PATH mode=0o0 "
        "resolve=NO_MAGICLINKS|IN_ROOT ignore=ENOENT skip=1",
        "verify_type fd=root type=REGULAR device=0 ignore=ENODEV skip=1",
        CREATE.format("/m", "directory", "0o755"),
    ]


def relative(option: str, uids: list[dict[str, int]]) -> list[str]:
    """The maps of a mount with this option, in a container with these."""
    document = spec(bind("/m", "/host/dir", "bind", option), namespaces=(*ALL, "user"))
    document["linux"].update(uidMappings=uids, gidMappings=MAP)
    return [line for line in lines(document, "/mounts/0") if line.startswith("user_namespace")]


TWO = [
    {"containerID": 0, "hostID": 500, "size": 2},
    {"containerID": 2, "hostID": 9000, "size": 5},
]


@pytest.mark.parametrize(
    ("option", "uids", "gids"),
    [
        ("idmap=uids=7-1-2;gids=8-3-1", "7 1 2\\n", "8 3 1\\n"),
        ("idmap=uids=@7-1-1;gids=@8-3-1", "7 501 1\\n", "8 503 1\\n"),
        ("idmap=uids=@1000-1-3#20-20-1", "1000 501 1\\n1001 9000 2\\n20 20 1\\n", "0 500 10\\n"),
        ("idmap=gids=@0-0-10", "0 500 2\\n2 9000 5\\n", "0 500 10\\n"),
    ],
)
def test_the_id_maps_of_an_option(option: str, uids: str, gids: str) -> None:
    """crun's idmap=: what @ marks goes through the container's map; a kind that is left out is the container's."""
    name = "/".join(" ".join(lines.split("\\n")).strip() for lines in (uids, gids))
    assert relative(option, TWO) == [
        f"user_namespace out='idmap {name}' uid_map='{uids}' gid_map='{gids}'"
    ]


@pytest.mark.parametrize("option", ["idmap=uids=@0-6-2;gids=0-0-1", "idmap=uids=@0-99-1"])
def test_a_relative_id_must_be_the_containers(option: str) -> None:
    with pytest.raises(SpecError, match="does not map each id"):
        relative(option, TWO)


def test_an_id_mapped_mount() -> None:
    entry = bind("/m", "/host/dir", "bind", "ro", uidMappings=MAP, gidMappings=MAP)
    plan = lines(spec(entry), "/mounts/0")
    assert plan[0] == MAPPED
    assert plan[2] == setattr_line("source0", "RECURSIVE", "RDONLY|IDMAP", "0", "SLAVE", MAP_SLOT)


def test_a_user_namespace_of_ids_is_made_before_init_is() -> None:
    """Its maps are written by a pid, which in the container's pid namespace is another."""
    entry = bind("/m", "/host/dir", uidMappings=MAP, gidMappings=MAP)
    document = spec(mount("/t", "tmpfs"), entry)
    made = Program()
    rootfs.open_sources(made, document, facts())
    names = [operation.name for operation in made.operations]
    assert names.count("user_namespace") == 1
    assert "fsmount" not in names


def test_a_recursive_id_mapped_mount() -> None:
    entry = bind("/m", "/host/dir", "rbind", "ridmap", uidMappings=MAP, gidMappings=MAP)
    assert setattr_line("source0", "RECURSIVE", "IDMAP", "0", "SLAVE", MAP_SLOT) in lines(
        spec(entry), "/mounts/0"
    )


def test_equal_id_maps_share_a_user_namespace() -> None:
    entries = [bind(f"/{i}", "/host/dir", uidMappings=MAP, gidMappings=MAP) for i in range(3)]
    plan = lines(spec(*entries), "/mounts")
    assert len([line for line in plan if line.startswith("user_namespace")]) == 1


def test_an_id_map_without_mappings_is_the_containers() -> None:
    document = spec(bind("/m", "/host/dir", "bind", "idmap"), namespaces=(*ALL, "user"))
    document["linux"]["uidMappings"] = document["linux"]["gidMappings"] = MAP
    assert MAPPED in lines(document, "/mounts/0")
    document = spec(bind("/m", "/host/dir", "bind", "idmap"), namespaces=(*ALL, "user=/run/ns"))
    assert "open out='idmap /run/ns/' dir=cwd path='/run/ns' flags=0 mode=0o0 resolve=0" in lines(
        document, "/mounts/0"
    )


V1 = facts(
    layout="hybrid",
    unified="/sys/fs/cgroup/unified/c",
    cgroups=(
        ("cpu", "/sys/fs/cgroup/cpu,cpuacct/c"),
        ("cpuacct", "/sys/fs/cgroup/cpu,cpuacct/c"),
        ("name=systemd", "/sys/fs/cgroup/systemd/c"),
        ("", "/sys/fs/cgroup/unified/c"),
    ),
)


def test_cgroup_v1_is_a_tmpfs_with_a_mount_for_each_hierarchy() -> None:
    plan = lines(spec(mount("/sys/fs/cgroup", "cgroup", "ro")), "/mounts/0", V1)
    start = plan.index("fsmount out=source0 fs=fs attributes=0")
    assert plan[start + 1 : start + 3] == [
        "open_tree out='source0 cpu,cpuacct' dir=cwd path='/sys/fs/cgroup/cpu,cpuacct/c' "
        "flags=CLONE|CLOEXEC",
        setattr_line("'source0 cpu,cpuacct'", "RECURSIVE", "RDONLY", "0", "PRIVATE"),
    ]
    start = plan.index("move_mount mount=source0 target=target")
    assert plan[start:] == [
        "move_mount mount=source0 target=target",
        "create out=target root=source0 path='cpu,cpuacct' kind=directory mode=0o755",
        "move_mount mount='source0 cpu,cpuacct' target=target",
        "close fd='source0 cpu,cpuacct'",
        "symlink root=source0 path='cpu' target='cpu,cpuacct'",
        "symlink root=source0 path='cpuacct' target='cpu,cpuacct'",
        "create out=target root=source0 path='systemd' kind=directory mode=0o755",
        "move_mount mount='source0 systemd' target=target",
        "close fd='source0 systemd'",
        setattr_line("source0", "0", "RDONLY"),
        "close fd=source0",
    ]


def test_cgroup_v2_of_a_hybrid_layout_is_not_shown() -> None:
    """Which directory is v2's says facts.unified, not its name: --cgroup may have moved it."""
    plan = lines(spec(mount("/sys/fs/cgroup", "cgroup")), "/mounts/0", V1)
    assert not [line for line in plan if "unified" in line]


def test_without_a_cgroup_there_is_nothing_to_write_to() -> None:
    plan = lines(spec(mount("/sys/fs/cgroup", "cgroup")), "/mounts/0", facts(layout="v1"))
    assert plan[-2] == setattr_line("source0", "0", "RDONLY")


V2 = facts(layout="v2", cgroups=(("", "/sys/fs/cgroup/c"),))


def test_cgroup_v2_is_new_in_an_own_cgroup_namespace() -> None:
    plan = lines(spec(mount("/sys/fs/cgroup", "cgroup", "ro")), "/mounts/0", V2)
    assert plan[0] == "open_tree out=source0 dir=cwd path='/sys/fs/cgroup/c' flags=CLONE|CLOEXEC"
    assert plan[2:6] == [
        "fsopen out=fs type='cgroup2' ignore=EPERM|EBUSY skip=3",
        "fsconfig fs=fs command=SET_STRING key='source' value='cgroup'",
        "fsconfig fs=fs command=CREATE ignore=EPERM|EBUSY skip=1",
        "fsmount out=source0 fs=fs attributes=RDONLY ignore=EPERM|EBUSY",
    ]


@pytest.mark.parametrize(
    ("namespaces", "path"),
    [(("mount",), "/sys/fs/cgroup"), (("mount", "cgroup=/run/ns"), "/sys/fs/cgroup/c")],
)
def test_cgroup_v2_in_the_namespace_of_others_is_never_mounted_anew(
    namespaces: tuple[str, ...], path: str
) -> None:
    """cgroups(7): a mount in the initial namespace would change the host's nsdelegate."""
    document = spec(mount("/sys/fs/cgroup", "cgroup"), namespaces=namespaces)
    plan = lines(document, "/mounts/0", V2)
    assert plan[0] == f"open_tree out=source0 dir=cwd path='{path}' flags=CLONE|CLOEXEC"
    assert not [line for line in plan if line.startswith("fsopen")]


@pytest.mark.parametrize(
    "destination", ["/proc/self/attr", "/proc/sys", "/sys/../proc/sys", "//proc//1", "proc/self"]
)
def test_nothing_is_mounted_inside_proc(destination: str) -> None:
    """CVE-2019-16884."""
    path = "/proc" + re.split("proc", destination)[1].replace("//", "/")
    with pytest.raises(SpecError, match=f'"{path}" cannot be mounted because it is inside /proc'):
        lines(spec(bind(destination, "/host/dir")), "/mounts/0")


@pytest.mark.parametrize("name", ["cpuinfo", "uptime", "sys/kernel/ns_last_pid", "loadavg"])
def test_the_files_of_lxcfs_may_be_mounted_inside_proc(name: str) -> None:
    plan = lines(spec(bind(f"/proc/{name}", "/host/file")), "/mounts/0")
    assert not set(GUARD) & set(plan)


def test_a_link_of_the_image_into_proc_is_noticed() -> None:
    assert lines(spec(bind("/m", "/host/dir")), "/mounts/0/destination")[1:] == GUARD


def test_a_procfs_elsewhere_may_be_mounted_over() -> None:
    document = spec(bind("/host", "/", "rbind"), bind("/host/proc/x", "/host/dir"))
    assert not set(GUARD) & set(lines(document, "/mounts/1"))


def test_only_procfs_may_be_bound_on_proc() -> None:
    plan = lines(spec(bind("/proc", "/host/dir", "rbind")), "/mounts/0")
    assert plan[1] == "verify_filesystem fd=source0 magic=40864"
    with pytest.raises(SpecError, match="is not of type proc"):
        lines(spec(mount("/proc", "tmpfs")), "/mounts/0")


def test_a_bind_mount_has_no_data() -> None:
    """mount(2) ignores it with MS_BIND, and create warns: docs/adr/0013."""
    plain = lines(spec(bind("/m", "/host/dir", "bind")), "/mounts/0")
    assert lines(spec(bind("/m", "/host/dir", "bind", "size=1")), "/mounts/0") == plain


BAD: list[tuple[dict[str, Any], str, str]] = [
    (bind("/", "/host/dir"), "destination", "root itself"),
    (bind("/a/..", "/host/dir"), "destination", "root itself"),
    (bind("/m", ""), "source", "needs a source"),
    (mount("/m", None), "type", "no option says bind"),
    (mount("/m", "cgroup", "x=1"), "options/0", "does not take the option x"),
    (bind("/m", "/host/dir", "bind", "idmap"), "options", "no user namespace"),
]


@pytest.mark.parametrize(("entry", "place", "problem"), BAD)
def test_what_is_refused_at_its_place(entry: dict[str, Any], place: str, problem: str) -> None:
    with pytest.raises(SpecError, match=problem) as caught:
        lines(spec(entry), "/mounts/0")
    assert caught.value.place == f"/mounts/0/{place}"


def test_only_bind_mounts_are_id_mapped() -> None:
    entry = mount("/m", "tmpfs", uidMappings=MAP, gidMappings=MAP)
    with pytest.raises(SpecError, match="only supported for bind-mounts"):
        lines(spec(entry), "/mounts/0")


def test_an_ordinary_user_has_no_id_mapped_mounts() -> None:
    entry = bind("/m", "/host/dir", uidMappings=MAP, gidMappings=MAP)
    with pytest.raises(Unsupported, match=r"mounts\[0\]"):
        lines(spec(entry), "/mounts/0", facts(privileged=False))
