# SPDX-License-Identifier: Apache-2.0
"""`info`: what this pypod has, and what of the host it uses."""

import posix

from pyoci import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (("format", "f", "string", "Format output: 'json' or a Go template"),)
# key of the document -> what people read
SHOWN = {
    "Containers": "Containers",
    "ContainersRunning": " Running",
    "ContainersPaused": " Paused",
    "ContainersStopped": " Stopped",
    "Images": "Images",
    "ServerVersion": "Version",
    "Driver": "Storage Driver",
    "LoggingDriver": "Logging Driver",
    "CgroupVersion": "Cgroup Version",
    "DefaultRuntime": "Default Runtime",
    "KernelVersion": "Kernel Version",
    "OperatingSystem": "Operating System",
    "OSType": "OSType",
    "Architecture": "Architecture",
    "NCPU": "CPUs",
    "MemTotal": "Total Memory",
    "Name": "Name",
    "DockerRootDir": "Root Dir",
    "RunDir": "Run Dir",
    "Rootless": "Rootless",
}


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Print what is known, one fact a line, as JSON, or by a template."""
    del arguments
    from pyoci.engine import sizes

    document = facts(places)
    if flags.text("format"):
        from pyoci.engine.tables import print_fields

        return print_fields(document, flags.text("format"), "system.dockerInfo")
    shown = {**document, "MemTotal": sizes.tell_binary(float(str(document["MemTotal"])))}
    print("".join(f"{title}: {shown[key]}\n" for key, title in SHOWN.items()), end="")
    return 0


def facts(places: "Places") -> dict[str, object]:
    """Return what is known, under Docker's names where it has them."""
    from pyoci.engine import daemonconfig
    from pyoci.engine.commands.several import warn
    from pyoci.engine.containers import defaults, state
    from pyoci.engine.containers.ahead import PYOCI
    from pyoci.engine.containers.record import Records
    from pyoci.engine.images import records as images
    from pyoci.engine.places import is_rootless

    records = Records(places)
    images.require(records.database)
    found = [state.seen(container, warn)["Status"] for container in records.all()]
    host = posix.uname()
    count = records.database.row("SELECT count(*) FROM image")
    running, paused = found.count("running"), found.count("paused")
    return {
        "Containers": len(found),
        "ContainersRunning": running,
        "ContainersPaused": paused,
        "ContainersStopped": len(found) - running - paused,
        "Images": count[0] if count else 0,
        "ServerVersion": __version__,
        "Driver": "overlay2",
        "LoggingDriver": daemonconfig.read()["log-driver"] or defaults.LOG_DRIVER,
        "CgroupDriver": "none" if is_rootless() else "cgroupfs",
        "CgroupVersion": "2"
        if posix.access("/sys/fs/cgroup/cgroup.controllers", posix.F_OK)
        else "1",
        "DefaultRuntime": "pyoci",
        "Runtimes": {"pyoci": {"path": PYOCI}},
        "SecurityOptions": ["name=seccomp,profile=default"] + ["name=rootless"] * is_rootless(),
        "Swarm": {"LocalNodeState": "inactive"},
        "IndexServerAddress": "https://index.docker.io/v1/",
        "KernelVersion": host.release,
        "OperatingSystem": system(),
        "OSType": "linux",
        "Architecture": host.machine,
        "NCPU": len(posix.sched_getaffinity(0)),
        "MemTotal": posix.sysconf("SC_PAGE_SIZE") * posix.sysconf("SC_PHYS_PAGES"),
        "Name": host.nodename,
        "DockerRootDir": places.root,
        "RunDir": places.run,
        "Rootless": is_rootless(),
    }


def system() -> str:
    """Return the name that the system gives itself (os-release(5))."""
    try:
        with open("/etc/os-release", encoding="utf-8") as file:
            for line in file:
                if line.startswith("PRETTY_NAME="):
                    return line.partition("=")[2].strip().strip('"')
    except FileNotFoundError:
        return "Linux"
    return "Linux"
