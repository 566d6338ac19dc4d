# SPDX-License-Identifier: Apache-2.0
"""pyoci: an OCI runtime that compiles config.json in Python and executes it natively."""

__version__ = "0.1.0"
SPEC_VERSION = "1.3.0"
