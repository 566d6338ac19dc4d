# SPDX-License-Identifier: Apache-2.0
"""pyoci/engine/libc.py: functions of the C library without `ctypes`."""

import errno
import os
import subprocess
import sys

import pytest

from pyoci.engine import libc

GETPPID = 110 if os.uname().machine == "x86_64" else 173


def test_a_result_comes_back() -> None:
    assert libc.call("getppid") == os.getppid()
    assert libc.syscall(GETPPID) == os.getppid()
    assert libc.call("strlen", b"four") == 4


def test_a_failure_has_its_errno_and_the_functions_name() -> None:
    with pytest.raises(OSError, match="No such file or directory") as caught:
        libc.call("umount2", b"/nowhere", 0)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, "umount2")
    with pytest.raises(OSError, match="Bad address"):
        libc.call("chdir", None)


def test_ctypes_is_not_imported() -> None:
    """It brings os, struct and types, and 2 ms."""
    program = "import sys; from pyoci.engine import libc; print('ctypes' in sys.modules)"
    top = os.path.dirname(os.path.dirname(os.path.dirname(libc.__file__)))
    argv = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.append({top!r}); {program}"]
    ran = subprocess.run(argv, stdout=subprocess.PIPE, check=True, text=True, timeout=30)
    assert ran.stdout == "False\n"
