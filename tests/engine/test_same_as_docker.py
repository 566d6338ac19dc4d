# SPDX-License-Identifier: Apache-2.0
"""The same commands to pypod and to Docker: status, standard output and errors must be the same (sides.same: what may differ)."""

import pytest
from sides import Oracle, Pypod, same

NONE = "--network none"
# Each line is one command; a script is run on both sides, line by line.
SCRIPTS = {
    "exit statuses": f"""
        run --rm {NONE} box true
        run --rm {NONE} box sh -c exit\xa03
        run --rm {NONE} box sh -c kill\xa0-9\xa0$$
        run --rm {NONE} box false
    """,
    "output and input": f"""
        run --rm {NONE} box sh -c echo\xa0out;echo\xa0err\xa0>&2
        run --rm -i {NONE} box cat
        run --rm {NONE} box cat
        run --rm {NONE} -a stdout box sh -c echo\xa0out;echo\xa0err\xa0>&2
        run --rm {NONE} -a stderr box sh -c echo\xa0out;echo\xa0err\xa0>&2
        run -d -a stdout {NONE} box true
    """,
    "filters": f"""
        create --name one {NONE} -l x=y -l z box
        create --name two {NONE} -l x=q -v named:/data box
        run --name three {NONE} box sh -c exit\xa03
        run -d --name four {NONE} box sleep 1000
        ps -a --filter label=x --format {{{{.Names}}}}
        ps -a --filter label=x --filter label=z --format {{{{.Names}}}}
        ps -a --filter label=x=q --filter name=two --format {{{{.Names}}}}
        ps -a --filter name=one --filter name=two --format {{{{.Names}}}}
        ps -a --filter exited=3 --format {{{{.Names}}}}
        ps -a --filter exited=x
        ps -a --filter status=created --format {{{{.Names}}}}
        ps -a --filter before=three --format {{{{.Names}}}}
        ps -a --filter since=two --format {{{{.Names}}}}
        ps -a --filter since=nosuch
        ps -a --filter volume=named --format {{{{.Names}}}}
        ps -a --filter ancestor=box --filter status=running --format {{{{.Names}}}}
        ps -a --filter health=bogus
        ps -a --filter publish=x
        ps -a --filter foo
        ps -aq --format {{{{.Names}}}}
        ps -as --filter name=one
        volume ls --filter foo=bar
        images --filter foo=bar
    """,
    "exec": f"""
        run -d --name one {NONE} box sleep 1000
        exec -w /tmp -e A=1 -u user one sh -c pwd;echo\xa0$A;id
        exec one sh -c kill\xa0-9\xa0$$
        exec -i one cat
        exec -it one cat
        inspect -f {{{{.ExecIDs}}}} one
    """,
    "life": f"""
        create --name one {NONE} box sleep 1000
        start one
        start one
        pause one
        pause one
        exec one true
        rm one
        unpause one
        unpause one
        rm one
        stop -t 0 one
        stop one
        kill one
        exec one true
        top one
        wait one
        pause one
        rm one
        rm one
    """,
    "names": f"""
        create --name one {NONE} box
        create --name one {NONE} box
        create --name two {NONE} box
        rename one two
        rename one one
        rename one three
        rename one four
        rename three bad\xa0name
        inspect -f {{{{.Name}}}} three
        rm three two nosuch
    """,
    "images": f"""
        tag box named:1
        create --name one {NONE} named:1 true
        ps -a --format {{{{.Image}}}}
        rmi named:1
        rmi -f named:1
        rmi -f named:1
        ps -a --format {{{{.Image}}}}
        inspect -f {{{{.Config.Image}}}} one
        inspect --type volume nosuch
        images nosuch
        images -q --format {{{{.Repository}}}} nosuch
        run --rm {NONE} box ls -A /
        create --name two {NONE} box sh -c touch\xa0/x
        diff two
        start -a two
        diff two
        history nosuch
    """,
    "nothing there": f"""
        logs nosuch
        inspect nosuch
        stop nosuch
        start nosuch
        kill nosuch
        exec nosuch true
        attach nosuch
        create --name there {NONE} box
        attach there
        start -a there nosuch
        rm there
        wait nosuch
        port nosuch
        top nosuch
        rename nosuch other
        rm -f nosuch
        volume rm nosuch
        volume inspect nosuch
        ps --filter status=bogus
        ps --filter bogus=1
        ps --quiet --latest
    """,
    "documents": f"""
        create --name one -e A=1 -l x=y --stop-signal INT {NONE} box sleep 10
        inspect -f {{{{.State.Status}}}}\xa0{{{{.State.Running}}}}\xa0{{{{.State.ExitCode}}}} one
        inspect -f {{{{json\xa0.Config.Env}}}}\xa0{{{{json\xa0.Config.Labels}}}}\xa0{{{{json\xa0.Config.Cmd}}}} one
        inspect -f {{{{.Path}}}}\xa0{{{{.Args}}}}\xa0{{{{.Config.StopSignal}}}} one
        inspect -f {{{{.Nope}}}} one
        inspect -f {{{{range\xa0$k,\xa0$v\xa0:=\xa0.Config.Labels}}}}{{{{$k}}}}={{{{$v}}}}{{{{end}}}} one
        inspect -f {{{{if\xa0.State.Running}}}}up{{{{else}}}}down{{{{end}}}} one
        inspect -f {{{{json\xa0.HostConfig.RestartPolicy}}}} one
        inspect -f {{{{len\xa0.Args}}}}\xa0{{{{index\xa0.Args\xa00}}}}\xa0{{{{upper\xa0.Name}}}} one
        inspect -f {{{{.HostConfig.Links}}}}\xa0{{{{.Config.Domainname}}}}\xa0{{{{.HostConfig.ShmSize}}}} one
        ps -a --format {{{{.Names}}}}\xa0{{{{.Image}}}}\xa0{{{{.Command}}}}\xa0{{{{.State}}}}\xa0{{{{.Labels}}}}
        ps -a --format table\xa0{{{{.Names}}}}\\t{{{{.Image}}}}
        ps -a --no-trunc --format {{{{.Command}}}}
        ps -a --filter name=on --filter label=x --format {{{{.Names}}}}
        ps -a --filter name=nope -q
    """,
    "environment": f"""
        run --rm {NONE} -e A=1 -e B= -e FROM=me -e NOWHERE box sh -c env|grep\xa0-v\xa0-e\xa0HOST\xa0-e\xa0PWD\xa0-e\xa0SHLVL|sort
        run --rm {NONE} --entrypoint echo box a b
        run --rm {NONE} --entrypoint= box
        run --rm {NONE} -w /tmp box pwd
        run --rm {NONE} -w /new/dir box pwd
        run --rm {NONE} -u user box id
        run --rm {NONE} -u 77:88 box id
        run --rm {NONE} -u nosuch box id
        run --rm {NONE} --group-add extra box id
        run --rm {NONE} --hostname name --domainname example.org box cat /etc/hostname
        run --rm {NONE} --read-only box touch /x
        run --rm {NONE} --userns host box cat /proc/self/uid_map
    """,
    "shared memory": f"""
        run -d --name one --ipc shareable --shm-size 1m {NONE} box sleep 1000
        exec one sh -c echo\xa0hello>/dev/shm/file
        run --rm --ipc container:one {NONE} box cat /dev/shm/file
        run --rm --ipc container:one --read-only {NONE} box sh -c cd\xa0/dev/shm&&echo\xa0more>more&&ls
        run -d --name two --ipc container:one --shm-size 2m {NONE} box sleep 1000
        run --rm --ipc container:two {NONE} box sh -c ls\xa0/dev/shm;grep\xa0-o\xa0"/dev/shm.*"\xa0/proc/mounts|sed\xa0s/,inode64//
        inspect -f {{{{.HostConfig.IpcMode}}}}\xa0{{{{.HostConfig.ShmSize}}}} one two
        run -d --name three --ipc private {NONE} box sleep 1000
        run -d --name four {NONE} box sleep 1000
        run -d --name five --ipc none {NONE} box sleep 1000
        run -d --name six --ipc host {NONE} box sleep 1000
        run --rm --ipc container:three {NONE} box true
        run --rm --ipc container:four {NONE} box true
        run --rm --ipc container:five {NONE} box true
        run --rm --ipc container:six {NONE} box sh -c grep\xa0-c\xa0/dev/mqueue\xa0/proc/mounts;stat\xa0-c\xa0%a\xa0/dev/shm
        run --rm --ipc none {NONE} box touch /dev/shm/file
        run --rm --ipc container:nosuch {NONE} box true
        run --rm --ipc container: {NONE} box true
        create --name seven --ipc container:one {NONE} box ls /dev/shm
        stop -t 0 one
        exec two cat /dev/shm/file
        start -a seven
        run --rm --ipc container:one {NONE} box true
        start one
        start -a seven
        inspect -f {{{{.HostConfig.IpcMode}}}} three four five six
    """,
    "volumes": f"""
        volume create named
        run --rm {NONE} -v named:/data box sh -c echo\xa0kept>/data/file
        run --rm {NONE} -v named:/data:ro box sh -c cat\xa0/data/file;touch\xa0/data/x
        run --rm {NONE} -v /data -v named:/n box sh -c ls\xa0-d\xa0/data\xa0/n
        create --name one {NONE} -v /anonymous box
        inspect -f {{{{range\xa0.Mounts}}}}{{{{.Type}}}}\xa0{{{{.Destination}}}}\xa0{{{{.RW}}}};{{{{end}}}} one
        rm -v one
        create --name two {NONE} -v named:/data box
        inspect -f {{{{(index\xa0.Mounts\xa00).Name}}}} two
        volume rm named
        rm two
        volume ls
        volume inspect -f {{{{.Name}}}}\xa0{{{{.Driver}}}}\xa0{{{{.Scope}}}} named
        volume rm named
        volume rm named
        volume create -o foo=bar x1
        volume create -o type=tmpfs x1
        volume create x
        volume create -o type=tmpfs -o device=tmpfs -o o=size=1m,uid=1000 small
        volume inspect -f {{{{.Options}}}} small
        run --rm {NONE} -v small:/t box sh -c grep\xa0"\xa0/t\xa0"\xa0/proc/mounts;stat\xa0-c\xa0%u\xa0/t
        create --name three --mount type=bind,src=/etc,dst=/m,ro --mount type=tmpfs,dst=/t,tmpfs-size=1m -v small:/s -v /x box
        inspect -f {{{{json\xa0.HostConfig.Binds}}}}\xa0{{{{json\xa0.HostConfig.Mounts}}}}\xa0{{{{json\xa0.Config.Volumes}}}} three
        inspect -f {{{{len\xa0.Mounts}}}} three
    """,
}
REFUSED = (
    "--restart bogus", "--restart always:3", "--restart on-failure:-1", "--restart on-failure:x", "--rm --restart always",
    "--cap-add BOGUS", "--security-opt foo", "-v /a:data", "-v :/x:ro", "-v /tmp:/", "-v /x:/y:bogus", "-v a!:/x",
    "--mount type=bind,src=/nonex,dst=/x", "--mount x", "--mount type=bind", "--ulimit nofile=10:5", "--ulimit x",
    "--pid=foo", "--pid=container:nope", "--ipc=foo", "--uts foo", "--userns foo", "--cgroupns x", "--name bad!",
    "-m 1m", "--cpus 100", "--memory-swap 5m", "-m 100m --memory-swap 5m", "--oom-score-adj 2000", "--cpuset-cpus 99",
    "-w rel", "--stop-signal FOO", "--sysctl foo=1", "--tmpfs x", "--health-cmd x --no-healthcheck", "--log-driver foo",
    "--log-opt foo=1", "--link nosuch:x", "--volumes-from nosuch", "--gpus all", "--runtime foo", "-a foo", "-e=",
    "--env-file /nonex", "-p abc", "-p 80-81:8000-8002", "-p 99999:80", "--label =x", "--add-host foo", "--isolation x",
    "-v /a:/b -v /c:/b", "-v /a:/b --tmpfs /b", "-v /a:/b:ro,rw", "-v /a:/b:nocopy", "-v n:/b:rshared",
    "--mount type=bind,src=x,dst=/y", "--mount type=bind,src=/etc,dst=y", "--mount type=foo,dst=/x", "--mount type=bind,dst=/x",
    "--mount type=bind,src=/etc,dst=/x,bind-propagation=foo", "--mount type=tmpfs,src=/x,dst=/y", "--mount=",
    "--mount type=bind,src=/etc,dst=/x,volume-nocopy", "--mount type=tmpfs,dst=/x,tmpfs-size=foo", "--tmpfs /x:foo,size=1m",
    "--mount type=bind,src=/etc,dst=/x,readonly=maybe", "--log-opt max-size=x", "--log-opt max-file=x", "--log-opt max-file=0",
    "--cidfile /nonex/file", "--memory 10x", "--health-interval 5",
    "--health-interval 100us --health-cmd x", "--device /etc", "--device /dev/nosuch", "--device /dev/null:x:y:z",
    "--device /dev/null:/dev/y:q", "--device-cgroup-rule bogus", "--security-opt bogus=x", "--pull never --platform linux/arm",
    "--shm-size -1", "-m -1",
    "--cpu-quota 10", "--memory-reservation 1m", "--cpu-shares -1", "--cpu-period 10", "--cpus 1 --cpu-quota 50000",
    "--cpuset-cpus x",
    "--network=", "--storage-opt size=1G", "--foo", "-Z",
    "--memory-swappiness 200",
)  # fmt: skip


def words_of(line: str) -> list[str]:
    """Split a command; a no-break space is a space within a word."""
    return [word.replace("\xa0", " ") for word in line.split(" ") if word]


@pytest.mark.root
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_says_the_same(name: str, pypod: Pypod, oracle: Oracle) -> None:
    """Issue 6: `alias docker=pypod` must serve."""
    differences = []
    for line in SCRIPTS[name].splitlines():
        words = words_of(line.strip())
        if words:
            theirs, ours = same(oracle(*words)), same(pypod(*words))
            if ours != theirs:
                differences.append(f"{line.strip()}\n  docker {theirs}\n  pypod  {ours}")
    assert not differences, "\n".join(differences)


@pytest.mark.root
@pytest.mark.parametrize("options", REFUSED)
def test_what_docker_refuses_is_refused_in_its_words(
    options: str, pypod: Pypod, oracle: Oracle
) -> None:
    """highlevel.md 1.2: errors of `run` end with 125, whoever refuses."""
    words = (
        ["run", *options.split(), "--rm"] if "--rm" not in options else ["run", *options.split()]
    )
    if "--network" not in options:
        words += ["--network", "none"]
    assert same(pypod(*words, "box", "true")) == same(oracle(*words, "box", "true"))
    assert pypod.output("ps", "-aq") == ""
