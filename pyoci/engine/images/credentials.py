# SPDX-License-Identifier: Apache-2.0
"""Passwords of registries, where Docker keeps them: config.json and its credential helpers.

A helper is a program docker-credential-NAME that speaks JSON: `get` with the registry on stdin, `store`, `erase`. credHelpers names
one for a registry, credsStore one for all others; without either the password is in the file itself, in base64, as Docker's is.
"""

import base64
import binascii
import os

from pyoci.engine.clientconfig import path, read
from pyoci.engine.errors import EngineError
from pyoci.engine.images.config import parse_document
from pyoci.engine.reference import DOCKER
from pyoci.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# The name that docker.io has in the file, since before there were other registries.
DOCKER_KEY = "https://index.docker.io/v1/"
_TOKEN_USER = "<token>"
_HELPER_SECONDS = 60
_NOT_FOUND = "credentials not found in native keychain"


class Credential:
    """A user and a password, or an identity token alone."""

    __slots__ = ("password", "token", "user")

    def __init__(self, user: str, password: str, token: str = "") -> None:
        self.user = user
        self.password = password
        self.token = token

    def basic(self) -> str:
        """Return the value of an Authorization header (RFC 7617)."""
        pair = f"{self.user}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


def key_of(domain: str) -> str:
    """Return the name of a registry in the file."""
    return DOCKER_KEY if domain == DOCKER else domain


def find(domain: str) -> Credential | None:
    """Return the credential for a registry; None for none."""
    stored = read()
    key = key_of(domain)
    helper = _helper(stored, key)
    if helper:
        return _ask(helper, key)
    auths = stored.get("auths") or {}
    for name in (
        key,
        f"https://{key}",
        f"http://{key}",
        f"https://{key}/v1/",
        f"https://{key}/v2/",
    ):
        if isinstance(auths.get(name), dict):
            return _decode(auths[name], name)
    return None


def save(domain: str, credential: Credential) -> str:
    """Keep a credential; return the file that holds it in plain text, "" where a helper has it."""
    stored, key = read(), key_of(domain)
    helper = _helper(stored, key)
    auths = stored.setdefault("auths", {})
    if helper:
        secret = credential.token or credential.password
        user = _TOKEN_USER if credential.token else credential.user
        _run(helper, "store", dumps({"ServerURL": key, "Username": user, "Secret": secret}))
        auths[key] = {}
    elif credential.token:
        auths[key] = {"auth": "", "identitytoken": credential.token}
    else:
        auths[key] = {"auth": credential.basic().removeprefix("Basic ")}
    _write(stored)
    return "" if helper else path()


def forget(domain: str) -> bool:
    """Remove a credential; False when there was none."""
    stored, key = read(), key_of(domain)
    helper = _helper(stored, key)
    auths = stored.get("auths") or {}
    known = auths.pop(key, None) is not None
    if helper and known:
        _run(helper, "erase", key)
    if known:
        _write(stored)
    return known


def _helper(stored: "dict[str, Any]", key: str) -> str:
    helpers = stored.get("credHelpers") or {}
    return str(helpers.get(key) or stored.get("credsStore") or "")


def _ask(helper: str, key: str) -> Credential | None:
    said = _run(helper, "get", key)
    if not said:
        return None
    found = parse_document(said, f"docker-credential-{helper}")
    user, secret = str(found.get("Username", "")), str(found.get("Secret", ""))
    return Credential("", "", secret) if user == _TOKEN_USER else Credential(user, secret)


def _run(helper: str, verb: str, text: str) -> bytes:
    """Call a credential helper; b"" when it has nothing."""
    import shutil
    import subprocess

    program = shutil.which(f"docker-credential-{helper}")
    if program is None:
        raise EngineError(f"{path()}: there is no program docker-credential-{helper} in PATH")
    try:
        ran = subprocess.run(
            [program, verb],
            input=text.encode(),
            capture_output=True,
            timeout=_HELPER_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise EngineError(
            f"docker-credential-{helper} {verb}: no answer in {_HELPER_SECONDS} s"
        ) from None
    if ran.returncode == 0:
        return ran.stdout
    said = (ran.stdout + ran.stderr).decode("utf-8", "replace").strip()
    if said == _NOT_FOUND:
        return b""
    raise EngineError(f"docker-credential-{helper} {verb}: {said[:200]}")


def _decode(entry: "dict[str, Any]", key: str) -> Credential | None:
    token = str(entry.get("identitytoken") or "")
    if token:
        return Credential("", "", token)
    if entry.get("username"):
        return Credential(str(entry["username"]), str(entry.get("password") or ""))
    try:
        pair = base64.b64decode(str(entry.get("auth") or ""), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise EngineError(f"{path()}: auths: {key}: auth is no base64: log in again") from None
    user, colon, password = pair.partition(":")
    return Credential(user, password) if colon else None


def _write(stored: "dict[str, Any]") -> None:
    """Write the file anew, for its owner alone."""
    target = os.path.realpath(path())
    os.makedirs(os.path.dirname(target), 0o700, exist_ok=True)
    temporary = f"{target}.{os.urandom(4).hex()}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(fd, "w", encoding="utf-8") as file:
        file.write(dumps(stored, "\t") + "\n")
    os.replace(temporary, target)
