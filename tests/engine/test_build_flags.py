# SPDX-License-Identifier: Apache-2.0
"""The flags of `pypod build` beyond the Dockerfile: where the result goes, what a RUN may use, and what is refused in words."""

import json
import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from blackbox.processes import Running, until
from building import NONE, Build, cached, config, ok, says
from servers import DebianRegistry
from sides import IMAGE, PATH, PYPOD, Oracle, Pypod

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("no_image_left")]

RESULT = f"""FROM {IMAGE} AS made
RUN mkdir /out && echo x > /out/x && chmod 640 /out/x && chown 1000:1000 /out/x && ln -s /etc/passwd /out/link
FROM scratch
COPY --from=made /out /
"""


def test_output_is_a_directory_beside_what_is_there(
    build: Build, pypod: Pypod, scratch: Path
) -> None:
    """docs of buildx: type=local writes the files of the last stage, as the caller's; no image is made."""
    target = scratch / "out"
    target.mkdir()
    (target / "kept").write_text("kept\n")
    ok(build(RESULT, "-o", str(target)))
    assert sorted(os.listdir(target)) == ["kept", "link", "x"]
    status = (target / "x").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o640, os.geteuid())
    assert os.readlink(target / "link") == "/etc/passwd"
    assert pypod("image", "inspect", "made").code == 1
    ok(build(RESULT, "--output", f"type=local,dest={scratch}/deep/new"))
    assert sorted(os.listdir(scratch / "deep/new")) == ["link", "x"]


def test_no_link_in_an_output_directory_leads_out(build: Build, scratch: Path) -> None:
    """What another image has written there before is as strange as this one."""
    target, victim = scratch / "out", scratch / "victim"
    target.mkdir()
    victim.mkdir()
    (target / "d").symlink_to(victim)
    text = "FROM BOX AS made\nRUN mkdir -p /out/d && echo x > /out/d/x\nFROM scratch\nCOPY --from=made /out /\n"
    build(text, "-o", str(target))
    assert os.listdir(victim) == []


def test_output_is_an_archive_or_standard_output(
    build: Build, pypod: Pypod, context: Path, scratch: Path
) -> None:
    ok(build(RESULT, "-o", f"type=tar,dest={scratch}/out.tar"))
    with tarfile.open(scratch / "out.tar") as archive:
        names = sorted(archive.getnames())
        assert archive.getmember("x").uid == 1000
    assert names == ["link", "x"]
    with open(scratch / "piped.tar", "wb") as file:
        subprocess.run(
            [str(PYPOD), "build", *NONE, "-q", "-o", "-", str(context)],
            env=pypod.environment,
            stdout=file,
            check=True,
        )
    with tarfile.open(scratch / "piped.tar") as archive:
        assert sorted(archive.getnames()) == ["link", "x"]


@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_output_is_the_archive_of_an_image(
    build: Build, pypod: Pypod, oracle: Oracle, scratch: Path, kind: str
) -> None:
    """Both are one: it has both layouts."""
    ok(build("FROM BOX\nENV A=b\n", "-o", f"type={kind},dest={scratch}/out.tar", name="made:2"))
    assert "Loaded image: made:2" in oracle.output("load", "-i", str(scratch / "out.tar"))
    assert oracle.output("run", "--rm", *NONE, "made:2", "sh", "-c", "echo $A") == "b\n"
    oracle.output("rmi", "made:2")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("-o", "type=weird,dest=x"), "unknown type 'weird'"),
        (("-o", "type=local"), "dest is required for local exporter"),
        (("-o", "type=tar,dest=x,weird=1"), "unknown field weird"),
        (("-o", "-", "-o", "type=tar"), "only one output can be written to stdout"),
        (("--output", "/dev/null"), "output /dev/null: file exists"),
        (("--ssh", "default"), "invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set"),
        (("--ssh", "x=/nosuch"), "ssh x: /nosuch: no such file or directory"),
        (("--build-context", "x"), "invalid context value: x, expected key=value"),
        (("--build-context", "x=/nosuch"), "build context x: /nosuch: a directory, git or docker-image:// is expected"),
        (("--secret", "src=x"), "id=NAME[,src=FILE|,env=NAME] is expected"),
        (("--secret", "id=a,src=/nosuch"), "secret a: open /nosuch: no such file or directory"),
        (("--squash",), "--squash: an image of one layer is FROM scratch, then COPY --from=STAGE / /"),
        (("--sbom", "true"), "--sbom: no attestation is made"),
        (("--provenance=mode=max",), "--provenance: no attestation is made"),
        (("--attest", "type=sbom"), "--attest: no attestation is made"),
        (("--allow", "security.insecure"), "--allow: no entitlement but network.host exists"),
        (("--annotation", "a=b"), "--annotation: annotations are not written"),
        (("--call", "outline"), "--call: nothing but build can be called"),
        (("--check",), "--check: no checks are known"),
        (("--isolation", "hyperv"), "--isolation: there is no isolation but that of containers"),
        (("--network", "weird"), 'network mode "weird" not supported by build'),
        (("--target", "nosuch"), 'target stage "nosuch" could not be found'),
        (("--platform", "a/b/c/d"), '"a/b/c/d" is an invalid platform'),
        (("--ulimit", "x"), 'invalid argument "x" for "--ulimit" flag'),
    ],
)  # fmt: skip
def test_what_is_not_done_is_said(
    build: Build, pypod: Pypod, words: tuple[str, ...], problem: str
) -> None:
    """Nothing that was asked for is left undone in silence, and nothing is half made."""
    text = (
        "FROM BOX\nCOPY --from=x a /\n"
        if "x=/nosuch" in words and "--ssh" not in words
        else "FROM BOX\n"
    )
    ran = build(text, *words)
    assert (ran.code in (1, 125), problem in ran.stderr) == (True, True), ran
    assert pypod("image", "inspect", "made").code == 1


def test_harmless_flags_change_nothing(build: Build, pypod: Pypod) -> None:
    words = "--provenance=false --sbom=false --allow network.host --call build --isolation default"
    words += " --cache-from box --cache-to type=inline --builder default --load --rm --force-rm --compress"
    ok(build("FROM BOX\nENV a=b\n", *words.split()))
    first = pypod.output("image", "inspect", "-f", "{{.Id}}", "made")
    ok(build("FROM BOX\nENV a=b\n"))
    assert pypod.output("image", "inspect", "-f", "{{.Id}}", "made") == first


def test_flags_of_containers_hold_for_run(build: Build, pypod: Pypod) -> None:
    script = "(ulimit -n; grep -c 1.2.3.4 /etc/hosts; stat -f -c %b /dev/shm; grep Seccomp: /proc/self/status) > /seen"
    words = "--ulimit nofile=64:64 --add-host here:1.2.3.4 --shm-size 1m --security-opt seccomp=unconfined"
    ok(build(f"FROM BOX\nRUN {script}\n", *words.split()))
    assert says(pypod, "cat /seen") == "64\n1\n256\nSeccomp:\t0\n"


def test_results_are_told_in_files(build: Build, pypod: Pypod, scratch: Path) -> None:
    words = ("--iidfile", str(scratch / "id"), "--metadata-file", str(scratch / "meta"))
    ok(build("FROM BOX\nLABEL a=b\n", *words, "--label", "c=d", name="made:3"))
    identity = pypod.output("image", "inspect", "-f", "{{.Id}}", "made:3").strip()
    assert (scratch / "id").read_text() == identity
    wanted = {"containerimage.config.digest": identity, "image.name": "docker.io/library/made:3"}
    assert json.loads((scratch / "meta").read_text()) == wanted
    assert config(pypod, "made:3")["Labels"] == {"a": "b", "c": "d"}


def test_stages_can_be_kept_from_the_cache(build: Build) -> None:
    """docs of buildx: --no-cache-filter names stages."""
    text = "FROM BOX AS one\nRUN echo 1 > /f\nFROM BOX AS two\nCOPY --from=one /f /f\nRUN echo 2 > /g\n"
    ok(build(text))
    assert cached(ok(build(text))) == 3
    assert cached(ok(build(text, "--no-cache-filter", "two"))) == 1
    assert cached(ok(build(text, "--no-cache-filter", "one,two"))) == 0


def test_a_build_context_takes_the_place_of_a_stage_or_an_image(
    build: Build, pypod: Pypod, scratch: Path
) -> None:
    other = scratch / "other"
    other.mkdir()
    (other / "f").write_text("of the directory\n")
    (other / "ignored").write_text("x\n")
    (other / ".dockerignore").write_text("ignored\n")
    text = "FROM scratch AS one\nCOPY a /f\nFROM base\nCOPY --from=one . /given\nRUN --mount=from=one,target=/m cp /m/f /g\n"
    words = ("--build-context", f"one={other}", "--build-context", f"base=docker-image://{IMAGE}")
    ok(build(text, *words))
    assert (
        says(pypod, "cat /given/f /g; ls -A /given")
        == "of the directory\n" * 2 + ".dockerignore\nf\n"
    )
    assert cached(ok(build(text, *words))) == 2
    ran = build("FROM base\n", "--build-context", f"base={other}")
    assert (ran.code, "a stage begins with an image, not with" in ran.stderr) == (1, True)


def test_what_is_built_is_pushed(
    build: Build, pypod: Pypod, registry: DebianRegistry, login: Path
) -> None:
    """docs of buildx: --push is --output=type=registry."""
    for number, words in enumerate(
        (("--push",), ("-o", "type=registry"), ("-o", "type=image,push=true"))
    ):
        name = f"{registry.domain}/made:{number}"
        ok(build(f"FROM BOX\nENV n={number}\n", *words, name=name))
        pypod.output("rmi", name)
        pypod.output("pull", "-q", name)
        assert config(pypod, name)["Env"][-1] == f"n={number}"  # type: ignore[index]  # parsed JSON
    argv = ("build", *NONE, "--push", str(pypod.directory))
    assert "tag is needed when pushing to registry" in pypod(*argv).stderr


# --- ssh


def bring(program: str, directory: Path) -> None:
    """Copy a program of the host with its libraries to the same places below a directory."""
    listed = subprocess.run(["ldd", program], capture_output=True, check=True, text=True).stdout
    for path in (program, *(word for word in listed.split() if word.startswith("/"))):
        target = directory / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)


@pytest.fixture
def key(scratch: Path) -> Path:
    """A key without a password."""
    words = ["-q", "-t", "ed25519", "-N", "", "-C", "of-the-test", "-f", str(scratch / "key")]
    subprocess.run(["ssh-keygen", *words], check=True)
    return scratch / "key"


@pytest.fixture
def agent(scratch: Path, key: Path) -> Iterator[Path]:
    """An agent with that key: its socket."""
    (scratch / "outputs").mkdir()
    made = Running(["ssh-agent", "-D", "-a", "agent"], scratch / "outputs", cwd=scratch)
    until((scratch / "agent").exists, "the agent listens")
    environment = {"PATH": PATH, "SSH_AUTH_SOCK": "agent"}
    subprocess.run(["ssh-add", "-q", str(key)], cwd=scratch, env=environment, check=True)
    yield scratch / "agent"
    made.end()


MOUNT = "--mount=type=ssh,mode=0660,uid=1000,gid=2000"
ASKING = f"""FROM {IMAGE}
COPY tools /
ENV PATH=/bin:/usr/bin
RUN {MOUNT} stat -c '%a %u %g %F' $SSH_AUTH_SOCK > /seen; echo $SSH_AUTH_SOCK >> /seen
RUN --mount=type=ssh,target=/a (ssh-add -l; ssh-add -D; echo $?; ssh-add -l) > /keys 2>&1
RUN echo "none: $SSH_AUTH_SOCK" > /without; ls -d /run/buildkit /a >> /without 2>/dev/null; true
"""


def test_a_run_lists_the_keys_of_an_agent_and_cannot_change_them(
    build: Build, pypod: Pypod, agent: Path, context: Path
) -> None:
    """docs of RUN --mount=type=ssh: a socket with these permissions, for this step. A Dockerfile may be a stranger's."""
    bring(str(shutil.which("ssh-add", path=PATH)), context / "tools")
    pypod.environment["SSH_AUTH_SOCK"] = str(agent)
    try:
        ok(build(ASKING, "--ssh", "default"))
    finally:
        del pypod.environment["SSH_AUTH_SOCK"]
    assert says(pypod, "cat /seen") == "660 1000 2000 socket\n/run/buildkit/ssh_agent.0\n"
    first, refused, code, again = says(pypod, "cat /keys").splitlines()
    assert "of-the-test" in first
    assert (again, code, refused) == (first, "1", "Failed to remove all identities.")
    assert says(pypod, "cat /without") == "none: \n"


def test_keys_of_files_are_lent_by_an_agent_of_the_builds_own(
    build: Build, pypod: Pypod, key: Path, context: Path
) -> None:
    """docs of buildx: --ssh ID=KEY."""
    bring(str(shutil.which("ssh-add", path=PATH)), context / "tools")
    text = "FROM BOX\nCOPY tools /\nENV PATH=/bin:/usr/bin\nRUN --mount=type=ssh,id=one ssh-add -l > /keys\n"
    ok(build(text, "--ssh", f"one={key}"))
    assert "of-the-test" in says(pypod, "cat /keys")
    locked = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", str(key)]
    subprocess.run(locked, check=True)
    ran = build(text, "--no-cache", "--ssh", f"one={key}")
    assert (ran.code, f"ssh key {key}: " in ran.stderr) == (1, True), ran
    words = [Path(f"/proc/{pid}/cmdline") for pid in os.listdir("/proc") if pid.isdecimal()]
    running = [path.read_bytes() for path in words if path.exists()]
    assert not [words for words in running if b"ssh-agent" in words and b"-D" in words]


def test_a_run_without_an_agent_fails_if_it_says_so(build: Build, pypod: Pypod) -> None:
    ok(build('FROM BOX\nRUN --mount=type=ssh echo "[$SSH_AUTH_SOCK]" > /seen\n'))
    assert says(pypod, "cat /seen") == "[]\n"
    ran = build("FROM BOX\nRUN --mount=type=ssh,required=true,id=k true\n")
    assert (ran.code, "unset ssh forward key k: give it by --ssh k" in ran.stderr) == (1, True)
