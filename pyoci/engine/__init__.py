# SPDX-License-Identifier: Apache-2.0
"""pypod: images, containers, networks and volumes on top of the runtime, without a daemon."""
