# SPDX-License-Identifier: Apache-2.0
"""How far a pull, a push or a load is: bars on a terminal, a line for each event elsewhere, as Docker; nothing with --quiet."""

import sys
from threading import Lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol, TextIO

    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    class Progress(Protocol):
        """What pull, push and load call, from several threads."""

        def __call__(self, digest: str, state: str, done: int, total: int, /) -> None:
            """Note what happens to a layer."""


MOVING = ("Downloading", "Pushing", "Extracting")


def silent(*_: object) -> None:
    """Show nothing."""


class Lines:
    """One line for each change of state."""

    def __init__(self, stream: "TextIO") -> None:
        self.stream = stream
        self.lock = Lock()
        self.states: dict[str, str] = {}

    def __enter__(self) -> "Progress":
        return self.show

    def __exit__(self, *_: object) -> None:
        self.stream.flush()

    def show(self, digest: str, state: str, done: int, total: int, /) -> None:
        """Print a state that is new and no mere movement."""
        del done, total
        with self.lock:
            if self.states.get(digest) != state:
                self.states[digest] = state
                if state not in MOVING:
                    print(f"{digest[7:19]}: {state}", file=self.stream)


class Live:
    """A bar for each layer, drawn by rich."""

    def __init__(self, stream: "TextIO") -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

        self.bars: Bars = Progress(
            TextColumn("{task.description}: {task.fields[state]:<18}"),
            BarColumn(bar_width=40),
            DownloadColumn(),
            console=Console(file=stream),
        )
        self.lock = Lock()
        self.tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "Progress":
        self.bars.start()
        return self.show

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def show(self, digest: str, state: str, done: int, total: int, /) -> None:
        """Move a bar."""
        with self.lock:
            if digest not in self.tasks:
                self.tasks[digest] = self.bars.add_task(
                    digest[7:19], total=total or None, state=state
                )
            self.bars.update(self.tasks[digest], completed=done, total=total or 1, state=state)


class Quiet:
    """Nothing."""

    def __enter__(self) -> "Progress":
        return silent

    def __exit__(self, *_: object) -> None:
        """Nothing was begun."""


def reporter(*, quiet: bool, stream: "TextIO | None" = None) -> "Lines | Live | Quiet":
    """Return what shows the progress on a stream, the standard output for none."""
    stream = stream or sys.stdout
    if quiet:
        return Quiet()
    return Live(stream) if stream.isatty() else Lines(stream)
