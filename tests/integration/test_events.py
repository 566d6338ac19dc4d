# SPDX-License-Identifier: Apache-2.0
"""events: statistics in runc's shape, compared with the kernel's own files; lack of memory."""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from blackbox.bundle import MakeBundle
from blackbox.cgroups import is_unified, need
from blackbox.membership import file_of, keyed
from blackbox.processes import Running, text, until
from blackbox.runtime import Container, Runtime

SLEEP = ("sleep", "1000")
MIB = 1 << 20
LIMIT = 24 * MIB
BUSY = "while :; do :; done & echo ready; wait"
EATER = "tail /dev/zero"  # keeps a line that never ends
OBJECTS = ["cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces"]
CPUSET = (
    "cpu_exclusive mem_hardwall mem_exclusive memory_migrate memory_spread_page memory_spread_slab "
    "memory_pressure sched_load_balance sched_relax_domain_level"
).split()
UNLIMITED = (9223372036854771712, 18446744073709551615)


def limited(made: Any, **resources: Any) -> Any:
    """Give a bundle resources."""
    made.linux["resources"] = {**made.linux["resources"], **resources}
    return made.write()


def statistics(container: Container) -> dict[str, Any]:
    """Return the statistics of now."""
    ran = container.runtime("events", "--stats", container.id)
    assert ran.code == 0, ran
    assert ran.stdout.count("\n") == 1
    event = json.loads(ran.stdout)
    assert (event["type"], event["id"]) == ("stats", container.id)
    data: dict[str, Any] = event["data"]
    return data


def lines(running: Running) -> list[dict[str, Any]]:
    """Return the events so far."""
    return [
        json.loads(line) for line in text(running.out).splitlines(keepends=True) if "\n" in line
    ]


@pytest.fixture
def container(runtime: Runtime, bundle: MakeBundle) -> Container:
    """A container that does nothing."""
    return runtime.start(bundle(*SLEEP))


def test_the_objects_are_runcs(container: Container) -> None:
    """cli.md 2, events: what is there also when it is zero, and in which order."""
    data = statistics(container)
    assert list(data) == OBJECTS
    assert {"kernel", "user"} <= set(data["cpu"]["usage"])
    assert isinstance(data["cpu"]["throttling"], dict)
    assert set(CPUSET) <= set(data["cpuset"])
    for kind in ("usage", "swap", "kernel", "kernelTCP"):
        assert {"limit", "failcnt"} <= set(data["memory"][kind])
    assert data["intel_rdt"] == {}


def test_numbers_are_integers(container: Container) -> None:
    """Go's decoders refuse 1.0 and "1" where they want uint64."""

    def check(value: Any) -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                if name != "psi":
                    check(inner)
        elif isinstance(value, list):
            for inner in value:
                check(inner)
        else:
            assert value is None or type(value) in (int, str), value

    check(statistics(container))


def test_processor_time_grows_and_is_the_kernels(runtime: Runtime, bundle: MakeBundle) -> None:
    """Nanoseconds, between two readings of the kernel's own counter."""
    container = runtime.start(bundle(sh=BUSY))
    container.written("ready\n")

    def used() -> int:
        if is_unified():
            return keyed(file_of(container.pid, "cpu.stat"))["usage_usec"] * 1000
        return int(text(file_of(container.pid, "cpuacct.usage", "cpuacct")))

    before = used()
    until(lambda: used() > before, "it works")
    first = used()
    total = statistics(container)["cpu"]["usage"]["total"]
    assert first <= total <= used()


def test_throttling(runtime: Runtime, bundle: MakeBundle) -> None:
    """A busy container with a hundredth of a processor is held back."""
    need("cpu")
    made = limited(bundle(sh=BUSY), cpu={"quota": 1000, "period": 100000})
    container = runtime.start(made)

    def throttled() -> bool:
        found = statistics(container)["cpu"]["throttling"]
        return bool(found.get("throttledPeriods") and found.get("throttledTime"))

    until(throttled, "it was throttled", 20)
    assert statistics(container)["cpu"]["throttling"]["periods"] > 0
    # killed, it still needs its processor to end
    assert runtime("update", "--cpu-quota", "-1", container.id).code == 0


def test_memory_is_the_kernels(runtime: Runtime, bundle: MakeBundle) -> None:
    """The limit, the peak, and every counter of memory.stat."""
    need("memory")
    container = runtime.start(limited(bundle(*SLEEP), memory={"limit": LIMIT}))
    found = statistics(container)["memory"]
    assert found["usage"]["limit"] == LIMIT
    assert 0 < found["usage"]["usage"] <= LIMIT
    raw = keyed(file_of(container.pid, "memory.stat", "memory"))
    assert list(found["raw"]) == sorted(raw)
    name = "memory.peak" if is_unified() else "memory.max_usage_in_bytes"
    if Path(file_of(container.pid, name, "memory")).exists():
        assert found["usage"]["max"] <= int(text(file_of(container.pid, name, "memory")))


def test_no_limit_of_memory_is_a_great_number(container: Container) -> None:
    """cli.md 2, events: not -1, which is no uint64."""
    need("memory")
    assert statistics(container)["memory"]["usage"]["limit"] in UNLIMITED


def test_tasks_and_their_limit(runtime: Runtime, bundle: MakeBundle) -> None:
    """pids.current and pids.max."""
    need("pids")
    made = limited(bundle(sh="sleep 1000 & sleep 1000 & echo ready; wait"), pids={"limit": 17})
    container = runtime.start(made)
    container.written("ready\n")
    assert statistics(container)["pids"] == {"current": 3, "limit": 17}


def test_no_limit_of_tasks_is_left_out(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, events: `max` is 0, and 0 is left out; a scope has systemd's default unless -1 is asked for."""
    need("pids")
    container = runtime.start(limited(bundle(*SLEEP), pids={"limit": -1}))
    assert statistics(container)["pids"] == {"current": 1}


def test_a_processor_set(runtime: Runtime, bundle: MakeBundle) -> None:
    """cpuset.cpus as a list."""
    need("cpuset")
    if is_unified() and runtime.name == "runc":
        pytest.skip("runc reports no processor set of version 2")
    container = runtime.start(limited(bundle(*SLEEP), cpu={"cpus": "0", "mems": "0"}))
    found = statistics(container)["cpuset"]
    assert (found["cpus"], found["mems"]) == ([0], [0])


def test_block_devices(runtime: Runtime, bundle: MakeBundle) -> None:
    """Bytes and operations by device and direction, where the file system is on a block device."""
    need("io" if is_unified() else "blkio")
    made = bundle(
        sh="dd if=/dev/zero of=/file bs=64k count=16 oflag=direct; sync; echo ready; sleep 1000"
    )
    container = runtime.start(made)
    container.written("ready\n")
    if is_unified():
        counted = "wbytes=" in text(file_of(container.pid, "io.stat"))
    else:
        file = "blkio.throttle.io_service_bytes_recursive"
        counted = " Write " in text(file_of(container.pid, file, "blkio"))
    if not counted:
        pytest.skip("this file system is not on a block device that the kernel accounts")
    table = statistics(container)["blkio"]["ioServiceBytesRecursive"]
    written = [row["value"] for row in table if row["op"] == "Write" and "value" in row]
    assert written
    assert max(written) >= MIB


@pytest.mark.expect_fail_on("runc", "runc 1.1 has no pressure")
def test_pressure(container: Container) -> None:
    """cli.md 2, events: of processor, memory and devices, as the kernel averages it."""
    if not is_unified() and not Path("/sys/fs/cgroup/unified").is_dir():
        pytest.skip("version 1 has no pressure")
    if not Path("/proc/pressure/cpu").exists():
        pytest.skip("this kernel counts no pressure")
    data = statistics(container)
    for part in ("cpu", "memory", "blkio"):
        for kind in ("some", "full"):
            assert set(data[part]["psi"][kind]) == {"avg10", "avg60", "avg300", "total"}


@pytest.mark.expect_fail_on("runc", "runc reports no interfaces that it did not make")
def test_network_interfaces(runtime: Runtime, bundle: MakeBundle) -> None:
    """Those of the container's namespace, with the counters that the kernel shows in it."""
    script = "ip link add name d0 type bridge && ip link set d0 up && echo ready; cat /proc/net/dev; sleep 1000"
    container = runtime.start(bundle(sh=script, caps=["CAP_NET_ADMIN"]))
    until(lambda: "lo:" in container.stdout, "it has looked")
    if "ready" not in container.stdout:
        pytest.skip(f"this kernel makes no bridge: {container.stderr}")
    found = statistics(container)["network_interfaces"]
    d0 = next(row for row in found if row["Name"] == "d0")
    assert list(d0) == ["Name"] + [
        way + what for way in ("Rx", "Tx") for what in ("Bytes", "Packets", "Errors", "Dropped")
    ]
    shown = text(f"/proc/{container.pid}/net/dev").partition("d0:")[2].split()
    assert d0["TxPackets"] <= int(shown[9])
    assert "lo" not in [row["Name"] for row in found]


def test_the_hosts_network_is_not_the_containers(runtime: Runtime, bundle: MakeBundle) -> None:
    """The host's interfaces carry everybody's traffic."""
    made = bundle(*SLEEP)
    made.set_namespace(network=None)
    made.write()
    assert statistics(runtime.start(made))["network_interfaces"] is None


def test_statistics_of_a_paused_container(container: Container) -> None:
    """Not running is only what has ended."""
    assert container.runtime("pause", container.id).code == 0
    assert statistics(container)["pids"]["current"] == 1


@pytest.mark.parametrize("options", [["--stats"], []])
def test_a_stopped_container(runtime: Runtime, bundle: MakeBundle, options: list[str]) -> None:
    """cli.md 2, events: `container with id X is not running`."""
    container = runtime.start(bundle("true"))
    container.wait()
    ran = runtime("events", *options, container.id)
    assert ran.code == 1
    assert ran.message.strip() == f"container with id {container.id} is not running"


@pytest.mark.parametrize("interval", ["0s", "-1s"])
def test_an_interval_that_is_none(container: Container, interval: str) -> None:
    """cli.md 2, events: `duration interval must be greater than 0`."""
    ran = container.runtime("events", "--interval", interval, container.id)
    assert ran.code == 1
    assert "duration interval must be greater than 0" in ran.message


def test_an_interval_without_a_unit(container: Container) -> None:
    """time.ParseDuration."""
    ran = container.runtime("events", "--interval", "5", container.id)
    assert ran.code == 1
    assert 'invalid value "5" for flag -interval: parse error' in ran.message


def follow(container: Container, interval: str) -> Running:
    """Start a stream of events."""
    return container.runtime.spawn("events", "--interval", interval, container.id)


def test_a_stream_reports_again_and_again_until_the_end(container: Container) -> None:
    """cli.md 2, events."""
    need("memory")
    stream = follow(container, "50ms")
    until(lambda: len(lines(stream)) >= 3, "three reports")
    container.delete("--force")
    assert stream.wait(10).code == 0
    assert {event["type"] for event in lines(stream)} == {"stats"}


@pytest.mark.expect_fail_on("runc", "runc waits until the cgroup is removed")
def test_a_stream_ends_with_the_container(container: Container) -> None:
    """Not only with its cgroup, which may stay for long."""
    stream = follow(container, "1h")
    until(lambda: holds(stream, "pidfd"), "it has seen the container run")
    container.kill("KILL")
    assert stream.wait(10).code == 0
    assert text(stream.out) == ""


def eats(runtime: Runtime, bundle: MakeBundle, script: str) -> Container:
    """Create a container with little memory."""
    need("memory")
    return runtime.create(limited(bundle(sh=script), memory={"limit": LIMIT, "swap": LIMIT}))


def killed(container: Container) -> int:
    """Return how many processes of a container the kernel killed, by its own counter."""
    file = "memory.events" if is_unified() else "memory.oom_control"
    return keyed(file_of(container.pid, file, "memory"))["oom_kill"]


def holds(process: Running, *names: str) -> bool:
    """Tell whether a process has a file open with one of the names in its own."""
    links = (f"/proc/{process.pid}/fd/{name}" for name in os.listdir(f"/proc/{process.pid}/fd"))
    with contextlib.suppress(FileNotFoundError):
        return any(name in os.readlink(link) for link in links for name in names)
    return False


def listening(stream: Running) -> bool:
    """Tell whether the runtime has registered itself: it holds the file that tells."""
    return holds(stream, "eventfd", "memory.events", "inotify")


def test_lack_of_memory_is_an_event(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, events: the exact bytes, one for each."""
    container = eats(runtime, bundle, f"{EATER}; {EATER}; echo done; sleep 1000")
    stream = follow(container, "1h")
    until(lambda: listening(stream), "it listens")
    container.start()
    container.written("done\n")
    wanted = f'{{"type":"oom","id":"{container.id}"}}\n'
    until(lambda: text(stream.out).startswith(wanted), "the event")
    until(lambda: text(stream.out) == wanted * killed(container), "an event for each")
    container.delete("--force")
    assert stream.wait(10).code == 0


def test_the_last_event_is_the_death_of_init(runtime: Runtime, bundle: MakeBundle) -> None:
    """What ends the container is not lost with it."""
    container = eats(runtime, bundle, f"exec {EATER}")
    stream = follow(container, "1h")
    until(lambda: listening(stream), "it listens")
    container.start()
    container.wait()
    container.delete()
    assert stream.wait(10).code == 0
    assert f'{{"type":"oom","id":"{container.id}"}}\n' in text(stream.out)
