# SPDX-License-Identifier: Apache-2.0
"""Every error of pypod that a user can meet: one line that names the object and, where there is one, the remedy.

EngineError                it could not be done; `exit_code` is that of the command
├── NotFoundError          no such image, container, network, volume; `rm -f` goes on without it
├── PlainError             told as it is, without a word before it
└── ConflictError          the name or the number is taken, the object is in use
"""

from pyoci.errors import PyociError


class EngineError(PyociError):
    """A command could not do what it was asked; 125 is Docker's code for a `run` that never began."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = self.status = exit_code


class NotFoundError(EngineError):
    """There is no object of that name."""


class ConflictError(EngineError):
    """Something else has the name, the port, the address, or still uses the object."""


class PlainError(EngineError):
    """The words stand for themselves: of our own terminal, of a template."""
