# SPDX-License-Identifier: Apache-2.0
"""Where a container's output goes: --log-driver and --log-opt, refused in Docker's words; what its monitor must know."""

from pyoci.engine import sizes
from pyoci.engine.containers import defaults, environment
from pyoci.engine.errors import EngineError
from pyoci.flags import BOOLEANS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.engine.containers.record import Container
    from pyoci.flags import Flags

    Document = dict[str, Any]

FILES = ("json-file", "k8s-file")  # what `logs` can read
_ANY = ("mode", "max-buffer-size")
_TELLING = ("labels", "labels-regex", "env", "env-regex", "tag")
_OPTIONS = {
    "json-file": (*_ANY, *_TELLING, "max-size", "max-file", "compress"),
    "k8s-file": (*_ANY, "max-size", "max-file"),
    "journald": (*_ANY, *_TELLING),
    "syslog": (*_ANY, *_TELLING, "syslog-address", "syslog-facility"),
    "none": (),
}
_MODES = ("", "blocking", "non-blocking")


def read(flags: "Flags", configured: "Document") -> "Document":
    """Return LogConfig of the command line; raises EngineError for what Docker refuses before it makes a container.

    `configured` names the driver where none is given, and options that are not, for that driver.
    """
    usual = configured["log-driver"] or defaults.LOG_DRIVER
    driver = flags.text("log-driver", usual)
    options = environment.pairs(flags.every("log-opt"))
    if driver == usual:
        options = {**configured["log-opts"], **options}
    if driver == "none" and options:
        raise EngineError("invalid logging opts for driver none", 125)
    if driver not in _OPTIONS:
        raise EngineError(f'error looking up logging plugin {driver}: plugin "{driver}" not found')
    for name in options:
        if name not in _OPTIONS[driver]:
            raise EngineError(f"unknown log opt '{name}' for {driver} log driver")
    mode = options.get("mode", "")
    if mode not in _MODES:
        raise EngineError(f"logger: logging mode not supported: {mode}")
    if "max-buffer-size" in options:
        if mode != "non-blocking":
            raise EngineError(
                "logger: max-buffer-size option is only supported with 'mode=non-blocking'"
            )
        sizes.parse(options["max-buffer-size"])
    if driver == "syslog":
        from pyoci.engine.containers import logtags

        logtags.check_syslog(options)
    return {"Type": driver, "Config": {name: options[name] for name in sorted(options)}}


def path(container: "Container") -> str:
    """Return where the log is."""
    return f"{container.directory}/{container.id}-json.log"


def settings(container: "Container") -> "Document":
    """Return what the monitor must know; raises EngineError for what Docker refuses when it starts a container."""
    driver = container.host_config["LogConfig"]
    kind, options = driver["Type"], driver["Config"]
    found: Document = {
        "driver": kind,
        "path": path(container),
        "max_size": 0,
        "max_file": 1,
        "compressor": "",
        "attributes": {},
    }
    if options or kind in ("journald", "syslog"):
        try:
            found.update(_limits(options))
            if kind != "k8s-file":
                from pyoci.engine.containers import logtags

                found.update(logtags.settings(container, kind, options))
        except (EngineError, ValueError) as error:
            raise EngineError(f"failed to initialize logging driver: {error}") from error
    return found


def _limits(options: dict[str, str]) -> "Document":
    """Return how large a file may get, how many there are, and what compresses those before the current one."""
    size, count = options.get("max-size", ""), options.get("max-file", "1")
    given = options.get("compress", "false")
    if given not in BOOLEANS:
        raise ValueError(f'strconv.ParseBool: parsing "{given}": invalid syntax')
    compressed = BOOLEANS[given]
    largest = sizes.parse(size) if size else 0
    if size and largest <= 0:
        raise ValueError("max-size must be a positive number")
    if not count.removeprefix("-").isdecimal():
        raise ValueError(f'strconv.Atoi: parsing "{count}": invalid syntax')
    if int(count) < 1:
        raise ValueError("max-file cannot be less than 1")
    if compressed and (int(count) < 2 or not size):
        raise ValueError(
            "compress cannot be true when max-file is less than 2 or max-size is not set"
        )
    found: Document = {"max_size": largest, "max_file": int(count)}
    if compressed:
        from pyoci.engine.containers.ahead import PYPOD

        found["compressor"] = PYPOD
    return found
