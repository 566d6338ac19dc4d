# SPDX-License-Identifier: Apache-2.0
"""`pypod build`: each instruction, the cache, what is refused, what a killed build leaves, and Docker's own builder beside it."""

import io
import json
import os
import signal
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from blackbox import host
from blackbox.processes import until
from building import NONE, Build, cached, config, ok, says
from images import layer
from sides import IMAGE, Oracle, Pypod

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("no_image_left")]

NAPPING = 100_000 + os.getpid()  # seconds that nobody else sleeps


def test_run_changes_files_and_leaves_no_mount_point(build: Build, pypod: Pypod) -> None:
    """What the runtime mounts on is in no layer: only what the program has written."""
    ok(build('FROM scratch\nCOPY --from=BOX / /\nRUN echo "one $HOME" > /one; rm /etc/kept'))
    assert (
        says(pypod, "cat /one; ls /etc/kept 2>&1; true")
        == "one /root\nls: /etc/kept: No such file or directory\n"
    )
    pypod.output("save", "-o", str(pypod.directory / "made.tar"), "made")
    assert last_layer(pypod.directory / "made.tar") == ["etc", "etc/.wh.kept", "one"]


def last_layer(archive: Path) -> list[str]:
    """Return the names in the uppermost layer of a saved image."""
    with tarfile.open(archive) as saved:
        manifest = json.load(saved.extractfile("manifest.json") or io.BytesIO())
        data = saved.extractfile(manifest[0]["Layers"][-1])
        assert data is not None
        with tarfile.open(fileobj=io.BytesIO(data.read())) as found:
            return sorted(found.getnames())


def test_run_forms_and_heredocs(build: Build, pypod: Pypod) -> None:
    ok(
        build(
            "FROM BOX\n"
            'RUN ["/bin/sh", "-c", "echo $0 > /exec"]\n'
            "RUN <<EOF\necho one > /doc\necho two >> /doc\nEOF\n"
            "RUN cat <<A > /x && cat <<B > /y\n1 $HOME\nA\n2\nB\n"
            "RUN <<'EOF'\n#!/bin/cat\nshown $HOME\nEOF\n"
            'SHELL ["/bin/sh", "-ec"]\n'
            "RUN false || echo $- > /flags\n"
        )
    )
    assert says(pypod, "cat /exec /doc /x /y /flags").startswith("/bin/sh\none\ntwo\n1 /root\n2\n")
    assert "e" in says(pypod, "cat /flags")


def test_arguments_and_variables(build: Build, pypod: Pypod) -> None:
    """ENV hides ARG; an ARG before FROM is seen by a stage that declares it; a child stage has its parent's."""
    text = (
        "ARG outer=default\nARG base=BOX\nFROM $base AS one\nARG outer\nARG inner=1\nARG hidden=arg\n"
        'ENV hidden=env from=${inner:-none} quoted="a b" old\\ name=x\nENV single word value\n'
        "RUN echo $outer $inner $hidden > /one\nFROM one\nRUN echo $outer $inner $TARGETARCH- > /two\n"
    )
    ok(build(text, "--build-arg", "outer=given", "--build-arg", "inner=2"))
    assert says(pypod, "cat /one /two") == "given 2 env\ngiven 2 -\n"
    env = [entry for entry in config(pypod)["Env"] if not entry.startswith(("PATH", "FROM"))]  # type: ignore[attr-defined]  # a list
    assert env == ["hidden=env", "from=2", "quoted=a b", "old name=x", "single=word value"]
    history = pypod.output(
        "history", "--no-trunc", "--format", "{{.CreatedBy}}", "made"
    ).splitlines()
    assert (
        "RUN |3 outer=given inner=2 hidden=arg /bin/sh -c echo $outer $inner $hidden > /one"
        in history
    )


def test_proxies_need_no_arg_and_are_not_told(build: Build, pypod: Pypod) -> None:
    text = "FROM BOX\nRUN echo $http_proxy > /proxy\n"
    ok(build(text, "--build-arg", "http_proxy=http://one"))
    assert says(pypod, "cat /proxy") == "http://one\n"
    assert "http://one" not in pypod.output("history", "--no-trunc", "made")
    assert cached(ok(build(text, "--build-arg", "http_proxy=http://two"))) == 1


def test_copy_places_files_as_docker_does(build: Build, pypod: Pypod, context: Path) -> None:
    (context / "sub/deep").chmod(0o700)
    os.chown(context / "a", 5, 6)
    os.utime(context / "a", (1_500_000_000, 1_500_000_000))
    ok(
        build(
            "FROM BOX\nRUN mkdir -p /there /real && ln -s /real /via\nWORKDIR /work/dir\n"
            "COPY a file\nCOPY a sub/b there/\nCOPY sub /tree\nCOPY sub/ /there/\nCOPY link /deref\n"
            "COPY --chown=user:extra --chmod=0421 a /owned/\nCOPY --chown=7 sub /seven\nCOPY a /via/\nCOPY s* l*k /wild/\n"
            'COPY ["a", "/with space/a"]\nCOPY --exclude=deep sub /without\nCOPY --parents sub/deep/c /whole/\n'
        )
    )
    look = (
        "cd /; find work there tree real owned seven deref wild with* whole -type f -o -type l | sort;"
        "stat -c '%u %g %a %Y' /work/dir/file; stat -c '%u %g %a' /owned/a /owned /seven/b /seven/deep /there"
    )
    assert says(pypod, look).split("\n") == [
        *(
            "deref",
            "owned/a",
            "real/a",
            "seven/b",
            "seven/deep/c",
            "there/b",
            "there/deep/c",
            "tree/b",
            "tree/deep/c",
        ),
        *("whole/sub/deep/c", "wild/b", "wild/deep/c", "wild/link", "with space/a", "without/b"),
        *("work/dir/file", "work/dir/there/a", "work/dir/there/b"),
        *(
            "0 0 644 1500000000",
            "1000 2000 421",
            "1000 2000 755",
            "7 7 644",
            "7 7 700",
            "0 0 755",
            "",
        ),
    ]


def test_copy_of_documents(build: Build, pypod: Pypod) -> None:
    ok(
        build(
            "FROM BOX\nARG v=1\nCOPY <<one <<'two' /d/\n\"a\" $v\none\n$v\ntwo\nCOPY <<E /single\nx\nE\n"
        )
    )
    assert says(pypod, "cat /d/one /d/two /single") == '"a" 1\n$v\nx\n'


def test_no_link_of_an_image_or_a_context_leads_out(
    build: Build, pypod: Pypod, context: Path, scratch: Path
) -> None:
    """CVE-2018-15664's kind: the target's links end in the image, the context's in the context."""
    outside = scratch / "outside"
    outside.mkdir()
    (context / "out").symlink_to(outside)
    (context / "up").symlink_to("../../../../../../../../etc")
    ok(build(f"FROM BOX\nRUN ln -s {outside} /escape && mkdir -p {outside}\nCOPY a /escape/\n"))
    assert list(outside.iterdir()) == []
    assert says(pypod, f"cat {outside}/a") == "a\n"
    for name in ("out", "up/passwd"):
        ran = build(f"FROM BOX\nCOPY {name} /x\n")
        assert (ran.code, f'"/{name}": not found' in ran.stderr) == (1, True), ran


def test_add_unpacks_archives_and_fetches_addresses(
    build: Build, pypod: Pypod, context: Path
) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        info = tarfile.TarInfo("in/side")
        info.size, info.uid, info.gid = 2, 7, 8
        archive.addfile(info, io.BytesIO(b"x\n"))
    (context / "archive.tgz").write_bytes(made.getvalue())
    (context / "plain.tar").write_bytes(layer(("p", b"p\n")))
    (context / "no.gz").write_bytes(b"\x1f\x8b no archive")
    server = HTTPServer(("127.0.0.1", 0), Served)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    try:
        ok(
            build(
                f"FROM BOX\nADD archive.tgz plain.tar no.gz a /got/\nADD {address}/name?x=1 /web/\nADD {address}/f /file\n"
                f"ADD --checksum=sha256:{Served.DIGEST} {address}/f /checked\n"
            )
        )
        wrong = build(f"FROM BOX\nADD --checksum=sha256:{'0' * 64} {address}/f /checked\n")
        lost = build(f"FROM BOX\nADD {address}/lost /x\n")
    finally:
        server.shutdown()
        server.server_close()
    assert says(
        pypod,
        "cd /got; find . -type f | sort; stat -c '%u %g' in/side; stat -c %a:%Y /web/name; cat /file",
    ) == ("./a\n./in/side\n./no.gz\n./p\n7 8\n600:1000000000\nserved\n")
    assert "digest mismatch" in wrong.stderr
    assert "invalid response status 404" in lost.stderr


class Served(BaseHTTPRequestHandler):
    """One file on the web."""

    DIGEST = "c5acc4ae7d85cda11df11e6bc0c06ab55bffbd2b3db121d0a9e3ebb98bd98cac"

    def do_GET(self) -> None:
        self.send_response(404 if self.path == "/lost" else 200)
        self.send_header("Last-Modified", "Sun, 09 Sep 2001 01:46:40 GMT")
        self.end_headers()
        self.wfile.write(b"served\n")

    def log_message(self, *_: object) -> None:  # type: ignore[override] # nothing is logged
        """Say nothing."""


def test_the_configuration(build: Build, pypod: Pypod) -> None:
    ok(
        build(
            "FROM BOX\nLABEL a=1 b=\"2 3\"\nLABEL old style\nUSER user:extra\nWORKDIR /w\nWORKDIR d\nVOLUME /v1 /v2\n"
            'VOLUME ["/v 3"]\nEXPOSE 80 53/UDP 8000-8001\nSTOPSIGNAL INT\nENTRYPOINT ["/e"]\nCMD c "d"\n'
            "HEALTHCHECK --interval=5s --timeout=1m --start-period=2s --retries=3 CMD check me\nONBUILD RUN x\n"
            "MAINTAINER me\n",
            "--label", "c=4",
        )
    )  # fmt: skip
    found = config(pypod)
    assert found["Labels"] == {"a": "1", "b": "2 3", "old": "style", "c": "4"}
    assert (found["User"], found["WorkingDir"], found["StopSignal"]) == (
        "user:extra",
        "/w/d",
        "INT",
    )
    assert found["Volumes"] == {path: {} for path in ("/v1", "/v2", "/v 3")}
    assert found["ExposedPorts"] == {
        port: {} for port in ("80/tcp", "53/udp", "8000/tcp", "8001/tcp")
    }
    assert (found["Entrypoint"], found["Cmd"]) == (["/e"], ["/bin/sh", "-c", 'c "d"'])
    assert found["Healthcheck"] == {
        "Test": ["CMD-SHELL", "check me"],
        "Interval": 5 * 10**9,
        "Timeout": 60 * 10**9,
        "StartPeriod": 2 * 10**9,
        "Retries": 3,
    }
    assert found["OnBuild"] == ["RUN x"]
    assert pypod.output("image", "inspect", "-f", "{{.Author}}", "made") == "me\n"


def test_an_entrypoint_clears_the_command_of_the_base_alone(build: Build, pypod: Pypod) -> None:
    ok(build('FROM BOX\nENTRYPOINT ["/a"]\n'))
    assert config(pypod)["Cmd"] is None
    ok(build('FROM BOX\nCMD ["b"]\nENTRYPOINT ["/a"]\n'))
    assert config(pypod)["Cmd"] == ["b"]


def test_triggers_run_in_the_image_built_on_it(build: Build, pypod: Pypod) -> None:
    ok(
        build(
            "FROM BOX\nONBUILD COPY a /triggered\nONBUILD RUN echo ran >> /triggered\n",
            name="parent",
        )
    )
    ok(build("FROM parent\nRUN echo child >> /triggered\n"))
    assert says(pypod, "cat /triggered") == "a\nran\nchild\n"
    assert config(pypod)["OnBuild"] in (None, [])


def test_mounts_of_run(build: Build, pypod: Pypod, context: Path, scratch: Path) -> None:
    (scratch / "secret").write_text("s3cret")
    (context / ".dockerignore").write_text("sub/deep\n")
    text = (
        "FROM BOX AS other\nRUN echo other > /o\nFROM BOX\n"
        "RUN --mount=target=/m ls /m /m/sub > /seen; ! touch /m/x\n"
        "RUN --mount=from=other,source=/o,target=/m/o cat /m/o >> /seen\n"
        "RUN --mount=type=bind,source=sub,target=/m,rw echo 1 > /m/x && rm /m/b\n"
        "RUN --mount=type=cache,target=/c echo x >> /c/f && cat /c/f > /count\n"
        "RUN --mount=type=tmpfs,target=/t,size=1m mount | grep -c ' /t ' >> /seen && echo > /t/x\n"
        "RUN --mount=type=secret,id=s,mode=0444,uid=5 stat -c '%u %a' /run/secrets/s >> /seen && cat /run/secrets/s\n"
        "RUN --mount=type=secret,id=s,env=S,target=/k [ $S = $(cat /k) ]\n"
        "RUN --mount=type=secret,id=absent true\n"
    )
    told = ok(build(text, "--secret", f"id=s,src={scratch / 'secret'}"))
    assert "s3cret" in told
    assert says(pypod, "cat /seen; ls -d /m /c /t /run/secrets 2>&1 | grep -v No; cat /count") == (
        "/m:\nDockerfile\na\nlink\nsub\n\n/m/sub:\nb\nother\n1\n5 444\nx\n"
    )
    assert (context / "sub/b").read_text() == "b\n"
    ok(build(text, "--secret", f"id=s,src={scratch / 'secret'}", "--no-cache"))
    assert says(pypod, "cat /count") == "x\nx\n"
    assert "s3cret" not in pypod.output("history", "--no-trunc", "made")
    ran = build("FROM BOX\nRUN --mount=type=secret,id=n,required true\n")
    assert "secret n: not found" in ran.stderr


def test_standard_input_is_a_dockerfile_or_a_context(
    pypod: Pypod, context: Path, scratch: Path
) -> None:
    given = scratch / "given"
    given.write_text(f"FROM {IMAGE}\nRUN echo 1 > /f\n")
    pypod.output("build", *NONE, "-q", "-t", "made", "-", stdin=given)
    assert says(pypod, "cat /f") == "1\n"
    given.write_bytes(layer(("Dockerfile", f"FROM {IMAGE}\nCOPY x /f\n".encode()), ("x", b"2\n")))
    pypod.output("build", *NONE, "-q", "-t", "made", "-", stdin=given)
    assert says(pypod, "cat /f") == "2\n"
    given.write_text(f"FROM {IMAGE}\nCOPY a /f\n")
    pypod.output("build", *NONE, "-q", "-t", "made", "-f", "-", str(context), stdin=given)
    assert says(pypod, "cat /f") == "a\n"


def test_quiet_prints_the_id_alone(pypod: Pypod, context: Path, scratch: Path) -> None:
    (context / "Other").write_text(f"FROM {IMAGE} AS first\nRUN echo told\nFROM first\nRUN false\n")
    words = [
        "build",
        *NONE,
        "-q",
        "-f",
        str(context / "Other"),
        "--iidfile",
        str(scratch / "iid"),
        str(context),
    ]
    ran = pypod(*words, "--target", "first", "-t", "one:1", "-t", "two:2")
    identity = pypod.output("image", "inspect", "-f", "{{.Id}}", "one:1")
    assert (ran.code, ran.stdout, ran.stderr) == (0, identity, "")
    assert (scratch / "iid").read_text() == identity.strip()
    assert pypod.output("image", "inspect", "-f", "{{.Id}}", "two:2") == identity
    ran = pypod(*words)
    assert (ran.code, ran.stdout) == (1, "")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("RUN exit 7", "Dockerfile:2: RUN exit 7: process \"/bin/sh -c exit 7\" did not complete successfully: exit code: 7"),
        ('RUN ["/nosuch"]', 'exec: "/nosuch"'),
        ("COPY nosuch /", 'Dockerfile:2: COPY nosuch /: "/nosuch": not found in the build context'),
        ("COPY a sub/b /x", "the destination must be a directory and end with a /"),
        ("COPY a sub /etc/passwd/", "cannot copy to non-directory"),
        ("COPY --chmod=9 a /", "invalid chmod parameter: '9'"),
        ("COPY --chown=nosuch a /", "unable to find user nosuch"),
        ("COPY --from=x/Nosuch a /", "must be lowercase"),
        ("USER nosuch\nRUN id", "Dockerfile:3: RUN id: unable to find user nosuch"),
        ("STOPSIGNAL FOO", "Invalid signal: FOO"),
        ("EXPOSE x", "invalid range format"),
        ("ENV =x", "ENV names can not be blank"),
        ("SHELL sh", "SHELL requires the arguments to be in JSON form"),
        ("HEALTHCHECK FOO", 'Unknown type "FOO" in HEALTHCHECK (try CMD)'),
        ("RUN --network=weird x", 'unsupported network mode "weird"'),
        ("RUN --security=insecure x", "is not allowed"),
        ("ADD git@example.org:x.git#--upload-pack=x /", "invalid reference '--upload-pack=x'"),
    ],
)  # fmt: skip
def test_a_failure_names_line_and_instruction(
    build: Build, pypod: Pypod, text: str, problem: str
) -> None:
    ran = build(f"FROM BOX\n{text}\n")
    last = ran.stderr.strip().splitlines()[-1]
    assert (ran.code, problem in last) == (1, True), ran
    assert pypod("image", "inspect", "made").code == 1
    assert [name for name in os.listdir(pypod.root / "staging") if name != "partial"] == []


def test_a_context_that_is_none_is_refused(pypod: Pypod, context: Path) -> None:
    (context / "Dockerfile").write_text(f"FROM {IMAGE}\n")
    assert 'path "nodir" not found' in pypod("build", "nodir").stderr
    assert "is given by --file" in pypod("build", str(context / "Dockerfile")).stderr
    assert (
        "failed to read dockerfile: open x: no such file"
        in pypod("build", "-f", "x", str(context)).stderr
    )
    assert (
        'invalid argument "x/Bad" for "-t, --tag" flag'
        in pypod("build", "-t", "x/Bad", str(context)).stderr
    )


def test_a_killed_build_leaves_nothing_that_the_next_does_not_remove(
    build: Build, pypod: Pypod, context: Path
) -> None:
    """Issue 6: SIGKILL at any moment; the mounts are in a namespace of the build's own, and end with it."""
    (context / "Dockerfile").write_text(f"FROM {IMAGE}\nRUN echo begun; sleep {NAPPING}\n")
    running = pypod.spawn("build", *NONE, str(context))
    until(lambda: "begun" in running.err.read_text(), "the program runs")
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert [place for place in host.mounts() if place.startswith(str(pypod.directory))] == []
    ok(build("FROM BOX\nRUN true\n"))
    assert not [
        name for name in os.listdir(pypod.run_root / "runtime") if name.startswith("build-")
    ]
    assert [name for name in os.listdir(pypod.root / "staging") if name != "partial"] == []
    pids = [name for name in os.listdir("/proc") if name.isdecimal()]
    assert not [pid for pid in pids if f"sleep\0{NAPPING}".encode() in command(pid)]


def command(pid: str) -> bytes:
    """Return the words of a process, b"" for one that has gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


SAME = """FROM box
ARG X=1
ENV A=$X B="two words"
LABEL l=v
RUN echo $X > /x && chmod 600 /x && rm /etc/kept
COPY a sub/b /dir/
COPY sub /tree
ADD archive.tar /unpacked/
WORKDIR /w
USER user
EXPOSE 80 53/udp
VOLUME /data
STOPSIGNAL SIGINT
HEALTHCHECK --interval=5s CMD true
ENTRYPOINT ["/bin/sh", "-c"]
CMD ["id"]
"""


def test_dockers_own_builder_makes_the_same(
    pypod: Pypod, oracle: Oracle, context: Path, scratch: Path
) -> None:
    """The image that Debian's dockerd builds: the same configuration and the same files, owners, modes and times included."""
    (context / "Dockerfile").write_text(SAME)
    (context / "archive.tar").write_bytes(layer(("p/q", b"x")))
    own = " ".join(f"! -path '/{name}/*'" for name in ("proc", "sys", "dev", "etc"))
    own += " ! -path /.dockerenv"
    look = f"find / -xdev {own} | sort | xargs stat -c '%n %F %u %g %a'"
    seen = []
    for side in (pypod, oracle):
        side.output("build", *NONE, "-t", "same:1", str(context))
        fields = json.loads(side.output("image", "inspect", "-f", "{{json .Config}}", "same:1"))
        kept = (
            "Env Labels User WorkingDir ExposedPorts Volumes StopSignal Healthcheck Entrypoint Cmd"
        )
        document = {name: fields[name] for name in kept.split()}
        files = side.output(
            "run",
            "--rm",
            *NONE,
            "--entrypoint",
            "/bin/sh",
            "-u",
            "0",
            "-v",
            "/data",
            "same:1",
            "-c",
            look,
        )
        times = side.output(
            "run", "--rm", *NONE, "same:1", "stat -c %Y /dir/a /tree/deep/c /unpacked/p/q"
        )
        steps = side.output(
            "history", "--no-trunc", "--format", "{{.CreatedBy}}", "same:1"
        ).splitlines()
        seen.append((document, files.splitlines(), times, [told_of(step) for step in steps[:15]]))
    ours, theirs = seen
    assert ours[0] == theirs[0]
    assert sorted(set(ours[1]) ^ set(theirs[1])) == []
    assert ours[2:] == theirs[2:]


def told_of(step: str) -> str:
    """Return the keyword of a step of the history, as BuildKit's form and the old builder's have it."""
    words = step.replace("/bin/sh -c #(nop) ", "").replace("|1 X=1 /bin/sh -c", "RUN").split()
    return words[0]


def test_run_is_on_the_default_network(networked: Pypod, context: Path) -> None:
    """As `docker build`: with a way out, and nothing of it left, in no list."""
    script = "ip -o -4 addr show eth0 | grep -c 172; grep -c $(hostname) /etc/hosts; ip route | grep -c default"
    (context / "Dockerfile").write_text(f"FROM {IMAGE}\nRUN ({script}) > /seen\n")
    networked.output("build", "-q", "-t", "made", str(context))
    assert networked.output("run", "--rm", *NONE, "made", "cat", "/seen") == "1\n1\n1\n"
    assert networked.output("ps", "-aq") == ""
    networked.output("rmi", "made")


def test_a_killed_build_is_taken_from_the_network(networked: Pypod, context: Path) -> None:
    (context / "Dockerfile").write_text(f"FROM {IMAGE}\nRUN echo begun; sleep 1000\n")
    running = networked.spawn("build", str(context))
    until(lambda: "begun" in running.err.read_text(), "the program runs")
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    (context / "Dockerfile").write_text(f"FROM {IMAGE}\n")
    networked.output("build", "-q", str(context))
    assert networked.output("ps", "-aq") == ""
