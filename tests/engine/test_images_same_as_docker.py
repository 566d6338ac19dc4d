# SPDX-License-Identifier: Apache-2.0
"""The same command lines about images to pypod and to Docker, each with a registry of its own: the same status, output and errors.

Left out is what only Docker's daemon of version 20.10 says, and what it says of a registry in the words of its HTTP client. Images
that were made in the same second have no order.
"""

import gzip
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import DebianRegistry
from sides import IMAGE, Oracle, Pypod, same
from test_same_as_docker import words_of

pytestmark = pytest.mark.root

NONE = "--network none"
SHOWN = "--format {{.Repository}}:{{.Tag}}"
# HERE is a directory of the side's own with root.tar, root.tar.gz and dir/; REG its registry.
SCRIPTS = {
    "names": f"""
        import HERE/root.tar made:1
        tag made:1 one:1
        tag made:1 one:2
        tag made:1 two/three:x
        tag made:1 UPPER:1
        tag made:1 bad::x
        tag made:1 one:bad/tag
        tag nosuch one
        tag made:1
        tag made:1 one@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        tag made:1 sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        images one
        images one:2 -q
        images made:nosuch
        images {SHOWN}
        images {SHOWN} --filter reference=one
        images {SHOWN} --filter reference=one:*
        images {SHOWN} --filter reference=two/*
        images {SHOWN} --filter reference=*
        images {SHOWN} --filter reference=*/*:x
        images {SHOWN} --filter reference=[mo]*:?
        images --filter dangling=x
        images --filter nope=1
        images --filter before=nosuch
        images a b c --foo
        rmi one:2 nosuch two/three:x
        rmi nosuch
        rmi -f nosuch
        rmi bad::x
        rmi sha256:0000
        rmi
        image rm one:1
        image ls made
    """,
    "forms": f"""
        import HERE/root.tar made:1
        images made
        images --no-trunc made
        images --digests made
        images --format json made
        images --format {{{{json\xa0.}}}} made
        images --format {{{{json\xa0.Digest}}}} made
        images --format raw made
        images --digests --format raw made
        images --format table made
        images --format table\xa0{{{{.ID}}}}\\t{{{{.Size}}}}\\t{{{{.CreatedSince}}}} made
        images --format {{{{.Nope}}}} made
        images --format {{{{.Nope made
        history made:1
        history --no-trunc made:1
        history -q made:1
        history -H=false made:1
        history --format json made:1
        history --format {{{{.Nope}}}} made:1
        history --format {{{{.Nope made:1
        history nosuch
        history
        image inspect -f {{{{json\xa0.RootFS}}}}\xa0{{{{.Os}}}}\xa0{{{{.Size}}}}\xa0{{{{.RepoTags}}}}\xa0{{{{.Comment}}}} made:1
        image inspect -f {{{{.Nope}}}} made:1
        image inspect
        create --name one {NONE} -l x=y made:1 true
        ps -a --format raw
        ps -as --format raw
        ps -a --format {{{{.Nope}}}}
        ps -a --format {{{{.Nope
        volume create named
        volume ls --format raw
        volume ls --format {{{{.Nope}}}}
        volume ls --format {{{{.Nope
        network ls --filter name=none --format raw
        network ls --format {{{{.Nope
        system df --format {{{{.Nope
    """,
    "making": f"""
        import HERE/root.tar
        import -m words -c CMD\xa0["a","b"] -c ENV\xa0A=1\xa0B=2 -c EXPOSE\xa080/udp -c LABEL\xa0x=y HERE/root.tar made:2
        import HERE/root.tar.gz made:4
        import HERE/nosuch made:5
        import HERE/root.tar UPPER:1
        import HERE/root.tar bad::x
        image inspect -f {{{{.Config.Cmd}}}}\xa0{{{{.Config.Env}}}}\xa0{{{{.Config.ExposedPorts}}}} made:2
        image inspect -f {{{{.Config.Labels}}}}\xa0{{{{.Comment}}}}\xa0{{{{.Architecture}}}}\xa0{{{{.Author}}}} made:2
        images {SHOWN} --filter label=x
        images {SHOWN} --filter label=x=y
        images {SHOWN} --filter label=x=z
        images {SHOWN} --filter dangling=true
        history --format {{{{.Comment}}}}\xa0{{{{.CreatedBy}}}}\xa0{{{{.Size}}}} made:2
        run --name one {NONE} made:4 sh -c echo\xa0hi>/f;rm\xa0/etc/group
        commit one
        commit -m msg -a me -c CMD\xa0["x"] one made:6
        commit one UPPER
        commit one bad::x
        commit nosuch x
        commit
        history --format {{{{.CreatedBy}}}}\xa0{{{{.Comment}}}}\xa0{{{{.Size}}}} made:6
        image inspect -f {{{{.Comment}}}}\xa0{{{{.Author}}}}\xa0{{{{.Config.Cmd}}}}\xa0{{{{len\xa0.RootFS.Layers}}}} made:6
        run --rm {NONE} made:6 cat /f
        run --rm {NONE} made:6 cat /etc/group
        diff nosuch
        diff
        rmi made:4
        image prune -f --filter until=x
        image prune -f --filter foo=bar
        image prune -f --filter label=nope
        image prune x
    """,
    "used": f"""
        import -c LABEL\xa0a=b\xa0c=d HERE/root.tar used:1
        tag used:1 used:2
        tag used:1 other:1
        run -d --name one {NONE} used:1 sleep 1000
        rmi used:1
        rmi -f used:1
        images {SHOWN} --filter label=a --filter label=c
        images {SHOWN} --filter label=a --filter label=x
        images {SHOWN} --filter label=a=b --filter reference=other:1
        images library/used
        images docker.io/library/used:2
        inspect -f {{{{.Config.Labels.a}}}} used:2
        ps -a --filter ancestor=used:1 --format {{{{.Names}}}}
        ps -a --filter ancestor=used:2 --format {{{{.Names}}}}
        ps -a --filter ancestor=other:1 --format {{{{.Names}}}}
        ps -a --filter ancestor=nosuch --format {{{{.Names}}}}
        pause one
        commit one made:1
        unpause one
        run -d --name two {NONE} made:1 sleep 1000
        ps -a --filter ancestor=used:2 --format {{{{.Names}}}}
        ps -a --filter ancestor=made:1 --format {{{{.Names}}}}
        image inspect -f {{{{.Config.Labels}}}} made:1
        rm -f two
        rmi used:2
        run --rm {NONE} docker.io/library/other:1 echo hi
        system prune -f --filter foo=bar
        login -u x --password-stdin
        login -u x -p y --password-stdin
        login -u x
        login --password-stdin
        image tag
        container export
        container commit
        container diff
    """,
    "archives": f"""
        import HERE/root.tar made:1
        import -c LABEL\xa0a=b HERE/root.tar made:2
        save -o HERE/one.tar made:1
        save -o HERE/both.tar made
        save -o HERE/x.tar nosuch
        save -o HERE/nosuch/x.tar made:1
        save -o HERE/dir made:1
        save -o HERE/x.tar bad::x
        save
        rmi made:1 made:2
        load -i HERE/one.tar
        load -i HERE/one.tar
        load -q -i HERE/both.tar
        load -i HERE/nosuch.tar
        load x
        images {SHOWN} --filter reference=made
        create --name one {NONE} made:1 true
        export -o HERE/e.tar one
        export -o HERE/nosuch/e.tar one
        export -o HERE/dir one
        export nosuch
        export
        load --input=HERE/one.tar
        save -o HERE/t.tar made:1 made:1
        load -i HERE/t.tar
        cp HERE/root.tar -
        import -c LABEL\xa0c=d HERE/root.tar made:1
        load -i HERE/one.tar
        cp one:/etc/passwd HERE/passwd
        cp one:/nosuch HERE/x
        cp HERE/nosuch one:/x
        cp HERE/dir/x one:/nosuch/x
        cp nosuch:/x HERE/y
        cp one:/etc one:/x
        cp HERE/dir/x HERE/y
        cp one:/etc/passwd HERE/nodir/
    """,
    "registries": f"""
        import HERE/root.tar made:1
        push REG/app:1
        tag made:1 REG/app:1
        push REG/app:2
        push REG/app
        push -q REG/app:1
        tag made:1 REG/app:2
        push -qa REG/app
        push -a REG/app:1
        push -a REG/nosuch
        push UPPER
        push bad::x
        push
        push REG/app@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        images --digests REG/app
        rmi REG/app:1 REG/app:2
        pull REG/app:1
        pull REG/app:1
        pull -q REG/app:2
        pull -a REG/app:1
        pull REG/app:nosuch
        pull REG/app
        pull UPPER
        pull bad::x
        pull
        pull a b
        rmi made:1 REG/app:1 REG/app:2
        run -q --rm {NONE} REG/app:1 echo hi
        create --name one {NONE} --pull missing -q REG/app:3 true
        run --rm {NONE} --pull never nosuch true
        run --rm {NONE} --pull foo box true
        tag REG/app:1 made:1
        rmi REG/app:1
        run --rm {NONE} --pull always REG/app:1 echo hi
        rmi REG/app:1
        create --name one {NONE} REG/app:1 true
    """,
}  # fmt: skip


@pytest.fixture
def registries(scratch: Path) -> Iterator[list[DebianRegistry]]:
    """A registry for each side."""
    if shutil.which("docker-registry") is None:
        pytest.skip("docker-registry is missing: apt-get install docker-registry")
    made = [DebianRegistry(scratch / f"registry-{side}") for side in ("ours", "theirs")]
    yield made
    for registry in made:
        registry.stop()


@pytest.fixture
def directories(scratch: Path, root_archive: Path) -> list[Path]:
    """A directory for each side, with what the scripts import."""
    made = []
    for side in ("ours", "theirs"):
        directory = scratch / side
        (directory / "dir").mkdir(parents=True)
        (directory / "dir/x").write_text("x\n")
        shutil.copy(root_archive, directory / "root.tar")
        (directory / "root.tar.gz").write_bytes(gzip.compress(root_archive.read_bytes(), mtime=0))
        made.append(directory)
    return made


def said_by(side: Pypod | Oracle, line: str, there: dict[str, str]) -> tuple[int, str, str]:
    """Return what a side says of a line, without what differs by itself."""
    text = line
    for word, meaning in there.items():
        text = text.replace(word, meaning)
    code, out, errors = same(side(*words_of(text)))
    for word, meaning in there.items():
        out, errors = out.replace(meaning, word), errors.replace(meaning, word)
    if line.startswith(("images", "load")):
        out = "\n".join(sorted(out.split("\n")))
    return code, out, errors


def clean_up(side: Pypod | Oracle) -> None:
    """Leave the one image."""
    side.remove_all()
    made = side.output("images", "--format", "{{.Repository}}:{{.Tag}}").split()
    side(
        "rmi",
        "--force",
        *(name for name in made if name not in ("<none>:<none>", f"{IMAGE}:latest")),
    )
    side("image", "prune", "--force")


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_says_the_same(
    name: str,
    pypod: Pypod,
    oracle: Oracle,
    registries: list[DebianRegistry],
    directories: list[Path],
) -> None:
    """Issue 6: the same commands and the same output."""
    sides = [*zip((pypod, oracle), registries, directories, strict=True)]
    differences = []
    for line in map(str.strip, SCRIPTS[name].strip().splitlines()):
        ours, theirs = (
            said_by(side, line, {"REG": registry.domain, "HERE": str(directory)})
            for side, registry, directory in sides
        )
        if ours != theirs:
            differences.append(f"{line}\n  docker {theirs}\n  pypod  {ours}")
    for side in (pypod, oracle):
        clean_up(side)
    assert not differences, "\n".join(differences)
