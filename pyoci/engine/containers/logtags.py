# SPDX-License-Identifier: Apache-2.0
"""What a log tells beside its lines: labels, variables, a tag; and the sockets that take lines (journald, syslog)."""

import posix

from pyoci.engine.errors import EngineError
from pyoci.engine.templates import Template

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.engine.containers.record import Container

    Options = dict[str, str]

JOURNAL = "/run/systemd/journal/socket"
DEVICES = ("/dev/log", "/var/run/syslog", "/var/run/log")
_SHORT = 12
# syslog(3): the numbers of facilities
FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
)  # fmt: skip
_LOCAL = 16
_SYSLOG_PORT = 514
_MISSING = 127  # what Docker's client makes of these words


def settings(container: "Container", kind: str, options: "Options") -> "dict[str, Any]":
    """Return what the monitor must know beside the file; raises EngineError or ValueError in Docker's words."""
    attributes = attributes_of(container, options)
    tag = tag_of(container, options.get("tag", "" if kind == "json-file" else "{{.ID}}"))
    if kind == "json-file":
        return {"attributes": {**attributes, **({"tag": tag} if tag else {})}}
    own = container.config
    if kind == "journald":
        fields = {
            "CONTAINER_ID": container.short_id,
            "CONTAINER_ID_FULL": container.id,
            "CONTAINER_NAME": container.name,
            "CONTAINER_TAG": tag,
            "IMAGE_NAME": own["Image"],
            "SYSLOG_IDENTIFIER": tag,
        }
        fields.update({_journal_name(name): value for name, value in attributes.items()})
        _check(("unixgram", JOURNAL), "journald is not enabled on this host")
        return {"address": ["unixgram", JOURNAL], "fields": fields}
    address = address_of(options.get("syslog-address", ""))
    if not address:
        raise EngineError("Unix syslog delivery error")
    _check(address, "Unix syslog delivery error")
    facility = facility_of(options.get("syslog-facility", "daemon"))
    return {"address": [*address], "fields": {"tag": tag, "facility": facility}}


def attributes_of(container: "Container", options: "Options") -> dict[str, str]:
    """Return the labels and variables that are asked for, by name or by expression (moby: logger.Info.ExtraAttributes)."""
    import re

    own = container.config
    environment = dict(entry.partition("=")[::2] for entry in own["Env"])
    found = {}
    for option, values in (("labels", own["Labels"]), ("env", environment)):
        names = options.get(option, "").split(",")
        found.update({name: values[name] for name in names if name in values})
        pattern = options.get(f"{option}-regex", "")
        if pattern:
            try:
                matches = re.compile(pattern).search
            except re.error as error:
                raise ValueError(f"error parsing regexp: {error}: `{pattern}`") from None
            found.update({name: value for name, value in values.items() if matches(name)})
    return found


def tag_of(container: "Container", text: str) -> str:
    """Return what a template makes of the container."""
    own = container.config
    words = [*(own["Entrypoint"] or ()), *(own["Cmd"] or ())]
    data = {
        "ID": container.short_id,
        "FullID": container.id,
        "Name": container.name,
        "ImageID": container.image[:_SHORT],
        "ImageFullID": container.image,
        "ImageName": own["Image"],
        "DaemonName": "pypod",
        "Command": " ".join(words),
        "Hostname": own["Hostname"],
        "ContainerID": container.id,
        "ContainerName": f"/{container.name}",
        "ContainerImageID": container.image,
        "ContainerImageName": own["Image"],
        "ContainerEnv": own["Env"],
        "ContainerLabels": own["Labels"],
    }
    try:
        return Template(text, "*logger.Info").render(data)
    except EngineError as error:
        words_of_go = str(error).removeprefix("template parsing error: ")
        named = words_of_go.replace("template: :", "template: log-tag:", 1)
        raise EngineError(named.replace('executing ""', 'executing "log-tag"', 1)) from None


def _journal_name(name: str) -> str:
    """Return the name of a field of the journal: capitals, digits and underscores."""
    return "".join(
        letter if letter.isascii() and letter.isalnum() else "_" for letter in name.upper()
    )


def check_syslog(options: "Options") -> None:
    """Refuse an address or a facility that there cannot be, before a container is made."""
    address_of(options.get("syslog-address", ""))
    facility_of(options.get("syslog-facility", "daemon"))


def address_of(text: str) -> "tuple[Any, ...]":
    """Return kind and place of the socket that takes lines; nothing where the host has none."""
    if not text:
        for path in DEVICES:
            if _takes(("unixgram", path)):
                return ("unixgram", path)
        return ()
    kind, separator, place = text.partition("://")
    if not separator:
        raise EngineError(f"syslog-address should be in form proto://address, got {text}")
    if kind in ("unix", "unixgram"):
        try:
            posix.stat(place)
        except OSError as error:
            words = f"stat {place}: {(error.strerror or '').lower()}"
            raise EngineError(words, _MISSING) from error
        return ("unixgram", place)
    if kind != "udp":
        raise EngineError(f"unsupported syslog-address: '{text}'")
    host, _, port = place.rpartition(":") if ":" in place else (place, "", "")
    return ("udp", host or "127.0.0.1", int(port or _SYSLOG_PORT))


def facility_of(text: str) -> int:
    """Return the number of a facility."""
    if text in FACILITIES:
        return FACILITIES.index(text)
    if text.startswith("local") and text[5:] in ("0", "1", "2", "3", "4", "5", "6", "7"):
        return _LOCAL + int(text[5:])
    if text.isdecimal() and int(text) <= _LOCAL + 7:
        return int(text)
    raise EngineError("invalid syslog facility")


def _check(address: "tuple[Any, ...]", words: str) -> None:
    if not _takes(address):
        raise EngineError(words)


def _takes(address: "tuple[Any, ...]") -> bool:
    """Tell whether somebody listens at an address."""
    from pyoci.engine.monitor.datagrams import connect

    try:
        connect([*address]).close()
    except OSError:
        return False
    return True
