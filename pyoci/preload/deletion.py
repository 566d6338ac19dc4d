# SPDX-License-Identifier: Apache-2.0
"""What `delete` imports."""

import pyoci.cgroup.directory
import pyoci.cgroup.wait
import pyoci.container
import pyoci.runtime  # noqa: F401 - that they are there is all
