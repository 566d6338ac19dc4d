# SPDX-License-Identifier: Apache-2.0
"""config.json: linux.resources, read by the container in the kernel's own files and felt by it.

The same tests run on cgroup v1 and v2; where a layout or a kernel lacks something the skip says so.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from blackbox import cgroups
from blackbox.bundle import MakeBundle
from blackbox.cgroups import MB, Disk
from blackbox.processes import until
from blackbox.runtime import Runtime

UNLIMITED = "9223372036854771712"
OLD_RUNC = "runc 1.1 does not know it"
OTHER_WEIGHT = "runc 1.1 converts shares in a straight line"
NOT_DONE = "runc ignores it"
Files = dict[str, str]


def row(name: str, resources: dict[str, Any], v1: Files, v2: Files, runc: str = "") -> Any:  # noqa: ANN401 - pytest does not name the type
    """Return a property with what the kernel must say of it on each version; {} where it has none."""
    marks = [pytest.mark.expect_fail_on("runc", runc, strict=False)] if runc else []
    return pytest.param(resources, v1, v2, id=name, marks=marks)


ROWS = [
    row(
        "memory.limit",
        {"memory": {"limit": 64 * MB}},
        {"memory.limit_in_bytes": str(64 * MB)},
        {"memory.max": str(64 * MB)},
    ),
    row(
        "memory.limit without end",
        {"memory": {"limit": -1}},
        {"memory.limit_in_bytes": UNLIMITED},
        {"memory.max": "max", "memory.swap.max": "max"},
    ),
    row(
        "memory.reservation",
        {"memory": {"reservation": 32 * MB}},
        {"memory.soft_limit_in_bytes": str(32 * MB)},
        {"memory.low": str(32 * MB)},
    ),
    row(
        "memory.swap",
        {"memory": {"limit": 64 * MB, "swap": 96 * MB}},
        {"memory.limit_in_bytes": str(64 * MB), "memory.memsw.limit_in_bytes": str(96 * MB)},
        {"memory.max": str(64 * MB), "memory.swap.max": str(32 * MB)},
    ),
    row(
        "memory.swap without end",
        {"memory": {"limit": 64 * MB, "swap": -1}},
        {"memory.memsw.limit_in_bytes": UNLIMITED},
        {"memory.swap.max": "max"},
    ),
    row(
        "memory.kernelTCP",
        {"memory": {"kernelTCP": 8 * MB}},
        {"memory.kmem.tcp.limit_in_bytes": str(8 * MB)},
        {},
        NOT_DONE,
    ),
    row("memory.swappiness", {"memory": {"swappiness": 7}}, {"memory.swappiness": "7"}, {}),
    row(
        "memory.useHierarchy",
        {"memory": {"useHierarchy": True}},
        {"memory.use_hierarchy": "1"},
        {},
    ),
    row(
        "cpu.shares",
        {"cpu": {"shares": 512}},
        {"cpu.shares": "512"},
        {"cpu.weight": "59"},
        OTHER_WEIGHT,
    ),
    row(
        "cpu.quota and cpu.period",
        {"cpu": {"quota": 50000, "period": 200000}},
        {"cpu.cfs_quota_us": "50000", "cpu.cfs_period_us": "200000"},
        {"cpu.max": "50000 200000"},
    ),
    row(
        "cpu.quota alone",
        {"cpu": {"quota": 50000}},
        {"cpu.cfs_quota_us": "50000", "cpu.cfs_period_us": "100000"},
        {"cpu.max": "50000 100000"},
    ),
    row(
        "cpu.burst",
        {"cpu": {"quota": 50000, "burst": 20000}},
        {"cpu.cfs_burst_us": "20000"},
        {"cpu.max.burst": "20000"},
        OLD_RUNC,
    ),
    row("cpu.idle", {"cpu": {"idle": 1}}, {"cpu.idle": "1"}, {"cpu.idle": "1"}, OLD_RUNC),
    row(
        "cpu.cpus and cpu.mems",
        {"cpu": {"cpus": "0", "mems": "0"}},
        {"cpuset.cpus": "0", "cpuset.mems": "0"},
        {"cpuset.cpus": "0", "cpuset.mems": "0"},
    ),
    row("pids.limit", {"pids": {"limit": 17}}, {"pids.max": "17"}, {"pids.max": "17"}),
    row(
        "pids.limit without end", {"pids": {"limit": -1}}, {"pids.max": "max"}, {"pids.max": "max"}
    ),
    row(
        "hugepageLimits",
        {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MB}]},
        {
            "hugetlb.2MB.limit_in_bytes": str(4 * MB),
            "hugetlb.2MB.rsvd.limit_in_bytes": str(4 * MB),
        },
        {"hugetlb.2MB.max": str(4 * MB), "hugetlb.2MB.rsvd.max": str(4 * MB)},
        OLD_RUNC,
    ),
    row("network.classID", {"network": {"classID": 0x100001}}, {"net_cls.classid": "1048577"}, {}),
    row(
        "unified",
        {"unified": {"memory.high": str(48 * MB), "pids.max": "23"}},
        {},
        {"memory.high": str(48 * MB), "pids.max": "23"},
    ),
    row(
        "unified, of what every unified hierarchy has",
        {"unified": {"cgroup.max.depth": "3"}},
        {},
        {"cgroup.max.depth": "3"},
    ),
]


@pytest.mark.parametrize(("resources", "v1", "v2"), ROWS)
def test_a_limit_is_what_the_container_reads(
    runtime: Runtime, bundle: MakeBundle, resources: dict[str, Any], v1: Files, v2: Files
) -> None:
    """config-linux.md#control-groups; the conversions are those of spec.md section 7."""
    expected = v2 if cgroups.is_unified() else v1
    if not expected:
        pytest.skip("this version of cgroups has no such limit")
    for file in expected:
        controller = file.partition(".")[0]
        if controller != "cgroup":
            cgroups.need(controller)
    container = cgroups.running(runtime, bundle, **resources)
    assert {file: cgroups.inside(container, file) for file in expected} == expected


@pytest.fixture
def disk(scratch: Path) -> Iterator[Disk]:
    """A disk of the test's own."""
    cgroups.need("io" if cgroups.is_unified() else "blkio")
    with cgroups.loop_device(scratch) as made:
        yield made


def throttles(disk: Disk, **rates: int) -> dict[str, Any]:
    """Return throttles of one disk."""
    return {"blockIO": {name: [disk.numbers | {"rate": rate}] for name, rate in rates.items()}}


def test_throttles_are_what_the_container_reads(
    runtime: Runtime, bundle: MakeBundle, disk: Disk
) -> None:
    """config-linux.md#block-io: throttle*Device."""
    rates = {
        "throttleReadBpsDevice": 1048576,
        "throttleWriteBpsDevice": 2097152,
        "throttleReadIOPSDevice": 300,
        "throttleWriteIOPSDevice": 400,
    }
    container = cgroups.running(runtime, bundle, **throttles(disk, **rates))
    if cgroups.is_unified():
        line = f"{disk.name} rbps=1048576 wbps=2097152 riops=300 wiops=400"
        assert cgroups.inside(container, "io.max") == line
        return
    for file, rate in (
        ("read_bps", 1048576),
        ("write_bps", 2097152),
        ("read_iops", 300),
        ("write_iops", 400),
    ):
        found = cgroups.inside(container, f"blkio.throttle.{file}_device")
        assert found == f"{disk.name} {rate}"


def test_a_throttled_disk_is_slow(runtime: Runtime, bundle: MakeBundle, disk: Disk) -> None:
    """A disk of 1 MiB/s cannot give 2 MiB at once; how much longer it takes does not matter."""
    node = {"path": "/dev/disk", "type": "b", **disk.numbers}
    rule = {"allow": True, "type": "b", **disk.numbers, "access": "rwm"}
    resources = {"devices": [rule], **throttles(disk, throttleReadBpsDevice=MB)}
    script = (
        "read a b < /proc/uptime; dd if=/dev/disk of=/dev/null bs=256k count=8 iflag=direct; "
        "read c b < /proc/uptime; echo $a $c"
    )
    made = bundle(sh=script, devices=[node], resources=resources)
    before, after = map(float, runtime.output(made).split())
    assert after - before > 0.9


def test_a_weight_is_what_the_container_reads(runtime: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#block-io: weight, for each scheduler that may be there."""
    cgroups.need("io" if cgroups.is_unified() else "blkio")
    cgroups.load("bfq")
    container = cgroups.running(runtime, bundle, blockIO={"weight": 500})
    files = {"io.bfq.weight": "default 500", "io.weight": "default 4950"}
    if not cgroups.is_unified():
        files = {"blkio.bfq.weight": "500", "blkio.weight": "500"}
    found = {}
    for file in files:
        ran = container.exec("cat", cgroups.path_of(file))
        if ran.code == 0:
            found[file] = ran.stdout.strip()
    assert found
    if runtime.name == "runc":
        found = dict(list(found.items())[:1])  # it knows BFQ, and without it io.weight
    assert found.items() <= files.items()


@pytest.mark.expect_fail_on("runc", "runc 1.1 writes it on v1 only", strict=False)
def test_a_weight_for_one_disk(runtime: Runtime, bundle: MakeBundle, disk: Disk) -> None:
    """config-linux.md#block-io: weightDevice."""
    with cgroups.weighed_by_bfq(disk):
        weights = [disk.numbers | {"weight": 300}]
        container = cgroups.running(
            runtime, bundle, blockIO={"weight": 500, "weightDevice": weights}
        )
        file = "io.bfq.weight" if cgroups.is_unified() else "blkio.bfq.weight_device"
        assert f"{disk.name} 300" in cgroups.inside(container, file).splitlines()
        container.delete("--force")


def test_priorities_of_interfaces(runtime: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#network: priorities, of interfaces of the host."""
    cgroups.need_version(1)
    cgroups.need("net_prio")
    network = {"priorities": [{"name": "lo", "priority": 5}]}
    container = cgroups.running(runtime, bundle, network=network)
    assert "lo 5" in cgroups.inside(container, "net_prio.ifpriomap").splitlines()


def test_rdma_limits(runtime: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#rdma."""
    cgroups.need("rdma")
    with cgroups.rdma_device() as device:
        container = cgroups.running(runtime, bundle, rdma={device: {"hcaHandles": 3}})
        found = cgroups.inside(container, "rdma.max").splitlines()
        assert f"{device} hca_handle=3 hca_object=max" in found
        container.delete("--force")


def test_realtime_budgets(runtime: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#cpu: realtimeRuntime and realtimePeriod, in a cgroup below the root's budget."""
    cgroups.need_version(1)
    cgroups.need("cpu")
    if not os.path.exists(f"{cgroups.ROOT}/cpu/cpu.rt_runtime_us"):
        pytest.skip("this kernel has no real-time budgets for cgroups (CONFIG_RT_GROUP_SCHED)")
    cpu = {"realtimeRuntime": 10000, "realtimePeriod": 500000}
    made = cgroups.mounted(
        bundle, resources={"cpu": cpu}, cgroupsPath=f"/{runtime.session}-realtime"
    )
    container = runtime.start(made)
    assert cgroups.inside(container, "cpu.rt_runtime_us") == "10000"
    assert cgroups.inside(container, "cpu.rt_period_us") == "500000"


def test_the_oom_killer_can_be_kept_out(runtime: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#memory: disableOOMKiller."""
    cgroups.need_version(1)
    container = cgroups.running(
        runtime, bundle, memory={"limit": 64 * MB, "disableOOMKiller": True}
    )
    assert "oom_kill_disable 1" in cgroups.inside(container, "memory.oom_control")


def test_too_many_processes_are_refused(runtime: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#pids, as the container feels it."""
    cgroups.need("pids")
    script = "for i in 1 2 3 4 5 6 7 8 9; do sleep 100 & done; echo all"
    ran = runtime.run(bundle(sh=script, resources={"pids": {"limit": 5}}))
    assert ran.code == 2, ran
    assert "can't fork" in ran.stderr


def test_too_much_memory_kills(runtime: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#memory: limit, as the container feels it."""
    cgroups.need("memory")
    limit = {"limit": 16 * MB, "swap": 16 * MB}
    ran = runtime.run(
        bundle(
            "dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1", resources={"memory": limit}
        )
    )
    assert ran.code == 137, ran


def test_only_the_given_processors_run_it(runtime: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#cpu: cpus, as the container feels it."""
    cgroups.need("cpuset")
    made = bundle(
        "grep", "Cpus_allowed_list", "/proc/self/status", resources={"cpu": {"cpus": "0"}}
    )
    assert runtime.output(made).split() == ["Cpus_allowed_list:", "0"]


def test_a_quota_throttles(runtime: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#cpu: quota, as the kernel counts it."""
    cgroups.need("cpu")
    resources = {"cpu": {"quota": 1000, "period": 100000}}
    container = runtime.start(bundle(sh="while :; do :; done", resources=resources))

    def is_throttled() -> bool:
        rows = cgroups.outside(container, "cpu.stat").splitlines()
        return int(dict(row.split() for row in rows)["nr_throttled"]) > 0

    until(is_throttled, "the container is throttled", 15)


# What cannot be done


def test_a_disk_that_is_not_there_is_named(runtime: Runtime, bundle: MakeBundle) -> None:
    """The controller, the file and the cause; nothing is left."""
    cgroups.need("io" if cgroups.is_unified() else "blkio")
    rates = [{"major": 4000, "minor": 7, "rate": 5}]
    message = runtime.refuses(bundle(resources={"blockIO": {"throttleReadBpsDevice": rates}}))
    if runtime.name == "pyoci":
        assert "io.max" in message or "blkio.throttle.read_bps_device" in message
        assert "there is no disk 4000:7 on this host" in message


@pytest.mark.expect_fail_on("runc", "runc 1.1 ignores a size without a file on v1", strict=False)
def test_a_page_size_that_is_not_there_is_named(runtime: Runtime, bundle: MakeBundle) -> None:
    """The sizes that there are, are the remedy."""
    cgroups.need("hugetlb")
    limits = [{"pageSize": "3MB", "limit": 4 * MB}]
    message = runtime.refuses(bundle(resources={"hugepageLimits": limits}))
    if runtime.name == "pyoci":
        assert "hugetlb.3MB." in message
        assert "this host has pages of" in message


@pytest.mark.expect_fail_on("runc", "runc takes a path for a size", strict=False)
@pytest.mark.parametrize("size", ["../../cgroup.procs", "2mb", "MB", "0MB", "2 MB"])
def test_a_page_size_is_no_path(runtime: Runtime, bundle: MakeBundle, size: str) -> None:
    """A size is part of a file's name."""
    limits = [{"pageSize": size, "limit": 1}]
    assert "pageSize" in runtime.refuses(bundle(resources={"hugepageLimits": limits}))


@pytest.mark.expect_fail_on("runc", NOT_DONE)
def test_a_network_class_on_version_2_is_an_error(runtime: Runtime, bundle: MakeBundle) -> None:
    """Version 2 has no such controllers; the text says what can be done instead."""
    cgroups.need_version(2)
    message = runtime.refuses(bundle(resources={"network": {"classID": 5}}))
    assert "cgroup v2 has no net_cls and no net_prio controller" in message


def test_a_controller_that_is_not_mounted_is_named(runtime: Runtime, bundle: MakeBundle) -> None:
    """The remedy on version 1: mount it."""
    cgroups.need_version(1)
    if cgroups.has("net_cls"):
        pytest.skip("this host mounts net_cls")
    message = runtime.refuses(bundle(resources={"network": {"classID": 5}}))
    assert "cannot set net_cls" in message
    if runtime.name == "pyoci":
        assert 'controller "net_cls" is not mounted (mount -t cgroup -o net_cls' in message


@pytest.mark.expect_fail_on(
    "runc", "runc leaves the range to the kernel, and says EINVAL", strict=False
)
@pytest.mark.parametrize("weight", [1, 9, 1001])
def test_a_weight_out_of_range_is_refused(
    runtime: Runtime, bundle: MakeBundle, weight: int
) -> None:
    """config-linux.md#block-io: from 10 to 1000."""
    message = runtime.refuses(bundle(resources={"blockIO": {"weight": weight}}))
    assert f"must be from 10 to 1000, not {weight}" in message


@pytest.mark.expect_fail_on("runc", "runc 1.1 has no words for it", strict=False)
def test_swap_below_memory_is_refused(runtime: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#memory: swap is the limit of memory and swap together."""
    memory = {"limit": 64 * MB, "swap": 32 * MB}
    message = runtime.refuses(bundle(resources={"memory": memory}))
    assert "memory+swap limit should be >= memory limit" in message


def test_what_engines_write_for_nothing_is_nothing(runtime: Runtime, bundle: MakeBundle) -> None:
    """docker: zeros and empty lists on hosts without these controllers."""
    resources = {
        "blockIO": {"weight": 0, "weightDevice": [], "throttleReadBpsDevice": []},
        "hugepageLimits": [],
        "network": {"priorities": []},
        "rdma": {},
        "unified": {},
        "memory": {"limit": 0, "swap": 0},
        "cpu": {"shares": 0, "quota": 0, "period": 0, "cpus": "", "mems": ""},
    }
    assert runtime.run(bundle("true", resources=resources)).code == 0
