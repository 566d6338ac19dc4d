# SPDX-License-Identifier: Apache-2.0
"""The one error of this package."""


class MachineError(Exception):
    """The machine, not the command in it, failed; the text says at what."""
