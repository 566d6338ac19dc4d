# SPDX-License-Identifier: Apache-2.0
"""`pypod build` of what is not here: git repositories as contexts and for ADD, addresses of the web; what they cannot do to us."""

import base64
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from blackbox.processes import Ran, Running, until
from building import NONE, Build, cached, ok, says
from images import layer
from sides import IMAGE, PATH, Pypod

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("no_image_left")]

ENVIRONMENT = {
    "PATH": PATH,
    "HOME": "/dev/null",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}


class Repository:
    """A repository with a first commit, tagged v1, another on the branch "other", and its server."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch", "main")
        self.write("Dockerfile", f"FROM {IMAGE}\nCOPY file /file\n")
        self.write("file", "first\n")
        self.write("sub/Dockerfile", f"FROM {IMAGE}\nCOPY . /sub\n")
        self.write("sub/inner", "inner\n")
        (path / "sub/out").symlink_to("/etc")
        self.first = self.commit()
        self.git("tag", "v1")
        self.write("file", "second\n")
        self.commit()
        self.git("checkout", "--quiet", "-b", "other", "v1")
        self.write("file", "other\n")
        self.commit()
        self.git("checkout", "--quiet", "main")

    def git(self, *words: str) -> str:
        """Run git in it."""
        ran = subprocess.run(
            ["git", "-c", "protocol.file.allow=always", *words],
            cwd=self.path,
            env=ENVIRONMENT,
            check=True,
            capture_output=True,
            text=True,
        )
        return ran.stdout.strip()

    def write(self, name: str, text: str) -> None:
        """Write a file of it."""
        (self.path / name).parent.mkdir(exist_ok=True)
        (self.path / name).write_text(text)

    def commit(self) -> str:
        """Commit everything and return the number."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "m")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(scratch: Path) -> Repository:
    return Repository(scratch / "served/repository.git")


@pytest.fixture
def address(repository: Repository, scratch: Path) -> Iterator[str]:
    """Where git-daemon(1) serves it, on loopback."""
    (scratch / "outputs").mkdir()
    program = f"{repository.git('--exec-path')}/git-daemon"  # the word of git would be its parent
    argv = ["setpriv", "--pdeathsig", "KILL", program, "--listen=127.0.0.1", "--export-all"]
    base = repository.path.parent
    for port in range(20000 + os.getpid() % 20000, 60000, 1777):
        command = [*argv, f"--port={port}", f"--base-path={base}", "--verbose", str(base)]
        daemon = Running(command, scratch / "outputs", env=ENVIRONMENT)
        until(partial(is_settled, daemon), "the daemon listens, or the port is taken")
        if daemon.is_running():
            break
    yield f"git://127.0.0.1:{port}/repository.git"
    daemon.end()


def is_settled(daemon: Running) -> bool:
    return not daemon.is_running() or "Ready to rumble" in daemon.err.read_text()


@pytest.fixture
def web(scratch: Path) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A server of the directory `served`, with what was asked of it, and by whom."""
    (scratch / "served").mkdir(exist_ok=True)
    asked: list[tuple[str, str]] = []

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers.get("Authorization", "")))
            super().do_GET()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    handler = partial(Handler, directory=str(scratch / "served"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


@pytest.fixture
def fetch(pypod: Pypod) -> Callable[..., Ran]:
    """Build from an address."""
    return lambda address, *words: pypod("build", *NONE, "-t", "made", *words, address)


def test_a_repository_is_a_context(
    fetch: Callable[..., Ran], pypod: Pypod, address: str, repository: Repository
) -> None:
    """docs of `docker build`: URL#REF:DIRECTORY; a branch, a tag, a commit, the default branch."""
    for fragment, wanted in (
        ("", "second"),
        ("#main", "second"),
        ("#v1", "first"),
        ("#other", "other"),
        (f"#{repository.first}", "first"),
        ("#refs/tags/v1:", "first"),
    ):
        ok(fetch(address + fragment))
        assert says(pypod, "cat /file") == f"{wanted}\n", fragment
    assert cached(ok(fetch(f"{address}#v1"))) == 1
    ok(fetch(f"{address}#v1:sub"))
    assert says(pypod, "ls -A /sub; readlink /sub/out") == "Dockerfile\ninner\nout\n/etc\n"


def test_add_of_a_repository(
    build: Build, pypod: Pypod, address: str, repository: Repository
) -> None:
    """docs of ADD: the files without .git, unless --keep-git-dir; --checksum is the commit."""
    ok(
        build(
            f"FROM BOX\nADD {address}#v1 /plain/\nADD --keep-git-dir=true {address}#other:sub /kept\n"
        )
    )
    assert says(pypod, "ls -A /plain; cat /plain/file") == "Dockerfile\nfile\nsub\nfirst\n"
    assert says(pypod, "ls -A /kept") == "Dockerfile\ninner\nout\n"
    ok(build(f"FROM BOX\nADD --keep-git-dir=true {address} /kept\n"))
    assert says(pypod, "ls -d /kept/.git; ls -A /kept/.git/hooks 2>&1 | wc -l") == "/kept/.git\n1\n"
    ok(build(f"FROM BOX\nADD --checksum={repository.first} {address}#v1 /x\n"))
    ran = build(f"FROM BOX\nADD --checksum={repository.first} {address} /x\n")
    assert (ran.code, f"expected checksum to match {repository.first}, got" in ran.stderr) == (
        1,
        True,
    )


def test_a_repository_behind_a_plain_web_server(
    fetch: Callable[..., Ran],
    pypod: Pypod,
    web: tuple[str, list[tuple[str, str]]],
    repository: Repository,
) -> None:
    """Such a server knows no shallow fetch: all of it is fetched. A token is sent, here because it is loopback."""
    base, asked = web
    (repository.path / "token").write_text("t0ken\n")
    subprocess.run(
        ["git", "clone", "--quiet", "--bare", str(repository.path), "bare.git"],
        cwd=repository.path.parent,
        env=ENVIRONMENT,
        check=True,
    )
    subprocess.run(
        ["git", "--git-dir", "bare.git", "update-server-info"],
        cwd=repository.path.parent,
        env=ENVIRONMENT,
        check=True,
    )
    ok(fetch(f"{base}/bare.git#v1"))
    assert says(pypod, "cat /file") == "first\n"
    assert {given for _, given in asked} == {""}
    ok(
        fetch(
            f"{base}/bare.git#{repository.first}",
            "--secret",
            f"id=GIT_AUTH_TOKEN,src={repository.path}/token",
        )
    )
    basic = base64.b64encode(b"x-access-token:t0ken").decode()
    assert asked[-1][1] == f"Basic {basic}" or asked[-1][1] == f"basic {basic}"


@pytest.mark.parametrize(
    ("fragment", "problem"),
    [
        ("#nosuch", "couldn't find remote ref nosuch"),
        ("#--upload-pack=touch", "invalid reference '--upload-pack=touch'"),
        ("#a:../../..", "couldn't find remote ref a"),
        ("#main:sub/out", "sub/out: no such file or directory"),
        ("#main:nosuch", "nosuch: no such file or directory"),
        ("#main:file", "file: not a directory"),
    ],
)
def test_what_a_repository_has_not_is_said(
    fetch: Callable[..., Ran], address: str, fragment: str, problem: str
) -> None:
    ran = fetch(address + fragment)
    assert (ran.code, problem in ran.stderr) == (1, True), ran


def test_a_hostile_repository_runs_nothing_and_reads_nothing_of_the_host(
    fetch: Callable[..., Ran], pypod: Pypod, address: str, repository: Repository, scratch: Path
) -> None:
    """Submodules of ext:: and of local paths (CVE-2022-39253), hooks, a configuration of the user's, links out of it."""
    mark = scratch / "mark"
    pypod.environment["GIT_SSH_COMMAND"] = f"touch {mark}"
    (pypod.directory / ".gitconfig").write_text(
        f'[core]\nfsmonitor = "touch {mark}"\n[init]\ntemplateDir = {scratch}/template\n'
    )
    (scratch / "template/hooks").mkdir(parents=True)
    hook = scratch / "template/hooks/post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
    hook.chmod(0o755)
    try:
        ok(fetch(address))
        for url in (f"ext::sh -c touch% {mark}", str(repository.path), f"file://{repository.path}"):
            repository.write(".gitmodules", f'[submodule "m"]\n\tpath = m\n\turl = "{url}"\n')
            repository.git("add", ".gitmodules")
            repository.git("update-index", "--add", "--cacheinfo", f"160000,{repository.first},m")
            repository.git("commit", "--quiet", "--message", "a submodule")
            ran = fetch(address)
            assert (ran.code, "not allowed" in ran.stderr) == (1, True), (url, ran)
        repository.git("rm", "--quiet", "-r", "--cached", "m")
        (repository.path / ".gitmodules").unlink()
        (repository.path / "Dockerfile").unlink()
        (repository.path / "Dockerfile").symlink_to("/etc/passwd")
        repository.commit()
        ran = fetch(address)
        assert (ran.code, "open Dockerfile: no such file or directory" in ran.stderr) == (
            1,
            True,
        ), ran
    finally:
        del pypod.environment["GIT_SSH_COMMAND"]
        (pypod.directory / ".gitconfig").unlink()
    assert not mark.exists()
    assert [name for name in os.listdir(pypod.root / "staging") if name != "partial"] == []


@pytest.mark.parametrize("address", ["ext::sh -c false", "file:///repository.git", "ftp://h/x.git"])
def test_other_protocols_are_no_contexts(fetch: Callable[..., Ran], address: str) -> None:
    ran = fetch(address)
    assert ran.code == 1
    assert ran.stderr == f'Error: unable to prepare context: path "{address}" not found\n'


def test_the_web_has_dockerfiles_and_archives(
    fetch: Callable[..., Ran], pypod: Pypod, web: tuple[str, list[tuple[str, str]]], scratch: Path
) -> None:
    """docs of `docker build`: a tar archive is the context, anything else the Dockerfile."""
    base, _ = web
    (scratch / "served/plain").write_text(f"FROM {IMAGE}\nRUN echo plain > /file\n")
    dockerfile = f"FROM {IMAGE}\nCOPY x /file\n".encode()
    (scratch / "served/context.tar").write_bytes(
        layer(("d/Dockerfile", dockerfile), ("x", b"archive\n"))
    )
    ok(fetch(f"{base}/plain"))
    assert says(pypod, "cat /file") == "plain\n"
    ok(fetch(f"{base}/context.tar", "-f", "d/Dockerfile"))
    assert says(pypod, "cat /file") == "archive\n"
    ran = fetch(f"{base}/nosuch")
    assert (ran.code, "invalid response status 404" in ran.stderr) == (1, True)
