# SPDX-License-Identifier: Apache-2.0
"""What `create` imports."""

import pyoci.cgroup.layout
import pyoci.cgroup.limits
import pyoci.cgroup.make
import pyoci.cgroup.resources
import pyoci.creation
import pyoci.plan.compile
import pyoci.runtime
import pyoci.seccomp
import pyoci.shortcut
import pyoci.spec.document
import pyoci.spec.meaning
import pyoci.spec.process
import pyoci.spec.resources  # noqa: F401 - that they are there is all
