# SPDX-License-Identifier: Apache-2.0
"""A runtime that itself lives in a chroot(2): its mount namespace has another root than it sees."""

import pytest
from blackbox.bundle import MakeBundle
from blackbox.runtime import Runtime

# The root once more, with all below it, in a mount namespace of our own.
ENTER = 'mount --rbind / "$1" && shift && exec chroot "$@"'


@pytest.mark.expect_fail_on(
    "runc", "runc makes a container whose namespace still has the host's root"
)
@pytest.mark.expect_fail_on(
    "crun", "crun makes a container whose namespace still has the host's root"
)
@pytest.mark.parametrize("options", [(), ("--no-pivot",)])
def test_a_runtime_in_a_chroot_is_refused(
    runtime: Runtime, bundle: MakeBundle, options: tuple[str, ...]
) -> None:
    """pivot_root(2) changes the caller's root and leaves the namespace's: who joins it has the host's."""
    made = bundle("echo", "ran")
    inside = made.path / "inside"
    inside.mkdir()
    enter = ["unshare", "--mount", "sh", "-c", ENTER, "sh", str(inside), str(inside)]
    ran = runtime.run(made, *options, wrap=enter)
    assert (ran.code, ran.stdout) == (1, "")
    assert "the runtime itself lives in a chroot(2)" in ran.message
    assert runtime("list", "--quiet").stdout == ""
