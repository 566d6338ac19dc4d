# SPDX-License-Identifier: Apache-2.0
"""tests/vm: the words between host and guest."""

import socket

import pytest
from vm.frames import END, HEAD, OUT, Frames, pack
from vm.link import Link


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_frames_come_whole_out_of_any_pieces(step: int) -> None:
    stream = pack(OUT, b"hello") + pack(OUT) + pack(END, b"x" * 300)
    frames, found = Frames(), []
    for start in range(0, len(stream), step):
        frames.feed(stream[start : start + step])
        while frame := frames.take():
            found.append(frame)
    assert found == [(OUT, b"hello"), (OUT, b""), (END, b"x" * 300)]


def test_a_frame_that_is_not_whole_is_not_given() -> None:
    frames = Frames()
    frames.feed(pack(OUT, b"hello")[:-1])
    assert frames.take() is None
    assert HEAD.size == 5


def test_a_link_waits_no_longer_than_told() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        link = Link(ours)
        assert link.read(0.01) is None
        theirs.sendall(pack(OUT, b"late"))
        assert link.read(5) == (OUT, b"late")


def test_a_link_whose_other_end_is_gone_says_so() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        link = Link(ours)
        theirs.close()
        assert link.read(5) is None
        link.put(OUT, b"x")
        assert not link.push_all(5)
