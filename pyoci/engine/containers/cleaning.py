# SPDX-License-Identifier: Apache-2.0
"""Everything that cleaning up after a container imports: a command has the time while others make the container."""

import pyoci.engine.mounts
import pyoci.engine.trees
import pyoci.preload.deletion  # noqa: F401 - that they are there is all
