# SPDX-License-Identifier: Apache-2.0
"""What the black-box tests drive a runtime with: bundles, processes, terminals, the host's state."""
