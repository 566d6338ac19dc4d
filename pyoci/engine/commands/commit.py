# SPDX-License-Identifier: Apache-2.0
"""`commit`: an image of a container's changes."""

from pyoci.engine.reference import parse_asked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.engine.flags import Flag
    from pyoci.engine.images.config import Process
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (
    ("author", "a", "string", 'Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")'),
    ("change", "c", "list", "Apply Dockerfile instruction to the created image"),
    ("message", "m", "string", "Commit message"),
    ("no-pause", "", "", "Do not pause the container during commit"),
    ("pause", "p", "", "Pause container during commit (default true)"),
)
# What of a container's configuration an image keeps.
KEPT = (
    "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal",
    "Healthcheck", "OnBuild", "Shell",
)  # fmt: skip


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Make the image, of a container that stands still, and print its id."""
    from pyoci.engine import events
    from pyoci.engine.containers import life, root, state
    from pyoci.engine.containers.record import Records
    from pyoci.engine.images.making import Story, commit
    from pyoci.engine.images.store import Store
    from pyoci.engine.images.telling import tell

    reference = parse_asked(arguments[1]) if len(arguments) > 1 else None
    names = [reference.name] if reference else []
    records = Records(places)
    container = records.find(arguments[0])
    process = process_of(container.config, flags.every("change"))
    words = [word for key in ("Entrypoint", "Cmd") for word in container.config[key] or ()]
    story = Story(" ".join(words), flags.text("author"), flags.text("message"))
    wants_pause = not flags.is_on("no-pause") and (
        flags.is_on("pause") or not flags.is_given("pause")
    )
    pauses = wants_pause and state.current(container)["Status"] == "running"
    if pauses:
        life.pause(container)
    try:
        store = Store(records.database, places)
        identity = commit(store, root.snapshot(records, container), process, story, names)
        name = reference.shown if reference else ""
        if name:
            tell(store, "tag", identity, name)
        more = {"comment": story.comment, "imageID": identity, "imageRef": name}
        events.of_container(container, "commit", **more)
    finally:
        if pauses:
            life.unpause(container)
    print(identity)
    return 0


def process_of(found: "dict[str, Any]", changes: list[str]) -> "Process":
    """Return what the image keeps of a container's configuration, with the changes that were asked for."""
    from pyoci.engine.images.instructions import apply

    kept = {key: found[key] for key in KEPT if key in found}
    return apply(kept, changes)  # type: ignore[return-value] # what is missing, no image has
