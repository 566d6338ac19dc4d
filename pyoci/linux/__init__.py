# SPDX-License-Identifier: Apache-2.0
"""The names and numbers of the kernel."""
