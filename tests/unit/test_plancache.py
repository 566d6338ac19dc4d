# SPDX-License-Identifier: Apache-2.0
"""A kept plan is the plan that would be compiled, for another container of the bundle; else there is none."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blackbox.bundle import BASE, CGROUP, bind

from pyoci import plancache, spec, store
from pyoci.plan import compile as compiler
from pyoci.plan import ops
from pyoci.plan.encode import Plan, encode
from pyoci.plan.facts import Facts
from pyoci.seccomp import Filter

CONFIG = b'{"ociVersion": "1.2.0"}'
NAME = "f" * 64
V1 = ("systemd", "cpu,cpuacct", "memory")


def config(*kinds: str, **mounts: str) -> "spec.Spec":
    """A complete spec with a cgroup mount, namespaces of these kinds besides, and bind mounts."""
    document = json.loads(json.dumps(BASE))
    document["mounts"] += [CGROUP, *(bind(where, f"/{name}") for name, where in mounts.items())]
    document["linux"]["namespaces"] += [{"type": kind} for kind in kinds]
    if "user" in kinds:
        mapping = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        document["linux"] |= {"uidMappings": mapping, "gidMappings": mapping}
    return spec.parse(json.dumps(document).encode())


def facts(layout: str, identity: str, /, **others: Any) -> Facts:
    """The facts of a host of this layout, for a container of this id."""
    top = "/sys/fs/cgroup"
    legacy = tuple((name, f"{top}/{name}/{identity}") for name in V1)
    cgroups = {
        "none": (),
        "v1": legacy,
        "hybrid": (("unified", f"{top}/unified/{identity}"), *legacy),
        "v2": (("", f"{top}/{identity}"),),
    }[layout]
    unified = cgroups[0][1] if layout in ("hybrid", "v2") else ""
    made = Facts(layout=layout, cgroups=cgroups, unified=unified, bundle="/b", identity=identity)
    vars(made).update(others)
    return made


def plan_of(made_from: "spec.Spec", host: Facts) -> Plan:
    """The plan as it is compiled."""
    filter_ = Filter(b"\6\0\0\0\0\0\0\0", 0)
    return encode(compiler.create(made_from, host, filter_, []), ops.INHERITED)


def kept(directory: Path, made_from: "spec.Spec", host: Facts) -> plancache.Entry:
    """Keep a plan and load it."""
    plancache.save(str(directory), NAME, made_from, host, plan_of(made_from, host))
    entry = plancache.load(str(directory), NAME)
    assert entry is not None
    return entry


@pytest.fixture
def plans(tmp_path: Path) -> Path:
    """Return where plans shall be; nobody has made it yet."""
    return tmp_path / "plans"


@pytest.mark.parametrize("layout", ["none", "v1", "hybrid", "v2"])
@pytest.mark.parametrize("kinds", [(), ("cgroup",), ("user", "cgroup", "time")])
def test_a_kept_plan_is_what_would_be_compiled(
    plans: Path, layout: str, kinds: tuple[str, ...]
) -> None:
    made_from = config(*kinds)
    entry = kept(plans, made_from, facts(layout, "first"))
    assert entry.spec == made_from
    second = facts(layout, "second")
    plan, fresh = entry.plan(second), plan_of(made_from, second)
    assert plan is not None
    assert plan.text == fresh.text
    assert (plan.clones, plan.count) == (fresh.clones, fresh.count)
    assert b"first" not in plan.text


def test_a_string_of_the_config_is_not_taken_for_a_late_one(plans: Path) -> None:
    own = {"a": "/sys/fs/cgroup/memory/first", "b": "/sys/fs/cgroup/memory/first/tasks"}
    made_from = config(**own, c="/_ses.first")
    entry = kept(plans, made_from, facts("v1", "first"))
    plan = entry.plan(facts("v1", "second"))
    assert plan is not None
    assert plan.text == plan_of(made_from, facts("v1", "second")).text
    strings = set(plan.text.split(b"\0"))
    wanted = {*own.values(), "/_ses.first", "_ses.second", "/sys/fs/cgroup/memory/second"}
    assert {text.encode() for text in wanted} <= strings
    assert b"_ses.first" not in strings


def test_a_plan_can_be_used_twice_and_kept_again(plans: Path) -> None:
    made_from = config()
    entry = kept(plans, made_from, facts("hybrid", "first"))
    for name in ("second", "third"):
        host = facts("hybrid", name)
        plan = entry.plan(host)
        assert plan is not None
        assert f"_ses.{name}\0".encode() in plan.text
        plancache.save(str(plans), NAME, made_from, host, plan)
        again = plancache.load(str(plans), NAME)
        assert again is not None
        entry = again


OTHER = {
    "euid": 1000,
    "egid": 1000,
    "privileged": False,
    "bundle": "/c",
    "layout": "v1",
    "attached": True,
    "device_program": b"",
    "no_pivot": True,
    "no_new_keyring": True,
    "preserved": 1,
    "capabilities": 1,
    "selinux": True,
    "apparmor": True,
    "target": 1,
    "shared": 1,
    "directories": frozenset({"/x"}),
    "missing": frozenset({"/x"}),
    "links": {"/x": "y"},
}


def test_each_fact_is_compared() -> None:
    assert {*OTHER, "identity", "cgroups", "unified"} == set(vars(Facts()))


@pytest.mark.parametrize("name", OTHER)
def test_with_another_fact_there_is_no_plan(plans: Path, name: str) -> None:
    entry = kept(plans, config(), facts("hybrid", "first"))
    assert entry.plan(facts("hybrid", "second")) is not None
    assert entry.plan(facts("hybrid", "second", **{name: OTHER[name]})) is None


@pytest.mark.parametrize(
    "cgroups",
    [
        (),
        (("unified", "/sys/fs/cgroup/unified/x"),),
        (("unified", "/sys/fs/cgroup/unified/x"), ("systemd", "/sys/fs/cgroup/systemd/x")),
        (("unified", "/mnt/unified/x"), ("memory", "/mnt/memory/x")),
        (("memory", "/sys/fs/cgroup/memory/x"), ("unified", "/sys/fs/cgroup/unified/x")),
    ],
)
def test_with_other_hierarchies_there_is_no_plan(
    plans: Path, cgroups: tuple[tuple[str, str], ...]
) -> None:
    own = (("unified", "/sys/fs/cgroup/unified/x"), ("memory", "/sys/fs/cgroup/memory/x"))
    unified = own[0][1]
    entry = kept(plans, config(), facts("hybrid", "x", cgroups=own, unified=unified))
    assert entry.plan(facts("hybrid", "x", cgroups=own, unified=unified)) is not None
    assert entry.plan(facts("hybrid", "x", cgroups=own, unified=own[1][1])) is None
    assert entry.plan(facts("hybrid", "x", cgroups=cgroups, unified=unified)) is None


def test_the_key_follows_all_that_a_plan_is_made_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = tmp_path / "modules.image"
    image.write_bytes(b"code")
    monkeypatch.setattr(plancache, "__file__", str(tmp_path / "plancache.py"))
    first = plancache.key(CONFIG, "/b")
    assert first is not None
    keys = {first, plancache.key(CONFIG + b" ", "/b"), plancache.key(CONFIG, "/c")}
    changes: tuple[tuple[Any, str, object], ...] = (
        (plancache, "FORMAT", 0),
        (plancache, "MAGIC_NUMBER", b"abcd"),
        (store, "__version__", "0"),
        (store, "_library", lambda: None),
    )
    for module, name, value in changes:
        with monkeypatch.context() as patched:
            patched.setattr(module, name, value)
            keys.add(plancache.key(CONFIG, "/b"))
    image.write_bytes(b"other code")
    keys.add(plancache.key(CONFIG, "/b"))
    assert len(keys) == 3 + len(changes) + 1
    image.unlink()
    assert plancache.key(CONFIG, "/b") is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes()[:40]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\xff"),
        lambda path: path.chmod(0o644),
        lambda path: path.parent.chmod(0o755),
        lambda path: path.rename(path.with_name("e" * 64)),
        pytest.param(
            lambda path: os.chown(path, 1, 1),
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
        ),
    ],
)
def test_what_is_not_whole_and_ours_is_not_there(
    plans: Path, spoil: Callable[[Path], object]
) -> None:
    kept(plans, config(), facts("v1", "x"))
    spoil(plans / NAME)
    assert plancache.load(str(plans), NAME) is None
    assert plancache.load(str(plans), "e" * 64) is None


def test_an_entry_that_is_too_large_is_not_kept(
    plans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "LONGEST", 100)
    made_from, host = config(), facts("v1", "x")
    plancache.save(str(plans), NAME, made_from, host, plan_of(made_from, host))
    assert list(plans.iterdir()) == []


def test_without_a_place_nothing_is_kept_and_nothing_fails(tmp_path: Path) -> None:
    nowhere, made_from, host = str(tmp_path / "a/b"), config(), facts("v1", "x")
    plancache.save(nowhere, NAME, made_from, host, plan_of(made_from, host))
    assert plancache.load(nowhere, NAME) is None
