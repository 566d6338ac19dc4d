# SPDX-License-Identifier: Apache-2.0
"""A registry, over HTTP (distribution-spec): manifests and blobs, tokens, redirects, retries, resumption.

What comes from a registry is believed only by its digest. A credential goes to the registry, and to the realm that it names where
that is as private as the registry itself; it does not follow a redirect to another host, and nothing goes from https to http.
"""

import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock
from urllib.parse import urlencode, urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, SSLError

from pyoci.engine.errors import EngineError, NotFoundError
from pyoci.engine.images import credentials, manifests, settings
from pyoci.engine.images.challenge import challenges
from pyoci.engine.images.config import parse_document
from pyoci.engine.images.store import WriteError, write_all
from pyoci.engine.reference import DOCKER
from pyoci.linux.environment import variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import BinaryIO

    from urllib3 import BaseHTTPResponse

    from pyoci.engine.images.challenge import Challenge
    from pyoci.engine.images.credentials import Credential
    from pyoci.engine.images.manifests import Descriptor

CHUNK = 1 << 20
ATTEMPTS = 5
LONGEST_WAIT = 60.0  # seconds that Retry-After may ask for
LONGEST_DOCUMENT = 120.0  # seconds that a manifest, a configuration, a token may take
MOST_PAGES = 10_000  # of a list of tags
READ_TIMEOUT = 60.0  # seconds without a byte
_FIRST_WAIT = 0.25
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 5
_AGAIN = (408, 429, 500, 502, 503, 504)
_LARGEST_ANSWER = 1 << 20
_DOCKER_HOST = "https://registry-1.docker.io"
_ACCEPT = ", ".join((*manifests.INDEXES, *manifests.MANIFESTS))
_CERTIFICATES = "/etc/docker/certs.d"


class Refused(EngineError):
    """The registry answered with an error: its HTTP status, and the code of the specification."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.http_status = status
        self.code = code


class BrokenDownload(Exception):
    """The connection ended before the blob did, or what was resumed turned out to be damaged: worth another attempt."""


class Stopped(EngineError):
    """Given up because another thread of the same command has failed, whose error tells why."""


class Registry:
    """One registry, at one address; used by several threads at once."""

    def __init__(self, domain: str, address: str, *, insecure: bool) -> None:
        self.domain = domain
        self.address = address.rstrip("/")
        self.insecure = insecure
        self.stopped = Event()  # set when the command is to end
        self._pool = _pool(self.address, insecure=insecure)
        self._tokens: dict[str, str] = {}  # scope -> value of the header
        self._credential: Credential | bool | None = False
        self._lock = Lock()

    def use(self, credential: "Credential") -> None:
        """Take this credential instead of what is kept (`login`)."""
        self._credential = credential

    def check(self) -> None:
        """Ask whether we are let in. Raises Refused."""
        self.request("GET", "/v2/", "").drain_conn()

    def manifest(self, repository: str, reference: str) -> tuple[bytes, str, str]:
        """Return a manifest or an index with its media type and its digest, by which it has been verified."""
        answer = self.request(
            "GET",
            f"/v2/{repository}/manifests/{reference}",
            f"repository:{repository}:pull",
            {"Accept": _ACCEPT},
        )
        content = self._limited(answer, manifests.LARGEST_MANIFEST)
        wanted = reference if ":" in reference else answer.headers.get("Docker-Content-Digest", "")
        algorithm = wanted.partition(":")[0] or "sha256"
        if algorithm not in ("sha256", "sha384", "sha512"):
            raise EngineError(
                f"{self.domain}: a digest of the unknown algorithm {algorithm[:40]!r}"
            )
        digest = f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
        if wanted and wanted != digest:
            raise EngineError(
                f"{self.domain}: manifest {wanted} arrived as {digest}: it was changed"
            )
        return content, answer.headers.get("Content-Type", "").partition(";")[0], digest

    def blob(self, repository: str, descriptor: "Descriptor", limit: int) -> bytes:
        """Return a blob that is small, verified."""
        if descriptor.size > limit:
            raise EngineError(f"{descriptor.digest} has more than {limit >> 20} MB")
        answer = self.request("GET", *_blob(repository, descriptor.digest))
        content = self._limited(answer, descriptor.size)
        algorithm, _, digits = descriptor.digest.partition(":")
        if hashlib.new(algorithm, content).hexdigest() != digits:
            raise EngineError(f"{self.domain}: {descriptor.digest} arrived damaged")
        return content

    def download(
        self,
        repository: str,
        descriptor: "Descriptor",
        fd: int,
        progress: "Callable[[int], None]",
    ) -> None:
        """Write a blob into a file that may have its beginning already, and verify it; goes on where a connection broke."""
        failures = 0
        while True:
            before = os.fstat(fd).st_size
            try:
                self._download_rest(repository, descriptor, fd, progress)
            except (HTTPError, BrokenDownload) as error:
                failures = failures + 1 if os.fstat(fd).st_size <= before else 1
                if failures >= ATTEMPTS or self.stopped.is_set():
                    raise EngineError(
                        f"{self.domain}: {descriptor.digest}: {reason(error)}"
                    ) from error
                self._wait(_FIRST_WAIT * 2**failures)
            except WriteError:
                os.ftruncate(fd, 0)  # it would fill the disk for others
                raise
            else:
                return

    def _download_rest(
        self,
        repository: str,
        descriptor: "Descriptor",
        fd: int,
        progress: "Callable[[int], None]",
    ) -> None:
        algorithm, _, digits = descriptor.digest.partition(":")
        digest, have = _digest_of(fd, algorithm)
        resumed = have > 0
        if have < descriptor.size:
            headers = {"Range": f"bytes={have}-"} if have else {}
            answer = self.request("GET", *_blob(repository, descriptor.digest), headers)
            if have and answer.status != 206:
                os.ftruncate(fd, 0)  # the registry knows no ranges: all of it again
                os.lseek(fd, 0, os.SEEK_SET)
                digest, have = hashlib.new(algorithm), 0
            try:
                for chunk in _digested(answer.stream(CHUNK, decode_content=False), digest):
                    have += len(chunk)
                    if have > descriptor.size or self.stopped.is_set():
                        break
                    write_all(fd, chunk)
                    progress(have)
            finally:
                if have != descriptor.size:
                    answer.close()  # whatever it still has is not for the next request
            if have < descriptor.size and not self.stopped.is_set():
                raise BrokenDownload("the connection ended early")
        if self.stopped.is_set():
            raise Stopped(f"{self.domain}: stopped")
        if have != descriptor.size or digest.hexdigest() != digits:
            os.ftruncate(fd, 0)  # nothing of this is worth keeping
            if resumed:
                raise BrokenDownload("what an earlier attempt had left was damaged")
            words = (
                "is longer than its manifest says" if have > descriptor.size else "arrived damaged"
            )
            raise EngineError(f"{self.domain}: {descriptor.digest} {words}")

    def has(self, repository: str, digest: str) -> bool:
        """Tell whether a blob is there."""
        path = f"/v2/{repository}/blobs/{digest}"
        try:
            self.request("HEAD", path, f"repository:{repository}:pull,push").drain_conn()
        except NotFoundError:
            return False
        return True

    def upload(
        self, repository: str, digest: str, file: "BinaryIO", size: int, source: str = ""
    ) -> bool:
        """Upload a blob in one piece; False where the registry could take it from another repository."""
        scope = f"repository:{repository}:pull,push"
        query = {"mount": digest, "from": source} if source else {}
        where = f"/v2/{repository}/blobs/uploads/{'?' + urlencode(query) if query else ''}"
        answer = self.request("POST", where, scope, {"Content-Length": "0"})
        answer.drain_conn()
        if answer.status == 201:
            return False
        location = answer.headers.get("Location", "")
        target = self._joined(self.address + where, location)
        target += f"{'&' if '?' in target else '?'}digest={digest}"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        self.request("PUT", target, scope, headers, file).drain_conn()
        return True

    def put_manifest(
        self, repository: str, reference: str, content: bytes, media_type: str
    ) -> None:
        """Put a manifest under a tag or its digest."""
        path = f"/v2/{repository}/manifests/{reference}"
        scope = f"repository:{repository}:pull,push"
        self.request("PUT", path, scope, {"Content-Type": media_type}, content).drain_conn()

    def tags(self, repository: str) -> list[str]:
        """Return all tags of a repository, page by page."""
        found: list[str] = []
        where = f"/v2/{repository}/tags/list"
        for _ in range(MOST_PAGES):
            answer = self.request("GET", where, f"repository:{repository}:pull")
            listed = parse_document(
                self._limited(answer, manifests.LARGEST_MANIFEST), "list of tags"
            )
            found += [str(tag) for tag in listed.get("tags") or ()]
            link = answer.headers.get("Link", "")
            if 'rel="next"' not in link:
                return found
            where = self._joined(
                urljoin(self.address, where), link.partition("<")[2].partition(">")[0]
            )
        raise EngineError(f"{self.domain}: more than {MOST_PAGES} pages of tags")

    def request(
        self,
        method: str,
        where: str,
        scope: str,
        headers: "dict[str, str] | None" = None,
        body: "BinaryIO | bytes | None" = None,
    ) -> "BaseHTTPResponse":
        """Ask the registry until it answers; return an answer that is no error, its body unread. Raises EngineError."""
        url = where if "://" in where else self.address + where
        failures = 0
        authorized = False
        while True:
            wait = _FIRST_WAIT * 2**failures
            try:
                answer = self._follow(method, url, scope, headers or {}, body)
            except HTTPError as error:
                failures += 1
                if failures >= ATTEMPTS or not _may_repeat(error):
                    raise EngineError(f"{self.domain}: {reason(error)}") from error
            else:
                if answer.status < 400:
                    return answer
                if answer.status == 401 and not authorized:
                    authorized = True
                    self._authorize(answer, scope)
                    continue
                failures += 1
                if answer.status not in _AGAIN or failures >= ATTEMPTS:
                    raise self._refusal(answer)
                wait = _asked_wait(answer, wait)
            self._wait(wait)

    def _wait(self, seconds: float) -> None:
        if self.stopped.wait(seconds):
            raise Stopped(f"{self.domain}: stopped")

    def _follow(
        self,
        method: str,
        url: str,
        scope: str,
        headers: "dict[str, str]",
        body: "BinaryIO | bytes | None",
    ) -> "BaseHTTPResponse":
        """Send one request, and follow redirects of what only reads."""
        own = origin(self.address)
        for _ in range(_MOST_REDIRECTS):
            self._check_private(url, "leads")
            sent = {"User-Agent": "pypod", "Accept-Encoding": "identity", **headers}
            if self._origin(url) == own and scope in self._tokens:
                sent["Authorization"] = self._tokens[scope]
            if body is not None and not isinstance(body, bytes):
                body.seek(0)
            answer = self._pool.request(
                method,
                url,
                body=body,
                headers=sent,
                redirect=False,
                retries=False,
                preload_content=False,
            )
            if answer.status not in _REDIRECTS or method not in ("GET", "HEAD"):
                return answer
            _dismiss(answer)
            url = self._joined(url, answer.headers.get("Location", ""))
        raise EngineError(f"{self.domain}: more than {_MOST_REDIRECTS} redirects")

    def _authorize(self, answer: "BaseHTTPResponse", scope: str) -> None:
        """Make what a registry's 401 asks for: a token, or the password itself."""
        asked = {
            found.scheme: found for found in challenges(answer.headers.get("WWW-Authenticate", ""))
        }
        refusal = self._refusal(answer)
        credential = self._own_credential()
        if "bearer" in asked:
            value = f"Bearer {self._token(asked['bearer'], scope, credential)}"
        elif "basic" in asked and credential is not None and credential.user:
            value = credential.basic()
        else:
            raise refusal
        with self._lock:
            self._tokens[scope] = value

    def _own_credential(self) -> "Credential | None":
        with self._lock:
            if isinstance(self._credential, bool):
                self._credential = credentials.find(self.domain)
            return self._credential

    def _token(self, asked: "Challenge", scope: str, credential: "Credential | None") -> str:
        """Get a token from the realm that the registry names."""
        realm = asked.parameters.get("realm", "")
        self._check_private(realm, "wants a token, which leads")
        fields = {key: asked.parameters[key] for key in ("service",) if key in asked.parameters}
        wanted = asked.parameters.get("scope", scope)
        if wanted:
            fields["scope"] = wanted
        headers = {"User-Agent": "pypod"}
        if credential is not None and credential.token:
            fields |= {
                "grant_type": "refresh_token",
                "refresh_token": credential.token,
                "client_id": "pypod",
            }
        elif credential is not None:
            headers["Authorization"] = credential.basic()
            fields["account"] = credential.user
        method = "POST" if "grant_type" in fields else "GET"
        body = urlencode(fields) if method == "POST" else None
        where = realm
        if method == "POST":
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        else:
            where += f"{'&' if '?' in realm else '?'}{urlencode(fields)}"
        try:
            answer = self._pool.request(
                method, where, body=body, headers=headers, redirect=False, retries=False, preload_content=False
            )  # fmt: skip
        except HTTPError as error:
            raise EngineError(f"{self.domain}: token of {realm[:100]}: {reason(error)}") from error
        if answer.status != 200:
            raise self._refusal(answer)
        found = parse_document(self._limited(answer, _LARGEST_ANSWER), "token")
        token = str(found.get("token") or found.get("access_token") or "")
        if not token or not token.isascii() or not token.isprintable():
            raise EngineError(f"{self.domain}: {realm[:100]} gave no token")
        return token

    def _check_private(self, url: str, what: str) -> None:
        """Refuse an address that a registry names and that is less private than itself, or none of HTTP at all."""
        scheme = self._origin(url)[0]
        if scheme != "https" and (scheme != "http" or not self.insecure):
            raise EngineError(
                f"{self.domain}: {what} to {url[:100]!r}, which is not https: refused"
            )

    def _origin(self, url: str) -> tuple[str, str, int | None]:
        try:
            return origin(url)
        except ValueError:
            raise EngineError(f"{self.domain}: names the invalid address {url[:100]!r}") from None

    def _joined(self, base: str, named: str) -> str:
        """Return an address that a registry names, relative to another one."""
        try:
            return urljoin(base, named)
        except ValueError:
            raise EngineError(f"{self.domain}: names the invalid address {named[:100]!r}") from None

    def _limited(self, answer: "BaseHTTPResponse", limit: int) -> bytes:
        """Return the body of an answer of at most so many bytes."""
        content = bytearray()
        until = time.monotonic() + LONGEST_DOCUMENT
        try:
            while chunk := answer.read1(CHUNK, decode_content=False):
                content += chunk
                if len(content) > limit:
                    raise EngineError(
                        f"the registry sent more than {limit} bytes for a small document"
                    )
                if time.monotonic() > until:
                    raise EngineError(
                        "the registry is too slow: a small document did not arrive in time"
                    )
        except HTTPError as error:
            raise EngineError(f"{self.domain}: {reason(error)}") from error
        except EngineError:
            answer.close()
            raise
        return bytes(content)

    def _refusal(self, answer: "BaseHTTPResponse") -> EngineError:
        """Return what an answer that is an error says, in the registry's words."""
        try:
            content = answer.read(_LARGEST_ANSWER) or b""
        except HTTPError:
            content = b""  # its status says enough
        answer.close()
        code = message = ""
        try:
            first = (parse_document(content, "").get("errors") or [{}])[0]
            code, message = str(first.get("code", "")), str(first.get("message", ""))
        except (EngineError, AttributeError, KeyError, TypeError):
            message = ""
        words = (
            f"{code.lower().replace('_', ' ')}: {message}"
            if code
            else f"{self.domain}: HTTP status {answer.status}"
        )
        if answer.status == 404:
            return NotFoundError(words)
        return Refused(answer.status, code, words)


def in_parallel(registry: Registry, calls: "Sequence[Callable[[], None]]", at_once: int) -> None:
    """Make calls in several threads; the first failure stops the others and is raised when all have ended."""
    with ThreadPoolExecutor(at_once) as pool:
        futures = [pool.submit(_stopping, registry, call) for call in calls]
        try:
            failures = [future.exception() for future in futures]
        except BaseException:  # Ctrl-C
            registry.stopped.set()
            pool.shutdown(cancel_futures=True)
            raise
    for failure in sorted(filter(None, failures), key=lambda error: isinstance(error, Stopped)):
        raise failure


def _stopping(registry: Registry, call: "Callable[[], None]") -> None:
    if registry.stopped.is_set():
        raise Stopped(f"{registry.domain}: stopped")
    try:
        call()
    except BaseException:
        registry.stopped.set()
        raise


def connect(domain: str) -> list[Registry]:
    """Return where a registry can be reached, the first choice first: mirrors, then itself."""
    configured = settings.read()
    if domain == DOCKER:
        mirrors = [
            Registry(
                urlsplit(url).netloc, url, insecure=configured.is_insecure(urlsplit(url).netloc)
            )
            for url in configured.mirrors
        ]
        return [*mirrors, Registry(domain, _DOCKER_HOST, insecure=False)]
    if not configured.is_insecure(domain):
        return [Registry(domain, f"https://{domain}", insecure=False)]
    return [Registry(domain, f"{_scheme(domain)}://{domain}", insecure=True)]


def origin(url: str) -> tuple[str, str, int | None]:
    """Return what makes two URLs the same place for a credential: scheme, host, port."""
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, parts.hostname or "", port


def reason(error: Exception) -> str:
    """Return why a connection failed, in a few words."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror.lower()
        inner = inner.__cause__ or inner.__context__
    text = str(error)
    return text[:1].lower() + text[1:200]


def _scheme(domain: str) -> str:
    """Find out whether a registry that needs no TLS has it."""
    pool = _pool(f"https://{domain}", insecure=True)
    try:
        pool.request("GET", f"https://{domain}/v2/", retries=False, timeout=5.0).drain_conn()
    except (SSLError, HTTPError):
        return "http"
    return "https"


def _pool(address: str, *, insecure: bool) -> urllib3.PoolManager:
    """Return the connections to a registry: through a proxy where the environment says so, with certs.d's certificates."""
    host = urlsplit(address).netloc
    options: dict[str, object] = {
        "maxsize": 8,
        "timeout": urllib3.Timeout(connect=15.0, read=READ_TIMEOUT),
    }
    directory = f"{_CERTIFICATES}/{host}"
    if os.path.isfile(f"{directory}/ca.crt"):
        options["ca_certs"] = f"{directory}/ca.crt"
    elif insecure:
        options["cert_reqs"] = "CERT_NONE"
        urllib3.disable_warnings()
    if os.path.isfile(f"{directory}/client.cert"):
        options |= {"cert_file": f"{directory}/client.cert", "key_file": f"{directory}/client.key"}
    scheme = urlsplit(address).scheme
    proxy = variable(f"{scheme}_proxy") or variable(f"{scheme.upper()}_PROXY")
    if proxy and not insecure and not _is_direct(settings.host_of(host)):
        return urllib3.ProxyManager(proxy, **options)  # type: ignore[arg-type]  # the table above
    return urllib3.PoolManager(**options)  # type: ignore[arg-type]  # the table above


def _is_direct(host: str) -> bool:
    """Tell whether NO_PROXY names a host or its domain."""
    names = (variable("no_proxy") or variable("NO_PROXY")).replace(" ", "").split(",")
    return any(
        name == "*"
        or (name and (host == name.lstrip(".") or host.endswith(f".{name.lstrip('.')}")))
        for name in names
    )


def _blob(repository: str, digest: str) -> tuple[str, str]:
    return f"/v2/{repository}/blobs/{digest}", f"repository:{repository}:pull"


def _digested(chunks: "Iterable[bytes]", digest: "hashlib._Hash") -> "Iterator[bytes]":
    """Yield chunks, each of which goes into a digest while it is written and the next one comes."""
    with ThreadPoolExecutor(1) as other:
        made = other.submit(digest.update, b"")
        for chunk in chunks:
            made.result()
            made = other.submit(digest.update, chunk)
            yield chunk
        made.result()


def _dismiss(answer: "BaseHTTPResponse") -> None:
    """Let go of an answer whose body does not matter: its connection serves again, unless the body goes on for ever."""
    try:
        if len(answer.read(_LARGEST_ANSWER) or b"") < _LARGEST_ANSWER:
            return
    except HTTPError:
        pass
    answer.close()


def _digest_of(fd: int, algorithm: str) -> "tuple[hashlib._Hash, int]":
    """Return the running digest of what a file has so far, and its size; the file stands at its end."""
    digest, size = hashlib.new(algorithm), 0
    os.lseek(fd, 0, os.SEEK_SET)
    while chunk := os.read(fd, CHUNK):
        digest.update(chunk)
        size += len(chunk)
    return digest, size


def _may_repeat(error: HTTPError) -> bool:
    """Tell whether a failure may pass: not that of a certificate."""
    return not isinstance(error, SSLError) and not isinstance(error.__cause__, SSLError)


def _asked_wait(answer: "BaseHTTPResponse", otherwise: float) -> float:
    """Return how long to wait before the next attempt, as the registry asks."""
    asked = answer.headers.get("Retry-After", "")
    _dismiss(answer)
    if asked.isascii() and asked.isdigit():
        return min(float(asked), LONGEST_WAIT)
    return otherwise if not asked else min(_until(asked), LONGEST_WAIT)


def _until(date: str) -> float:
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(date).timestamp() - time.time())
    except (TypeError, ValueError):
        return _FIRST_WAIT
