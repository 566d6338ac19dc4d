# SPDX-License-Identifier: Apache-2.0
"""ADD of an address: the file is fetched whole before anything is made of it, and compared with --checksum."""

import hashlib
import os

from pyoci.engine.build.sources import Found, Source
from pyoci.engine.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyoci.engine.images.store import Session

WEB = ("http://", "https://")
_PIECE = 1 << 20
_SECONDS = 60.0
_REDIRECTS = 10


def fetch(session: "Session", address: str, checksum: str, target: str) -> tuple[Source, Found]:
    """Fetch a file; it has the name of the address, mode 0600 and the server's time of its last change (docs of the Dockerfile)."""
    import urllib3

    from pyoci import __version__

    name = (
        address.partition("?")[0]
        .partition("#")[0]
        .partition("://")[2]
        .partition("/")[2]
        .rpartition("/")[2]
    )
    if not name and target.endswith("/"):
        raise EngineError(
            f"cannot determine filename for source {address}: end its address in a name"
        )
    directory = f"{session.path}/fetched-{os.urandom(4).hex()}"
    os.mkdir(directory, 0o700)
    path = f"{directory}/{name or 'file'}"
    manager = urllib3.PoolManager(headers={"User-Agent": f"pypod/{__version__}"})
    try:
        response = manager.request(
            "GET",
            address,
            preload_content=False,
            timeout=_SECONDS,
            redirect=True,
            retries=_REDIRECTS,
        )
        if response.status != 200:
            raise EngineError(f"{address}: invalid response status {response.status}")
        digest = _save(response.stream(_PIECE), path)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise EngineError(f"{address}: {str(error).lower()}") from error
    if checksum and checksum != f"sha256:{digest}":
        raise EngineError(f"digest mismatch sha256:{digest}: {checksum}")
    moment = _moment(response.headers.get("Last-Modified", ""))
    os.utime(path, (moment, moment))
    return Source(directory, address, keeps_owners=False), Found(name or "file", name or "file")


def _save(pieces: "Iterable[bytes]", path: str) -> str:
    digest = hashlib.sha256()
    with open(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb"
    ) as file:
        for piece in pieces:
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


def _moment(text: str) -> float:
    """Return a date of HTTP as seconds since 1970, 0 for none."""
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError):
        return 0.0
