# SPDX-License-Identifier: Apache-2.0
"""Images of an ordinary user: unpacked in a user namespace of one id, mounted with userxattr in another."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from images import docker_archive, layer, member

from pyoci.engine.places import Places

pytestmark = pytest.mark.root

USER = 65534
MAIN = "import sys; from pyoci.engine.cli import main; sys.exit(main(['pypod', *sys.argv[1:]]))"
LOOK = """
import os, sys
from pyoci.engine import snapshots
from pyoci.engine.database import Database
from pyoci.engine.images import records
from pyoci.engine.places import Places
places = Places(sys.argv[1], "")
database = Database(places)
image = records.resolve(database, places, "app:1")
snapshot = snapshots.create(database, places, "c", image)
root = snapshot.mount()
print(sorted(os.listdir(root)), os.listdir(f"{root}/d"), os.stat(f"{root}/tool").st_mode & 0o7777)
os.unlink(f"{root}/tool")
open(f"{root}/new", "w").close()
print(snapshot.changes())
snapshot.remove()
"""


@pytest.fixture
def own(scratch: Path) -> Places:
    """A root that belongs to a user."""
    scratch.chmod(0o711)
    for name in ("root", "run"):
        (scratch / name).mkdir(0o700)
        os.chown(scratch / name, USER, USER)
    return Places(str(scratch / "root"), str(scratch / "run"))


def as_user(*argv: object, places: Places) -> str:
    """Run Python as the user and return what it printed."""
    environment = {"HOME": places.root, "XDG_RUNTIME_DIR": places.run, "PATH": os.environ["PATH"]}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    ran = subprocess.run(
        [str(word) for word in argv],
        env=environment, user=USER, group=USER, extra_groups=[], cwd="/",
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_a_user_loads_and_mounts_an_image(own: Places, scratch: Path) -> None:
    lower = layer(
        member("d", tarfile.DIRTYPE), ("d/hidden", b"1"), ("gone", b"2"),
        member("tool", mode=0o4755, uid=1000, gid=1000),
        member("null", tarfile.CHRTYPE, devmajor=1, devminor=3),
    )  # fmt: skip
    upper = layer(member(".wh.gone"), member("d/.wh..wh..opq"), ("d/seen", b"3"))
    archive = scratch / "app.tar"
    archive.write_bytes(docker_archive([lower, upper], "app:1"))
    archive.chmod(0o644)
    out = as_user(sys.executable, "-c", MAIN, "load", "-i", archive, places=own)
    assert out == "Loaded image: app:1\n"
    root = f"{own.root}/.local/share/pypod"
    seen = as_user("unshare", "-Urm", sys.executable, "-c", LOOK, root, places=own)
    assert seen.splitlines() == [
        f"['.dockerenv', 'd', 'etc', 'tool'] ['seen'] {0o4755}",
        "[('A', '/new'), ('D', '/tool')]",
    ]
