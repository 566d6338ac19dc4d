# SPDX-License-Identifier: Apache-2.0
"""Whether a container that has ended begins again, and when: Docker's policies with moby's delays."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FIRST, _LONGEST = 0.1, 60.0  # seconds; each delay is twice the last
_STEADY = 10_000_000_000  # nanoseconds: a run of this length begins with the first delay again


class Restart:
    """A policy, and the last delay."""

    __slots__ = ("last", "most", "name")

    def __init__(self, policy: "dict[str, Any]") -> None:
        self.name: str = policy["Name"]
        self.most: int = policy["MaximumRetryCount"]
        self.last = 0.0

    def delay(self, code: int, count: int, lasted: int, *, by_hand: bool) -> float | None:
        """Return the seconds until the next run, None for none; `count` restarts were before, the run `lasted` nanoseconds."""
        if by_hand or not self._wants(code, count):
            return None
        if lasted >= _STEADY or not self.last:
            self.last = _FIRST
        else:
            self.last = min(self.last * 2, _LONGEST)
        return self.last

    def _wants(self, code: int, count: int) -> bool:
        if self.name == "on-failure":
            return code != 0 and (not self.most or count < self.most)
        return self.name in ("always", "unless-stopped")
