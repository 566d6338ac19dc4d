# SPDX-License-Identifier: Apache-2.0
"""Debian's podman and buildah, of root or of an ordinary user, in a place of their own."""

import itertools
import os
from pathlib import Path

from blackbox.console import Foreground
from blackbox.processes import Ran, Running, children, text, until
from engines.configuration import configuration
from engines.daemon import Daemon

PODMAN = "/usr/bin/podman"
BUILDAH = "/usr/bin/buildah"
IMAGE = "localhost/box:latest"
CHANGES = ["--change=ENV PATH=/bin", "--change=ENV FROM=image", '--change=CMD ["/bin/sh"]']
NAME, UID, FIRST = "tester", 4321, 400000
# What the tests add to docs/engines/containers.conf: no systemd is here, and podman's own limits
# (1048576 files) need CAP_SYS_RESOURCE, which the tests may lack.
TESTS_OWN = """
[containers]
default_ulimits = ["nofile=1024:4096", "nproc=1024:4096"]

[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
# What useradd, systemd-logind and udev do for a user, seen in one mount namespace only.
MAKE_USER = """
mount --make-rshared / && install -d -m 700 -o {id} -g {id} /run/user/{id} &&
for file in passwd group subuid subgid; do mount --bind {place}/$file /etc/$file || exit; done
[ ! -e /dev/net/tun ] || {{ mount -t tmpfs -o mode=755 none /dev/net && mknod -m 666 /dev/net/tun c 10 200; }}
"""
_numbers = itertools.count()


class Podman(Daemon):
    """Podman of root. It has no daemon: what lives is the namespaces in which its commands run."""

    network = "own"

    def __init__(self, directory: Path, cgroup: str, program: str) -> None:
        super().__init__(directory, cgroup)
        self.own_cgroups.add("conmon")
        self.make_namespaces()
        configured = configuration("containers.conf", program)
        written = directory / "containers.conf"
        written.write_text(configured.replace("[engine]\n", TESTS_OWN, 1))
        self.environment["CONTAINERS_CONF"] = str(written)
        self.environment["BUILDAH_RUNTIME"] = program
        self.environment["TMPDIR"] = str(self.home("tmp"))
        self.isolation = "oci"
        self.options = ["--cgroup-parent", f"/{cgroup}"]
        self.become = [*self.inside(), *self.identity()]
        self.client = [*self.become, PODMAN]
        assert self.keeper is not None
        place = Path(f"/proc/{self.keeper.pid}/root{self.runtime_directory()}")
        self.states = (place / os.path.basename(program), "*")
        self.output("info")
        self.idle = children()

    def home(self, name: str) -> Path:
        """Return a new directory of the user who runs podman."""
        path = self.directory / name
        path.mkdir()
        return path

    def identity(self) -> list[str]:
        """Return the command that runs another as the user: of root, none."""
        return []

    def runtime_directory(self) -> str:
        """Return where the runtime keeps the states of the user's containers."""
        return "/run"

    def load(self, root: Path) -> None:
        """Make the image."""
        self.output("import", "--quiet", *CHANGES, str(root), IMAGE)

    def buildah(self, *args: str) -> Ran:
        """Run buildah, with the same storage, to its end."""
        running = Running([*self.become, BUILDAH, *args], self.outputs, env=self.environment)
        self.running.append(running)
        return running.wait()

    def run(self, *args: str) -> Ran:
        """Run a container to its end: options, then "--", then the command."""
        return self("run", "--rm", *self.options, *with_image(args))

    def run_by(self, runtime: str, *args: str) -> Ran:
        """Run a container by another runtime than the configured one, to its end."""
        return self(f"--runtime={runtime}", "run", "--rm", *self.options, *with_image(args))

    def start_by(self, runtime: str, *args: str) -> str:
        """Start a container by another runtime, in the background, and return its name."""
        name = f"c{next(_numbers)}"
        options = ["--detach", "--name", name, *self.options]
        self.output(f"--runtime={runtime}", "run", *options, *with_image(args))
        return name

    def says(self, *args: str) -> str:
        """Run a container that must succeed, and return what it wrote."""
        ran = self.run(*args)
        assert ran.code == 0, ran
        return ran.stdout

    def shell(self, script: str, *options: str) -> str:
        """Run a shell script in a container that must succeed, and return what it wrote."""
        return self.says(*options, "--", "sh", "-c", script)

    def start_container(self, *args: str) -> str:
        """Start a container in the background and return its name."""
        name = f"c{next(_numbers)}"
        self.output("run", "--detach", "--name", name, *self.options, *with_image(args))
        return name

    def interactive(self, *args: str) -> Foreground:
        """Run a container in the foreground of a terminal."""
        return self.terminal("run", "--rm", "-it", *self.options, *with_image(args))

    def inspect(self, name: str, field: str) -> str:
        """Return what podman knows of a container."""
        return self.output("inspect", "--format", f"{{{{.{field}}}}}", name).strip()

    def logged(self, name: str, wanted: str) -> str:
        """Wait until a container has written something, and return all of it."""
        until(lambda: wanted in self.output("logs", name), f"{name} writes {wanted!r}")
        return self.output("logs", name)

    def mounts(self) -> list[str]:
        """Return the mounts of containers: podman makes its storage one, for itself."""
        assert self.keeper is not None
        lines = text(f"/proc/{self.keeper.pid}/mountinfo").splitlines()
        places = [line.split()[4] for line in lines]
        return [one for one in places if "/containers/storage/overlay/" in one]

    def remove_all(self) -> None:
        """Remove all pods and containers."""
        self.output("pod", "rm", "--all", "--force", "--time", "0")
        self.output("rm", "--all", "--force", "--time", "0", "--volumes")

    def stop(self) -> list[str]:
        """End podman's own processes, and say what is left."""
        self.output("system", "migrate")
        left = [f"mount {place}" for place in self.mounts()]
        return [*left, *super().stop()]


class Rootless(Podman):
    """Podman of an ordinary user, who exists in these namespaces only."""

    def __init__(self, directory: Path, cgroup: str, program: str) -> None:
        super().__init__(directory, cgroup, program)
        self.isolation = "rootless"
        self.options = []

    def make_namespaces(self) -> None:
        """Make the user: names, subordinate ids, a runtime directory, the device of the network."""
        super().make_namespaces()
        place = self.directory / "etc"
        place.mkdir()
        added = {
            "passwd": f"{NAME}:x:{UID}:{UID}::{self.directory}/home:/bin/sh\n",
            "group": f"{NAME}:x:{UID}:\n",
            "subuid": f"{NAME}:{FIRST}:65536\n",
            "subgid": f"{NAME}:{FIRST}:65536\n",
        }
        for name, line in added.items():
            (place / name).write_text(text(f"/etc/{name}") + line)
        script = MAKE_USER.format(id=UID, place=place)
        made = Running([*self.inside(), "sh", "-c", script], self.outputs).wait()
        assert made.code == 0, made
        self.environment["HOME"] = str(self.home("home"))
        self.environment["XDG_RUNTIME_DIR"] = f"/run/user/{UID}"

    def home(self, name: str) -> Path:
        """Return a new directory of the user."""
        path = super().home(name)
        os.chown(path, UID, UID)
        return path

    def identity(self) -> list[str]:
        """Return the command that runs another as the user."""
        return ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--"]

    def runtime_directory(self) -> str:
        """Return where the runtime keeps the states of the user's containers."""
        return f"/run/user/{UID}"


def with_image(args: tuple[str, ...]) -> list[str]:
    """Put the image's name in the place of "--"."""
    place = args.index("--")
    return [*args[:place], IMAGE, *args[place + 1 :]]
