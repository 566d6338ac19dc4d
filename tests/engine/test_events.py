# SPDX-License-Identifier: Apache-2.0
"""`events`: what happens is told as Docker tells it, whoever is killed meanwhile."""

import os
import re
import signal
import time
from difflib import unified_diff
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from blackbox.console import resize_until
from blackbox.processes import Running, until
from servers import DebianRegistry
from sides import NetworkedOracle, Oracle, Pypod, same
from test_same_as_docker import words_of

from pyoci.engine import event_log, events
from pyoci.engine.places import Places

NONE = "--network none"
SLEEP = "box sleep 1000"
SCRIPTS = {
    "life": f"""
        create --name one -l a=b -l c=d {NONE} {SLEEP}
        start one
        start one
        exec one true
        exec one sh -c exit\xa03
        exec one nosuch
        top one
        pause one
        unpause one
        rename one other
        update --memory 50m --memory-swap 100m other
        kill -s URG other
        restart -t 0 other
        stop -t 0 other
        stop other
        restart other
        pause other
        stop -t 1 other
        start other
        kill other
        rm other
        run --rm --name two {NONE} box sh -c exit\xa03
        run -d --name three {NONE} {SLEEP}
        rm -f three
        create --name four {NONE} box true
        start -a four
        container prune -f
        rm nosuch
    """,
    "volumes": f"""
        run -d --name one {NONE} -v /anonymous -v /tmp:/t --tmpfs /u {SLEEP}
        rm -f -v one
        run -d --name two {NONE} -v first:/n:ro {SLEEP}
        rm -f -v two
        volume create second
        volume rm first second
        volume create third
        volume rm nosuch
        volume prune -f --filter label=nosuch
        volume rm third
    """,
    "images": f"""
        tag box other
        tag box localhost:5000/a/b:1
        run --name one -l a=b {NONE} box true
        commit -m words one made:1
        commit one
        image prune -f
        rmi other localhost:5000/a/b:1 made:1
        rmi nosuch
        rm one
    """,
    "networks": f"""
        network create one
        run -d --name first --network one {SLEEP}
        run --rm --name second --network container:first box true
        run --rm --name third --network host box true
        network create two
        network connect two first
        network disconnect two first
        network rm two
        stop -t 0 first
        rm first
        network rm one nosuch
        network create three
        network prune -f
        run --rm --name fourth box true
    """,
    "memory": f"""
        run --name one {NONE} --memory 8m --memory-swap 8m box sh -c x=$(head\xa0-c\xa0100000000\xa0/dev/zero|tr\xa0"\\0"\xa0x)
        rm one
        run -d --name two {NONE} --memory 20m --memory-swap 20m {SLEEP}
        exec two sh -c x=$(head\xa0-c\xa0100000000\xa0/dev/zero|tr\xa0"\\0"\xa0x);echo\xa0never
        rm -f two
    """,
}
FILTERS = (
    "event=start", "event=exec_create", "event=exec_create:\xa0true", "event=health_status", "type=network", "type=foo",
    "container=one", "container=on", "image=box", "image=box:latest", "image=nosuch", "label=a", "label=a=b", "label=name=two",
    "scope=local", "scope=swarm", "daemon=x", "network=none", "network=one", "volume=x", "event=", "bogus=1",
    "event=die --filter event=start --filter type=container --filter container=two", "label=a --filter label=c=x",
)  # fmt: skip
FORMATS = (
    "{{.ID}}\xa0{{.Status}}\xa0{{.From}}\xa0{{.Type}}\xa0{{.Action}}\xa0{{.Actor.ID}}\xa0{{.Scope}}",
    "{{.Actor.Attributes.name}}\xa0{{.Actor.Attributes.nope}}\xa0{{.Actor.Attributes}}",
    "table\xa0{{.Action}}",
    "raw",
    "{{.Nope}}",
    "{{.Action",
)
REFUSED = ("--since foo", "--until foo", "--filter foo", "argument", "--foo")


def begin() -> str:
    """Return the time from which on a script's events are."""
    return f"{time.time():.9f}"


def told(side: Pypod | Oracle | NetworkedOracle, since: str, options: str = "") -> list[str]:
    """Return what a side says of a script, without what differs by itself.

    Docker says twice that a running container has left a network; ids have no order, so neither have what lies on them.
    """
    ran = side("events", "--since", since, "--until", begin(), *words_of(options))
    code, out, errors = same(ran)
    assert (code, errors) == (0, ""), ran
    texts = (
        re.sub(r"\b1\d{9,18}\b|(?<=reclaimed=)\d+", "NUMBER", line) for line in out.splitlines()
    )
    return [line for line, _ in groupby(texts)]


def play(side: Pypod | Oracle | NetworkedOracle, script: str) -> str:
    """Run the commands of a script, whatever they say; returns the time before the first."""
    since = begin()
    for line in script.splitlines():
        if line.strip():
            side(*words_of(line.strip()))
    return since


@pytest.mark.root
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_told_as_docker_tells_it(
    name: str, networked: Pypod, networked_oracle: NetworkedOracle
) -> None:
    """Docker's lines for the same commands, in the same order; but it hears of a kill before or after the end that that brings."""
    ours, theirs = play(networked, SCRIPTS[name]), play(networked_oracle, SCRIPTS[name])
    lines = told(networked_oracle, theirs), told(networked, ours)
    if name == "memory":
        lines = sorted(lines[0]), sorted(lines[1])
    differences = [*unified_diff(*lines, "docker", "pypod")]
    assert not differences, "\n".join(differences)


@pytest.mark.root
def test_archives_and_registries_are_told_of(
    pypod: Pypod, oracle: Oracle, registry: DebianRegistry, scratch: Path
) -> None:
    """What reaches a registry has its reference where others have the id of an image."""
    name = f"{registry.domain}/told:1"
    script = f"""
        tag box {name}
        push {name}
        rmi {name}
        pull {name}
        pull {name}
        rmi {name}
        create --name one --network none box true
        export --output {scratch}/root.tar one
        cp one:/etc/passwd {scratch}/passwd
        cp {scratch}/passwd one:/etc/other
        rm one
        import {scratch}/root.tar imported:1
        import {scratch}/root.tar
        save --output {scratch}/images.tar box imported:1
        rmi imported:1
        load --input {scratch}/images.tar
        rmi imported:1
        image prune -f
    """
    theirs, ours = told(oracle, play(oracle, script)), told(pypod, play(pypod, script))
    assert theirs
    differences = [*unified_diff(theirs, ours, "docker", "pypod")]
    assert not differences, "\n".join(differences)


@pytest.mark.root
def test_filters_and_formats_are_docker_s(pypod: Pypod, oracle: Oracle) -> None:
    """moby, daemon/events/filter.go; the client's formats."""
    script = f"""
        create --name one -l a=b -l c=x {NONE} {SLEEP}
        start one
        exec one true
        run --name two -l a=c {NONE} box true
        rm -f one
    """
    ours, theirs = play(pypod, script), play(oracle, script)
    for option in FILTERS:
        text = f"--filter {option}"
        assert told(pypod, ours, text) == told(oracle, theirs, text), option
    assert told(pypod, ours, "--filter event=start")
    assert told(pypod, ours, "--format json") == told(oracle, theirs, "--format json")
    for form in FORMATS:
        words = ["--until", begin(), "--format", *words_of(form)]
        assert same(pypod("events", "--since", ours, *words)) == same(
            oracle("events", "--since", theirs, *words)
        ), form


@pytest.mark.root
@pytest.mark.parametrize("options", REFUSED)
def test_what_docker_refuses_is_refused(options: str, pypod: Pypod, oracle: Oracle) -> None:
    """The client's words."""
    words = words_of(options)
    assert same(pypod("events", *words)) == same(oracle("events", *words))


@pytest.mark.root
def test_since_after_until_is_refused(pypod: Pypod, oracle: Oracle) -> None:
    """The daemon's words."""
    words = ("events", "--since", "1795927165.404607231", "--until", "2020-01-01T00:00:00Z")
    assert same(pypod(*words)) == same(oracle(*words))


def lines_of(running: Running) -> list[str]:
    """Return what a process in the background has written."""
    return running.out.read_text().splitlines()


@pytest.mark.root
def test_events_are_streamed_as_they_happen(pypod: Pypod) -> None:
    """Only what happens from now on, where no moment is given."""
    pypod.output("create", "--name", "before", "--network", "none", "box")
    running = pypod.spawn("events", "--filter", "type=container", "--format", "{{.Action}}")
    watched = f"{pypod.root}/events.jsonl"
    until(lambda: watched in open_files(running.pid), "the file is open")
    pypod.output("run", "--rm", "--network", "none", "box", "true")
    wanted = ["create", "attach", "start", "die", "destroy"]
    until(lambda: lines_of(running) == wanted, f"{wanted} are written")
    running.signal(signal.SIGINT)
    assert running.wait().code == 130


def open_files(pid: int) -> list[str]:
    """Return the files that a process has open, the last of which it waits on."""
    directory = f"/proc/{pid}/fd"
    try:
        return [os.readlink(f"{directory}/{name}") for name in os.listdir(directory)]
    except FileNotFoundError:
        return []


@pytest.mark.root
def test_the_health_of_a_container_is_told(pypod: Pypod) -> None:
    """The check as a process that is executed, then what follows from it."""
    since = begin()
    options = [
        "--health-cmd",
        "test -e /healthy",
        "--health-interval",
        "50ms",
        "--health-retries",
        "1",
    ]
    pypod.start("one", "sleep 1000", *options)
    pypod.await_field("one", "{{.State.Health.Status}}", "unhealthy")
    pypod.output("exec", "one", "touch", "/healthy")
    pypod.await_field("one", "{{.State.Health.Status}}", "healthy")
    changes = told(pypod, since, "--filter event=health_status --format {{.Action}}")
    assert changes == ["health_status: unhealthy", "health_status: healthy"]
    check = "exec_create: /bin/sh -c test -e /healthy"
    first = told(pypod, since, "--filter event=exec_create --format {{.Action}}")[0]
    assert first == check
    ends = told(pypod, since, "--filter event=exec_die --format {{.Actor.Attributes.exitCode}}")
    assert {"0", "1"} <= {*ends}


def resized(side: Pypod | Oracle, since: str) -> list[str]:
    """Return the line that tells of 44 rows and 111 columns, when it is there."""
    lines = told(side, since, "--filter event=resize")
    return [line for line in lines if "height=44" in line and "width=111" in line][:1]


@pytest.mark.root
def test_a_terminal_s_size_is_told(pypod: Pypod, oracle: Oracle) -> None:
    """Docker's client gives the container's terminal each new size of its own."""
    script = "while :; do stty size; sleep 0.05; done"
    found = []
    for side in (pypod, oracle):
        since = begin()
        terminal = side.terminal(
            "run", "--name", "one", "-it", *NONE.split(), "box", "sh", "-c", script
        )
        terminal.read_until("33 99")
        resize_until(terminal.master, 44, 111, "44 111")
        found.append(until(lambda: resized(side, since), "the size is told"))  # noqa: B023 - called at once
        side.output("rm", "-f", "one")
        terminal.wait()
    assert found[0] == found[1]


@pytest.mark.root
def test_a_container_that_begins_again_is_told_to_die_each_time(pypod: Pypod) -> None:
    """Its networks stay its own between two runs: of them nothing is told."""
    since = begin()
    pypod("run", "--restart", "on-failure:1", "--name", "one", *NONE.split(), "box", "false")
    pypod.await_field("one", "{{.State.Status}} {{.RestartCount}}", "exited 1")
    said = told(pypod, since, "--filter container=one --format {{.Action}}")
    assert said == ["create", "attach", "start", "die", "start", "die"]


@pytest.mark.root
def test_an_end_without_a_monitor_is_told_by_the_next(pypod: Pypod) -> None:
    """Issue 6: a monitor that is killed loses no consistency."""
    since = begin()
    pypod.start("one", "sleep 1000")
    pid = int(pypod.field("one", "{{.State.Pid}}"))
    for monitor in pypod.monitors():
        os.kill(monitor, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    pypod.await_field("one", "{{.State.Status}}", "exited")
    assert told(pypod, since, "--filter event=die --format {{.Action}}") == ["die"]


@pytest.mark.root
def test_what_cannot_be_told_is_done_nevertheless(pypod: Pypod) -> None:
    """A full disk, a place that cannot be written: no command fails for want of a line about it."""
    path = pypod.root / "events.jsonl"
    path.unlink(missing_ok=True)
    path.mkdir()
    try:
        assert pypod.says("echo done") == "done\n"
    finally:
        path.rmdir()


# The file -----------------------------------------------------------------------------------------


def everything(places: Places) -> list[dict[str, Any]]:
    """Return all that is told until now."""
    wanted = event_log.Wanted("1h", begin(), [])
    return [event for _, event in event_log.read(places, wanted)]


def tell(places: Places, name: str) -> None:
    """Tell of a volume."""
    places.directory()
    events.of_volume(places, "create", name)


def test_a_line_that_was_cut_short_is_skipped(places: Places) -> None:
    """A SIGKILL or a full disk within write(2)."""
    tell(places, "first")
    with open(f"{places.directory()}/events.jsonl", "a") as file:
        file.write('{"Type":"volume","Act')
    tell(places, "second")
    assert [event["Actor"]["ID"] for event in everything(places)] == ["first", "second"]


def test_a_large_file_is_followed_into_the_next(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who follows misses nothing; who comes later finds what is in the last two files."""
    monkeypatch.setattr(events, "LARGEST", 1000)
    names = [str(number) for number in range(40)]
    found = []
    with event_log._Following(f"{places.directory()}/{events.NAME}") as log:  # noqa: SLF001 - the loop of `events`
        for name in names:
            tell(places, name)
            found += [event_log.parse_object(line)["Actor"] for line in log.lines()]
    assert [actor["ID"] for actor in found] == names
    kept = [event["Actor"]["ID"] for event in everything(places)]
    assert kept == names[-len(kept) :]
    assert len(kept) > 5
    assert sorted(os.listdir(places.root)) == ["events.jsonl", "events.jsonl.1"]


def test_writers_that_are_killed_leave_the_order(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many at once, some killed at any moment, files renamed meanwhile: whole lines in the order of their times."""
    monkeypatch.setattr(events, "LARGEST", 20000)
    pids = []
    for number in range(6):
        pid = os.fork()
        if pid == 0:
            count = 0
            while number % 2 or count < 300:
                tell(places, f"{number}-{count}")
                count += 1
            os._exit(0)  # noqa: SLF001 - a child of the test
        pids.append(pid)
    for pid in pids[::2]:
        os.waitpid(pid, 0)
    for pid in pids[1::2]:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    tell(places, "last")
    found = everything(places)
    times = [event["timeNano"] for event in found]
    assert times == sorted(times)
    assert found[-1]["Actor"]["ID"] == "last"
    for number in range(6):
        counts = [
            int(event["Actor"]["ID"].partition("-")[2])
            for event in found
            if event["Actor"]["ID"].startswith(f"{number}-")
        ]
        assert counts == list(range(counts[0], counts[-1] + 1)) if counts else True
