# SPDX-License-Identifier: Apache-2.0
"""`features`: what pyoci can do, as engines read it (features.md, features-linux.md)."""

from pyoci import SPEC_VERSION, __version__
from pyoci.commands import output
from pyoci.errors import Unsupported
from pyoci.jsontext import dumps
from pyoci.linux.process import CAPABILITIES, NAMESPACES
from pyoci.linux.scheduling import MEMORY_FLAGS, MEMORY_MODES
from pyoci.plan import options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.commands.settings import Settings
    from pyoci.flags import Flag, Flags

FLAGS: "tuple[Flag, ...]" = ()

_HOOKS = (
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
)


def run(arguments: list[str], flags: "Flags", settings: "Settings") -> int:  # noqa: ARG001 - what every command gets
    """Print the document, and nothing else: engines parse all of standard output."""
    output.write(dumps(features(), "    ") + "\n")
    return 0


def features() -> dict[str, object]:
    """Return the document; false is "not supported", what is absent nobody knows."""
    seccomp, libseccomp = _seccomp()
    annotations = {
        "org.opencontainers.runc.checkpoint.enabled": "true" if _has_criu() else "false",
        "pyoci.version": __version__,
    }
    if libseccomp:
        annotations["io.github.seccomp.libseccomp.version"] = libseccomp
    return {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": SPEC_VERSION,
        "hooks": list(_HOOKS),
        "mountOptions": _mount_options(),
        "linux": {
            "namespaces": sorted(NAMESPACES),
            "capabilities": list(CAPABILITIES),
            "cgroup": {
                "v1": True,
                "v2": True,
                "systemd": True,
                "systemdUser": True,
                "rdma": True,
            },
            "seccomp": seccomp,
            "apparmor": {"enabled": True},
            "selinux": {"enabled": True},
            "intelRdt": {"enabled": True, "schemata": True, "monitoring": True},
            "memoryPolicy": {"modes": sorted(MEMORY_MODES), "flags": sorted(MEMORY_FLAGS)},
            "mountExtensions": {"idmap": {"enabled": True}},
            "netDevices": {"enabled": True},
        },
        "annotations": annotations,
        "potentiallyUnsafeConfigAnnotations": ["org.systemd.property."],
    }


def _mount_options() -> list[str]:
    return sorted(
        {
            *options.ATTRIBUTES,
            *options.RECURSIVE,
            *options.PROPAGATION,
            *options.FLAGS,
            *options.OFFERED,
            *options.SWITCHES,
            *options.NOTHING,
        }
    )


def _has_criu() -> bool:
    """Tell whether checkpoint and restore find their program."""
    from pyoci.checkpoint import criu

    try:
        criu.find()
    except Unsupported:
        return False
    return True


def _seccomp() -> tuple[dict[str, object], str]:
    """Return what is supported, and the version of libseccomp: "" where there is none."""
    from pyoci.seccomp import features as seccomp

    version = ""
    supported: list[str] = []
    architectures: list[str] = []
    try:
        version, supported = seccomp.version(), seccomp.supported_flags()
        architectures = seccomp.architectures()
    except Unsupported:
        pass
    return {
        "enabled": bool(version),
        "actions": seccomp.actions(),
        "operators": seccomp.operators(),
        "archs": architectures,
        "knownFlags": seccomp.known_flags(),
        "supportedFlags": supported,
    }, version
