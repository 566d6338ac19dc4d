# SPDX-License-Identifier: Apache-2.0
"""The configuration of Docker's client, config.json, which pypod shares: passwords (images/credentials.py), detachKeys."""

from pyoci.engine.images.config import parse_document
from pyoci.linux.environment import variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def path() -> str:
    """Return where the file is: in $DOCKER_CONFIG, else ~/.docker."""
    directory = variable("DOCKER_CONFIG") or f"{variable('HOME') or '/root'}/.docker"
    return f"{directory}/config.json"


def read() -> "dict[str, Any]":
    """Return what the file says; nothing where there is none."""
    try:
        with open(path(), "rb") as file:
            return parse_document(file.read(), path())
    except (FileNotFoundError, NotADirectoryError):
        return {}
