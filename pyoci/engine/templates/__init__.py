# SPDX-License-Identifier: Apache-2.0
"""Go templates for --format, as Docker's client 28 executes them.

`lexer.py` splits the text, `parser.py` makes nodes of it, each a function of a scope that writes; `values.py` knows what Go's types
would be of values that are JSON's, `functions.py` and `formatting.py` are what a template may call. No maintained library does
this in Python (highlevel.md, section 2); Docker's own output is what the tests compare with.
"""

from pyoci.engine.templates.errors import ExecutionError, SyntaxProblem
from pyoci.engine.templates.parser import Template, expand_escapes

__all__ = ["ExecutionError", "SyntaxProblem", "Template", "expand_escapes"]
