# SPDX-License-Identifier: Apache-2.0
"""`events`: what happens to containers, images, networks and volumes, as it happens."""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyoci.engine.event_log import Event
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (
    ("filter", "f", "filter", "Filter output based on conditions provided"),
    ("format", "", "string", "Format output: 'json' or a Go template"),
    ("since", "", "string", "Show all events created since timestamp"),
    ("until", "", "string", "Stream events until this timestamp"),
)
_WRONG_FORMAT = 64  # Docker's status for a template that does not fit
_BLANK = {"Type": "", "Action": "", "Actor": {"ID": "", "Attributes": {}}}


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Print events, one a line, each as soon as it is there."""
    del arguments
    from pyoci.engine import event_log

    wanted = event_log.Wanted(flags.text("since"), flags.text("until"), flags.every("filter"))
    show = form_of(flags.text("format"))
    for line, event in event_log.read(places, wanted):
        print(show(line, event))
        sys.stdout.flush()
    return 0


def form_of(text: str) -> "Callable[[bytes, Event], str]":
    """Return how an event is shown."""
    if not text:
        return lambda _, event: describe(event)
    if text in ("json", "{{json .}}"):
        return lambda line, _: line.decode()
    from pyoci.engine.errors import EngineError, PlainError
    from pyoci.engine.templates import Template

    try:
        template = Template(text, "*events.Message")
        template.render(fields(_BLANK))
    except EngineError as error:
        words = str(error).removeprefix("template parsing error: ")
        raise PlainError(f"Error parsing format: {words}", _WRONG_FORMAT) from error
    return lambda _, event: template.render(fields(event))


def fields(event: "Event") -> "Event":
    """Return an event by the names that a template has for its parts."""
    from pyoci.engine.templates.values import Map

    actor = event["Actor"]
    return {
        "ID": event.get("id", ""),
        "Status": event.get("status", ""),
        "From": event.get("from", ""),
        "Type": event["Type"],
        "Action": event["Action"],
        "Actor": {"ID": actor["ID"], "Attributes": Map(actor["Attributes"])},
        "Scope": event.get("scope", ""),
        "Time": event.get("time", 0),
        "TimeNano": event.get("timeNano", 0),
    }


def describe(event: "Event") -> str:
    """Return an event as people read it."""
    from pyoci.engine import moments

    actor = event["Actor"]
    pairs = [f"{key}={value}" for key, value in sorted(actor["Attributes"].items())]
    told = f" ({', '.join(pairs)})" if pairs else ""
    moment = moments.fixed(event["timeNano"])
    return f"{moment} {event['Type']} {event['Action']} {actor['ID']}{told}"
