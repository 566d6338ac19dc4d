# SPDX-License-Identifier: Apache-2.0
"""`login`: keep a password for a registry, when the registry takes it."""

import sys

from pyoci.engine.errors import EngineError, PlainError
from pyoci.engine.reference import DOCKER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.images.credentials import Credential
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (
    ("password", "p", "string", "Password"),
    ("password-stdin", "", "", "Take the password from stdin"),
    ("username", "u", "string", "Username"),
)

_NOT_INTERACTIVE = "Cannot perform an interactive login from a non TTY device"


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Ask for what was not given, try it, keep it."""
    del places
    from pyoci.engine.images import credentials
    from pyoci.engine.images.registry import Refused, connect

    domain = domain_of(arguments[0] if arguments else "")
    credential = ask(flags, credentials.find(domain))
    registry = connect(domain)[-1]
    registry.use(credential)
    try:
        registry.check()
    except Refused as error:
        where = f"{registry.address}/v2/"
        raise EngineError(f"login attempt to {where} failed with status: {error}") from error
    file = credentials.save(domain, credential)
    if file:
        print(
            f"WARNING! Your credentials are stored unencrypted in '{file}'.\n"
            "Configure a credential helper to remove this warning.\n",
            file=sys.stderr,
        )
    print("Login Succeeded")
    return 0


def ask(flags: "Flags", known: "Credential | None") -> "Credential":
    """Return the user and the password, from flags, from standard input or from the terminal. Raises EngineError."""
    from pyoci.engine.images.credentials import Credential

    user, password = flags.text("username"), flags.text("password")
    if flags.is_on("password-stdin"):
        if password:
            raise PlainError(
                "conflicting options: cannot specify both --password and --password-stdin"
            )
        if not user:
            raise PlainError("the --password-stdin option requires --username to be set")
        password = sys.stdin.read().rstrip("\r\n")
        if not password:
            raise EngineError(_NOT_INTERACTIVE)
        return Credential(user, password)
    if password:
        print(
            "WARNING! Using --password via the CLI is insecure. Use --password-stdin.",
            file=sys.stderr,
        )
    elif not user and known is not None:
        return known
    if (not user or not password) and not sys.stdin.isatty():
        raise EngineError(_NOT_INTERACTIVE)
    user = user or input("Username: ").strip()
    if not password:
        from getpass import getpass

        password = getpass("Password: ")
    if not password:
        raise EngineError("password is required")
    return Credential(user, password)


def domain_of(argument: str) -> str:
    """Return the registry that a user names, with or without a scheme and a path; docker.io for none."""
    host = argument.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return DOCKER if host in ("", DOCKER, "index.docker.io", "registry-1.docker.io") else host
