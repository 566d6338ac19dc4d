# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests of whole plans: a plan of each case."""

from plan_cases import created, name, plan  # noqa: F401 - fixtures
