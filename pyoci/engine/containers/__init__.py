# SPDX-License-Identifier: Apache-2.0
"""Containers: what is known of one, how it is made, started and ended, and what it says."""
