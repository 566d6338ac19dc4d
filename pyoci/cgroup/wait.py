# SPDX-License-Identifier: Apache-2.0
"""Wait, with a deadline, for what the kernel does to a cgroup in its own time."""

import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_MS = 128


class Deadline:
    """A moment after which waiting ends."""

    __slots__ = ("moment",)

    def __init__(self, seconds: float) -> None:
        self.moment = time.monotonic() + seconds

    def left_ms(self) -> int:
        """Return the milliseconds that are left, 0 when it has passed."""
        return max(0, int((self.moment - time.monotonic()) * 1000))


def until(done: "Callable[[], bool]", fds: list[int], events: int, deadline: Deadline) -> bool:
    """Ask `done` after each event on one of `fds`; return its last answer, False when time ran out.

    It is asked again after 1, 2, 4 ... 128 ms in any case: version 1 has no events at all, and
    version 2 tells of a change a little before it lets the cgroup go.
    """
    poll = select.poll()
    for fd in fds:
        poll.register(fd, events)
    pause = 1
    while not done():
        left = deadline.left_ms()
        if not left:
            return done()
        # A pidfd of a dead process stays readable: without this the loop would be a busy one.
        for fd, _ in poll.poll(min(pause, left)):
            if events == select.POLLIN:
                poll.unregister(fd)
        pause = min(pause * 2, LONGEST_MS)
    return True
