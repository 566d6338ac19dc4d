# SPDX-License-Identifier: Apache-2.0
"""Images made by the standard library's tarfile, an oracle of our own reader and writer."""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Sequence
from typing import Any

Load = Callable[[bytes], list[tuple[str, list[str]]]]
BUSYBOX = "/bin/busybox"
OWNER = {"uid": 0, "gid": 0, "mtime": 1_600_000_000}


def member(name: str, kind: bytes = tarfile.REGTYPE, **fields: Any) -> tarfile.TarInfo:
    """Return one entry."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    for key, value in (OWNER | fields).items():
        setattr(info, key, value)
    return info


def layer(*entries: tarfile.TarInfo | tuple[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """Return an archive of entries; a pair is a file with its content."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=form) as archive:
        for entry in entries:
            if isinstance(entry, tuple):
                info = member(entry[0], size=len(entry[1]))
                archive.addfile(info, io.BytesIO(entry[1]))
            else:
                archive.addfile(entry)
    return target.getvalue()


def busybox_layer() -> bytes:
    """Return a layer with busybox and links to it."""
    with open(BUSYBOX, "rb") as file:
        content = file.read()
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name in ("bin", "etc", "tmp"):
            archive.addfile(member(name, tarfile.DIRTYPE))
        program = member("bin/busybox", size=len(content), mode=0o755)
        archive.addfile(program, io.BytesIO(content))
        for name in ("sh", "true", "cat", "ls", "sleep"):
            archive.addfile(member(f"bin/{name}", tarfile.LNKTYPE, linkname="bin/busybox"))
        archive.addfile(member("etc/passwd", size=11), io.BytesIO(b"root:x:0:0:"))
    return target.getvalue()


def digest_of(content: bytes) -> str:
    """Return the sha256 digest."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def config_of(layers: Sequence[bytes], **process: Any) -> bytes:
    """Return an image configuration for these plain layers."""
    document = {
        "created": "2020-01-02T03:04:05Z",
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"], **process},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(content) for content in layers]},
        "history": [{"created_by": f"layer {i}"} for i in range(len(layers))],
    }
    return json.dumps(document).encode()


def docker_archive(
    layers: Sequence[bytes],
    *names: str,
    config: bytes | None = None,
    stored: Sequence[bytes] | None = None,
) -> bytes:
    """Return what the `docker save` of old wrote; `stored` are the layers as they lie in it, compressed or wrong."""
    config = config or config_of(layers)
    files = [(f"{i}/layer.tar", content) for i, content in enumerate(stored or layers)]
    manifest = [
        {"Config": "config.json", "RepoTags": list(names), "Layers": [name for name, _ in files]}
    ]
    return layer(*files, ("config.json", config), ("manifest.json", json.dumps(manifest).encode()))
