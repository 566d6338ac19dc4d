# SPDX-License-Identifier: Apache-2.0
"""One small module a command: its flags, one call. `volume create` is volume_create.py."""
