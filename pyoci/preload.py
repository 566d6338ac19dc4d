# SPDX-License-Identifier: Apache-2.0
"""Everything that `create` imports: for a process that has the time now and will not have it later (make_image.py: one bundle)."""

import pyoci.cgroup.layout
import pyoci.cgroup.limits
import pyoci.cgroup.make
import pyoci.cgroup.resources
import pyoci.creation
import pyoci.plan.compile
import pyoci.runtime
import pyoci.seccomp
import pyoci.shortcut
import pyoci.spec.document  # noqa: F401 - that they are there is all
