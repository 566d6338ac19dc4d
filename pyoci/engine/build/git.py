# SPDX-License-Identifier: Apache-2.0
"""A git repository as a context, or for ADD: fetched by the git program, to which nothing of the user's or the host's is told.

    https://HOST/PATH.git[#REF[:DIRECTORY]]   git://   ssh://   USER@HOST:PATH   github.com/...

An address may be a stranger's, and so is what it leads to: no other protocol, no configuration of the system or the
user, no hook, no credential helper, no question. GIT_AUTH_TOKEN and GIT_AUTH_TOKEN.HOST are secrets of the build.
"""

import os

from pyoci.engine.below import open_within
from pyoci.engine.build.sources import Source
from pyoci.engine.errors import EngineError
from pyoci.engine.trees import remove_tree
from pyoci.linux.path import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyoci.engine.images.store import Session

_PREFIXES = ("git://", "ssh://", "git@", "github.com/")
_WEB = ("http://", "https://")
_PROTOCOLS = "git:http:https:ssh"
# Of our own environment git and ssh get these alone.
_KEPT = (
    "PATH", "SSH_AUTH_SOCK", "http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY",
)  # fmt: skip
_SETTINGS = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.attributesFile": "/dev/null",
    "core.sshCommand": "ssh -o BatchMode=yes",
    "credential.helper": "",
    "protocol.ext.allow": "never",
    "protocol.file.allow": "never",
    "gc.auto": "0",
}
_HEX = frozenset("0123456789abcdef")
_LOOPBACK = ("localhost", "127.0.0.1")  # the rest of plain HTTP can be listened to
_TOKEN = "GIT_AUTH_TOKEN"  # noqa: S105 - the name of one


class Address:
    """Where a repository is, what of it is meant: `ref` "" for its default branch."""

    __slots__ = ("directory", "ref", "url")

    def __init__(self, text: str) -> None:
        """Read an address. Raises EngineError for one that git could take for something else."""
        self.url, _, fragment = text.partition("#")
        if self.url.startswith("github.com/"):
            self.url = f"https://{self.url}"
        self.ref, _, directory = fragment.partition(":")
        self.directory = clean(f"/{directory}").lstrip("/")
        if self.ref.startswith(("-", "+")) or not set(self.ref).isdisjoint(":^~?*[\\ \t\n"):
            raise EngineError(f"{text}: invalid reference {self.ref!r}")
        if self.url.startswith("-") or "\n" in self.url:
            raise EngineError(f"{text!r}: invalid address")

    @property
    def shown(self) -> str:
        """The address without the password that may stand in it."""
        scheme, mark, rest = self.url.partition("://")
        host, slash, path = rest.partition("/")
        return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}" if mark else self.url

    @property
    def is_commit(self) -> bool:
        """Tell whether a commit is meant by its whole number."""
        return len(self.ref) in (40, 64) and set(self.ref) <= _HEX


def is_git(text: str) -> bool:
    """Tell whether Docker takes a text for the address of a repository."""
    address = text.partition("#")[0]
    return text.startswith(_PREFIXES) or (text.startswith(_WEB) and address.endswith(".git"))


def fetch(
    session: "Session", text: str, secrets: "Mapping[str, bytes]", *, keeps_git: bool = False
) -> tuple[Source, str]:
    """Fetch what an address means; return the files and the number of the commit."""
    address = Address(text)
    directory = f"{session.path}/git-{os.urandom(4).hex()}"
    git = _Git(directory, address, secrets)
    git.run("init", "--quiet", "--template=", directory)
    git.run("-C", directory, "checkout", "--quiet", "--force", "--detach", git.fetch())
    if os.path.lexists(f"{directory}/.gitmodules"):
        words = ("--quiet", "--init", "--recursive", "--depth", "1")
        git.run("-C", directory, "submodule", "update", *words)
    commit = git.run("-C", directory, "rev-parse", "HEAD").strip()
    if not keeps_git:
        remove_tree(f"{directory}/.git")
    return Source(_inside(directory, address), address.shown, keeps_owners=False), commit


def _inside(directory: str, address: Address) -> str:
    """Return the directory that is meant; a link of the repository leads to a place in it."""
    top = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = open_within(top, address.directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise EngineError(f"{address.shown}: {address.directory}: {reason}") from error
    finally:
        os.close(top)
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


class _Git:
    """The program, for one address."""

    def __init__(self, directory: str, address: Address, secrets: "Mapping[str, bytes]") -> None:
        self.directory = directory
        self.address = address
        self.environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        self.environment |= {
            "HOME": "/dev/null",
            "LC_ALL": "C",
            "GIT_ALLOW_PROTOCOL": _PROTOCOLS,
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_PROTOCOL_FROM_USER": "0",
            "GIT_TERMINAL_PROMPT": "0",
        }
        settings = {**_SETTINGS, **_authorization(address, secrets)}
        self.environment["GIT_CONFIG_COUNT"] = str(len(settings))
        for number, (key, value) in enumerate(settings.items()):  # not argv, which all can read
            self.environment[f"GIT_CONFIG_KEY_{number}"] = key
            self.environment[f"GIT_CONFIG_VALUE_{number}"] = value

    def fetch(self) -> str:
        """Fetch what is meant and return by what name git has it: alone, where the server can, else with what it comes from."""
        fetching = ("-C", self.directory, "fetch", "--quiet", "--no-tags")
        url, ref = self.address.url, self.address.ref or "HEAD"
        try:
            self.run(*fetching, "--depth", "1", "--", url, ref)
        except EngineError:
            if self.address.is_commit:
                refs = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
                self.run(*fetching, "--", url, *refs)
                return ref
            self.run(*fetching, "--", url, ref)
        return "FETCH_HEAD"

    def run(self, *words: str) -> str:
        """Run git to its end and return what it wrote. Raises EngineError with its last words."""
        import subprocess

        try:
            ran = subprocess.run(
                ["git", *words],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
        except FileNotFoundError:
            raise EngineError("git is not installed: apt-get install git") from None
        if ran.returncode:
            said = ran.stderr.decode("utf-8", "replace").replace(
                self.address.url, self.address.shown
            )
            lines = [line for line in said.splitlines() if line.strip()] or ["it said nothing"]
            fatal = [line for line in lines if line.startswith("fatal: ")]
            reasons = dict.fromkeys([lines[0], *fatal[:1]])  # ssh's own stands before git's
            raise EngineError(f"failed to fetch {self.address.shown}: {'; '.join(reasons)}")
        return ran.stdout.decode("utf-8", "replace")


def _authorization(address: Address, secrets: "Mapping[str, bytes]") -> dict[str, str]:
    """Return the header that gives a server of the web its token: for this host only."""
    scheme, mark, rest = address.url.partition("://")
    host = rest.partition("/")[0].rpartition("@")[2]
    token = secrets.get(f"{_TOKEN}.{host}", secrets.get(_TOKEN))
    is_private = scheme == "https" or (scheme == "http" and host.partition(":")[0] in _LOOPBACK)
    if not mark or not is_private or token is None:
        return {}
    from binascii import b2a_base64

    basic = b2a_base64(b"x-access-token:" + token.strip(), newline=False).decode("ascii")
    return {f"http.{scheme}://{host}/.extraheader": f"Authorization: basic {basic}"}
