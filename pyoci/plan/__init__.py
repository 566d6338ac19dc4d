# SPDX-License-Identifier: Apache-2.0
"""The compiler: config.json and facts of the host become a flat list of kernel operations."""
