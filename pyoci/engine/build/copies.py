# SPDX-License-Identifier: Apache-2.0
"""COPY and ADD: files of the context, of a stage, of an image, of the Dockerfile itself (heredocs), of the network, of archives."""

import os

from pyoci.engine.build import words
from pyoci.engine.build.cache import key_of
from pyoci.engine.build.metadata import absolute
from pyoci.engine.build.sources import Found, Source
from pyoci.engine.errors import EngineError
from pyoci.engine.images.instructions import json_form

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.build.builder import Builder
    from pyoci.engine.build.metadata import Step
    from pyoci.engine.build.workspace import Workspace

_WEB = ("http://", "https://")
_ELSEWHERE = (*_WEB, "git@", "git://", "ssh://")


class Order:
    """What one COPY or ADD asks for: what to copy (`items`), where to, whose it will be."""

    __slots__ = (
        "chain",
        "items",
        "link",
        "mode",
        "owner",
        "parents",
        "patterns",
        "target",
        "unpacks",
    )

    def __init__(self, step: "Step") -> None:
        instruction = step.instruction
        form = json_form(instruction.text)
        found = form if form is not None else instruction.text.split()
        if len(found) < 2:
            raise instruction.fail(
                f"{instruction.keyword} requires at least two arguments, but only one was provided"
            )
        names = [heredoc.name for heredoc in instruction.heredocs]
        self.patterns = [
            word if _is_heredoc(word, names, step) else step.expand(word) for word in found[:-1]
        ]
        last = step.expand(found[-1])
        self.target = absolute(step, last)
        if (last.endswith(("/", "/.")) or last == ".") and self.target != "/":
            self.target += "/"
        if len(self.patterns) > 1 and not self.target.endswith("/"):
            raise EngineError(
                f"When using {instruction.keyword} with more than one source file, the destination must be a "
                "directory and end with a /"
            )
        self.link = instruction.is_on("link")
        self.parents = instruction.is_on("parents")
        self.unpacks = instruction.keyword == "ADD" and instruction.flag("unpack") not in (
            "false",
            "0",
        )
        self.owner = step.expand(instruction.flag("chown"))
        self.mode = _mode(step, step.expand(instruction.flag("chmod")))
        self.chain = "" if self.link and not _is_name(self.owner) else step.state.chain
        self.items: list[tuple[Source, Found]] = []

    def key(self, *what: object) -> str:
        """Return the cache's key, for what identifies the files."""
        how = (self.link, self.parents, self.unpacks, self.owner, self.mode, self.target)
        return key_of("copy", self.chain, *how, *what)


def _is_heredoc(word: str, names: list[str], step: "Step") -> bool:
    return (
        word.startswith("<<") and words.unquoted(word[2:].removeprefix("-"), step.escape) in names
    )


def _is_name(owner: str) -> bool:
    return bool(owner) and not owner.replace(":", "", 1).isdecimal()


def _mode(step: "Step", text: str) -> int | None:
    if not text:
        return None
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o7777:
        raise step.instruction.fail(
            f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777"
        )
    return mode


def copy(builder: "Builder", step: "Step") -> None:
    """COPY."""
    instruction = step.instruction
    order = Order(step)
    told = _told(step, order)
    name = step.expand(instruction.flag("from"))
    given = builder.context_of(name) if name else builder.context
    if given is None:
        _copy_from(builder, step, order, name)
        return
    documents = _documents(builder, step)
    context = given.excluding(map(step.expand, instruction.every("exclude")))
    for pattern in order.patterns:
        if pattern in documents:
            order.items.append(documents[pattern])
        else:
            order.items += [(context, found) for found in context.find(pattern)]
    _check_target(order)
    _make(builder, step, order, told)


def _copy_from(builder: "Builder", step: "Step", order: Order, name: str) -> None:
    """COPY --from: from the cache by the layers it would read, else by the files, so that a stage built anew alike is no change."""
    excluded = [*map(step.expand, step.instruction.every("exclude"))]
    source_chain = builder.state_of(name, step).chain
    quick = order.key("from", source_chain, order.patterns, excluded)
    told = _told(step, order)
    made = builder.cache.find(quick)
    if made is not None:
        builder.progress.cached()
        step.state.add(told, made, changes_files=True)
        return
    source = builder.source(name, step)[0].excluding(excluded)
    for pattern in order.patterns:
        order.items += [(source, found) for found in source.find(pattern)]
    _check_target(order)
    key = order.key(_digests(order))
    _make(builder, step, order, told)
    made = builder.cache.find(key)
    if made is not None:
        builder.cache.keep(quick, made, told)


def add(builder: "Builder", step: "Step") -> None:
    """ADD: as COPY, and addresses are fetched, archives unpacked."""
    order = Order(step)
    told = _told(step, order)
    documents = _documents(builder, step)
    context = builder.context.excluding(map(step.expand, step.instruction.every("exclude")))
    for pattern in order.patterns:
        if pattern in documents:
            order.items.append(documents[pattern])
        elif pattern.startswith(_ELSEWHERE):
            order.items.append(_fetched(builder, step, pattern, order.target))
        else:
            order.items += [(context, found) for found in context.find(pattern)]
    _check_target(order)
    _make(builder, step, order, told)


def _fetched(builder: "Builder", step: "Step", address: str, target: str) -> "tuple[Source, Found]":
    """Fetch what an address means, and compare it with --checksum: of a file its digest, of a repository the commit."""
    from pyoci.engine.build import fetching, git

    checksum = step.expand(step.instruction.flag("checksum"))
    if not git.is_git(address):
        return fetching.fetch(builder.session, address, checksum, target)
    keeps_git = step.instruction.is_on("keep-git-dir")
    source, commit = git.fetch(
        builder.session, address, builder.options.secrets, keeps_git=keeps_git
    )
    if checksum and not commit.startswith(checksum):
        raise EngineError(f"expected checksum to match {checksum}, got {commit}")
    return source, Found("", "", is_directory=True)


def _make(builder: "Builder", step: "Step", order: Order, told: str) -> None:
    """Copy, unless the cache has it; what was changed while it was copied is not what the key says."""

    def key() -> str:
        return order.key(_digests(order))

    def work() -> "Workspace":
        from pyoci.engine.build.placing import place

        return place(builder, step, order)

    builder.make(step, key(), told, work, key)


def _check_target(order: Order) -> None:
    if len(order.items) > 1 and not order.target.endswith("/") and order.target != "/":
        raise EngineError(
            "When using COPY with more than one source file, the destination must be a directory and end with a /"
        )


def _told(step: "Step", order: Order) -> str:
    flags = "".join(
        f"--{name}={value} " if value else f"--{name} "
        for name, value in step.instruction.flags
        if name != "from"
    )
    return f"{step.instruction.keyword} {flags}{' '.join(order.patterns)} {order.target}"


def _digests(order: Order) -> list[list[str]]:
    """Return what is copied, each with its name and its digest."""
    return [
        [found.name, found.path if order.parents else "", source.digest(found.path)]
        for source, found in order.items
    ]


def _documents(builder: "Builder", step: "Step") -> "dict[str, tuple[Source, Found]]":
    """Write the documents of the Dockerfile where they can be copied from; by the words that ask for them."""
    found: dict[str, tuple[Source, Found]] = {}
    for heredoc in step.instruction.heredocs:
        if "/" in heredoc.name or heredoc.name in (".", ".."):
            raise step.instruction.fail(f"a document cannot be called {heredoc.name!r}")
        from pyoci.engine.build.copying import write

        directory = f"{builder.session.path}/document-{os.urandom(4).hex()}"
        os.mkdir(directory, 0o700)
        text = heredoc.content
        if heredoc.expands:
            text = _expanded(step, text)
        write(f"{directory}/{heredoc.name}", text.encode("utf-8", "surrogateescape"), 0o644)
        source = Source(directory, keeps_owners=False)
        for word in step.instruction.text.split():
            if _is_heredoc(word, [heredoc.name], step):
                found[word] = source, Found(heredoc.name, heredoc.name)
    return found


def _expanded(step: "Step", text: str) -> str:
    """Return a document with its variables in place; quotes are letters in it."""
    quoted = text.replace('"', f'{step.escape}"')
    return words.expand(f'"{quoted}"', step.state.variables, step.escape)
