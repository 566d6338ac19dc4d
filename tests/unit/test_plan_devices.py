# SPDX-License-Identifier: Apache-2.0
"""config-linux.md#devices, #default-devices, runtime-linux.md#dev-symbolic-links: golden plans."""

import pytest
from plans import ALL, bind, device, facts, lines, mount, program, spec

from pyoci.errors import SpecError
from pyoci.plan import show
from pyoci.plan.facts import Facts

NAMES = ("null", "zero", "full", "random", "urandom", "tty")


def all_lines(document: object, host: Facts | None = None) -> list[str]:
    return [line[show.INDENT :] for line in show.text(program(document, host)).splitlines()]


def test_the_default_devices_are_made_in_the_images_own_dev() -> None:
    plan = all_lines(spec())
    made = [line for line in plan if line.startswith("mknod")]
    assert [line.split("path='/dev/")[1].split("'")[0] for line in made] == list(NAMES)
    assert made[0] == "mknod root=root path='/dev/null' mode=0o20666 device=259 uid=0 gid=0"


def test_devices_are_made_after_every_mount() -> None:
    plan = all_lines(spec(mount("/dev", "tmpfs")))
    assert plan.index("move_mount mount=source0 target=target") < min(
        plan.index(line) for line in plan if line.startswith("mknod")
    )


def test_the_links() -> None:
    links = [line for line in all_lines(spec()) if line.startswith("symlink")]
    assert links == [
        "symlink root=root path='/dev/fd' target='/proc/self/fd'",
        "symlink root=root path='/dev/stdin' target='/proc/self/fd/0'",
        "symlink root=root path='/dev/stdout' target='/proc/self/fd/1'",
        "symlink root=root path='/dev/stderr' target='/proc/self/fd/2'",
        "symlink root=root path='/dev/ptmx' target='pts/ptmx' ignore=EEXIST",
        "symlink root=root path='/dev/core' target='/proc/kcore'",
    ]


@pytest.mark.parametrize("options", [("bind",), ("rbind", "ro")])
def test_a_dev_of_the_host_stays_as_it_is(options: tuple[str, ...]) -> None:
    plan = all_lines(spec(bind("/dev/", "/host/dir", *options), namespaces=(*ALL, "user")))
    assert not [line for line in plan if "/dev/" in line and "path=" in line]


def test_a_device_of_the_configuration() -> None:
    wanted = device("/dev/fuse", "c", 10, 229, fileMode=0o20640, uid=7, gid=8)
    assert lines(spec(devices=[wanted]), "/linux/devices/0") == [
        "mknod root=root path='/dev/fuse' mode=0o20640 device=2789 uid=7 gid=8"
    ]


@pytest.mark.parametrize(
    ("type_", "mode"), [("c", "0o20666"), ("u", "0o20666"), ("b", "0o60666"), ("p", "0o10666")]
)
def test_types_of_devices(type_: str, mode: str) -> None:
    number = (None, None) if type_ == "p" else (1, 1)
    plan = lines(spec(devices=[device("/x/y", type_, *number)]), "/linux/devices/0")
    assert plan[0].split()[3] == f"mode={mode}"


def test_a_device_takes_the_place_of_a_default() -> None:
    plan = all_lines(spec(devices=[device("/dev/./tty", "c", 5, 0, fileMode=0o600)]))
    made = [line for line in plan if "path='/dev/tty'" in line]
    assert made == ["mknod root=root path='/dev/tty' mode=0o20600 device=1280 uid=0 gid=0"]


def test_ptmx_is_always_the_containers_own() -> None:
    assert lines(spec(devices=[device("/dev/ptmx", "c", 5, 2)]), "/linux/devices/0") == []


def test_the_root_is_no_device() -> None:
    with pytest.raises(SpecError) as caught:
        program(spec(devices=[device("/x/..", "c", 1, 1)]))
    assert caught.value.place == "/linux/devices/0/path"


@pytest.mark.parametrize("host", [facts(), facts(privileged=False)])
def test_a_user_namespace_gets_the_hosts_devices(host: Facts) -> None:
    """mknod(2) is refused there; what is bound is verified by descriptor (CVE-2025-31133)."""
    document = spec(devices=[device("/dev/fuse", "c", 10, 229)], namespaces=(*ALL, "user"))
    assert lines(document, "/linux/devices/0", host) == [
        "open_tree out='device /dev/fuse' dir=cwd path='/dev/fuse' flags=CLONE|CLOEXEC",
        "verify_type fd='device /dev/fuse' type=CHARACTER device=2789",
        "mount_setattr mount='device /dev/fuse' flags=0 set=0 clear=0 propagation=PRIVATE "
        "user_namespace=none",
        "create out=target root=root path='/dev/fuse' kind=file mode=0o666",
        "move_mount mount='device /dev/fuse' target=target",
        "close fd='device /dev/fuse'",
    ]
    assert not [line for line in all_lines(document, host) if line.startswith("mknod")]


def test_a_pipe_is_made_in_a_user_namespace_too() -> None:
    document = spec(devices=[device("/dev/pipe", "p")], namespaces=(*ALL, "user"))
    plan = lines(document, "/linux/devices/0")
    assert plan == ["mknod root=root path='/dev/pipe' mode=0o10666 device=0 uid=0 gid=0"]
