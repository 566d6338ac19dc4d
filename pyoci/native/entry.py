# SPDX-License-Identifier: Apache-2.0
"""What the launcher has the interpreter run; sys.argv: -c, our name, directories of modules, the module, the user's words."""

import gc
import marshal
import posix
import sys
from _frozen_importlib_external import MAGIC_NUMBER

gc.disable()  # a command lives for milliseconds and makes no cycles
del sys.argv[0]
path, module = sys.argv.pop(1).split(":"), sys.argv.pop(1)
sys.path += path  # behind the interpreter's own: a stray typing.py beside us must not hide that
try:
    fd = posix.open(f"{path[0]}/pyoci/modules.image", posix.O_RDONLY | posix.O_CLOEXEC)
except OSError:
    fd = -1  # each module is then found in the usual way
head = posix.read(fd, 65536) if fd >= 0 else b""
if head.startswith(MAGIC_NUMBER):  # see pyoci/image.py
    end = 12 + int.from_bytes(head[4:12], "little")
    boot = {"__name__": "pyoci.image"}
    exec(marshal.loads(head[12:end]), boot)  # noqa: S102, S302 - installed beside this program
    boot["install"](fd, head, end, path[0])  # type: ignore[operator]  # defined by what was just executed
main = __import__(module, fromlist=("main",)).main  # found through what was just set up
posix._exit(main())  # main has flushed; taking the interpreter down costs a millisecond
