# SPDX-License-Identifier: Apache-2.0
"""Every MUST, SHOULD and SHALL of the specification, as the sentence that it stands in."""

import re
from collections.abc import Iterator

import official

PAGES = (
    "bundle.md", "runtime.md", "runtime-linux.md", "config.md", "config-linux.md", "config-vm.md", "features.md",
    "features-linux.md",
)  # fmt: skip
_DEMAND = re.compile(r"\b(MUST|SHOULD|SHALL)\b")
_LINKS = (r"\[([^\]]*)\]\([^)]*\)", r"\[([^\]]*)\]\[[^\]]*\]")
_MARKER = r"\s*([*-]|\d+\.)\s+"
_QUOTED = 130  # characters


def demands() -> Iterator[tuple[str, str]]:
    """Yield section and beginning of each sentence; one that is there twice in a section comes once."""
    seen = set()
    for page in PAGES:
        for section, sentence in _sentences(official.text(page)):
            place = f"{page}#{section}"
            if _DEMAND.search(sentence) and (place, quoted(sentence)) not in seen:
                seen.add((place, quoted(sentence)))
                yield place, quoted(sentence)


def quoted(sentence: str) -> str:
    """Return so much of a sentence as a table holds, around its first demand."""
    found = _DEMAND.search(sentence)
    late = found is not None and found.start() > _QUOTED - 30
    start = found.start() - _QUOTED // 2 if found and late else 0
    cut = sentence[start : start + _QUOTED].strip().replace("|", "/")
    return ("..." if start else "") + cut + ("..." if start + _QUOTED < len(sentence) else "")


def _sentences(text: str) -> Iterator[tuple[str, str]]:
    section, block, in_code = "", [], False
    for line in [*text.splitlines(), "#"]:
        in_code ^= line.startswith("```")
        ends = not line.strip() or line.startswith(("#", "```"))
        if ends or re.match(_MARKER, line) or line.count("|") > 2:
            yield from ((section, part) for part in _split(" ".join(block)))
            block = []
        if line.startswith("#") and not in_code:
            words = re.sub(r"[^a-z0-9 -]", "", _plain(line.lstrip("#")).lower())
            section = words.strip().replace(" ", "-")
        elif not ends and not in_code:
            block.append(re.sub(f"^{_MARKER}", "", line))


def _split(block: str) -> list[str]:
    return re.split(r"(?<=[.:;])\s+(?=[A-Z`\"])", _plain(block))


def _plain(text: str) -> str:
    for link in _LINKS:
        text = re.sub(link, r"\1", text)
    text = re.sub(r"<a[^>]*/>|\*", "", text)
    return " ".join(text.split())
