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


def test_the_label_that_was_asked_for_is_accepted(files: dict[str, bytes]) -> None:
    files["exec"] = b"system_u:system_r:container_t:s0:c1,c2\0"
    labels.check(process(selinuxLabel="system_u:system_r:container_t:s0:c1,c2"), 7)


def test_without_a_label_nothing_is_read(files: dict[str, bytes]) -> None:
    assert files == {}
    labels.check(process(), 7)
    labels.check(process(apparmorProfile="mine"), 7)


def test_another_label_is_refused(files: dict[str, bytes]) -> None:
    files["exec"] = b""
    with pytest.raises(StepError, match='process.selinuxLabel: the kernel has "" for the next'):
        labels.check(process(selinuxLabel="a:b:c:s0"), 7)
