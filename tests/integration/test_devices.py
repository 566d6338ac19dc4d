# SPDX-License-Identifier: Apache-2.0
"""config.json: linux.devices, the default devices, and what a container may open."""

import os
from typing import Any

import pytest
from blackbox.bundle import DEV, MOUNTS, MakeBundle, bind, without
from blackbox.runtime import Runtime

DEFAULTS = {
    "null": "1:3",
    "zero": "1:5",
    "full": "1:7",
    "random": "1:8",
    "urandom": "1:9",
    "tty": "5:0",
}
MKNOD = ["CAP_MKNOD"]
FULL = {
    "path": "/dev/mine",
    "type": "c",
    "major": 1,
    "minor": 7,
    "fileMode": 0o640,
    "uid": 7,
    "gid": 8,
}
NOBODYS = {"path": "/dev/mine", "type": "c", "major": 254, "minor": 77, "fileMode": 0o666}


def test_the_default_devices_are_there(runtime: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#default-devices."""
    made = bundle(sh="cd /dev; stat -c '%n %F %t:%T %a %u:%g' " + " ".join(DEFAULTS))
    expected = [f"{n} character special file {d} 666 0:0" for n, d in DEFAULTS.items()]
    assert runtime.output(made).splitlines() == expected


def test_the_links_in_dev_are_there(runtime: Runtime, bundle: MakeBundle) -> None:
    """runtime-linux.md#dev-symbolic-links."""
    made = bundle(sh="cd /dev; for n in fd stdin stdout stderr ptmx; do readlink $n; done")
    links = ["/proc/self/fd", *(f"/proc/self/fd/{n}" for n in range(3)), "pts/ptmx"]
    assert runtime.output(made).splitlines() == links


@pytest.mark.parametrize("name", ["null", "zero", "full", "random", "urandom"])
def test_the_default_devices_may_be_opened(runtime: Runtime, bundle: MakeBundle, name: str) -> None:
    """spec.md 5, cgroup allow-list: appended to the configured deny-all."""
    assert runtime.run(bundle(sh=f"exec 3<>/dev/{name}")).code == 0


def test_a_terminal_may_be_made(runtime: Runtime, bundle: MakeBundle) -> None:
    """spec.md 5, cgroup allow-list: 5:2 and 136:*."""
    assert runtime.run(bundle(sh="exec 3<>/dev/ptmx; ls /dev/pts | grep -q 0")).code == 0


def test_a_configured_device_is_made(runtime: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#devices."""
    made = bundle("stat", "-c", "%F %t:%T %a %u:%g", "/dev/mine", devices=[FULL])
    assert runtime.output(made) == "character special file 1:7 640 7:8\n"


def test_a_configured_device_may_lie_anywhere(runtime: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#devices: path: full path, missing directories are made."""
    made = bundle("stat", "-c", "%t:%T", "/a/b/mine", devices=[FULL | {"path": "/a/b/mine"}])
    assert runtime.output(made) == "1:7\n"


@pytest.mark.parametrize(
    ("kind", "name"), [("b", "block special file"), ("p", "fifo"), ("u", "character special file")]
)
def test_every_type_of_device(runtime: Runtime, bundle: MakeBundle, kind: str, name: str) -> None:
    """config-linux.md#devices: type."""
    device = {"path": "/dev/mine", "type": kind, "major": 7, "minor": 200}
    made = bundle("stat", "-c", "%F %a", "/dev/mine", devices=[device])
    assert runtime.output(made) == f"{name} 666\n"


def test_a_device_of_an_unknown_type_is_refused(runtime: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#devices: type."""
    device = {"path": "/dev/mine", "type": "x", "major": 1, "minor": 3}
    assert runtime.refuses(bundle(devices=[device]))


def test_the_mode_of_a_device_ignores_the_callers_umask(
    runtime: Runtime, bundle: MakeBundle
) -> None:
    """config-linux.md#devices: fileMode."""
    made = bundle("stat", "-c", "%a", "/dev/mine", devices=[FULL | {"fileMode": 0o666}])
    wrap = ["sh", "-c", 'umask 077; exec "$@"', "sh"]
    assert runtime.output(made, wrap=wrap) == "666\n"


def test_a_configured_device_replaces_a_default_one(runtime: Runtime, bundle: MakeBundle) -> None:
    """spec.md 5: dev.bats, the redundant /dev/tty."""
    device = {"path": "/dev/tty", "type": "c", "major": 5, "minor": 0, "fileMode": 0o620, "gid": 5}
    made = bundle("stat", "-c", "%t:%T %a %g", "/dev/tty", devices=[device])
    assert runtime.output(made) == "5:0 620 5\n"


@pytest.mark.expect_fail_on("runc", "runc takes whatever is there")
def test_another_file_in_a_devices_place_is_an_error(runtime: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#devices: a file that already exists and is not the device: MUST error."""
    made = bundle(devices=[FULL | {"path": "/place"}])
    (made.rootfs / "place").write_text("")
    assert "/place" in runtime.refuses(made)


def test_a_configured_device_is_not_allowed_by_itself(runtime: Runtime, bundle: MakeBundle) -> None:
    """spec.md 5: linux.devices entries are not opened to the container."""
    ran = runtime.run(bundle(sh="exec 3</dev/mine", devices=[NOBODYS]))
    assert "Operation not permitted" in ran.stderr


def test_an_allowed_device_may_be_opened(runtime: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#allowed-device-list; whether there is a driver does not matter."""
    rules = [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 254, "minor": 77, "access": "r"},
    ]
    made = bundle(sh="exec 3</dev/mine", devices=[NOBODYS], resources={"devices": rules})
    assert "Operation not permitted" not in runtime.run(made).stderr
    made.edit(sh="exec 3>/dev/mine")
    assert "Operation not permitted" in runtime.run(made.write()).stderr


@pytest.mark.parametrize(
    ("rule", "allowed"),
    [
        ({"allow": True, "access": "rwm"}, True),
        ({"allow": True, "type": "a", "access": "rwm"}, True),
        ({"allow": True, "type": "c", "access": "rw"}, True),
        ({"allow": True, "type": "c", "major": 254, "access": "r"}, True),
        ({"allow": True, "type": "c", "major": 254, "minor": -1, "access": "r"}, True),
        ({"allow": True, "type": "b", "access": "rwm"}, False),
        ({"allow": True, "type": "c", "major": 254, "minor": 78, "access": "r"}, False),
        ({"allow": True, "type": "c", "major": 254, "minor": 77, "access": "w"}, False),
    ],
)
def test_wildcards_of_the_device_list(
    runtime: Runtime, bundle: MakeBundle, rule: dict[str, Any], allowed: bool
) -> None:
    """config-linux.md#allowed-device-list: absent or -1 is all."""
    rules = [{"allow": False, "access": "rwm"}, rule]
    made = bundle(sh="exec 3</dev/mine", devices=[NOBODYS], resources={"devices": rules})
    assert ("Operation not permitted" in runtime.run(made).stderr) != allowed


def test_nodes_may_be_made_but_not_opened(runtime: Runtime, bundle: MakeBundle) -> None:
    """GHSA-g54h-m393-cpwq (R6), case 43: the default is to deny."""
    script = "mknod /tmp/b b 254 0; dd if=/tmp/b of=/dev/null count=1"
    ran = runtime.run(bundle(sh=script, caps=MKNOD))
    assert "Operation not permitted" in ran.stderr


def test_in_a_user_namespace_the_devices_are_bound(runtime: Runtime, bundle: MakeBundle) -> None:
    """spec.md 5: mknod is not allowed there."""
    made = bundle(sh="cd /dev; stat -c '%n %t:%T' null zero tty; echo x >null")
    made.map_users()
    made.config["mounts"] = without(MOUNTS, "/dev/mqueue")
    out = runtime.output(made.write())
    assert out.splitlines() == ["null 1:3", "zero 1:5", "tty 5:0"]


def test_a_bound_dev_is_left_alone(runtime: Runtime, bundle: MakeBundle) -> None:
    """spec.md 5: /dev bind-mounted: no nodes, no links."""
    made = bundle("true")
    (made.path / "dev").mkdir()
    os.mknod(made.path / "dev/null", 0o20666, os.makedev(1, 3))
    made.config["mounts"] = [*without(MOUNTS, "/dev"), bind(made.path / "dev", "/dev", "bind")]
    assert runtime.run(made.write()).code == 0
    assert os.listdir(made.path / "dev") == ["null"]


def test_the_nodes_of_a_tmpfs_do_not_reach_the_image(runtime: Runtime, bundle: MakeBundle) -> None:
    """The image's /dev stays empty."""
    made = bundle("true")
    assert DEV in made.config["mounts"]
    assert runtime.run(made).code == 0
    assert os.listdir(made.rootfs / "dev") == []
