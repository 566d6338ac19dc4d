# SPDX-License-Identifier: Apache-2.0
"""What a registry asks for in WWW-Authenticate (RFC 9110, 11.6.1; distribution's token specification)."""


class Challenge:
    """One scheme, in small letters, with its parameters."""

    __slots__ = ("parameters", "scheme")

    def __init__(self, scheme: str) -> None:
        self.scheme = scheme
        self.parameters: dict[str, str] = {}


def challenges(header: str) -> list[Challenge]:
    """Return the challenges of a header; what cannot be read ends the list."""
    found: list[Challenge] = []
    rest = header.strip()
    while rest:
        word, rest = _token(rest)
        if not word:
            break
        if rest.startswith("=") and found:
            value, rest = _value(rest[1:])
            found[-1].parameters[word.lower()] = value
        else:
            found.append(Challenge(word.lower()))
        rest = rest.lstrip(" ,")
    return found


def _token(text: str) -> tuple[str, str]:
    end = 0
    while end < len(text) and (text[end].isalnum() or text[end] in "!#$%&'*+-.^_`|~"):
        end += 1
    return text[:end], text[end:]


def _value(text: str) -> tuple[str, str]:
    if not text.startswith('"'):
        return _token(text)
    value, at = "", 1
    while at < len(text) and text[at] != '"':
        at += text[at] == "\\"
        value += text[at : at + 1]
        at += 1
    return value, text[at + 1 :]
