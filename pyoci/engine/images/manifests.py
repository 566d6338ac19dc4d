# SPDX-License-Identifier: Apache-2.0
"""Manifests and indexes, OCI's and Docker's: read from outside, checked, and written (image-spec manifest.md, image-index.md)."""

import os

from pyoci.engine.errors import EngineError, NotFoundError
from pyoci.engine.images.config import parse_document
from pyoci.engine.reference import check_digest
from pyoci.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pyoci.engine.images.config import ImageConfig

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEXES = (OCI_INDEX, DOCKER_LIST)
LARGEST_MANIFEST = 4 << 20  # distribution-spec: what a registry must take
LARGEST_CONFIG = 8 << 20
MOST_LAYERS = 500  # overlayfs takes no more (OVL_MAX_STACK)
_LAYER_PREFIXES = (
    "application/vnd.oci.image.layer.",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
)
# machine -> architecture and variant (GOARCH, GOARM)
_MACHINES = {
    "x86_64": ("amd64", ""),
    "aarch64": ("arm64", "v8"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i686": ("386", ""),
    "ppc64le": ("ppc64le", ""),
    "s390x": ("s390x", ""),
    "riscv64": ("riscv64", ""),
    "loongarch64": ("loong64", ""),
}
# which variants run where, the best first; arm64 without a variant means v8
_RUNS = {"v8": ("v8", "v7", "v6", "v5"), "v7": ("v7", "v6", "v5"), "v6": ("v6", "v5")}


class Descriptor:
    """What refers to a blob: its media type, digest and size."""

    __slots__ = ("annotations", "digest", "media_type", "platform", "size")

    def __init__(self, found: object, what: str) -> None:
        if not isinstance(found, dict):
            raise EngineError(f"{what}: a descriptor must be an object")
        digest, size = found.get("digest"), found.get("size")
        if not isinstance(digest, str) or not isinstance(size, int) or size < 0:
            raise EngineError(f"{what}: a descriptor without digest or size")
        self.media_type = str(found.get("mediaType", ""))
        self.digest = digest
        self.size = size
        try:
            check_digest(self.digest)
        except EngineError as error:
            raise EngineError(f"{what}: {self.digest[:200]}: {error}") from None
        self.platform = _words(found.get("platform"))
        self.annotations = _words(found.get("annotations"))

    def document(self) -> "dict[str, Any]":
        """Return it as it stands in a manifest."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


class Manifest:
    """One image of one platform: its configuration and its layers, the lowest first; `content` are its bytes."""

    __slots__ = ("config", "content", "layers", "media_type")

    def __init__(self, content: bytes, media_type: str = "") -> None:
        document = parse_document(content, "manifest")
        self.content = content
        self.media_type = str(document.get("mediaType", media_type)) or OCI_MANIFEST
        if self.media_type not in MANIFESTS:
            raise EngineError(f"manifest: of the unsupported media type {self.media_type[:200]!r}")
        self.config = Descriptor(document.get("config"), "manifest: config")
        if self.config.media_type not in (OCI_CONFIG, DOCKER_CONFIG):
            raise EngineError(
                f"manifest: this is no image but an artifact: its config is {self.config.media_type[:200]!r}"
            )
        found = document.get("layers")
        if type(found) is not list or len(found) > MOST_LAYERS:
            raise EngineError(f"manifest: layers: must be an array of at most {MOST_LAYERS}")
        self.layers = [Descriptor(layer, "manifest: layers") for layer in found]
        for layer in self.layers:
            if not layer.media_type.startswith(_LAYER_PREFIXES):
                raise EngineError(
                    f"manifest: a layer of the unsupported media type {layer.media_type[:200]!r}"
                )


class Platform:
    """What an image must be made for."""

    __slots__ = ("architecture", "os", "variant")

    def __init__(self, system: str, architecture: str, variant: str = "") -> None:
        self.os = system
        self.architecture = architecture
        self.variant = variant

    @property
    def shown(self) -> str:
        """As users write it: linux/arm64/v8."""
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


def host_platform() -> Platform:
    """Return what this machine runs."""
    machine = os.uname().machine
    architecture, variant = _MACHINES.get(machine, (machine, ""))
    return Platform("linux", architecture, variant)


def parse_platform(text: str) -> Platform:
    """Return the platform of os[/architecture[/variant]]; one word may also be the architecture."""
    parts = text.lower().split("/")
    if not all(parts) or len(parts) > 3 or not text.replace("/", "").replace("_", "").isalnum():
        raise EngineError(
            f'"{text}" is an invalid platform: os[/architecture[/variant]] is expected'
        )
    if len(parts) == 1:
        own = host_platform()
        if parts[0] == "linux":
            return own
        parts = ["linux", parts[0]]
    machine = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}.get(parts[1], parts[1])
    return Platform(parts[0], machine, parts[2] if len(parts) == 3 else "")


def select(content: bytes, platform: Platform, name: str) -> Descriptor:
    """Return which manifest of an index is for a platform, the best of its variants. Raises EngineError."""
    found = parse_document(content, "index").get("manifests")
    if type(found) is not list:
        raise EngineError("index: manifests: must be an array")
    entries = [Descriptor(entry, "index") for entry in found]
    best: tuple[int, Descriptor] | None = None
    for entry in entries:
        rank = _rank(entry.platform, platform)
        if rank is not None and (best is None or rank < best[0]):
            best = rank, entry
    if best is None:
        raise EngineError(
            f"no matching manifest for {platform.shown} in the manifest list entries: {name}"
        )
    return best[1]


def suits(offered: dict[str, str], wanted: Platform) -> bool:
    """Tell whether what is made for an offered platform is for the wanted one."""
    return _rank(offered, wanted) is not None


def check_platform(config: "ImageConfig", text: str, name: str) -> None:
    """Raise NotFoundError, in Docker's words, unless an image is for a platform; an image of the store is for one."""
    wanted = parse_platform(text)
    offered = {key: str(config[key]) for key in ("os", "architecture", "variant") if config[key]}
    if not suits(offered, wanted):
        raise NotFoundError(
            f"image with reference {name} was found but does not match the specified platform: "
            f"wanted {wanted.shown}, actual: {config['os']}/{config['architecture']}"
        )


def _rank(offered: dict[str, str], wanted: Platform) -> int | None:
    """Return how far an offered platform is from the wanted one; None for one that does not run there."""
    if offered.get("os", "linux") != wanted.os:
        return None
    architecture = offered.get("architecture", wanted.architecture)
    variant = offered.get("variant", "")
    if architecture != wanted.architecture:
        return None
    if not wanted.variant or not variant:
        return 0 if variant == wanted.variant else 1
    runs = _RUNS.get(wanted.variant, (wanted.variant,))
    return runs.index(variant) if variant in runs else None


def compose(config: Descriptor, layers: "Sequence[Descriptor]") -> bytes:
    """Write an OCI manifest."""
    return dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": config.document(),
            "layers": [layer.document() for layer in layers],
        }
    ).encode()


def describe(digest: str, size: int, media_type: str) -> Descriptor:
    """Return the descriptor of a blob of ours."""
    return Descriptor({"mediaType": media_type, "digest": digest, "size": size}, "descriptor")


def _words(found: object) -> dict[str, str]:
    """Return what is text in an object that may be missing."""
    if not isinstance(found, dict):
        return {}
    return {key: value for key, value in found.items() if isinstance(value, str)}
