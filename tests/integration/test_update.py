# SPDX-License-Identifier: Apache-2.0
"""`update`: limits changed while the container lives, read by it in the kernel's own files."""

import concurrent.futures
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blackbox import cgroups
from blackbox.bundle import MakeBundle
from blackbox.cgroups import MB
from blackbox.processes import Ran, text, until
from blackbox.runtime import Container, Runtime

OLD_RUNC = "runc 1.1 does not know it"
STRAIGHT = "runc 1.1 converts shares in a straight line"
NOT_IN_RUNC = "runc cannot change it"
MEMORY = {"limit": 64 * MB, "swap": 96 * MB, "reservation": 32 * MB}
CPU = {"shares": 1024, "quota": 50000, "period": 100000}
LIMITS = {"memory": MEMORY, "cpu": CPU, "pids": {"limit": 20}}
MINE = {"type": "c", "major": 254, "minor": 77}
Files = dict[str, str]


def update(container: Container, *flags: str, **how: Any) -> Ran:
    """Update a container."""
    return container.runtime("update", *flags, container.id, **how)


def must_update(container: Container, *flags: str, **how: Any) -> Ran:
    """Update a container; that must succeed."""
    ran = update(container, *flags, **how)
    assert ran.code == 0, ran
    return ran


def by_file(container: Container, resources: dict[str, Any]) -> Ran:
    """Update a container by --resources FILE."""
    path = container.runtime.scratch / "resources.json"
    path.write_text(json.dumps(resources))
    return update(container, "--resources", str(path))


def files_of(container: Container, *files: str) -> Files:
    """Return what the container reads in its files."""
    return {file: cgroups.inside(container, file) for file in files}


def row(*flags: str, v1: Files, v2: Files, runc: str = "") -> Any:  # noqa: ANN401 - pytest has no name
    """Return flags with what the kernel must say after them; {} where a version has none."""
    marks = [pytest.mark.expect_fail_on("runc", runc, strict=False)] if runc else []
    return pytest.param(flags, v1, v2, id=" ".join(flags), marks=marks)


ROWS = [
    row(
        "--memory=48m",
        v1={"memory.limit_in_bytes": str(48 * MB), "memory.memsw.limit_in_bytes": str(96 * MB)},
        v2={"memory.max": str(48 * MB), "memory.swap.max": str(48 * MB)},
    ),
    row(
        "--memory=200MiB",
        "--memory-swap=300M",
        v1={"memory.limit_in_bytes": str(200 * MB), "memory.memsw.limit_in_bytes": str(300 * MB)},
        v2={"memory.max": str(200 * MB), "memory.swap.max": str(100 * MB)},
    ),
    row(
        "--memory=16777216",
        "--memory-swap=20971520",
        v1={"memory.limit_in_bytes": str(16 * MB), "memory.memsw.limit_in_bytes": str(20 * MB)},
        v2={"memory.max": str(16 * MB), "memory.swap.max": str(4 * MB)},
    ),
    row(
        "--memory-swap=1g",
        v1={"memory.limit_in_bytes": str(64 * MB), "memory.memsw.limit_in_bytes": str(1024 * MB)},
        v2={"memory.max": str(64 * MB), "memory.swap.max": str(960 * MB)},
    ),
    row(
        "--memory=-1",
        v1={"memory.limit_in_bytes": "9223372036854771712"},
        v2={"memory.max": "max", "memory.swap.max": "max"},
    ),
    row(
        "--memory-reservation",
        "16m",
        v1={"memory.soft_limit_in_bytes": str(16 * MB)},
        v2={"memory.low": str(16 * MB)},
    ),
    row("--pids-limit=10", v1={"pids.max": "10"}, v2={"pids.max": "10"}),
    row("--pids-limit", "-1", v1={"pids.max": "max"}, v2={"pids.max": "max"}),
    row("--cpu-share=512", v1={"cpu.shares": "512"}, v2={"cpu.weight": "59"}, runc=STRAIGHT),
    row(
        "--cpu-quota=30000",
        v1={"cpu.cfs_quota_us": "30000", "cpu.cfs_period_us": "100000"},
        v2={"cpu.max": "30000 100000"},
    ),
    row(
        "--cpu-period=200000",
        v1={"cpu.cfs_quota_us": "50000", "cpu.cfs_period_us": "200000"},
        v2={"cpu.max": "50000 200000"},
    ),
    row(
        "--cpu-quota=900000",
        "--cpu-period=1000000",
        v1={"cpu.cfs_quota_us": "900000", "cpu.cfs_period_us": "1000000"},
        v2={"cpu.max": "900000 1000000"},
    ),
    row(
        "--cpu-quota=2000",
        "--cpu-period=1000",
        v1={"cpu.cfs_quota_us": "2000", "cpu.cfs_period_us": "1000"},
        v2={"cpu.max": "2000 1000"},
    ),
    row(
        "--cpu-quota=-1",
        v1={"cpu.cfs_quota_us": "-1"},
        v2={"cpu.max": "max 100000"},
    ),
    row(
        "--cpu-burst=10000",
        v1={"cpu.cfs_burst_us": "10000"},
        v2={"cpu.max.burst": "10000"},
        runc=OLD_RUNC,
    ),
    row(
        "--cpu-quota=90000",
        "--cpu-burst=80000",
        v1={"cpu.cfs_quota_us": "90000", "cpu.cfs_burst_us": "80000"},
        v2={"cpu.max": "90000 100000", "cpu.max.burst": "80000"},
        runc=OLD_RUNC,
    ),
    row("--cpu-idle=1", v1={"cpu.idle": "1"}, v2={"cpu.idle": "1"}, runc=OLD_RUNC),
    row(
        "--cpuset-cpus=0",
        "--cpuset-mems=0",
        v1={"cpuset.cpus": "0", "cpuset.mems": "0"},
        v2={"cpuset.cpus": "0", "cpuset.mems": "0"},
    ),
    row(
        "--unified",
        "memory.high=40000000",
        "--unified",
        "pids.max=7",
        v1={},
        v2={"memory.high": "39997440", "pids.max": "7"},
        runc=NOT_IN_RUNC,
    ),
    row("--kernel-memory=5m", "--pids-limit=4", v1={"pids.max": "4"}, v2={"pids.max": "4"}),
]


@pytest.mark.parametrize(("flags", "v1", "v2"), ROWS)
def test_a_flag_is_what_the_container_reads(
    runtime: Runtime, bundle: MakeBundle, flags: tuple[str, ...], v1: Files, v2: Files
) -> None:
    """cli.md 2: update; what is not given stays."""
    expected = v2 if cgroups.is_unified() else v1
    if not expected:
        pytest.skip("this version of cgroups has no such limit")
    for controller in ("memory", "cpu", "pids", "cpuset"):
        cgroups.need(controller)
    container = cgroups.running(runtime, bundle, **LIMITS)
    must_update(container, *flags)
    assert files_of(container, *expected) == expected


def test_one_after_the_other_adds_up(runtime: Runtime, bundle: MakeBundle) -> None:
    """What an update set is known to the next one, also downwards."""
    cgroups.need("memory")
    cgroups.need("cpu")
    container = cgroups.running(runtime, bundle)
    for step in (
        ("--memory=128m", "--memory-swap=256m"),
        ("--memory=32m",),
        ("--memory-swap=48m",),
        ("--cpu-quota=70000",),
        ("--cpu-period=140000",),
    ):
        must_update(container, *step)
    expected = {
        "memory.limit_in_bytes": str(32 * MB),
        "memory.memsw.limit_in_bytes": str(48 * MB),
        "cpu.cfs_quota_us": "70000",
        "cpu.cfs_period_us": "140000",
    }
    if cgroups.is_unified():
        expected = {
            "memory.max": str(32 * MB),
            "memory.swap.max": str(16 * MB),
            "cpu.max": "70000 140000",
        }
    assert files_of(container, *expected) == expected


def any_limit() -> tuple[Callable[[int], dict[str, Any]], str]:
    """Return a limit that this host has: the resources for a number of pages, and the file."""
    if cgroups.has("pids"):
        return lambda number: {"pids": {"limit": number}}, "pids.max"
    cgroups.need("hugetlb")
    return (
        lambda number: {"hugepageLimits": [{"pageSize": "2MB", "limit": number * 2 * MB}]},
        "hugetlb.2MB.max",
    )


def in_pages(file: str, number: int) -> str:
    """Return a number as the file of `any_limit` says it."""
    return str(number if file == "pids.max" else number * 2 * MB)


@pytest.mark.expect_fail_on("runc", "runc cannot update hugepageLimits", strict=False)
@pytest.mark.parametrize("source", ["file", "stdin"])
def test_resources_come_from_a_file(runtime: Runtime, bundle: MakeBundle, source: str) -> None:
    """cli.md 2: --resources FILE or -; all other flags are ignored."""
    resources, file = any_limit()
    container = cgroups.running(runtime, bundle, **resources(9))
    path = runtime.scratch / "resources.json"
    path.write_text(json.dumps(resources(6)))
    if source == "stdin":
        must_update(container, "--resources=-", "--pids-limit=3", stdin=path)
    else:
        must_update(container, "-r", str(path), "--pids-limit=3")
    assert cgroups.inside(container, file) == in_pages(file, 6)


@pytest.mark.expect_fail_on(
    "runc", "runc 1.1 follows a nil pointer where a value is null", strict=False
)
def test_null_is_absence(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2: go-runc may send {} and null."""
    resources, file = any_limit()
    container = cgroups.running(runtime, bundle, **resources(9))
    names = ("cpu", "memory", "pids", "blockIO", "hugepageLimits", "network", "rdma", "devices")
    assert by_file(container, {}).code == 0
    assert by_file(container, dict.fromkeys(names)).code == 0
    assert by_file(container, {"cpu": {"shares": None}, "memory": {"limit": None}}).code == 0
    assert cgroups.inside(container, file) == in_pages(file, 9)


@pytest.mark.expect_fail_on("runc", "runc cannot update hugepageLimits", strict=False)
def test_a_created_container_can_be_updated(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2: created, running, paused."""
    resources, file = any_limit()
    container = runtime.create(cgroups.mounted(bundle, resources=resources(9)))
    assert by_file(container, resources(5)).code == 0
    container.start()
    assert cgroups.inside(container, file) == in_pages(file, 5)


@pytest.mark.expect_fail_on("runc", "runc cannot update hugepageLimits", strict=False)
def test_a_frozen_container_can_be_updated(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2: a frozen container is allowed, and stays frozen."""
    resources, file = any_limit()
    container = cgroups.running(runtime, bundle, **resources(9))
    freezer, frozen, thawed = "freezer.state", "FROZEN", "THAWED"
    if cgroups.is_unified():
        freezer, frozen, thawed = "cgroup.freeze", "1", "0"
    control = cgroups.place(container, freezer)
    control.write_text(frozen)
    until(lambda: container.status == "paused", "it is paused")
    assert by_file(container, resources(4)).code == 0
    assert cgroups.outside(container, file) == in_pages(file, 4)
    assert container.status == "paused"
    control.write_text(thawed)


def test_a_stopped_container_is_not_running(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 5: engines match on the words."""
    container = runtime.start(bundle("true"))
    container.wait()
    ran = update(container, "--pids-limit=5")
    assert ran.code == 1
    assert "container not running" in ran.message


def test_an_unknown_container_does_not_exist(runtime: Runtime) -> None:
    """cli.md 5: engines match on the words."""
    ran = runtime("update", "--pids-limit=5", "nobody")
    assert ran.code == 1
    assert "does not exist" in ran.message


# All or nothing


def all_files() -> tuple[str, ...]:
    """Return files that an update below changes."""
    if cgroups.is_unified():
        return ("memory.max", "memory.swap.max", "memory.low", "cpu.max", "cpu.weight", "pids.max")
    return (
        "memory.limit_in_bytes",
        "memory.memsw.limit_in_bytes",
        "memory.soft_limit_in_bytes",
        "cpu.shares",
        "cpu.cfs_quota_us",
        "cpu.cfs_period_us",
        "pids.max",
    )


MUCH = (
    "--memory=256m --memory-swap=512m --memory-reservation=8m --cpu-share=2048 --cpu-quota=5000 "
    "--cpu-period=20000 --pids-limit=3"
).split()


@pytest.mark.parametrize("bad", ["--cpuset-cpus=4000", "--cpuset-mems=900"])
def test_a_failed_update_leaves_all_limits(runtime: Runtime, bundle: MakeBundle, bad: str) -> None:
    """cli.md 2: on any write error the previous values are applied again."""
    for controller in ("memory", "cpu", "pids", "cpuset"):
        cgroups.need(controller)
    container = cgroups.running(runtime, bundle, **LIMITS)
    before = files_of(container, *all_files())
    ran = update(container, *MUCH, bad)
    assert ran.code == 1
    if runtime.name == "pyoci":
        assert ran.message.startswith(f"cannot set cpuset.{bad[9:13]} limit: write ")
    assert files_of(container, *all_files()) == before
    must_update(container, "--memory-swap=128m")
    swap = "memory.swap.max" if cgroups.is_unified() else "memory.memsw.limit_in_bytes"
    expected = 64 * MB if cgroups.is_unified() else 128 * MB
    assert cgroups.inside(container, swap) == str(expected)


@pytest.mark.expect_fail_on("runc", NOT_IN_RUNC, strict=False)
def test_a_failed_update_leaves_the_idle_containers_weight(
    runtime: Runtime, bundle: MakeBundle
) -> None:
    """The kernel forgets the weight of a cgroup that was idle: sched_group_set_idle."""
    cgroups.need("cpu")
    cgroups.need("cpuset")
    container = cgroups.running(runtime, bundle, cpu={"shares": 512})
    file = "cpu.weight" if cgroups.is_unified() else "cpu.shares"
    before = cgroups.inside(container, file)
    assert update(container, "--cpu-idle=1", "--cpuset-cpus=4000").code == 1
    assert files_of(container, "cpu.idle", file) == {"cpu.idle": "0", file: before}


@pytest.mark.expect_fail_on("runc", NOT_IN_RUNC, strict=False)
def test_a_failed_update_leaves_throttles_and_weights(
    runtime: Runtime, bundle: MakeBundle, scratch: Path
) -> None:
    """Rows of a file: one that was there, and one that was not."""
    controller = "io" if cgroups.is_unified() else "blkio"
    cgroups.need(controller)
    cgroups.need("pids")
    with cgroups.loop_device(scratch) as disk:
        rates = {"throttleReadBpsDevice": [disk.numbers | {"rate": 5 * MB}]}
        container = cgroups.running(runtime, bundle, blockIO=rates | {"weight": 200})
        files = ["io.max"]
        if not cgroups.is_unified():
            files = ["blkio.throttle.read_bps_device", "blkio.throttle.write_iops_device"]
        before = files_of(container, *files)
        rates = {
            "weight": 700,
            "throttleReadBpsDevice": [disk.numbers | {"rate": 2 * MB}],
            "throttleWriteIOPSDevice": [disk.numbers | {"rate": 77}],
        }
        bad = {"cpu": {"cpus": "4000"}} if cgroups.has("cpuset") else {"rdma": {"no": {}}}
        assert by_file(container, {"blockIO": rates} | bad).code == 1
        assert files_of(container, *files) == before
        assert by_file(container, {"blockIO": rates}).code == 0
        after = files_of(container, *files)
        assert f"{2 * MB}" in after[files[0]]
        assert "77" in after[files[-1]]
        container.delete("--force")


@pytest.mark.expect_fail_on("runc", NOT_IN_RUNC, strict=False)
def test_a_failed_update_leaves_the_weight_of_a_disk(
    runtime: Runtime, bundle: MakeBundle, scratch: Path
) -> None:
    """A row of BFQ's: one that was there, and one that was not."""
    cgroups.need("io" if cgroups.is_unified() else "blkio")
    cgroups.need("cpuset")
    file = "io.bfq.weight" if cgroups.is_unified() else "blkio.bfq.weight_device"
    with cgroups.loop_device(scratch) as disk, cgroups.weighed_by_bfq(disk):
        container = cgroups.running(runtime, bundle, blockIO={"weight": 200})
        for before in (None, 300):
            weights = {"weightDevice": [disk.numbers | {"weight": 700}]}
            present = cgroups.inside(container, file)
            assert (disk.name in present) == (before is not None)
            bad = by_file(container, {"blockIO": weights, "cpu": {"cpus": "4000"}})
            assert bad.code == 1
            assert cgroups.inside(container, file) == present
            weights["weightDevice"][0]["weight"] = 300
            assert by_file(container, {"blockIO": weights}).code == 0
            assert f"{disk.name} 300" in cgroups.inside(container, file)
        container.delete("--force")


def hog(runtime: Runtime, bundle: MakeBundle, megabytes: int) -> Container:
    """Start a container that holds this much memory."""
    script = f"dd if=/dev/zero of=/dev/shm/held bs=1M count={megabytes} 2> /dev/null; echo held; sleep 1000"
    container = runtime.start(
        cgroups.mounted(
            bundle, "sh", "-c", script, resources={"memory": MEMORY | {"swap": 64 * MB}}
        )
    )
    container.written("held")
    return container


def test_a_limit_below_the_usage_is_rejected_first(runtime: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#memory: checkBeforeUpdate; version 2 would kill instead."""
    cgroups.need("memory")
    container = hog(runtime, bundle, 32)
    ran = by_file(
        container, {"memory": {"limit": 16 * MB, "swap": 16 * MB, "checkBeforeUpdate": True}}
    )
    assert ran.code == 1
    assert "rejecting memory limit" in ran.message or "unable to set memory limit" in ran.message
    assert container.status == "running"
    file = "memory.max" if cgroups.is_unified() else "memory.limit_in_bytes"
    assert cgroups.inside(container, file) == str(64 * MB)


# Device rules


def can_open(container: Container, device: str) -> bool:
    """Tell whether the container may read a device; whether there is a driver does not matter."""
    return "not permitted" not in container.exec("sh", "-c", f"exec 3< {device}").stderr


def devices(runtime: Runtime, bundle: MakeBundle) -> Container:
    """Start a container with a device that it may not open."""
    node = {"path": "/dev/mine", **MINE, "fileMode": 0o666}
    rules = [{"allow": False, "access": "rwm"}]
    return runtime.start(cgroups.mounted(bundle, devices=[node], resources={"devices": rules}))


@pytest.mark.expect_fail_on("runc", NOT_IN_RUNC)
def test_device_rules_are_replaced(runtime: Runtime, bundle: MakeBundle) -> None:
    """runc#2236 and others ask for it; as the container feels it."""
    container = devices(runtime, bundle)
    deny, allow = {"allow": False, "access": "rwm"}, {"allow": True, **MINE, "access": "r"}
    assert not can_open(container, "/dev/mine")
    for _ in range(2):
        assert by_file(container, {"devices": [deny, allow]}).code == 0
        assert can_open(container, "/dev/mine")
        assert can_open(container, "/dev/null")
        assert by_file(container, {"devices": [deny]}).code == 0
        assert not can_open(container, "/dev/mine")
        assert can_open(container, "/dev/null")
    assert by_file(container, {"devices": [{"allow": True, "access": "rwm"}]}).code == 0
    assert can_open(container, "/dev/mine")
    assert by_file(container, {"devices": [deny]}).code == 0
    assert not can_open(container, "/dev/mine")


@pytest.mark.expect_fail_on("runc", NOT_IN_RUNC, strict=False)
def test_device_rules_stay_when_none_are_given(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2: an update of other limits does not touch them."""
    container = devices(runtime, bundle)
    resources, _ = any_limit()
    assert by_file(container, resources(5)).code == 0
    assert not can_open(container, "/dev/mine")
    assert can_open(container, "/dev/null")


@pytest.mark.expect_fail_on("runc", NOT_IN_RUNC, strict=False)
def test_no_device_is_denied_for_a_moment(runtime: Runtime, bundle: MakeBundle) -> None:
    """On version 2 the program is replaced in one step, on version 1 only what differs is written."""
    script = "while : < /dev/null; do :; done; echo denied; sleep 1000"
    node = {"path": "/dev/mine", **MINE}
    deny, allow = {"allow": False, "access": "rwm"}, {"allow": True, **MINE, "access": "r"}
    container = runtime.start(bundle(sh=script, devices=[node], resources={"devices": [deny]}))
    for rules in ([deny, allow], [deny], [deny, allow], [deny]):
        assert by_file(container, {"devices": rules}).code == 0
    assert "denied" not in container.stdout
    assert "denied" not in container.stderr
    assert container.status == "running"


@pytest.mark.expect_fail_on("runc", NOT_IN_RUNC, strict=False)
def test_a_failed_update_leaves_the_device_rules(runtime: Runtime, bundle: MakeBundle) -> None:
    """Rules that version 1 cannot say, and a limit that nobody can have, change nothing."""
    container = devices(runtime, bundle)
    everything = {"devices": [{"allow": True, "access": "rwm"}]}
    bad = {"hugepageLimits": [{"pageSize": "3MB", "limit": 1}]}
    assert by_file(container, everything | bad).code == 1
    assert not can_open(container, "/dev/mine")
    assert by_file(container, everything).code == 0
    assert can_open(container, "/dev/mine")


# The ways it is called


@pytest.mark.expect_fail_on("runc", "runc takes no lock", strict=False)
def test_updates_at_the_same_time_all_count(runtime: Runtime, bundle: MakeBundle) -> None:
    """Each is carried out and remembered: none is lost between two others."""
    cgroups.need("pids")
    cgroups.need("cpu")
    container = cgroups.running(runtime, bundle, **LIMITS)
    flags = [f"--pids-limit={number}" for number in range(30, 34)]
    flags += ["--cpu-period=150000", "--cpu-quota=75000"]
    with concurrent.futures.ThreadPoolExecutor(len(flags)) as pool:
        assert all(ran.code == 0 for ran in pool.map(lambda flag: update(container, flag), flags))
    assert cgroups.inside(container, "pids.max") in {"30", "31", "32", "33"}
    if cgroups.is_unified():
        assert cgroups.inside(container, "cpu.max") == "75000 150000"
    else:
        files = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        assert list(files_of(container, *files).values()) == ["75000", "150000"]


def test_a_hook_may_update(runtime: Runtime, bundle: MakeBundle) -> None:
    """Hooks call state, kill and the like: update does not wait for who runs them, either."""
    cgroups.need("pids")
    made = cgroups.mounted(bundle, resources={"pids": {"limit": 20}})
    name = runtime.new_id()
    made.place(runtime.cgroups_path(name))
    argv = [
        "sh",
        "-c",
        'exec "$@" > /dev/null',
        "sh",
        *runtime.command("update", "--pids-limit=8", name),
    ]
    made.edit(
        hooks={
            "poststart": [{"path": "/bin/sh", "args": argv, "env": [f"PATH={os.environ['PATH']}"]}]
        }
    )
    made.write()
    ran = runtime("run", "--bundle", str(made.path), "--detach", name)
    assert ran.code == 0, ran
    container = Container(runtime, name, made)
    assert cgroups.inside(container, "pids.max") == "8"
    container.delete("--force")


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--memory=much", "invalid value for memory: invalid size: 'much'"),
        ("--memory-swap=5x", "invalid value for memory-swap: invalid size: '5x'"),
        ("--cpu-quota=1.5", "invalid value for cpu-quota"),
        ("--cpu-period=ten", "invalid value for cpu-period"),
        ("--l3-cache-schema=L3:0=f", "Intel RDT/CAT: l3 cache schema is not enabled"),
        ("--mem-bw-schema=MB:0=20", "Intel RDT/MBA: memory bandwidth schema is not enabled"),
    ],
)
def test_what_cannot_be_a_value_is_refused(
    runtime: Runtime, bundle: MakeBundle, flag: str, words: str
) -> None:
    """cli.md 2: the words are runc's."""
    container = runtime.start(bundle("sleep", "1000"))
    ran = update(container, flag)
    assert ran.code == 1
    assert words in ran.message


@pytest.mark.expect_fail_on("runc", NOT_IN_RUNC)
def test_a_unified_key_on_version_1_is_refused(runtime: Runtime, bundle: MakeBundle) -> None:
    """cgroups.bats: invalid configuration."""
    cgroups.need_version(1)
    container = cgroups.running(runtime, bundle, **LIMITS)
    ran = update(container, "--unified", "memory.high=5000000", "--pids-limit=3")
    assert "invalid configuration: cannot use linux.resources.unified" in ran.message
    assert ran.code == 1
    assert cgroups.inside(container, "pids.max") == "20"


@pytest.mark.expect_fail_on("runc", "runc has no such flag", strict=False)
@pytest.mark.parametrize("value", ["memory.high", "=5", "cgroup.procs=1", "../x=1"])
def test_a_unified_key_that_is_no_limit_is_refused(
    runtime: Runtime, bundle: MakeBundle, value: str
) -> None:
    """No process is moved by it, and no file outside is reached."""
    container = runtime.start(bundle("sleep", "1000"))
    ran = update(container, "--unified", value)
    assert ran.code == 1
    assert "unified" in ran.message


def test_the_record_of_the_state_is_left_alone(runtime: Runtime, bundle: MakeBundle) -> None:
    """What the launcher knows of the container holds as long as state.json is the same file."""
    if runtime.name != "pyoci":
        pytest.skip("how others remember is their affair")
    container = runtime.start(bundle("sleep", "1000"))
    record = runtime.root / container.id / "state.json"
    before = (record.stat().st_ino, record.stat().st_ctime_ns)
    must_update(container, "--resources=-", stdin=empty(runtime))
    assert (record.stat().st_ino, record.stat().st_ctime_ns) == before
    assert "sleep" in text(f"/proc/{container.pid}/cmdline")


def empty(runtime: Runtime) -> Path:
    """Return a file with no resources in it."""
    path = runtime.scratch / "none.json"
    path.write_text("{}")
    return path
