# SPDX-License-Identifier: Apache-2.0
"""The image that the engines run: busybox and two users, made here, without a network."""

import hashlib
import io
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

NAME = "tested.example/box:latest"
PAUSE = "tested.example/pause:latest"
ENVIRONMENT = ["PATH=/bin", "FROM=image"]
DIRECTORIES = {"bin": 0o755, "dev": 0o755, "etc": 0o755, "proc": 0o555, "root": 0o700, "sys": 0o555}
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home:/bin/sh\n",
    "etc/group": "root:x:0:\nuser:x:1000:\nextra:x:2000:user\n",
    "etc/kept": "from the image\n",
}
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def add(archive: tarfile.TarFile, name: str, data: bytes, mode: int = 0o644) -> None:
    """Add a file to an archive."""
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    entry.mode = mode
    archive.addfile(entry, io.BytesIO(data))


def add_directory(archive: tarfile.TarFile, name: str, mode: int) -> None:
    """Add a directory to an archive."""
    entry = tarfile.TarInfo(name)
    entry.type = tarfile.DIRTYPE
    entry.mode = mode
    archive.addfile(entry)


def add_link(archive: tarfile.TarFile, name: str, target: str) -> None:
    """Add a symbolic link to an archive."""
    entry = tarfile.TarInfo(name)
    entry.type = tarfile.SYMTYPE
    entry.linkname = target
    archive.addfile(entry)


def make_root(busybox: Path, target: Path) -> Path:
    """Write the root file system as a tar archive: what `docker import` reads."""
    listed = subprocess.run([busybox, "--list"], stdout=subprocess.PIPE, check=True, text=True)
    with tarfile.open(target, "w") as archive:
        for name, mode in DIRECTORIES.items():
            add_directory(archive, name, mode)
        add_directory(archive, "tmp", 0o1777)
        add(archive, "bin/busybox", busybox.read_bytes(), 0o755)
        for name in listed.stdout.split():
            if name != "busybox":
                add_link(archive, f"bin/{name}", "busybox")
        for name, text in FILES.items():
            add(archive, name, text.encode())
        add(archive, "bin/no-interpreter", b"#!/bin/is-missing\n", 0o755)
        add(archive, "bin/not-executable", b"#!/bin/sh\n")
    return target


class Archive:
    """An image layout in a tar archive: OCI image-spec, image-layout.md."""

    def __init__(self, target: Path) -> None:
        self.tar = tarfile.open(target, "w")  # noqa: SIM115 - closed with its owner

    def blob(self, kind: str, data: bytes) -> dict[str, Any]:
        """Add a blob and return its descriptor."""
        digest = hashlib.sha256(data).hexdigest()
        add(self.tar, f"blobs/sha256/{digest}", data)
        return {
            "mediaType": f"application/vnd.oci.image.{kind}",
            "digest": f"sha256:{digest}",
            "size": len(data),
        }

    def document(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        """Add a JSON blob and return its descriptor."""
        return self.blob(f"{kind}+json", json.dumps(content).encode())

    def close(self, manifests: dict[str, dict[str, Any]]) -> None:
        """Write the index, which names the manifests."""
        key = "io.containerd.image.name"
        listed = [{**one, "annotations": {key: name}} for name, one in manifests.items()]
        index = {"schemaVersion": 2, "manifests": listed}
        add(self.tar, "index.json", json.dumps(index).encode())
        add(self.tar, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        self.tar.close()


def make_oci_archive(root: Path, target: Path) -> Path:
    """Write two images of one layer as an OCI archive, what `ctr image import` reads: box and pause."""
    archive = Archive(target)
    layer = archive.blob("layer.v1.tar", root.read_bytes())
    manifests = {
        NAME: manifest(archive, layer, ["/bin/sh"]),
        PAUSE: manifest(archive, layer, ["/bin/sleep", "2147483647"]),
    }
    archive.close(manifests)
    return target


def manifest(archive: Archive, layer: dict[str, Any], command: list[str]) -> dict[str, Any]:
    """Add an image's configuration and manifest, and return the manifest's descriptor."""
    configuration = {
        "architecture": ARCHITECTURES[os.uname().machine],
        "os": "linux",
        "config": {"Env": ENVIRONMENT, "Cmd": command, "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
    }
    content = {
        "schemaVersion": 2,
        "config": archive.document("config.v1", configuration),
        "layers": [layer],
    }
    return archive.document("manifest.v1", content)
