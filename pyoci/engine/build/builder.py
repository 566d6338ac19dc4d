# SPDX-License-Identifier: Apache-2.0
"""Build an image: the stages that the target needs, one after the other, each step from the cache or carried out.

A step is a row of STEPS or of metadata.CHANGES. Every failure names the line and the instruction.
"""

import os
import stat

from pyoci.engine.build import copies, runs, words
from pyoci.engine.build.cache import Cache, Made, key_of
from pyoci.engine.build.dockerfile import Dockerfile, read_trigger, shortened
from pyoci.engine.build.metadata import CHANGES, Step, absolute
from pyoci.engine.build.sources import Source
from pyoci.engine.build.stages import SCRATCH, Plan
from pyoci.engine.build.state import State, from_image
from pyoci.engine.errors import EngineError, NotFoundError
from pyoci.engine.images import records, register
from pyoci.engine.images.listing import now
from pyoci.engine.images.manifests import host_platform, parse_platform
from pyoci.engine.reference import parse
from pyoci.errors import in_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from pyoci.engine.build.agent import Keys
    from pyoci.engine.build.dockerfile import Instruction
    from pyoci.engine.build.options import Options
    from pyoci.engine.build.stages import Stage
    from pyoci.engine.build.workspace import View, Workspace
    from pyoci.engine.images.manifests import Platform
    from pyoci.engine.images.records import Image
    from pyoci.engine.images.store import Session, Store

    class Progress(Protocol):
        """Who is told how far the build is."""

        def step(self, title: str, /) -> None:
            """Begin a step."""

        def cached(self) -> None:
            """The step is in the cache."""

        def output(self, data: bytes, /) -> None:
            """The step's program has written this."""

        def done(self) -> None:
            """The step was carried out."""


_IMAGE = "docker-image://"


class Builder:
    """One build."""

    __slots__ = (
        "agents", "cache", "context", "dockerfile", "is_apart", "named", "options", "plan", "platform", "progress",
        "result", "results", "session", "sources", "views",
    )  # fmt: skip

    def __init__(
        self,
        session: "Session",
        options: "Options",
        dockerfile: Dockerfile,
        context: Source,
        progress: "Progress",
    ) -> None:
        self.session = session
        self.options = options
        self.dockerfile = dockerfile
        self.context = context
        self.progress = progress
        self.cache = Cache(session, is_read=not options.no_cache)
        self.platform = parse_platform(options.platform) if options.platform else host_platform()
        self.plan = Plan(
            dockerfile, options.build_args, _known_arguments(self.platform), options.contexts
        )
        self.results: dict[int, State] = {}
        self.sources: dict[str, Source] = {}  # layers that were opened, by their chain
        self.views: list[View] = []
        self.result = State(self.platform)
        self.agents: dict[str, Keys] = {}  # of files of keys
        self.named: dict[str, Source] = {}  # of --build-context, those that were opened
        self.is_apart = False  # in a mount namespace of our own

    @property
    def store(self) -> "Store":
        """The images."""
        return self.session.store

    def build(self) -> str:
        """Build the target and return the id of its image, "" where none is wanted; `result` is its state."""
        target = self.plan.target(self.options.target)
        os.umask(0o022)
        try:
            for stage in self.plan.needed(target):
                self.results[stage.index] = self._build_stage(stage)
        finally:
            for source in (*self.sources.values(), *self.named.values()):
                source.close()
            for agent in self.agents.values():
                agent.close()
            for view in self.views:
                view.close()
            self.cache.write()
            for source in (self.context, *self.named.values()):
                if source.known is not None:
                    source.known.write()
        self.result = self.results[target.index]
        is_wanted = self.options.makes_image or self.options.archives
        return self._record(self.result) if is_wanted else ""

    def agent(self, name: str) -> str:
        """Return the socket of the agent that --ssh has given a name; "" for none."""
        paths = self.options.ssh.get(name, [])
        if not paths or stat.S_ISSOCK(os.stat(paths[0]).st_mode):
            return paths[0] if paths else ""
        if name not in self.agents:
            from pyoci.engine.build.agent import Keys

            directory = f"{self.session.path}/agent-{os.urandom(4).hex()}"
            self.agents[name] = Keys(directory, paths)
        return self.agents[name].socket

    def context_of(self, name: str) -> Source | None:
        """Return the files of a --build-context; None where the name is a stage's or an image's."""
        place = self.options.contexts.get(name.lower(), _IMAGE)
        if place.startswith(_IMAGE):
            return None
        if name not in self.named:
            from pyoci.engine.build.incoming import open_named

            self.named[name] = open_named(self.session, name, place, self.options.secrets)
        return self.named[name]

    def leave_host(self) -> None:
        """Be in a mount namespace of our own, before anything is mounted."""
        if not self.is_apart:
            from pyoci.engine import mounts

            mounts.leave_host()
            self.is_apart = True

    def _record(self, state: State) -> str:
        if self.options.labels:
            state.config["Labels"] = {**state.config["Labels"], **self.options.labels}
        state.created = state.created or now()
        names = [parse(tag).name for tag in self.options.tags]
        return register.add_document(
            self.session, state.document(), [layer.blob for layer in state.layers], names
        )

    def _build_stage(self, stage: "Stage") -> State:
        names = {stage.name, str(stage.index)}
        self.cache.is_read = not self.options.no_cache and names.isdisjoint(self.options.uncached)
        with _Naming(self.dockerfile.name, stage.origin):
            state = self._begin(stage)
        triggers = [
            read_trigger(text, self.dockerfile.escape, stage.origin.line)
            for text in state.config["OnBuild"]
        ]
        state.config["OnBuild"] = []
        instructions = [*triggers, *stage.instructions]
        number, total = 1, 1 + sum(one.keyword in STEPS for one in instructions)
        for instruction in instructions:
            number += instruction.keyword in STEPS
            with _Naming(self.dockerfile.name, instruction):
                self._carry_out(state, instruction, f"{stage.shown} {number}/{total}")
        return state

    def _begin(self, stage: "Stage") -> State:
        earlier = self.plan.find(stage.base, stage.index)
        if earlier is not None:
            return self.results[earlier.index].copy()
        platform = parse_platform(stage.platform) if stage.platform else self.platform
        if stage.base == SCRATCH:
            return State(platform)
        self.progress.step(f"[{stage.shown}] FROM {parse(stage.base).name}")
        state = from_image(self.session, self.image(stage.base, platform))
        self.progress.done()
        return state

    def image(self, name: str, platform: "Platform") -> "Image":
        """Return an image, pulled where it is missing, is for another machine, or the newest is asked for."""
        place = self.options.contexts.get(name.lower(), "")
        if place.startswith(_IMAGE):
            name = place.removeprefix(_IMAGE)
        elif place:
            raise EngineError(f"{name}: a stage begins with an image, not with {place}")
        try:
            found = records.resolve(self.store.database, self.store.places, name)
        except NotFoundError:
            found = None
        fits = found is not None and found.config["architecture"] in ("", platform.architecture)
        if found is None or self.options.pull or not fits:
            from pyoci.engine.images.pull import pull

            pull(self.store, parse(name), platform)
            found = records.resolve(self.store.database, self.store.places, name)
        return found

    def _carry_out(self, state: State, instruction: "Instruction", place: str) -> None:
        """Carry out one instruction of a stage."""
        step = Step(
            state,
            instruction,
            self.dockerfile.escape,
            self.options.build_args,
            self.plan.global_args,
        )
        if instruction.keyword in CHANGES:
            told = CHANGES[instruction.keyword](step)
            state.add(told, self._stamp(state, told), changes_files=False)
            return
        first = instruction.first_line
        self.progress.step(f"[{place}] {first}")
        STEPS[instruction.keyword](self, step)

    def _stamp(self, state: State, told: str) -> Made:
        """Return when a step that changes no file was made: the first time, so that the same image has the same id."""
        key = key_of("metadata", state.base, state.chain, len(state.history), state.config, told)
        made = self.cache.find(key)
        if made is None:
            made = Made(now(), None)
            self.cache.keep(key, made, told)
        return made

    def make(  # noqa: PLR0913, PLR0917 - a row of what a step is
        self,
        step: Step,
        key: str,
        told: str,
        work: "Callable[[], Workspace]",
        again: "Callable[[], str] | None" = None,
    ) -> None:
        """Take a step that changes files from the cache, or carry it out.

        What was made is kept only if `again` says that the key is the same still: that no file was changed meanwhile.
        """
        made = self.cache.find(key)
        if made is not None:
            self.progress.cached()
        else:
            self.leave_host()
            made = Made(now(), work().layer())
            if again is None or again() == key:
                self.cache.keep(key, made, told)
            self.progress.done()
        step.state.add(told, made, changes_files=True)

    def source(self, name: str, step: Step) -> tuple[Source, str]:
        """Return what --from names, "" for the context, and the chain of its layers."""
        if not name:
            return self.context, ""
        given = self.context_of(name)
        if given is not None:
            return given, ""
        state = self.state_of(name, step)
        if state.chain not in self.sources:
            from pyoci.engine.build.workspace import View

            self.leave_host()
            view = View(self.session, state.layers)
            self.views.append(view)
            self.sources[state.chain] = Source(view.open(), name, keeps_owners=True)
        return self.sources[state.chain], state.chain

    def state_of(self, name: str, step: Step) -> State:
        """Return the stage or the image of a name."""
        name = words.expand(name, step.global_args, step.escape)
        stage = self.plan.find(name, len(self.plan.stages))
        if stage is not None and stage.index in self.results:
            return self.results[stage.index]
        if stage is not None:
            raise EngineError(f"stage {name} is not built before this instruction")
        return from_image(self.session, self.image(name, self.platform))


class _Naming:
    """For a with block about an instruction: what fails there says where."""

    __slots__ = ("instruction", "name")

    def __init__(self, name: str, instruction: "Instruction") -> None:
        self.name = name
        self.instruction = instruction

    def __enter__(self) -> None:
        """Nothing is to be done before."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        if isinstance(error, OSError):
            cause = in_words(error)
        elif isinstance(error, EngineError) and not str(error).startswith("dockerfile parse error"):
            cause = str(error)
        else:
            return
        first = self.instruction.first_line
        raise EngineError(
            f"{self.name}:{self.instruction.line}: {first}: {shortened(cause)}"
        ) from error


def _known_arguments(target: "Platform") -> dict[str, str]:
    """Return the arguments that BuildKit knows by itself."""
    found = {}
    for prefix, platform in (("BUILD", host_platform()), ("TARGET", target)):
        found[f"{prefix}PLATFORM"] = platform.shown
        found[f"{prefix}OS"] = platform.os
        found[f"{prefix}ARCH"] = platform.architecture
        found[f"{prefix}VARIANT"] = platform.variant
    return found


def _change_directory(builder: Builder, step: Step) -> None:
    """WORKDIR: a directory of root's, made where it is missing."""
    path = absolute(step, step.expand(step.instruction.text))
    step.state.config["WorkingDir"] = path

    def work() -> "Workspace":
        from pyoci.engine.build.copying import Target
        from pyoci.engine.build.workspace import Workspace

        workspace = Workspace(builder.session, step.state.layers)
        with workspace:
            root = workspace.open()
            try:
                os.close(Target(root).directory(path.strip("/")))
            finally:
                os.close(root)
        return workspace

    key = key_of("workdir", step.state.chain, path)
    builder.make(step, key, f"WORKDIR {path}", work)


STEPS: "dict[str, Callable[[Builder, Step], None]]" = {
    "ADD": copies.add,
    "COPY": copies.copy,
    "RUN": runs.run,
    "WORKDIR": _change_directory,
}
