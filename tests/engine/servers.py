# SPDX-License-Identifier: Apache-2.0
"""Registries on loopback: Debian's docker-registry, and one in Python that does what a hostile or broken one does."""

import base64
import hashlib
import json
import subprocess
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

SECONDS = 20
CONFIG = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {directory}/data}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""
AUTH = "auth: {{htpasswd: {{realm: test, path: {directory}/htpasswd}}}}\n"


def free_port() -> int:
    """Return a port of loopback that nobody has."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class DebianRegistry:
    """docker-registry, with a user where one is given."""

    def __init__(self, directory: Path, user: str = "", password: str = "") -> None:
        directory.mkdir()
        self.port = free_port()
        self.domain = f"127.0.0.1:{self.port}"
        text = CONFIG + (AUTH if user else "")
        (directory / "config.yml").write_text(text.format(directory=directory, port=self.port))
        if user:
            argv = ["htpasswd", "-Bbc", directory / "htpasswd", user, password]
            subprocess.run(argv, check=True, capture_output=True)
        log = (directory / "log").open("wb")
        argv = ["docker-registry", "serve", directory / "config.yml"]
        self.process = subprocess.Popen(argv, stdout=log, stderr=log)
        log.close()
        deadline = time.monotonic() + SECONDS
        while not self.answers():
            assert self.process.poll() is None, (directory / "log").read_text()
            assert time.monotonic() < deadline, "docker-registry does not answer"
            time.sleep(0.02)

    def answers(self) -> bool:
        """Tell whether it listens."""
        try:
            with urlopen(f"http://{self.domain}/", timeout=5):
                return True
        except (URLError, ConnectionError):
            return False

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(SECONDS)


class Stub:
    """A registry of one image, whose answers a test can replace: `faults` are asked before each answer."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.faults: list[Callable[[Any], bool]] = []
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                """Answer."""
                stub.requests.append((self.command, self.path, dict(self.headers)))
                if not any(fault(self) for fault in stub.faults):
                    stub.answer(self)

            do_HEAD = do_GET  # noqa: N815 - the standard library's name

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.domain = f"127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def add(
        self, config: bytes, layers: list[bytes], tag: str = "latest", changed: Any = None
    ) -> str:
        """Add an image; returns the digest of its manifest."""
        document = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": self.blob(config, "application/vnd.oci.image.config.v1+json"),
            "layers": [
                self.blob(layer, "application/vnd.oci.image.layer.v1.tar+gzip") for layer in layers
            ],
        }
        return self.document(document | (changed or {}), tag)

    def document(self, document: dict[str, Any], tag: str) -> str:
        """Add a manifest or an index under a tag and its digest."""
        content = json.dumps(document).encode()
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        for name in (tag, digest):
            self.manifests[name] = str(document["mediaType"]), content
        return digest

    def blob(self, content: bytes, media_type: str) -> dict[str, Any]:
        """Add a blob and return its descriptor."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blobs[digest] = content
        return {"mediaType": media_type, "digest": digest, "size": len(content)}

    def answer(self, handler: Any) -> None:
        """Answer as a registry should."""
        kind, name = handler.path.split("/")[-2:]
        if handler.path == "/v2/":
            reply(handler, 200, b"{}")
        elif kind == "manifests" and name in self.manifests:
            media_type, content = self.manifests[name]
            reply(handler, 200, content, {"Content-Type": media_type})
        elif kind == "blobs" and name in self.blobs:
            content = self.blobs[name]
            asked = handler.headers.get("Range", "")
            if asked:
                start = int(asked.removeprefix("bytes=").rstrip("-"))
                where = f"bytes {start}-{len(content) - 1}/{len(content)}"
                reply(handler, 206, content[start:], {"Content-Range": where})
            else:
                reply(handler, 200, content)
        else:
            refuse(handler, 404, f"{kind[:-1]} unknown")

    def stop(self) -> None:
        """End it."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def reply(handler: Any, status: int, body: bytes, headers: dict[str, str] | None = None) -> bool:
    """Send an answer."""
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
        handler.send_header(name, value)
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)
    return True


def refuse(handler: Any, status: int, words: str, headers: dict[str, str] | None = None) -> bool:
    """Send an error in the specification's form."""
    code = words.upper().replace(" ", "_")
    body = json.dumps({"errors": [{"code": code, "message": words}]}).encode()
    return reply(handler, status, body, headers)


def basic(user: str, password: str) -> str:
    """Return what Docker's config.json keeps of a password."""
    return base64.b64encode(f"{user}:{password}".encode()).decode()
