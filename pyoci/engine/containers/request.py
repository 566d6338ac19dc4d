# SPDX-License-Identifier: Apache-2.0
"""From the flags of `create` and `run` to the document of a container: Config and HostConfig, in Docker's form.

What Docker's client refuses is refused first, with status 125 (`wrong`); what its daemon refuses then, when the image is known.
"""

from pyoci.engine import durations, sizes
from pyoci.engine.containers import (
    defaults,
    environment,
    limits,
    logconfig,
    networking,
    ports,
    security,
)
from pyoci.engine.containers.networking import wrong
from pyoci.engine.errors import EngineError, PlainError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.flags import Flags

    Document = dict[str, Any]

RESTART_POLICIES = ("no", "always", "on-failure", "unless-stopped")
_HEALTH = (
    "health-cmd",
    "health-interval",
    "health-timeout",
    "health-retries",
    "health-start-period",
)
_MILLISECOND = 1_000_000
_STREAMS = ("stdin", "stdout", "stderr")


def config(arguments: list[str], flags: "Flags") -> "Document":
    """Return Config as the command line alone has it; `complete` adds the image's part."""
    attached = [stream.lower() for stream in flags.every("attach")]
    detached = flags.is_on("detach")
    if attached and detached:
        raise PlainError("conflicting options: cannot specify both --attach and --detach")
    interactive = flags.is_on("interactive")
    every = not attached and not detached
    entrypoint = flags.text("entrypoint")
    return {
        "Hostname": flags.text("hostname"),
        "Domainname": flags.text("domainname"),
        "User": flags.text("user"),
        "AttachStdin": interactive if every else "stdin" in attached,
        "AttachStdout": every or "stdout" in attached,
        "AttachStderr": every or "stderr" in attached,
        "ExposedPorts": {port: {} for port in _exposed(flags)},
        "Tty": flags.is_on("tty"),
        "OpenStdin": interactive,
        "StdinOnce": interactive and not detached,
        "Env": environment.given(flags.every("env"), flags.every("env-file")),
        "Cmd": arguments[1:] or None,
        "Healthcheck": _health(flags),
        "Image": arguments[0],
        "Volumes": {},
        "WorkingDir": flags.text("workdir"),
        "Entrypoint": [entrypoint]
        if entrypoint
        else [""]
        if flags.is_given("entrypoint")
        else None,
        "Labels": environment.labels(flags.every("label"), flags.every("label-file")),
        "StopSignal": flags.text("stop-signal"),
        "StopTimeout": flags.number("stop-timeout") if flags.is_given("stop-timeout") else None,
        "MacAddress": networking.mac(flags.text("mac-address")),
    }


def _exposed(flags: "Flags") -> list[str]:
    return sorted({*ports.exposed(flags.every("expose")), *ports.published(flags.every("publish"))})


def _health(flags: "Flags") -> "Document | None":
    """Return the health check that is asked for; None leaves it to the image."""
    asked = any(flags.is_given(name) for name in (*_HEALTH, "health-start-interval"))
    if flags.is_on("no-healthcheck"):
        if asked:
            raise wrong("--no-healthcheck conflicts with --health-* options")
        return {"Test": ["NONE"]}
    if not asked:
        return None
    found: Document = {}
    if flags.text("health-cmd"):
        found["Test"] = ["CMD-SHELL", flags.text("health-cmd")]
    found.update(_health_times(flags))
    retries = flags.number("health-retries")
    if retries < 0:
        raise wrong("--health-retries cannot be negative")
    if retries:
        found["Retries"] = retries
    return found


def _health_times(flags: "Flags") -> "Document":
    found: Document = {}
    for name, key in (
        ("health-interval", "Interval"),
        ("health-timeout", "Timeout"),
        ("health-start-period", "StartPeriod"),
        ("health-start-interval", "StartInterval"),
    ):
        value = durations.parse(flags.text(name, "0"))
        if value < 0:
            raise wrong(f"--{name} cannot be negative")
        if 0 < value < _MILLISECOND:
            raise EngineError(f"{key} in Healthcheck cannot be less than 1ms")
        if value:
            found[key] = value
    return found


def host_config(flags: "Flags") -> "Document":
    """Return HostConfig: what Docker's client makes of the flags, and what is configured, checked as its daemon checks it."""
    from pyoci.engine import daemonconfig

    configured = daemonconfig.read()
    document: Document = {
        "ContainerIDFile": flags.text("cidfile"),
        "LogConfig": logconfig.read(flags, configured),
        "NetworkMode": networking.mode(flags),
        "PortBindings": ports.published(flags.every("publish")),
        "RestartPolicy": parse_policy(flags.text("restart", "no")),
        "AutoRemove": flags.is_on("rm"),
        "VolumesFrom": flags.every("volumes-from") or None,
        "Binds": None,
        "Mounts": None,
        "Tmpfs": _tmpfs(flags),
        "Annotations": environment.pairs(flags.every("annotation")) or None,
        "Dns": flags.every("dns") or configured["dns"],
        "DnsOptions": flags.every("dns-option") or configured["dns-opts"],
        "DnsSearch": flags.every("dns-search") or configured["dns-search"],
        "ExtraHosts": [*map(_host, flags.every("add-host"))] or None,
        "Links": None,
        "PublishAllPorts": flags.is_on("publish-all"),
        "ReadonlyRootfs": flags.is_on("read-only"),
        "ShmSize": sizes.parse(flags.text("shm-size", "0")) or defaults.SHM_BYTES,
        "Sysctls": environment.pairs(flags.every("sysctl")),
        "Init": flags.is_on("init") or None,
        "Runtime": _runtime(flags),
        "StorageOpt": None,
    }
    if document["AutoRemove"] and document["RestartPolicy"]["Name"] != "no":
        raise wrong("conflicting options: cannot specify both --restart and --rm")
    check_policy(document["RestartPolicy"])
    _check_storage(flags)
    document.update(_namespaces(flags))
    document.update(security.document(flags))
    document.update(limits.document(flags, configured["default-ulimits"]))
    networking.check(flags, document)
    return document


def _host(text: str) -> str:
    """Return an --add-host as name:address; it may have been given as name=address or name:[address]."""
    name, _, address = text.replace("=", ":", 1).partition(":")
    return f"{name}:{address.removeprefix('[').removesuffix(']')}"


def _check_storage(flags: "Flags") -> None:
    """Refuse --storage-opt, as Docker does where the file system has no quotas of projects."""
    if flags.is_given("storage-opt"):
        raise EngineError(
            "--storage-opt is supported only for overlay over xfs with 'pquota' mount option"
        )


def _runtime(flags: "Flags") -> str:
    name = flags.text("runtime", "pyoci")
    if name != "pyoci":
        raise EngineError(f"Unknown runtime specified {name}")
    if flags.is_given("gpus"):
        raise EngineError('could not select device driver "" with capabilities: [[gpu]]')
    if flags.text("isolation") not in ("", "default"):
        raise EngineError(
            f"Invalid isolation: \"{flags.text('isolation')}\" - linux only supports 'default'"
        )
    return name


def parse_policy(text: str) -> "Document":
    """Read a restart policy: no, always, unless-stopped, on-failure[:N]."""
    name, colon, count = text.partition(":")
    retries = 0
    if colon:
        try:
            retries = int(count)
        except ValueError:
            raise wrong(
                "invalid restart policy format: maximum retry count must be an integer"
            ) from None
    return {"Name": name or "no", "MaximumRetryCount": retries}


def check_policy(policy: "Document") -> None:
    """Refuse a restart policy that Docker's daemon refuses."""
    name, retries = policy["Name"], policy["MaximumRetryCount"]
    if name not in RESTART_POLICIES:
        raise EngineError(f"invalid restart policy '{name}'")
    if retries and name != "on-failure":
        raise EngineError(f"maximum retry count cannot be used with restart policy '{name}'")
    if retries < 0:
        raise EngineError("maximum retry count cannot be negative")


def _tmpfs(flags: "Flags") -> dict[str, str] | None:
    found = {}
    for entry in flags.every("tmpfs"):
        path, _, options = entry.partition(":")
        if not path.startswith("/"):
            raise EngineError(f"invalid mount path: '{path}' mount path must be absolute")
        found[path] = options
    return found or None


_MODES = {
    "pid": ("", "host"),
    "uts": ("", "host"),
    "userns": ("", "host"),
    "cgroupns": ("", "host", "private"),
    "ipc": ("", "host", "private", "shareable", "none"),
}
# With them each layer would have to be mounted once more, its ids mapped (an overlay as a whole takes no idmap).
_PODMANS = ("auto", "keep-id", "nomap", "ns", "container", "private")
_USERNS = (
    'pypod knows "host" alone, as Docker does; containers that an ordinary user makes are all in a user '
    "namespace of his, and --user has a program run as another user"
)


def _namespaces(flags: "Flags") -> "Document":
    found = {}
    for name, key, word in (
        ("pid", "PidMode", "PID"),
        ("uts", "UTSMode", "UTS"),
        ("userns", "UsernsMode", "USER"),
        ("cgroupns", "CgroupnsMode", "CGROUP"),
        ("ipc", "IpcMode", "IPC"),
    ):
        mode = flags.text(name)
        joins = name in ("pid", "ipc") and mode.startswith("container:") and mode != "container:"
        if mode not in _MODES[name] and not joins:
            if mode == "container:" and name == "ipc":
                raise EngineError('can\'t join IPC of container : invalid name or ID supplied: ""')
            if name == "ipc":
                raise EngineError(f"Invalid IPC mode: {mode}")
            if name == "userns" and mode.partition(":")[0] in _PODMANS:
                raise wrong(f"--userns={mode}: {_USERNS}")
            raise wrong(f"--{name}: invalid {word} mode")
        found[key] = mode
    found["IpcMode"] = found["IpcMode"] or "private"
    found["CgroupnsMode"] = found["CgroupnsMode"] or "private"
    if found["UTSMode"] == "host" and flags.is_given("hostname"):
        raise EngineError("conflicting options: hostname and the UTS mode")
    return found


def complete(document: "Document", image: "Document", identity: str) -> None:
    """Add what the image says where the command line says nothing; `image` is the config object of the image's configuration."""
    own = document["Config"]
    host = document["HostConfig"]
    own["Env"] = environment.over_image(own["Env"], image.get("Env") or ())
    if own["Entrypoint"] is None:
        own["Cmd"] = own["Cmd"] or image.get("Cmd")
        own["Entrypoint"] = image.get("Entrypoint")
    elif own["Entrypoint"] == [""]:
        own["Entrypoint"] = None
    own["User"] = own["User"] or image.get("User") or ""
    own["WorkingDir"] = own["WorkingDir"] or image.get("WorkingDir") or ""
    own["StopSignal"] = own["StopSignal"] or image.get("StopSignal") or ""
    own["Labels"] = {**(image.get("Labels") or {}), **own["Labels"]}
    own["ExposedPorts"] = {**(image.get("ExposedPorts") or {}), **own["ExposedPorts"]}
    own["Volumes"] = {**(image.get("Volumes") or {}), **own["Volumes"]}
    own["Healthcheck"] = _complete_health(own["Healthcheck"], image.get("Healthcheck"))
    if not own["Hostname"]:
        own["Hostname"] = own_hostname(host, identity)
    check(own)


def own_hostname(host: "Document", identity: str) -> str:
    """Return the name of a container that was given none: the host's where it shares that, else its short id."""
    if host["NetworkMode"] == "host" or host["UTSMode"] == "host":
        import posix

        return posix.uname().nodename
    return "" if host["NetworkMode"].startswith("container:") else identity[:12]


def _complete_health(own: "Document | None", image: "Document | None") -> "Document | None":
    if own is None or not image:
        return own or image
    return own if own.get("Test") == ["NONE"] else {**image, **own}


def check(own: "Document") -> None:
    """Refuse a Config that cannot run, as Docker's daemon does at create."""
    if own["WorkingDir"] and not own["WorkingDir"].startswith("/"):
        raise EngineError(
            f"the working directory '{own['WorkingDir']}' is invalid, it needs to be an absolute path"
        )
    if own["StopSignal"]:
        from pyoci.engine.containers import signals

        signals.number(own["StopSignal"])
    if not own["Entrypoint"] and not own["Cmd"]:
        raise EngineError("No command specified")
