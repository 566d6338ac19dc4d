# SPDX-License-Identifier: Apache-2.0
"""Everything that a start imports later, to tell of it and to clean up: a command has the time while the container is made."""

import pyoci.engine.mounts
import pyoci.engine.networks.records
import pyoci.engine.trees
import pyoci.preload.deletion  # noqa: F401 - that they are there is all
