# SPDX-License-Identifier: Apache-2.0
"""Images: names, the OCI layout on disk, layers, archives and registries."""
