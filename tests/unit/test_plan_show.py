# SPDX-License-Identifier: Apache-2.0
"""A plan as people and programs read it."""

import errno
import json

from plans import bind, mount, program, spec

from pyoci.plan import ops, show
from pyoci.plan.program import Program


def one(name: str, *arguments: object, **keys: object) -> str:
    """The line of one operation."""
    plan = Program()
    plan.slot("root")
    plan.add(name, *arguments, **keys)
    return show.text(plan)[show.INDENT :].rstrip("\n")


def test_a_line_has_number_place_and_operation() -> None:
    plan = Program()
    plan.at("/mounts/3/options/0").add("umask", 0o22)
    assert show.text(plan) == f"   0  {'mounts[3].options[0]':28}  umask mask=0o22\n"


def test_slots_have_names() -> None:
    assert one("move_mount", 3, ops.CWD_SLOT) == "move_mount mount=root target=cwd"
    assert one("wait_start", ops.START_SLOT) == "wait_start fifo=start"
    assert one("clone", 0, ops.NO_SLOT) == "clone flags=0 cgroup=none"


def test_flags_have_names_and_the_rest_is_a_number() -> None:
    assert one("clone", 0x20020000 | 1, 3) == "clone flags=NEWPID|NEWMNT|0x1 cgroup=root"
    assert "clear=ATIME " in one("mount_setattr", 3, 0, 0, 0x70, 0, ops.NO_SLOT)
    assert "set=NOATIME " in one("mount_setattr", 3, 0, 0x10, 0, 0, ops.NO_SLOT)


def test_values_have_names() -> None:
    assert one("ask", ops.TOPICS.index("ready")) == "ask topic=ready"
    assert one("fsconfig", 3, 6, None, None) == "fsconfig fs=root command=CREATE"
    assert one("fsconfig", 3, 99, None, None) == "fsconfig fs=root command=99"


def test_ignored_errors_and_the_jump_are_shown() -> None:
    line = one("close", 3, ignore=(errno.EBADF, errno.EINTR), skip=2)
    assert line == "close fd=root ignore=EBADF|EINTR skip=2"


def test_text_and_bytes() -> None:
    assert one("write", 3, b"0\n") == "write fd=root bytes='0\\n'"
    assert one("write", 3, bytes(100)) == "write fd=root bytes=100 bytes"
    assert one("execute", ["a b", "c"], None) == "execute argv=['a b', 'c']"
    assert one("hostname", "x" * 100) == "hostname name='" + "x" * 56 + "..."


def test_a_document_is_json_with_everything_by_name() -> None:
    compiled = program(spec(mount("/proc", "proc"), bind("/m", "/host/dir"), maskedPaths=["/a"]))
    document = json.loads(json.dumps(show.document(compiled)))
    assert [row["number"] for row in document] == list(range(len(compiled.operations)))
    opened = document[0]
    assert opened == {
        "number": 0,
        "operation": "open",
        "arguments": {
            "out": "target",
            "dir": "cwd",
            "path": "/bundle/rootfs",
            "flags": 0o10600000,
            "mode": 0,
            "resolve": 0,
        },
        "place": "/root/path",
        "ignore": [],
        "skip": 0,
    }


def test_bytes_and_lists_in_a_document() -> None:
    plan = Program()
    plan.add("write", plan.slot("x"), b"\0\xff")
    plan.add("execute", ("a",), None, ignore=(errno.ENOENT,), skip=1)
    document = show.document(plan)
    assert document[0]["arguments"] == {"fd": "x", "bytes": "00ff"}
    assert document[1]["arguments"] == {"argv": ["a"], "env": None}
    assert (document[1]["ignore"], document[1]["skip"]) == (["ENOENT"], 1)
