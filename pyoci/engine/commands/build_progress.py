# SPDX-License-Identifier: Apache-2.0
"""How far a build is: BuildKit's plain lines; with colours, and the time beside each step, on a terminal."""

import sys
import time

from pyoci.engine.reference import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

_KEPT = 1 << 16  # bytes


class Quiet:
    """Nothing is told; what the last step has written is kept, for its failure."""

    def __init__(self) -> None:
        self.written = b""

    def step(self, title: str, /) -> None:
        """Begin a step."""
        del title
        self.written = b""

    def cached(self) -> None:
        """Nothing."""

    def output(self, data: bytes, /) -> None:
        """Keep the end of it."""
        self.written = (self.written + data)[-_KEPT:]

    def done(self) -> None:
        """Nothing."""

    def end(self, identity: str, tags: "Sequence[str]", /) -> None:
        """Nothing."""

    def fail(self) -> None:
        """Show what the step has written."""
        sys.stderr.write(self.written.decode("utf-8", "replace"))


class Plain:
    """`#N title`, `#N SECONDS output`, `#N CACHED` or `#N DONE SECONDS`."""

    head, dim, plain = "", "", ""

    def __init__(self, stream: "TextIO") -> None:
        self.stream = stream
        self.number = 0
        self.begun = 0.0
        self.rest = b""

    def step(self, title: str, /) -> None:
        """Begin a step."""
        self.number += 1
        self.begun = time.monotonic()
        self._say(f"{self.head}#{self.number} {title}{self.plain}")

    def cached(self) -> None:
        """The step is in the cache."""
        self._say(f"{self.head}#{self.number} CACHED{self.plain}\n")

    def output(self, data: bytes, /) -> None:
        """Tell whole lines; a carriage return begins a line anew on a terminal, and here a new one."""
        *lines, self.rest = (
            (self.rest + data).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        )
        for line in lines:
            self._tell(line)

    def done(self) -> None:
        """The step was carried out."""
        if self.rest:
            self._tell(self.rest)
            self.rest = b""
        self._say(
            f"{self.head}#{self.number} DONE {time.monotonic() - self.begun:.1f}s{self.plain}\n"
        )

    def end(self, identity: str, tags: "Sequence[str]", /) -> None:
        """Tell what was built."""
        self.step("exporting to image")
        self._say(f"#{self.number} writing image {identity}")
        for tag in tags:
            self._say(f"#{self.number} naming to {parse(tag).name}")
        self.done()

    def fail(self) -> None:
        """The step has failed: the rest of what it wrote."""
        if self.rest:
            self._tell(self.rest)

    def _tell(self, line: bytes) -> None:
        seconds = time.monotonic() - self.begun
        text = line.decode("utf-8", "replace")
        self._say(f"#{self.number} {self.dim}{seconds:.3f} {text}{self.plain}")

    def _say(self, text: str) -> None:
        self.stream.write(f"{text}\n")
        self.stream.flush()


class Coloured(Plain):
    """The same for a terminal: steps in blue, their output faint."""

    head, dim, plain = "\033[34m", "\033[2m", "\033[0m"


def reporter(stream: "TextIO", kind: str, *, quiet: bool) -> "Plain | Quiet":
    """Return what tells of a build."""
    if quiet:
        return Quiet()
    if kind == "tty" or (kind in ("", "auto") and stream.isatty()):
        return Coloured(stream)
    return Plain(stream)
