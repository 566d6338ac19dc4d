# SPDX-License-Identifier: Apache-2.0
"""A file system that hangs: who looks a name up in it sleeps and cannot be killed (linux/fuse.h)."""

import os
import select
import struct
from pathlib import Path

from blackbox import kernel

HEADER = struct.Struct("=IIQQIIII")  # length, operation, unique, node, uid, gid, pid, extensions
LOOKUP, GETATTR, INIT = 1, 3, 26
VERSION = (7, 31)
DIRECTORY = 0o040755
ENOSYS = 38
BUFFER = 1 << 17


class Hanging:
    """A mounted file system whose server answers everything but look-ups, until `let_go`."""

    def __init__(self, target: Path) -> None:
        target.mkdir()
        self.target = target
        self.fd = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={self.fd},rootmode=40755,user_id=0,group_id=0,allow_other"
        kernel.mount("hanging", str(target), "fuse.hanging", 0, options)

    def serve_until_lookup(self, seconds: float = 10) -> int:
        """Answer requests; return the pid of the first who looks a name up, and never answer that."""
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        while poll.poll(int(seconds * 1000)):
            request = os.read(self.fd, BUFFER)
            _, operation, unique, node, _, _, pid, _ = HEADER.unpack_from(request)
            if operation == LOOKUP:
                return pid
            self.answer(operation, unique, node)
        raise AssertionError(f"nobody looked into {self.target} within {seconds} s")

    def answer(self, operation: int, unique: int, node: int) -> None:
        """Answer one request."""
        if operation == INIT:
            body = struct.pack("=IIIIHHII", *VERSION, 0, 0, 0, 0, 4096, 1) + bytes(32)
        elif operation == GETATTR:
            attributes = struct.pack("=6Q10I", node, 0, 0, 0, 0, 0, 0, 0, 0, DIRECTORY, 2, *[0] * 5)
            body = struct.pack("=QII", 1, 0, 0) + attributes
        else:
            os.write(self.fd, struct.pack("=IiQ", 16, -ENOSYS, unique))
            return
        os.write(self.fd, struct.pack("=IiQ", 16 + len(body), 0, unique) + body)

    def let_go(self) -> None:
        """End the server: whoever waits gets an error."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            kernel.umount(str(self.target), kernel.MNT_DETACH)
