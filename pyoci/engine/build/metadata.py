# SPDX-License-Identifier: Apache-2.0
"""The instructions that change nothing but the configuration: each returns the words by which the history tells of it."""

from pyoci.engine import durations
from pyoci.engine.build import words
from pyoci.engine.build.stages import arguments
from pyoci.engine.containers import ports, signals
from pyoci.engine.images.instructions import json_form
from pyoci.linux.path import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from pyoci.engine.build.dockerfile import Instruction
    from pyoci.engine.build.state import State

_MOST_RETRIES = (1 << 31) - 1
_LEAST_INTERVAL = 1_000_000  # ns: what the daemon takes


class Step:
    """One instruction, the state that it changes, and what it is told from outside."""

    __slots__ = ("build_args", "escape", "global_args", "instruction", "state")

    def __init__(
        self,
        state: "State",
        instruction: "Instruction",
        escape: str,
        build_args: "Mapping[str, str]",
        global_args: "Mapping[str, str]",
    ) -> None:
        self.state = state
        self.instruction = instruction
        self.escape = escape
        self.build_args = build_args
        self.global_args = global_args

    def expand(self, text: str) -> str:
        """Return a text with its variables in place."""
        return words.expand(text, self.state.variables, self.escape)

    def command(self) -> list[str]:
        """Return the words of the JSON form, or the shell's with the text as it stands."""
        found = json_form(self.instruction.text)
        return found if found is not None else [*self.state.shell, self.instruction.text]

    def parts(self) -> list[str]:
        """Return the words of the JSON form, or those between blanks; variables are in their places."""
        found = json_form(self.instruction.text)
        return [
            self.expand(word)
            for word in (found if found is not None else self.instruction.text.split())
        ]

    def pairs(self) -> list[tuple[str, str]]:
        """Return the pairs of `a=b c="d e"`, or the one of `a b`."""
        raw = words.raw_words(self.instruction.text, self.escape)
        keyword = self.instruction.keyword
        if "=" not in raw[0]:
            if len(raw) < 2:
                raise self.instruction.fail(f"{keyword} must have two arguments")
            rest = self.instruction.text[len(raw[0]) :].strip()
            return [(self.expand(raw[0]), self.expand(rest))]
        found = []
        for word in raw:
            name, equals, value = word.partition("=")
            if not equals:
                raise self.instruction.fail(
                    f"Syntax error - can't find = in {_quoted(word)}. Must be of the form: name=value"
                )
            name = self.expand(name)
            if not name:
                raise self.instruction.fail(f"{keyword} names can not be blank")
            found.append((name, self.expand(value)))
        return found


def _quoted(text: str) -> str:
    from pyoci.jsontext import quote

    return quote(text)


def _listed(found: list[str]) -> str:
    """Return words as Go's %q shows them."""
    return "[" + " ".join(map(_quoted, found)) + "]"


def _arg(step: Step) -> str:
    told = []
    for name, default in arguments(step.instruction, step.state.variables, step.escape):
        outer = step.global_args.get(name)
        value = step.build_args.get(name, outer if default is None else default)
        told.append(f"{name}={value}" if value is not None else name)
        if value is not None:
            step.state.arguments[name] = value
    return f"ARG {' '.join(told)}"


def _cmd(step: Step) -> str:
    step.state.config["Cmd"] = step.command()
    step.state.has_command = True
    return f"CMD {_listed(step.state.config['Cmd'])}"


def _entrypoint(step: Step) -> str:
    step.state.config["Entrypoint"] = step.command()
    if not step.state.has_command:
        step.state.config["Cmd"] = None  # the base's was meant for the base's
    return f"ENTRYPOINT {_listed(step.state.config['Entrypoint'])}"


def _env(step: Step) -> str:
    pairs = step.pairs()
    found = {**step.state.environment, **dict(pairs)}
    step.state.config["Env"] = [f"{name}={value}" for name, value in found.items()]
    return "ENV " + " ".join(f"{name}={value}" for name, value in pairs)


def _label(step: Step) -> str:
    pairs = step.pairs()
    step.state.config["Labels"] = {**step.state.config["Labels"], **dict(pairs)}
    return "LABEL " + " ".join(f"{name}={value}" for name, value in pairs)


def _expose(step: Step) -> str:
    found = words.expand_words(step.instruction.text, step.state.variables, step.escape)
    named = ports.exposed(text.lower() for text in found)
    step.state.config["ExposedPorts"] = {
        **step.state.config["ExposedPorts"],
        **{port: {} for port in named},
    }
    return f"EXPOSE [{' '.join(named)}]"


def _volume(step: Step) -> str:
    paths = step.parts()
    if "" in paths:
        raise step.instruction.fail("VOLUME specified can not be an empty string")
    step.state.config["Volumes"] = {**step.state.config["Volumes"], **{path: {} for path in paths}}
    return f"VOLUME [{' '.join(paths)}]"


def _user(step: Step) -> str:
    step.state.config["User"] = step.expand(step.instruction.text)
    return f"USER {step.state.config['User']}"


def _stop_signal(step: Step) -> str:
    name = step.expand(step.instruction.text)
    signals.number(name)
    step.state.config["StopSignal"] = name
    return f"STOPSIGNAL {name}"


def _shell(step: Step) -> str:
    found = json_form(step.instruction.text)
    if not found:
        raise step.instruction.fail("SHELL requires the arguments to be in JSON form")
    step.state.config["Shell"] = found
    return f"SHELL [{' '.join(found)}]"


def _maintainer(step: Step) -> str:
    step.state.author = step.instruction.text
    return f"MAINTAINER {step.instruction.text}"


def _on_build(step: Step) -> str:
    step.state.config["OnBuild"] = [
        *step.state.config["OnBuild"],
        step.instruction.text,
    ]
    return f"ONBUILD {step.instruction.text}"


def _health_check(step: Step) -> str:
    instruction = step.instruction
    kind, _, rest = instruction.text.partition(" ")
    found: dict[str, Any] = {}
    if kind.upper() == "NONE" and not rest.strip():
        found["Test"] = ["NONE"]
    elif kind.upper() == "CMD" and rest.strip():
        form = json_form(rest.strip())
        found["Test"] = ["CMD", *form] if form is not None else ["CMD-SHELL", rest.strip()]
    else:
        raise instruction.fail(f"Unknown type {_quoted(kind.upper())} in HEALTHCHECK (try CMD)")
    for name, key in (
        ("interval", "Interval"), ("timeout", "Timeout"), ("start-period", "StartPeriod"), ("start-interval", "StartInterval"),
    ):  # fmt: skip
        text = instruction.flag(name)
        if text:
            found[key] = _duration(instruction, name, text)
    retries = instruction.flag("retries")
    if retries:
        if not retries.isdecimal() or int(retries) > _MOST_RETRIES:
            raise instruction.fail(f"--retries must be a number, not {_quoted(retries)}")
        found["Retries"] = int(retries)
    step.state.config["Healthcheck"] = {key: value for key, value in found.items() if value}
    return f"HEALTHCHECK {instruction.text}"


def _duration(instruction: "Instruction", name: str, text: str) -> int:
    try:
        value = durations.parse(text)
    except ValueError as error:
        raise instruction.fail(str(error)) from None
    if value and value < _LEAST_INTERVAL:
        raise instruction.fail(f"Interval {_quoted(name)} cannot be less than 1ms")
    return value


def absolute(step: Step, path: str) -> str:
    """Return a path of the image from the root on; the working directory is where a relative one begins."""
    return clean(path if path.startswith("/") else f"{step.state.directory}/{path}")


CHANGES: "dict[str, Callable[[Step], str]]" = {
    "ARG": _arg,
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _health_check,
    "LABEL": _label,
    "MAINTAINER": _maintainer,
    "ONBUILD": _on_build,
    "SHELL": _shell,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
}
