# SPDX-License-Identifier: Apache-2.0
"""Everything that the process imports which makes a container: it has the time while its command looks things up."""

import pyoci.engine.containers.creator
import pyoci.engine.containers.order
import pyoci.engine.overlay
import pyoci.preload.creation  # noqa: F401 - that they are there is all
