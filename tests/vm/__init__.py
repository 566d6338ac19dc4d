# SPDX-License-Identifier: Apache-2.0
"""Throw-away Debian machines under emulation, and the integration tests in them: see README.md."""
