# SPDX-License-Identifier: Apache-2.0
"""What `features` says of seccomp (features-linux.md#seccomp)."""

from pyoci.seccomp import NEW_LISTENER, profile
from pyoci.seccomp.library import Library


def actions() -> list[str]:
    """Return the names of the actions that a profile may use."""
    return sorted(profile.ACTIONS)


def operators() -> list[str]:
    """Return the names of the comparisons."""
    return sorted(profile.OPERATORS)


def architectures() -> list[str]:
    """Return the names of the architectures that this libseccomp knows; Unsupported without one."""
    library = Library()
    return sorted(name for name, its in profile.ARCHITECTURES.items() if library.architecture(its))


def known_flags() -> list[str]:
    """Return the names of the flags that a profile may use."""
    return sorted(profile.FLAGS)


def supported_flags() -> list[str]:
    """Return the names of the flags that this kernel has; Unsupported without libseccomp."""
    library = Library()
    return [name for name in known_flags() if library.has_flags(_askable(name))]


def version() -> str:
    """Return the version of libseccomp; Unsupported where there is none."""
    return Library().version()


def _askable(name: str) -> int:
    # The kernel refuses WAIT_KILLABLE_RECV on its own.
    extra = NEW_LISTENER if name == profile.WAIT_KILLABLE_RECV else 0
    return profile.FLAGS[name] | extra
