# SPDX-License-Identifier: Apache-2.0
"""A label that the kernel did not take ends the container before it begins."""

import pytest
from blackbox.bundle import BASE

from pyoci import labels, spec
from pyoci.errors import StepError
from pyoci.jsontext import dumps


def process(**values: str) -> "spec.Process":
    body = spec.parse(dumps({**BASE, "process": {**BASE["process"], **values}}).encode())["process"]
    assert body is not None
    return body


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """What the files below /proc/7/attr hold."""
    held: dict[str, bytes] = {}
    monkeypatch.setattr(labels, "read", lambda path: held[path.removeprefix("/proc/7/attr/")])
    return held


def test_the_labels_that_were_asked_for_are_accepted(files: dict[str, bytes]) -> None:
    files["apparmor/exec"] = b"my (odd) profile (enforce)\n"
    files["exec"] = b"system_u:system_r:container_t:s0:c1,c2\0"
    wanted = {"selinuxLabel": "system_u:system_r:container_t:s0:c1,c2"}
    labels.check(process(apparmorProfile="my (odd) profile", **wanted), 7)


def test_without_labels_nothing_is_read(files: dict[str, bytes]) -> None:
    assert files == {}
    labels.check(process(), 7)
    labels.check(process(apparmorProfile="unconfined"), 7)


@pytest.mark.parametrize("found", [b"", b"unconfined\n", b"other (enforce)\n"])
def test_another_profile_is_refused(files: dict[str, bytes], found: bytes) -> None:
    files["apparmor/exec"] = found
    with pytest.raises(StepError, match="process.apparmorProfile: the kernel has"):
        labels.check(process(apparmorProfile="wanted"), 7)


def test_another_label_is_refused(files: dict[str, bytes]) -> None:
    files["exec"] = b""
    with pytest.raises(StepError, match='process.selinuxLabel: the kernel has "" for the next'):
        labels.check(process(selinuxLabel="a:b:c:s0"), 7)
