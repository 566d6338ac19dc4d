# SPDX-License-Identifier: Apache-2.0
"""References to images, `registry/user/name:tag@digest`, by Docker's rules and in Docker's words.

The rules are those of github.com/distribution/reference: what comes before the first slash is a registry when it has a dot, a
colon or a capital, or is localhost; docker.io is the default, and library/ its default user. Without `re`, which would cost 4 ms.
"""

from pyoci.engine.errors import EngineError, PlainError

DOCKER = "docker.io"
DEFAULT_TAG = "latest"
LONGEST_NAME = 255
LONGEST_TAG = 128
# algorithm -> hexadecimal digits
ALGORITHMS = {"sha256": 64, "sha384": 96, "sha512": 128}

_DIGITS = frozenset("0123456789")
_HEX = frozenset("0123456789abcdef")
_LOWER = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_COMPONENT = _LOWER | frozenset("._-")
_WORD = _LOWER | frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_TAG = _WORD | frozenset("_.-")
_BLANK_WORDS = dict.fromkeys(map(ord, _LOWER), " ")
_INVALID = "invalid reference format"


class Reference:
    """A normalized reference; tag and digest are "" where there is none."""

    __slots__ = ("digest", "domain", "path", "tag")

    def __init__(self, domain: str, path: str, tag: str, digest: str) -> None:
        self.domain = domain
        self.path = path
        self.tag = tag
        self.digest = digest

    @property
    def repository(self) -> str:
        """The name without tag and digest, from the registry on."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar(self) -> str:
        """The repository as Docker prints it: without docker.io and library."""
        if self.domain != DOCKER:
            return self.repository
        return self.path.removeprefix("library/") if self.path.count("/") == 1 else self.path

    @property
    def name(self) -> str:
        """The whole name under which an image is kept: with the digest where there is one, else with the tag."""
        return (
            f"{self.repository}@{self.digest}" if self.digest else f"{self.repository}:{self.tag}"
        )

    @property
    def shown(self) -> str:
        """The familiar form with tag and digest."""
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.familiar}{tag}@{self.digest}" if self.digest else self.familiar + tag


def parse(text: str) -> Reference:
    """Return a reference, with tag `latest` where it has neither tag nor digest. Raise EngineError in Docker's words."""
    reference = parse_bare(text)
    if not reference.tag and not reference.digest:
        reference.tag = DEFAULT_TAG
    return reference


def parse_asked(text: str) -> Reference:
    """Return the reference that a user names: what is wrong with it Docker's client says, in its plain words."""
    try:
        return parse(text)
    except EngineError as error:
        raise PlainError(str(error)) from error


def parse_bare(text: str) -> Reference:
    """Return a reference that may have neither tag nor digest."""
    if is_hex(text, 64):
        raise EngineError(
            f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
        )
    domain, rest = _split_domain(text)
    remote = rest.partition(":")[0]
    if remote.lower() != remote:
        raise EngineError(f"{_INVALID}: repository name ({remote}) must be lowercase")
    named, at, digest = rest.partition("@")
    path, colon, tag = named.partition(":")
    if not _is_domain(domain) or not all(map(_is_component, path.split("/"))):
        raise EngineError(_INVALID)
    if colon and not _is_tag(tag):
        raise EngineError(_INVALID)
    if at:
        check_digest(digest)
    if len(domain) + 1 + len(path) > LONGEST_NAME:
        raise EngineError(f"repository name must not be more than {LONGEST_NAME} characters")
    return Reference(domain, path, tag, digest)


def from_name(name: str) -> Reference:
    """Return the reference of a name that is in the database."""
    domain, _, rest = name.partition("/")
    named, _, digest = rest.partition("@")
    path, _, tag = named.partition(":")
    return Reference(domain, path, tag, digest)


def check_digest(digest: str) -> None:
    """Refuse what is not algorithm:hexadecimal of the right length."""
    algorithm, colon, value = digest.partition(":")
    if not colon or not algorithm or len(value) < 32 or not _HEX.issuperset(value.lower()):
        raise EngineError(_INVALID)
    if algorithm not in ALGORITHMS:
        raise EngineError("unsupported digest algorithm")
    if len(value) != ALGORITHMS[algorithm]:
        raise EngineError("invalid checksum digest length")
    if not _HEX.issuperset(value):
        raise EngineError("invalid checksum digest format")


def is_hex(text: str, length: int = 0) -> bool:
    """Tell whether a text is lower case hexadecimal, of this length where one is given."""
    return bool(text) and _HEX.issuperset(text) and length in (0, len(text))


def _split_domain(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    is_domain = "." in first or ":" in first or first == "localhost" or first != first.lower()
    if not slash or not is_domain:
        first, rest = DOCKER, text
    if first == "index.docker.io":
        first = DOCKER
    if first == DOCKER and "/" not in rest:
        rest = f"library/{rest}"
    return first, rest


def _is_domain(domain: str) -> bool:
    host, colon, port = domain.rpartition(":")
    if not colon or domain.endswith("]"):
        host, port = domain, "0"
    if not port or not _DIGITS.issuperset(port):
        return False
    if host.startswith("["):
        address = host[1:-1]
        return host.endswith("]") and bool(address) and (_HEX | {":"}).issuperset(address.lower())
    return all(map(_is_host_part, host.split(".")))


def _is_host_part(part: str) -> bool:
    return bool(part) and (_WORD | {"-"}).issuperset(part) and part[0] != "-" != part[-1]


def _is_component(part: str) -> bool:
    """Tell whether a part of the path is words of lower case with one dot, one or two underscores, or dashes between."""
    if not part or not _COMPONENT.issuperset(part) or {part[0], part[-1]} - _LOWER:
        return False
    between = part.translate(_BLANK_WORDS).split()
    return all(run in (".", "_", "__") or not run.strip("-") for run in between)


def _is_tag(tag: str) -> bool:
    return bool(tag) and len(tag) <= LONGEST_TAG and _TAG.issuperset(tag) and tag[0] not in ".-"
