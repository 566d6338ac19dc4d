# SPDX-License-Identifier: Apache-2.0
"""pull and push: with a real registry, and with one that lies, breaks off and redirects."""

import gzip
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from backports import zstd
from images import Load, busybox_layer, config_of, digest_of, docker_archive, layer
from servers import DebianRegistry, Stub, basic, refuse, reply

from pyoci.engine.errors import EngineError
from pyoci.engine.images import credentials, layers, records, registry
from pyoci.engine.images.manifests import parse_platform
from pyoci.engine.images.pull import pull
from pyoci.engine.images.push import push
from pyoci.engine.images.store import Store
from pyoci.engine.reference import parse

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("login")]

INDEX = "application/vnd.oci.image.index.v1+json"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_FIRST_WAIT", 0.001)


def simple(stub: Stub, content: bytes = b"content", tag: str = "latest") -> list[bytes]:
    """Put an image of two layers into the stub; returns the blobs."""
    plain = [layer(("a", content)), layer(("b", os.urandom(100_000)))]
    pressed = [gzip.compress(one, mtime=0) for one in plain]
    stub.add(config_of(plain), pressed, tag)
    return pressed


def failing(store: Store, name: str) -> str:
    """Return why a pull fails, and make sure that nothing of it is left."""
    with pytest.raises(EngineError) as error:
        pull(store, parse(name))
    assert store.database.rows("SELECT * FROM image") == []
    assert store.database.rows("SELECT * FROM staging_hold") == []
    staging = Path(f"{store.places.root}/staging")
    assert [path.name for path in staging.glob("*")] in ([], ["partial"])
    return str(error.value)


def test_what_was_pushed_is_pulled_by_tag_and_digest(
    store: Store, load: Load, registry: DebianRegistry, scratch: Path
) -> None:
    plain = [busybox_layer(), layer(("x", b"y"))]
    [(identity, _)] = load(docker_archive(plain, f"{registry.domain}/team/app:1"))
    pushed = push(store, parse(f"{registry.domain}/team/app:1"))
    argv = ["skopeo", "inspect", "--tls-verify=false", f"docker://{registry.domain}/team/app:1"]
    said = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)
    assert said["Digest"] == pushed.digest
    target = scratch / "seen-by-skopeo"
    argv = ["skopeo", "copy", "--src-tls-verify=false", f"docker://{registry.domain}/team/app:1"]
    subprocess.run([*argv, f"docker-archive:{target}:app:1"], check=True, capture_output=True)

    for reference in ("team/app:1", f"team/app@{pushed.digest}"):
        empty = other_store(store, scratch / reference[-5:])
        pulled = pull(empty, parse(f"{registry.domain}/{reference}"))
        assert (pulled.id, pulled.digest) == (identity, pushed.digest)
        image = records.resolve(empty.database, empty.places, f"{registry.domain}/{reference}")
        assert image.layers == tuple(map(digest_of, plain))
        assert (Path(empty.layer_path(image.layers[1])) / "x").read_bytes() == b"y"
        empty.database.close()


def other_store(store: Store, root: Path) -> Store:
    """Return the images of another pypod."""
    from pyoci.engine.database import Database
    from pyoci.engine.places import Places

    places = Places(str(root), store.places.run)
    return Store(Database(places), places)


def test_a_second_push_sends_nothing_and_a_second_repository_mounts(
    store: Store, load: Load, registry: DebianRegistry
) -> None:
    load(docker_archive([busybox_layer()], *(f"{registry.domain}/{n}:1" for n in ("a", "b"))))
    seen: list[tuple[str, str]] = []

    def note(digest: str, state: str, *_: int) -> None:
        seen.append((digest, state))

    push(store, parse(f"{registry.domain}/a:1"), note)
    assert {state for _, state in seen} == {"Preparing", "Pushing", "Pushed"}
    seen.clear()
    push(store, parse(f"{registry.domain}/a:1"), note)
    assert {state for _, state in seen} == {"Preparing", "Layer already exists"}
    seen.clear()
    push(store, parse(f"{registry.domain}/b:1"), note)
    assert "Mounted" in {state for _, state in seen}


def test_a_password_is_asked_for_and_kept(
    store: Store, load: Load, scratch: Path, login: Path
) -> None:
    private = DebianRegistry(scratch / "private", "anna", "s3cret")
    try:
        name = f"{private.domain}/app:1"
        load(docker_archive([layer(("x", b"y"))], name))
        with pytest.raises(EngineError, match="denied: requested access to the resource is denied"):
            push(store, parse(name))
        (login / "config.json").write_text(
            json.dumps({"auths": {private.domain: {"auth": basic("anna", "s3cret")}}})
        )
        pushed = push(store, parse(name))
        assert pull(store, parse(name)).digest == pushed.digest
    finally:
        private.stop()


def test_a_credential_helper_is_asked(scratch: Path, login: Path, monkeypatch: Any) -> None:
    helper = scratch / "docker-credential-test"
    helper.write_text(
        f'#!/bin/sh\nread server; echo "$1 $server" >> {scratch}/calls\n'
        '[ $1 = get ] || exit 0\n[ "$server" = known:1 ] || '
        '{ echo "credentials not found in native keychain"; exit 1; }\n'
        'echo \'{"ServerURL":"known:1","Username":"u","Secret":"p"}\'\n'
    )
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{scratch}:{os.environ['PATH']}")
    (login / "config.json").write_text(json.dumps({"credsStore": "test"}))
    found = credentials.find("known:1")
    assert found is not None
    assert (found.user, found.password) == ("u", "p")
    assert credentials.find("unknown:1") is None
    assert credentials.save("known:1", found) == ""
    assert "p" not in json.loads((login / "config.json").read_text())["auths"]["known:1"]
    assert credentials.forget("known:1")
    assert not credentials.forget("known:1")
    assert (scratch / "calls").read_text().split("\n")[-2] == "erase known:1"


def test_passwords_are_in_a_file_for_its_owner_alone(login: Path) -> None:
    credentials.save("docker.io", credentials.Credential("u", "p:q"))
    path = login / "config.json"
    assert path.stat().st_mode & 0o777 == 0o600
    stored = json.loads(path.read_text())["auths"]
    assert stored == {"https://index.docker.io/v1/": {"auth": basic("u", "p:q")}}
    found = credentials.find("docker.io")
    assert found is not None
    assert found.password == "p:q"


def test_a_token_is_fetched_and_used(store: Store, stub: Stub, login: Path) -> None:
    simple(stub)
    (login / "config.json").write_text(
        json.dumps({"auths": {stub.domain: {"auth": basic("u", "p")}}})
    )

    def want_token(handler: Any) -> bool:
        if handler.path.startswith("/token"):
            assert handler.headers["Authorization"] == f"Basic {basic('u', 'p')}"
            assert "scope=repository%3Aapp%3Apull" in handler.path
            return reply(handler, 200, b'{"access_token":"T0"}')
        if handler.headers.get("Authorization") == "Bearer T0":
            return False
        scope = 'service="s",scope="repository:app:pull"'
        asked = f'Bearer realm="http://{stub.domain}/token",{scope}'
        return refuse(handler, 401, "unauthorized", {"WWW-Authenticate": asked})

    stub.faults.append(want_token)
    pull(store, parse(f"{stub.domain}/app"))
    assert sum(path.startswith("/token") for _, path, _ in stub.requests) == 1


def test_no_credential_follows_a_redirect_to_another_host(
    store: Store, stub: Stub, login: Path
) -> None:
    """CVE-2018-20225's shape: the storage behind a registry gets the blob's URL, not the password."""
    other = Stub()
    try:
        simple(stub)
        other.blobs = stub.blobs
        (login / "config.json").write_text(
            json.dumps({"auths": {stub.domain: {"auth": basic("u", "p")}}})
        )

        def redirect(handler: Any) -> bool:
            if handler.headers.get("Authorization") != f"Basic {basic('u', 'p')}":
                return refuse(handler, 401, "unauthorized", {"WWW-Authenticate": "Basic realm=r"})
            if "/blobs/" not in handler.path:
                return False
            where = f"http://localhost:{other.server.server_port}{handler.path}?signed=1"
            return reply(handler, 307, b"", {"Location": where})

        stub.faults.append(redirect)
        other.faults.append(lambda handler: setattr(handler, "path", handler.path.split("?")[0]))
        pull(store, parse(f"{stub.domain}/app"))
        assert len(other.requests) == 3
        assert not [r for r in other.requests if "Authorization" in r[2]]
    finally:
        other.stop()


def test_a_token_realm_without_tls_gets_no_password(monkeypatch: Any, login: Path) -> None:
    (login / "config.json").write_text(json.dumps({"auths": {"reg.io": {"auth": basic("u", "p")}}}))
    asked = registry.challenges('Bearer realm="http://evil.example/token",service="x"')[0]
    with pytest.raises(EngineError, match="not https: refused"):
        registry.Registry("reg.io", "https://reg.io", insecure=False)._token(asked, "", None)


def test_a_broken_download_goes_on_where_it_broke(store: Store, stub: Stub) -> None:
    """Also across commands: what arrived is kept, and its digest made anew."""
    blobs = simple(stub)

    def cut(handler: Any) -> bool:
        content = stub.blobs.get(handler.path.rpartition("/")[2], b"")
        if content != blobs[1] or "Range" in handler.headers:
            return False
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[:60_000])
        handler.close_connection = True
        return True

    stub.faults.append(cut)
    pull(store, parse(f"{stub.domain}/app"))
    asked = [headers["Range"] for _, _, headers in stub.requests if "Range" in headers]
    assert asked == ["bytes=60000-"]


def test_what_an_earlier_pull_left_is_used_or_thrown_away(store: Store, stub: Stub) -> None:
    blobs = simple(stub)
    with store.session():
        pass
    for kept, ranges in ((blobs[1][:5000], ["bytes=5000-"]), (b"x" * 5000, ["bytes=5000-"])):
        stub.requests.clear()
        partial = Path(f"{store.places.root}/staging/partial/{digest_of(blobs[1])[7:]}")
        partial.write_bytes(kept)
        pull(store, parse(f"{stub.domain}/app"))
        asked = [headers["Range"] for _, _, headers in stub.requests if "Range" in headers]
        assert asked == ranges
        assert not partial.exists()
        os.unlink(store.blob_path(digest_of(blobs[1])))


def test_a_busy_registry_is_asked_again(store: Store, stub: Stub) -> None:
    simple(stub)
    left = [429, 503, 500, 429]

    def busy(handler: Any) -> bool:
        return bool(left) and refuse(handler, left.pop(), "busy", {"Retry-After": "0"})

    stub.faults.append(busy)
    pull(store, parse(f"{stub.domain}/app"))
    assert left == []


def test_a_registry_that_stays_busy_is_given_up(store: Store, stub: Stub) -> None:
    simple(stub)
    stub.faults.append(
        lambda h: refuse(h, 429, "toomanyrequests", {"Retry-After": "0"}) and h.path != "/v2/"
    )
    assert "toomanyrequests" in failing(store, f"{stub.domain}/app")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content[:-1], "connection"),
        (lambda content: content[:-1] + b"X", "arrived damaged"),
        (lambda content: content + b"X", "is longer than its manifest says"),
        (lambda _: b"", "connection"),
    ],
    ids=["short", "damaged", "long", "empty"],
)
def test_a_layer_that_is_not_what_the_manifest_says_is_refused(
    store: Store, stub: Stub, change: Any, words: str
) -> None:
    blobs = simple(stub)
    stub.blobs[digest_of(blobs[1])] = change(blobs[1])
    said = failing(store, f"{stub.domain}/app")
    assert words in said or "ended early" in said or "http status 416" in said.lower()


def test_a_changed_manifest_is_refused(store: Store, stub: Stub) -> None:
    simple(stub)
    kind, content = stub.manifests["latest"]
    wanted = digest_of(content)
    stub.manifests[wanted] = kind, content.replace(b'"schemaVersion": 2', b'"schemaVersion":  2')
    assert "it was changed" in failing(store, f"{stub.domain}/app@{wanted}")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"layers": "none"}, "layers: must be an array"),
        ({"layers": [{"digest": "sha256:../../x", "size": 1}]}, "invalid reference format"),
        ({"layers": [{"size": 1}]}, "without digest or size"),
        (
            {"config": {"mediaType": "application/wasm", "digest": digest_of(b""), "size": 0}},
            "artifact",
        ),
        ({"mediaType": "text/html"}, "unsupported media type 'text/html'"),
        ({"layers": []}, "0 layers, but the configuration has 2"),
    ],
)
def test_a_bad_manifest_is_refused(
    store: Store, stub: Stub, document: dict[str, Any], words: str
) -> None:
    plain = [layer(("a", b"1")), layer(("b", b"2"))]
    stub.add(config_of(plain), [gzip.compress(one) for one in plain], changed=document)
    assert words in failing(store, f"{stub.domain}/app")


def test_a_layer_of_another_content_than_the_configuration_says_is_refused(
    store: Store, stub: Stub
) -> None:
    stub.add(config_of([layer(("a", b"1"))]), [gzip.compress(layer(("a", b"2")))])
    assert "the image says" in failing(store, f"{stub.domain}/app")


def test_endless_documents_are_cut_off(store: Store, stub: Stub) -> None:
    simple(stub)
    stub.manifests["latest"] = ("application/vnd.oci.image.manifest.v1+json", b" " * (5 << 20))
    assert "for a small document" in failing(store, f"{stub.domain}/app")


def test_docker_words_for_what_is_not_there(store: Store, stub: Stub) -> None:
    said = failing(store, f"{stub.domain}/app:nosuch")
    assert (
        said
        == f"manifest for {stub.domain}/app:nosuch not found: manifest unknown: manifest unknown"
    )
    stub.faults.append(lambda handler: refuse(handler, 401, "unauthorized"))
    said = failing(store, f"{stub.domain}/app")
    assert said.startswith("unauthorized: ") or "pull access denied" in said


def test_nobody_listens(store: Store) -> None:
    assert failing(store, "127.0.0.1:1/app") == "127.0.0.1:1: connection refused"


def test_the_platform_is_chosen(store: Store, stub: Stub) -> None:
    rows = []
    for architecture, variant in (("unknown", ""), ("arm64", "v8"), ("amd64", ""), ("arm", "v6")):
        plain = layer(("arch", f"{architecture}{variant}".encode()))
        digest = stub.add(config_of([plain]), [gzip.compress(plain)], tag=f"only-{architecture}")
        size = len(stub.manifests[digest][1])
        platform = {"os": "linux", "architecture": architecture, "variant": variant}
        kind = "application/vnd.oci.image.manifest.v1+json"
        rows.append({"mediaType": kind, "digest": digest, "size": size, "platform": platform})
    stub.document({"schemaVersion": 2, "mediaType": INDEX, "manifests": rows}, "latest")
    for wanted, found in (("linux/arm64", "arm64v8"), ("arm/v7", "armv6"), ("amd64", "amd64")):
        text = wanted if wanted.startswith("linux") or "/" not in wanted else f"linux/{wanted}"
        pull(store, parse(f"{stub.domain}/app"), parse_platform(text))
        image = records.resolve(store.database, store.places, f"{stub.domain}/app")
        assert (Path(store.layer_path(image.layers[0])) / "arch").read_text() == found
    with pytest.raises(EngineError, match="no matching manifest for linux/s390x"):
        pull(store, parse(f"{stub.domain}/app"), parse_platform("linux/s390x"))


def test_a_zstd_layer_is_pulled(store: Store, stub: Stub) -> None:
    plain = layer(("a", b"1" * 5000))
    stub.add(config_of([plain]), [zstd.compress(plain)])
    pull(store, parse(f"{stub.domain}/app"))
    assert store.has_layer(digest_of(plain))


def test_a_layer_is_not_unpacked_before_it_is_verified(store: Store, stub: Stub) -> None:
    """The process that is to unpack it waits; without the word it ends, and has made nothing."""
    session = store.session()
    with session:
        content = gzip.compress(layer(("a", b"x")))
        path = Path(session.path) / "blob"
        path.write_bytes(content)
        source = os.open(path, os.O_RDONLY)
        for told in (False, True):
            extraction = layers.Extraction(session, source)
            (made,) = Path(session.path).glob("layer-*")
            assert os.listdir(made) == []
            if told:
                found = extraction.run(digest_of(content))
                assert os.listdir(store.layer_path(found)) == ["a"]
            extraction.close()
            if not told:
                assert os.listdir(made) == []
                made.rmdir()
        os.close(source)


def test_two_pulls_at_once_download_once(store: Store, stub: Stub) -> None:
    simple(stub)
    stub.faults.append(lambda handler: time.sleep(0.2) or False)
    code = (
        "import sys\nfrom pyoci.engine.database import Database\nfrom pyoci.engine.places import Places\n"
        "from pyoci.engine.images.store import Store\nfrom pyoci.engine.images.pull import pull\n"
        "from pyoci.engine.reference import parse\nplaces = Places(sys.argv[1], '')\n"
        "pull(Store(Database(places), places), parse(sys.argv[2]))"
    )
    argv = [sys.executable, "-c", code, store.places.root, f"{stub.domain}/app"]
    both = [subprocess.Popen(argv, stderr=subprocess.PIPE) for _ in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, b"")
    blobs = [path for _, path, _ in stub.requests if "/blobs/" in path]
    assert len([path for path in set(blobs) if blobs.count(path) > 1]) <= 1  # the configuration


def test_a_mirror_is_asked_first(store: Store, stub: Stub, monkeypatch: Any, login: Path) -> None:
    simple(stub)
    (login / "pypod.json").write_text(
        json.dumps({"registry-mirrors": ["http://127.0.0.1:1", f"http://{stub.domain}"]})
    )
    monkeypatch.setenv("PYPOD_CONFIG", str(login / "pypod.json"))
    pull(store, parse("busybox"))
    assert stub.requests[0][1] == "/v2/library/busybox/manifests/latest"
    assert records.find(store.database, "busybox")
