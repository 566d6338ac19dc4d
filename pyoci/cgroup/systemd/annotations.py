# SPDX-License-Identifier: Apache-2.0
"""Annotations org.systemd.property.NAME: more properties of the unit, in GVariant's text format.

Pure. The table is the list of what a container may say of its own unit, with the type that systemd
wants. What would start, stop or order about other units, give back what runtimes take away, or act
on the host is not in it.
"""

from pyoci.errors import SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyoci.cgroup.systemd.properties import Properties, Variant

KEY = "org.systemd.property."
SEC, USEC = "Sec", "USec"
SECOND = 1_000_000  # microseconds

TYPES: dict[str, str] = {
    # any unit; the order of other units is not changed by ours
    "After": "as",
    "Before": "as",
    "CollectMode": "s",
    "DefaultDependencies": "b",
    "Description": "s",
    "Documentation": "as",
    # of a scope, and how it is killed
    "FinalKillSignal": "i",
    "KillMode": "s",
    "KillSignal": "i",
    "OOMPolicy": "s",
    "RestartKillSignal": "i",
    "RuntimeMaxUSec": "t",
    "RuntimeRandomizedExtraUSec": "t",
    "SendSIGHUP": "b",
    "SendSIGKILL": "b",
    "TimeoutStopUSec": "t",
    # what it may use
    "AllowedCPUs": "ay",
    "AllowedMemoryNodes": "ay",
    "BlockIOAccounting": "b",
    "BlockIOWeight": "t",
    "CPUAccounting": "b",
    "CPUQuotaPerSecUSec": "t",
    "CPUQuotaPeriodUSec": "t",
    "CPUShares": "t",
    "CPUWeight": "t",
    "DefaultMemoryLow": "t",
    "DefaultMemoryMin": "t",
    "IOAccounting": "b",
    "IODeviceLatencyTargetUSec": "a(st)",
    "IODeviceWeight": "a(st)",
    "IOReadBandwidthMax": "a(st)",
    "IOReadIOPSMax": "a(st)",
    "IOWeight": "t",
    "IOWriteBandwidthMax": "a(st)",
    "IOWriteIOPSMax": "a(st)",
    "IPAccounting": "b",
    "ManagedOOMMemoryPressure": "s",
    "ManagedOOMMemoryPressureLimit": "u",
    "ManagedOOMPreference": "s",
    "ManagedOOMSwap": "s",
    "MemoryAccounting": "b",
    "MemoryHigh": "t",
    "MemoryLimit": "t",
    "MemoryLow": "t",
    "MemoryMax": "t",
    "MemoryMin": "t",
    "MemoryPressureThresholdUSec": "t",
    "MemoryPressureWatch": "s",
    "MemorySwapMax": "t",
    "MemoryZSwapMax": "t",
    "StartupCPUShares": "t",
    "StartupCPUWeight": "t",
    "StartupIOWeight": "t",
    "TasksAccounting": "b",
    "TasksMax": "t",
}
INTEGERS = {
    "y": (0, 255, "byte"),
    "i": (-(1 << 31), (1 << 31) - 1, "int32"),
    "u": (0, (1 << 32) - 1, "uint32"),
    "t": (0, (1 << 64) - 1, "uint64"),
}
SPACE = " \t\n"


def properties(annotations: "Mapping[str, str]") -> "Properties":
    """Return the properties that the annotations ask for; SpecError for one that cannot be had."""
    found: Properties = {}
    for key, text in annotations.items():
        if key.startswith(KEY):
            name, value = one(key, key.removeprefix(KEY), text)
            found[name] = value
    return found


def one(key: str, name: str, text: str) -> "tuple[str, Variant]":
    """Return one property; NAMESec is NAMEUSec in seconds, as in unit files."""
    place = f"/annotations/{key}"
    in_seconds = name.endswith(SEC) and not name.endswith(USEC)
    if in_seconds:
        name = name.removesuffix(SEC) + USEC
    if name not in TYPES:
        raise SpecError(place, "is not among the properties that a container may set of its unit")
    signature = TYPES[name]
    try:
        if in_seconds:
            return name, (signature, microseconds(text))
        return name, (signature, Text(text).whole(signature))
    except ValueError as error:
        raise SpecError(place, f'"{text}" {error}') from None


def microseconds(text: str) -> int:
    """Return a number of seconds, with any type in front of it, in microseconds."""
    word = text.split()[-1] if text.split() else ""
    try:
        value = round(float(word) * SECOND)
    except (ValueError, OverflowError):
        raise ValueError("is not a number of seconds") from None
    if not 0 <= value <= INTEGERS["t"][1]:
        raise ValueError("is not a number of seconds that systemd takes")
    return value


class Text:
    """A value in GVariant's text format, read for a type that is known."""

    __slots__ = ("at", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def whole(self, signature: str) -> object:
        """Return the value that is all of the text."""
        value = self.value(signature)
        self.skip()
        if self.at < len(self.text):
            raise ValueError(f"goes on after a value of type {signature}")
        return value

    def value(self, signature: str) -> object:
        """Return the next value; an array of bytes as bytes, any other as a list."""
        if signature[0] == "a":
            return self.array(signature[1:])
        if signature[0] == "(":
            return tuple(self.items("(", ")", list(signature[1:-1])))
        if signature == "s":
            return self.string()
        word = self.word()
        if signature == "b":
            if word not in ("true", "false"):
                raise ValueError("is neither true nor false")
            return word == "true"
        return self.integer(signature, word)

    def array(self, kind: str) -> object:
        """Return the items between brackets."""
        found: list[object] = []
        self.expect("[")
        while self.peek() != "]":
            if found:
                self.expect(",")
            found.append(self.value(kind))
        self.expect("]")
        return bytes(found) if kind == "y" else found  # type: ignore[arg-type]  # integers, then

    def items(self, opening: str, closing: str, kinds: list[str]) -> list[object]:
        """Return the values of a structure."""
        self.expect(opening)
        found: list[object] = []
        for kind in kinds:
            if found:
                self.expect(",")
            found.append(self.value(kind))
        self.expect(closing)
        return found

    def integer(self, signature: str, word: str) -> int:
        """Return an integer, with or without the name of its type in front of it."""
        low, high, name = INTEGERS[signature]
        if word == name:
            word = self.word()
        try:
            value = int(word, 0)
        except ValueError:
            raise ValueError(f"is not of type {name}") from None
        if not low <= value <= high:
            raise ValueError(f"is out of the range of type {name}")
        return value

    def string(self) -> str:
        """Return a string in single or double quotes."""
        quote = self.peek()
        if quote not in ("'", '"'):
            raise ValueError("is not a string in quotes")
        self.at += 1
        letters = []
        while (letter := self.text[self.at : self.at + 1]) != quote:
            if letter == "\\":
                self.at += 1
                letter = self.text[self.at : self.at + 1]
            if not letter:
                raise ValueError("has no closing quote")
            if not letter.isprintable():
                raise ValueError("has a letter that cannot be printed")
            letters.append(letter)
            self.at += 1
        self.at += 1
        return "".join(letters)

    def word(self) -> str:
        """Return what comes up to the next delimiter."""
        self.skip()
        start = self.at
        while self.at < len(self.text) and self.text[self.at] not in f"{SPACE},[]()'\"":
            self.at += 1
        return self.text[start : self.at]

    def peek(self) -> str:
        """Return the next letter, "" at the end."""
        self.skip()
        return self.text[self.at : self.at + 1]

    def expect(self, letter: str) -> None:
        """Pass a delimiter."""
        if self.peek() != letter:
            raise ValueError(f'has no "{letter}" where one must be')
        self.at += 1

    def skip(self) -> None:
        """Pass white space."""
        while self.text[self.at : self.at + 1] in tuple(SPACE):
            self.at += 1
