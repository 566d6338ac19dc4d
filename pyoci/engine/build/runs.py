# SPDX-License-Identifier: Apache-2.0
"""RUN: what is run, with which mounts, and by which key the cache knows it."""

from pyoci.engine.build.cache import key_of
from pyoci.engine.build.mounts import parse_mount
from pyoci.engine.errors import EngineError
from pyoci.engine.images.instructions import json_form

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.build.builder import Builder
    from pyoci.engine.build.metadata import Step
    from pyoci.engine.build.mounts import Fields
    from pyoci.engine.build.workspace import Workspace

_NETWORKS = ("default", "none", "host")
# Passed to every program without an ARG, and in no key and no history (docs of the Dockerfile).
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")


def run(builder: "Builder", step: "Step") -> None:
    """RUN."""
    instruction, state = step.instruction, step.state
    arguments = _arguments(step)
    network = instruction.flag("network") or builder.options.network
    if network not in _NETWORKS:
        raise instruction.fail(f'unsupported network mode "{network}"')
    if instruction.flag("security") not in ("", "sandbox"):
        raise instruction.fail(f'security mode "{instruction.flag("security")}" is not allowed')
    mounts = [
        _expanded(step, parse_mount(instruction, text)) for text in instruction.every("mount")
    ]
    declared = [
        f"{name}={value}" for name, value in state.arguments.items() if name.upper() not in PROXIES
    ]
    told = " ".join(
        ["RUN", *([f"|{len(declared)}", *declared] if declared else []), *_shown(step, arguments)]
    )
    config = [state.config[key] for key in ("Env", "User", "WorkingDir")]
    documents = [document.content for document in instruction.heredocs]
    container = builder.options.container
    chain = state.chain

    def key() -> str:
        files = [_digest(builder, step, fields) for fields in mounts]
        return key_of(
            "run", chain, config, declared, arguments, documents, network, mounts, files, container
        )

    def work() -> "Workspace":
        from pyoci.engine.build.providing import prepare
        from pyoci.engine.build.running import Job
        from pyoci.engine.build.workspace import View

        job = Job(builder.session, state, arguments, {**container, "network": [network]})
        try:
            prepare(builder, step, job, mounts)
            with View(builder.session, state.layers) as root:
                code, workspace = job.run(builder.progress.output, root)
        finally:
            job.close()
        if code:
            shown = " ".join(_shown(step, arguments)).partition("\n")[0]
            raise EngineError(f'process "{shown}" did not complete successfully: exit code: {code}')
        return workspace

    builder.make(step, key(), told, work, key)


def _arguments(step: "Step") -> list[str]:
    """Return the program and its arguments; documents follow the shell's text, whose shell reads them."""
    form = json_form(step.instruction.text)
    if form is not None:
        return form
    text = step.instruction.text
    if is_whole_document(step):
        text = step.instruction.heredocs[0].content
    else:
        for heredoc in step.instruction.heredocs:
            text += f"\n{heredoc.content}{heredoc.name}"
    return [*step.state.shell, text]


def is_whole_document(step: "Step") -> bool:
    """Tell whether the text is nothing but <<NAME: the document is the script."""
    text, heredocs = step.instruction.text, step.instruction.heredocs
    return len(heredocs) == 1 and text.startswith("<<") and len(text.split()) == 1


def _shown(step: "Step", arguments: list[str]) -> list[str]:
    """Return the words as people are told them: the Dockerfile's text for a document."""
    if not step.instruction.heredocs:
        return arguments
    return [*step.state.shell, step.instruction.original.split(None, 1)[1]]


def _expanded(step: "Step", fields: "Fields") -> "Fields":
    """Return a mount with its variables in place."""
    return {name: step.expand(value) for name, value in fields.items()}


def _digest(builder: "Builder", step: "Step", fields: "Fields") -> str:
    """Return what the cache must know of the files of a mount: all of a bind, nothing of a cache or a secret."""
    if fields["type"] != "bind":
        return ""
    source, _ = builder.source(fields["from"], step)
    return source.digest(source.find(fields["source"])[0].path)
