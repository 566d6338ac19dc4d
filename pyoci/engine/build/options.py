# SPDX-License-Identifier: Apache-2.0
"""What the command line of `build` asks for, read once."""

from pyoci.engine.containers import environment
from pyoci.engine.errors import EngineError, PlainError
from pyoci.engine.reference import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.build.requests import Output
    from pyoci.flags import Flags

# What holds for each RUN as for a container.
_OF_CONTAINERS = (
    "add-host", "cgroup-parent", "cpu-period", "cpu-quota", "cpu-shares", "cpuset-cpus", "cpuset-mems", "memory",
    "memory-swap", "security-opt", "shm-size", "ulimit",
)  # fmt: skip
_NETWORKS = ("default", "none", "host")
_STRUCTURED = ("secret", "ssh", "output", "push", "build-context")
# flag -> values that change nothing here, and why any other is refused
_REFUSED = {
    "allow": (("network.host",), "no entitlement but network.host exists"),
    "annotation": ((), "annotations are not written: a label is (--label)"),
    "attest": (("type=sbom,disabled=true", "type=provenance,disabled=true"), "no attestation is made"),
    "call": (("build",), "nothing but build can be called"),
    "check": (("false",), "no checks are known beyond those of each build"),
    "isolation": (("", "default"), "there is no isolation but that of containers"),
    "provenance": (("false", "0"), "no attestation is made"),
    "sbom": (("false", "0"), "no attestation is made"),
    "squash": (("false",), "an image of one layer is FROM scratch, then COPY --from=STAGE / /"),
}  # fmt: skip


class Options:
    """What the command line asks for."""

    __slots__ = (
        "build_args", "container", "contexts", "labels", "network", "no_cache", "outputs", "platform", "pull", "pushes",
        "secrets", "ssh", "tags", "target", "uncached",
    )  # fmt: skip

    def __init__(self) -> None:
        self.build_args: dict[str, str] = {}
        self.container: dict[str, list[str]] = {}  # flags of `create` that hold for every RUN
        self.contexts: dict[
            str, str
        ] = {}  # --build-context: name -> directory, address, or docker-image://
        self.labels: dict[str, str] = {}
        self.network = "default"
        self.no_cache = False
        self.outputs: list[Output] = []  # none: an image in the store
        self.platform = ""
        self.pull = False
        self.pushes = False
        self.secrets: dict[str, bytes] = {}
        self.ssh: dict[str, list[str]] = {}  # id -> an agent's socket, or files of keys
        self.tags: list[str] = []
        self.target = ""
        self.uncached: list[str] = []  # stages

    @property
    def archives(self) -> "list[Output]":
        """Where the image is to be written as an archive."""
        return [output for output in self.outputs if output.kind == "archive"]

    @property
    def makes_image(self) -> bool:
        """Tell whether the image is wanted in the store."""
        return not self.outputs or any(output.kind == "image" for output in self.outputs)


def read_options(flags: "Flags") -> Options:
    """Return what the flags ask for. Raises EngineError in Docker's words, and for what is not done, saying so."""
    options = Options()
    for name, (harmless, reason) in _REFUSED.items():
        for value in flags.every(name):
            if value not in harmless:
                raise EngineError(f"--{name}: {reason}")
    for text in flags.every("build-arg"):
        options.build_args.update(_plain(environment.pairs(environment.given([text], []))))
    options.container = {name: flags.every(name) for name in _OF_CONTAINERS if flags.is_given(name)}
    options.labels = _plain(environment.pairs(flags.every("label")))
    options.network = flags.text("network", "default")
    if options.network not in _NETWORKS:
        raise EngineError(
            f'network mode "{options.network}" not supported by build: default, none or host'
        )
    options.no_cache, options.pull = flags.is_on("no-cache"), flags.is_on("pull")
    options.uncached = [
        name for text in flags.every("no-cache-filter") for name in text.lower().split(",")
    ]
    options.platform, options.target = flags.text("platform"), flags.text("target")
    options.tags = flags.every("tag")
    if any(map(flags.is_given, _STRUCTURED)):
        from pyoci.engine.build import requests

        requests.read(options, flags)
    for tag in options.tags:
        try:
            parse(tag)
        except EngineError as error:
            raise PlainError(f'invalid argument "{tag}" for "-t, --tag" flag: {error}') from error
    return options


def _plain(pairs: dict[str, str]) -> dict[str, str]:
    """Return texts that a document can hold: what is no UTF-8 is U+FFFD."""
    return {
        name.encode("utf-8", "surrogateescape").decode("utf-8", "replace"): value.encode(
            "utf-8", "surrogateescape"
        ).decode("utf-8", "replace")
        for name, value in pairs.items()
    }
