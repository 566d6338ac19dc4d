# SPDX-License-Identifier: Apache-2.0
"""The environment that the runtime was called with; it may be empty (podman's `delete`)."""

import posix


def variable(name: str) -> str:
    """Return a variable, "" when it is not set: podman exports XDG_RUNTIME_DIR= and means that."""
    key = name.encode()
    return posix.environ[key].decode("utf-8", "surrogateescape") if key in posix.environ else ""
