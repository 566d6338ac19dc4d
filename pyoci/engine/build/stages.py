# SPDX-License-Identifier: Apache-2.0
"""The stages of a Dockerfile: which there are, what each is built on, and which of them the target needs."""

from pyoci.engine.build import words
from pyoci.engine.build.mounts import parse_mount
from pyoci.engine.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from pyoci.engine.build.dockerfile import Dockerfile, Instruction

SCRATCH = "scratch"


class Stage:
    """One FROM and what follows it; `base` and `platform` have their variables in place."""

    __slots__ = ("base", "index", "instructions", "name", "origin", "platform")

    def __init__(self, index: int, origin: "Instruction", base: str, name: str) -> None:
        self.index = index
        self.origin = origin
        self.base = base
        self.name = name
        self.platform = ""
        self.instructions: list[Instruction] = []

    @property
    def shown(self) -> str:
        """The stage as its steps are told: its name, or its number."""
        return self.name or f"stage-{self.index}"


class Plan:
    """All stages, the ARGs before the first, and the order in which those that are needed are built."""

    __slots__ = ("contexts", "global_args", "stages")

    def __init__(
        self,
        dockerfile: "Dockerfile",
        build_args: "Mapping[str, str]",
        known: "Mapping[str, str]",
        contexts: "Container[str]" = (),
    ) -> None:
        """Read the stages; `known` are the arguments that need no ARG, as TARGETARCH, `contexts` names that mean no stage."""
        self.contexts = contexts
        self.global_args: dict[str, str] = {**known}
        self.stages: list[Stage] = []
        for instruction in dockerfile.instructions:
            if instruction.keyword == "FROM":
                self.stages.append(self._stage(instruction, dockerfile.escape))
            elif self.stages:
                self.stages[-1].instructions.append(instruction)
            elif instruction.keyword == "ARG":
                for name, value in arguments(instruction, self.global_args, dockerfile.escape):
                    given = build_args.get(name, value)
                    if given is not None:
                        self.global_args[name] = given
            else:
                raise instruction.fail("no build stage in current context")
        if not self.stages:
            raise EngineError(
                f"{dockerfile.name}: no build stage in current context: FROM is missing"
            )

    def _stage(self, found: "Instruction", escape: str) -> Stage:
        parts = found.text.split()
        if len(parts) not in (1, 3) or (len(parts) == 3 and parts[1].upper() != "AS"):
            raise found.fail("FROM requires either one or three arguments")
        base = words.expand(parts[0], self.global_args, escape)
        if not base:
            raise found.fail(f"base name ({parts[0]}) should not be blank")
        name = parts[2].lower() if len(parts) == 3 else ""
        if name and (
            not name[0].isalpha()
            or not name.replace("-", "").replace("_", "").replace(".", "").isalnum()
        ):
            raise found.fail(
                f'invalid name for build stage: "{parts[2]}", name can\'t start with a number or contain symbols'
            )
        stage = Stage(len(self.stages), found, base, name)
        stage.platform = words.expand(found.flag("platform"), self.global_args, escape)
        return stage

    def find(self, text: str, before: int) -> Stage | None:
        """Return the stage that a name or a number means, of those before another; None where it must be an image."""
        if text.lower() in self.contexts:
            return None
        for stage in reversed(self.stages[:before]):
            if stage.name and stage.name == text.lower():
                return stage
        if text.isdecimal() and int(text) < before:
            return self.stages[int(text)]
        return None

    def target(self, text: str) -> Stage:
        """Return the stage that is wanted, the last one for "". Raises EngineError in BuildKit's words."""
        if not text:
            return self.stages[-1]
        found = self.find(text, len(self.stages))
        if found is None:
            raise EngineError(f'target stage "{text}" could not be found')
        return found

    def needed(self, target: Stage) -> list[Stage]:
        """Return the stages that a stage is made of, itself last."""
        wanted = {target.index}
        for stage in reversed(self.stages[: target.index + 1]):
            if stage.index in wanted:
                wanted |= {found.index for found in self._used(stage)}
        return [stage for stage in self.stages if stage.index in wanted]

    def _used(self, stage: Stage) -> list[Stage]:
        names = [stage.base]
        for instruction in stage.instructions:
            if instruction.keyword == "COPY":
                names += instruction.every("from")
            names += [parse_mount(instruction, text)["from"] for text in instruction.every("mount")]
        found = [self.find(name, stage.index) for name in names if name]
        return [stage for stage in found if stage is not None]


def arguments(
    found: "Instruction", variables: "Mapping[str, str]", escape: str
) -> list[tuple[str, str | None]]:
    """Return the names of an ARG with their defaults, None for one without."""
    known = {**variables}
    result: list[tuple[str, str | None]] = []
    for word in words.raw_words(found.text, escape):
        name, equals, value = word.partition("=")
        name = words.expand(name, known, escape)
        if not name:
            raise found.fail("ARG names can not be blank")
        default = words.expand(value, known, escape) if equals else None
        if default is not None:
            known[name] = default
        result.append((name, default))
    return result
