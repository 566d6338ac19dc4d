# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a template, in the words of Go's text/template."""

from pyoci.engine.errors import PlainError


class SyntaxProblem(PlainError):
    """The text is no template."""


class ExecutionError(PlainError):
    """The data does not have what the template asks for."""


class CallError(Exception):
    """A function refuses its arguments; who called it says where that was."""
