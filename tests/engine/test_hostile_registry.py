# SPDX-License-Identifier: Apache-2.0
"""pull from a registry that means harm: loops, other addresses, answers without end, answers that never come."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from servers import Stub, basic, refuse, reply
from test_registry import failing, simple

from pyoci.engine.errors import EngineError
from pyoci.engine.images import registry
from pyoci.engine.images.pull import pull
from pyoci.engine.images.store import Store
from pyoci.engine.reference import parse

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("login")]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_FIRST_WAIT", 0.001)


def manifests(stub: Stub) -> int:
    """Return how often the manifest was asked for."""
    return sum("/manifests/" in path for _, path, _ in stub.requests)


def demand(realm: str) -> Callable[[Any], bool]:
    """Return a fault: everything wants a token of this realm, and none is ever good enough."""

    def fault(handler: Any) -> bool:
        if handler.path.startswith("/token"):
            return reply(handler, 200, b'{"token":"T"}')
        asked = {"WWW-Authenticate": f'Bearer realm="{realm}",service="s"'}
        return refuse(handler, 401, "unauthorized", asked)

    return fault


def test_a_token_that_is_never_good_enough_is_given_up(store: Store, stub: Stub) -> None:
    simple(stub)
    stub.faults.append(demand(f"http://{stub.domain}/token"))
    assert "unauthorized" in failing(store, f"{stub.domain}/app")
    assert manifests(stub) == 2
    assert sum(path.startswith("/token") for _, path, _ in stub.requests) == 1


@pytest.mark.parametrize(
    ("realm", "words"),
    [
        ("file:///etc/shadow", "to 'file:///etc/shadow', which is not https: refused"),
        ("ftp://127.0.0.1/x", "which is not https: refused"),
        ("", "to '', which is not https: refused"),
        ("/token", "which is not https: refused"),
        ("http://127.0.0.1:1/token", "token of http://127.0.0.1:1/token: connection refused"),
    ],
)
def test_a_token_of_nowhere_is_refused(store: Store, stub: Stub, realm: str, words: str) -> None:
    simple(stub)
    stub.faults.append(demand(realm))
    assert words in failing(store, f"{stub.domain}/app")


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"token": 1}', b'{"token": "a\\nb"}', b"{" * 100_000]
)
def test_what_is_no_token_is_refused(store: Store, stub: Stub, body: bytes) -> None:
    """A header is not to be split by what a registry says."""
    simple(stub)

    def fault(handler: Any) -> bool:
        if handler.path.startswith("/token"):
            return reply(handler, 200, body)
        if handler.headers.get("Authorization") == "Bearer 1":
            return False
        asked = {"WWW-Authenticate": f'Bearer realm="http://{stub.domain}/token"'}
        return refuse(handler, 401, "unauthorized", asked)

    stub.faults.append(fault)
    if body == b'{"token": 1}':
        pull(store, parse(f"{stub.domain}/app"))
        return
    said = failing(store, f"{stub.domain}/app")
    assert "token" in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("/v2/app/manifests/latest", "more than 5 redirects"),
        ("file:///etc/passwd", "to 'file:///etc/passwd', which is not https: refused"),
        ("gopher://127.0.0.1/", "which is not https: refused"),
        ("//127.0.0.1:1/x", "connection refused"),
        ("http://[bad", "names the invalid address 'http://[bad'"),
        ("http://127.0.0.1:999999/x", "names the invalid address"),
    ],
)
def test_redirects_that_lead_nowhere(store: Store, stub: Stub, where: str, words: str) -> None:
    simple(stub)
    stub.faults.append(lambda handler: reply(handler, 307, b"", {"Location": where}))
    assert words in failing(store, f"{stub.domain}/app").lower()


def test_nothing_goes_from_https_to_http() -> None:
    """Neither by a redirect, nor by the next page of a list, nor by the place of an upload."""
    private = registry.Registry("reg.io", "https://127.0.0.1:1", insecure=False)
    with pytest.raises(EngineError, match=r"leads to 'http://reg\.io/x', which is not https"):
        private.request("GET", "http://reg.io/x", "")


def test_a_busy_registry_may_say_nonsense(store: Store, stub: Stub) -> None:
    """Retry-After is a number or a date (RFC 9110, 10.2.3), or it is not heeded."""
    simple(stub)
    left = ["soon", "\u00b2", "-1", "Thu, 99 Foo 2026 00:00:00 GMT"]
    stub.faults.append(
        lambda h: bool(left) and refuse(h, 429, "toomanyrequests", {"Retry-After": left.pop()})
    )
    pull(store, parse(f"{stub.domain}/app"))
    assert left == []


def test_the_wait_that_a_registry_asks_for_is_bounded(
    store: Store, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    simple(stub)
    waited: list[float] = []
    monkeypatch.setattr(registry.Registry, "_wait", lambda _, seconds: waited.append(seconds))
    stub.faults.append(
        lambda h: refuse(h, 503, "unavailable", {"Retry-After": "99999999"}) and h.path != "/v2/"
    )
    failing(store, f"{stub.domain}/app")
    assert waited == [registry.LONGEST_WAIT] * (registry.ATTEMPTS - 1)


def test_a_refusal_without_end_is_not_read_to_its_end(store: Store, stub: Stub) -> None:
    simple(stub)

    def fault(handler: Any) -> bool:
        handler.send_response(429)
        handler.send_header("Retry-After", "0")
        handler.send_header("Content-Length", str(1 << 50))
        handler.end_headers()
        handler.close_connection = True
        try:
            while True:
                handler.wfile.write(b"x" * 65536)
        except OSError:  # it has heard enough
            return True

    stub.faults.append(fault)
    assert failing(store, f"{stub.domain}/app").endswith("HTTP status 429")


@pytest.mark.parametrize("headers", [{"X": "x" * 70_000}, {f"X-{n}": "x" for n in range(200)}])
def test_headers_without_measure_are_refused(
    store: Store, stub: Stub, headers: dict[str, str]
) -> None:
    simple(stub)
    stub.faults.append(lambda handler: reply(handler, 200, b"{}", headers))
    said = failing(store, f"{stub.domain}/app")
    assert said.startswith(f"{stub.domain}: ")
    assert "internal error" not in said
    assert len(said) < 400


@pytest.mark.parametrize("status", [200, 401, 403, 404, 500])
def test_an_answer_that_breaks_off_is_an_error(store: Store, stub: Stub, status: int) -> None:
    simple(stub)

    def fault(handler: Any) -> bool:
        handler.send_response(status)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"{")
        handler.close_connection = True
        return True

    stub.faults.append(fault)
    said = failing(store, f"{stub.domain}/app")
    assert stub.domain in said
    assert ("broken" if status == 200 else f"{status}") in said


def slowly(handler: Any, content: bytes, promised: int) -> bool:
    """Begin an answer, and say no more until the other side has gone."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(promised))
    handler.end_headers()
    handler.wfile.write(content)
    handler.wfile.flush()
    handler.close_connection = True
    handler.connection.recv(1)
    return True


def test_a_registry_that_falls_silent_is_given_up(
    store: Store, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has come of a layer is kept."""
    monkeypatch.setattr(registry, "READ_TIMEOUT", 0.3)
    blobs = simple(stub)

    def fault(handler: Any) -> bool:
        content = stub.blobs.get(handler.path.rpartition("/")[2], b"")
        return content == blobs[1] and slowly(handler, content[:50_000], len(content))

    stub.faults.append(fault)
    assert "timed out" in failing(store, f"{stub.domain}/app")


def test_a_document_that_drips_is_given_up(
    store: Store, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte comes in time, all of them do not (slow loris)."""
    monkeypatch.setattr(registry, "LONGEST_DOCUMENT", 0.5)
    simple(stub)

    def fault(handler: Any) -> bool:
        if "/manifests/" not in handler.path:
            return False
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        handler.close_connection = True
        try:
            while True:
                handler.wfile.write(b" ")
                time.sleep(0.01)  # it is what is slow here
        except OSError:
            return True

    stub.faults.append(fault)
    assert "the registry is too slow" in failing(store, f"{stub.domain}/app")


@pytest.mark.parametrize(
    "content",
    [b"<html>sign in</html>", b"", b"\xff\xfe", b"[" * 100_000, b'{"schemaVersion": 2}', b"null"],
)
def test_what_is_no_manifest_is_refused(store: Store, stub: Stub, content: bytes) -> None:
    """Of a portal that wants people to sign in, of a broken cache."""
    for kind in ("text/html", "application/vnd.oci.image.manifest.v1+json", ""):
        stub.manifests["latest"] = kind, content
        said = failing(store, f"{stub.domain}/app")
        assert "\n" not in said
        assert "internal error" not in said


def test_an_index_that_names_itself_is_refused(store: Store, stub: Stub) -> None:
    """One of indexes, without end."""
    kind = "application/vnd.oci.image.index.v1+json"
    inner = stub.document({"schemaVersion": 2, "mediaType": kind, "manifests": []}, "inner")
    entry = {"mediaType": kind, "digest": inner, "size": len(stub.manifests[inner][1])}
    stub.document({"schemaVersion": 2, "mediaType": kind, "manifests": [entry]}, "latest")
    assert "unsupported media type" in failing(store, f"{stub.domain}/app")


def test_a_password_does_not_go_to_the_next_page(store: Store, stub: Stub, login: Path) -> None:
    """`pull --all-tags`: the list goes on at another host."""
    other = Stub()
    try:
        (login / "config.json").write_text(
            json.dumps({"auths": {stub.domain: {"auth": basic("u", "p")}}})
        )

        def fault(handler: Any) -> bool:
            if "Authorization" not in handler.headers:
                return refuse(handler, 401, "unauthorized", {"WWW-Authenticate": "Basic realm=r"})
            link = f'<http://localhost:{other.server.server_port}/v2/app/tags/list>; rel="next"'
            if "last" not in handler.path:
                link = '</v2/app/tags/list?last=a>; rel="next"'
            return reply(handler, 200, b'{"tags":["a"]}', {"Link": link})

        stub.faults.append(fault)
        other.faults.append(lambda handler: reply(handler, 200, b'{"tags":["b"]}'))
        address = f"http://{stub.domain}"
        assert registry.Registry(stub.domain, address, insecure=True).tags("app") == ["a", "a", "b"]
        assert [headers for _, _, headers in other.requests if "Authorization" in headers] == []
    finally:
        other.stop()


def test_a_list_of_tags_without_end_is_cut_off(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "MOST_PAGES", 20)
    stub.faults.append(
        lambda h: reply(h, 200, b'{"tags":["a"]}', {"Link": f'<{h.path}>; rel="next"'})
    )
    private = registry.Registry(stub.domain, f"http://{stub.domain}", insecure=True)
    with pytest.raises(EngineError, match="more than 20 pages of tags"):
        private.tags("app")
