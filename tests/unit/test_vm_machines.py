# SPDX-License-Identifier: Apache-2.0
"""tests/vm: the tables of machines and layouts, and what a machine is started with."""

from pathlib import Path

import pytest
from vm import commandline, emulator, image, saved
from vm.errors import MachineError
from vm.layouts import LAYOUTS
from vm.machines import MACHINES

TABLE = """\
kernel/fs/ext4/ext4.ko: kernel/lib/crc16.ko kernel/fs/mbcache.ko kernel/fs/jbd2/jbd2.ko
kernel/lib/crc16.ko:
kernel/fs/mbcache.ko:
kernel/fs/jbd2/jbd2.ko:
kernel/drivers/block/virtio_blk.ko:
"""


def test_every_layout_has_its_machine_and_its_tests() -> None:
    for layout in LAYOUTS.values():
        assert layout.machine in MACHINES
        whole = layout.files()
        assert any(layout.is_brief(file) for file in whole) == layout.is_ordinary
        for name in (*layout.only, *layout.brief):
            assert f"{layout.where}/test_{name}.py" in whole


def test_modules_are_loaded_after_what_they_need() -> None:
    """modules.dep(5): the last one named is needed first; virtio_pci and others are built in."""
    assert emulator.module_order(TABLE) == [
        "kernel/drivers/block/virtio_blk.ko",
        "kernel/fs/jbd2/jbd2.ko",
        "kernel/fs/mbcache.ko",
        "kernel/lib/crc16.ko",
        "kernel/fs/ext4/ext4.ko",
    ]


def test_machines_of_one_release_share_an_image(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(emulator, "version", lambda: "qemu 7.2")
    plain, labelled = MACHINES["debian12"], MACHINES["debian12-selinux"]
    assert image.path_of(plain) == image.path_of(labelled)
    assert image.path_of(plain) != image.path_of(MACHINES["debian13"])
    assert saved.key_of(plain) != saved.key_of(labelled)


def test_a_share_without_a_place_goes_below_src(tmp_path: Path) -> None:
    found = commandline.shares([str(tmp_path), f"{tmp_path}:/other", str(tmp_path)])
    assert [share.path for share in found] == ["/src", "/other", "/src3"]


def test_a_share_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="no such directory: "):
        commandline.shares([f"{tmp_path}/nothing"])
