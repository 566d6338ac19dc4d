# SPDX-License-Identifier: Apache-2.0
"""What commands of the runtime import only when they run: for a process that has the time now and will not have it later."""
