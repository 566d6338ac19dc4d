# SPDX-License-Identifier: Apache-2.0
"""One report about runtimes: the OCI runtime-tools validation suite, and our own black-box suite."""
