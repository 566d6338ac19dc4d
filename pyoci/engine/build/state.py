# SPDX-License-Identifier: Apache-2.0
"""The image as it is after so many steps of a stage: its layers, its configuration, its history."""

from pyoci.engine.build.cache import Layer, key_of
from pyoci.engine.containers import defaults
from pyoci.engine.errors import EngineError
from pyoci.engine.images import manifests
from pyoci.engine.images.config import parse_config
from pyoci.engine.images.manifests import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.engine.build.cache import Made
    from pyoci.engine.images.manifests import Platform
    from pyoci.engine.images.records import Image
    from pyoci.engine.images.store import Session

COMMENT = "pypod.dockerfile.v0"
SHELL = ["/bin/sh", "-c"]


class State:
    """What a stage has come to; `arguments` are the build arguments that its ARGs have declared."""

    __slots__ = (
        "arguments",
        "author",
        "base",
        "config",
        "created",
        "has_command",
        "history",
        "layers",
        "platform",
    )

    def __init__(self, platform: "Platform") -> None:
        """Begin with nothing: FROM scratch."""
        self.platform = platform
        self.base = ""  # id of the image that it began with
        self.author = ""
        self.created = ""
        self.config: dict[str, Any] = {**parse_config(b"{}")["config"]}
        self.config |= {"Env": [f"PATH={defaults.PATH}"], "WorkingDir": "/"}
        self.history: list[dict[str, Any]] = []
        self.layers: list[Layer] = []
        self.arguments: dict[str, str] = {}
        self.has_command = False  # CMD was said in this stage

    def copy(self) -> "State":
        """Return a state for another stage to begin with."""
        other = State(self.platform)
        other.base, other.author, other.created = self.base, self.author, self.created
        other.config = {**self.config}
        other.history, other.layers = [*self.history], [*self.layers]
        other.arguments = {**self.arguments}
        return other

    @property
    def chain(self) -> str:
        """What identifies all layers, "" for none."""
        return key_of([layer.diff_id for layer in self.layers]) if self.layers else ""

    @property
    def environment(self) -> dict[str, str]:
        """The variables that ENV has set."""
        return dict(entry.split("=", 1) for entry in self.config["Env"])

    @property
    def variables(self) -> dict[str, str]:
        """What words are expanded with: ENV hides ARG."""
        return {**self.arguments, **self.environment}

    @property
    def shell(self) -> list[str]:
        """What runs the shell form of RUN, CMD and ENTRYPOINT."""
        found: list[str] = self.config["Shell"] or SHELL
        return found

    @property
    def directory(self) -> str:
        """The working directory."""
        return self.config["WorkingDir"] or "/"

    def add(self, words: str, made: "Made", *, changes_files: bool) -> None:
        """Add a step to the history, and its layer; one that could have changed files but has not is empty, too."""
        step: dict[str, Any] = {"created": made.created, "created_by": words, "comment": COMMENT}
        if made.layer is None or not changes_files:
            step["empty_layer"] = True
        else:
            self.layers.append(made.layer)
        self.history.append(step)
        self.created = made.created

    def document(self) -> "dict[str, Any]":
        """Return the configuration of the image, without what is empty."""
        found = {
            "created": self.created,
            "author": self.author,
            "architecture": self.platform.architecture,
            "variant": self.platform.variant,
            "os": self.platform.os,
            "config": {key: value for key, value in self.config.items() if value},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in self.layers]},
            "history": self.history,
        }
        return {key: value for key, value in found.items() if value or key == "config"}


def from_image(session: "Session", image: "Image") -> State:
    """Begin with an image; its layers are held."""
    config = image.config
    state = State(manifests.Platform(config["os"], config["architecture"], config["variant"]))
    state.base, state.author, state.created = image.id, config["author"], config["created"]
    state.config = {**config["config"]}
    state.history = [
        {key: value for key, value in step.items() if value} for step in config["history"]
    ]
    rows = session.store.database.rows(
        "SELECT blob, blob_bytes, media_type, diff_id FROM image_layer WHERE image = ? ORDER BY position",
        image.id,
    )
    state.layers = [
        Layer(describe(str(blob), int(str(size)), str(kind)), str(diff_id))
        for blob, size, kind, diff_id in rows
    ]
    for layer in state.layers:
        if not session.hold_layer(layer.blob.digest, layer.diff_id):
            raise EngineError(f"layer {layer.diff_id} is missing in the store: pull again")
    return state
