# SPDX-License-Identifier: Apache-2.0
"""RUN: what is run, with which mounts, and by which key the cache knows it."""

import fcntl
import hashlib
import os
import stat

from pyoci.engine.build.cache import LOCK, key_of
from pyoci.engine.build.copying import Target, write
from pyoci.engine.build.mounts import is_writable, parse_mount
from pyoci.engine.build.workspace import View, Workspace
from pyoci.engine.errors import EngineError
from pyoci.engine.images.instructions import json_form
from pyoci.engine.snapshots import mount_overlay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyoci.engine.build.builder import Builder
    from pyoci.engine.build.metadata import Step
    from pyoci.engine.build.mounts import Fields
    from pyoci.engine.build.running import Job

_NETWORKS = ("default", "none", "host")
# Passed to every program without an ARG, and in no key and no history (docs of the Dockerfile).
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")


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
    files = [_digest(builder, step, fields) for fields in mounts]
    declared = [
        f"{name}={value}" for name, value in state.arguments.items() if name.upper() not in _PROXIES
    ]
    told = " ".join(
        ["RUN", *([f"|{len(declared)}", *declared] if declared else []), *_shown(step, arguments)]
    )
    config = [state.config[key] for key in ("Env", "User", "WorkingDir")]
    key = key_of(
        "run", state.chain, config, declared, arguments, [doc.content for doc in instruction.heredocs],
        network, mounts, files, builder.options.container,
    )  # fmt: skip

    def work() -> Workspace:
        from pyoci.engine.build.running import Job

        job = Job(
            builder.session, state, arguments, {**builder.options.container, "network": [network]}
        )
        try:
            _prepare(builder, step, job, mounts)
            with View(builder.session, state.layers) as root:
                code, workspace = job.run(builder.progress.output, root)
        finally:
            job.close()
        if code:
            shown = " ".join(_shown(step, arguments)).partition("\n")[0]
            raise EngineError(f'process "{shown}" did not complete successfully: exit code: {code}')
        return workspace

    builder.make(step, key, told, work)


def _prepare(builder: "Builder", step: "Step", job: "Job", mounts: "list[Fields]") -> None:
    """Give a program its proxies, its script and its mounts."""
    for name, value in builder.options.build_args.items():
        if name.upper() in _PROXIES:
            job.environment.setdefault(name, value)
    _add_script(step, job)
    for fields in mounts:
        _ADD[fields["type"]](builder, step, job, fields)


def _arguments(step: "Step") -> list[str]:
    """Return the program and its arguments; documents follow the shell's text, whose shell reads them."""
    form = json_form(step.instruction.text)
    if form is not None:
        return form
    text = step.instruction.text
    if _is_whole_document(step):
        text = step.instruction.heredocs[0].content
    else:
        for heredoc in step.instruction.heredocs:
            text += f"\n{heredoc.content}{heredoc.name}"
    return [*step.state.shell, text]


def _is_whole_document(step: "Step") -> bool:
    """Tell whether the text is nothing but <<NAME: the document is the script."""
    text, heredocs = step.instruction.text, step.instruction.heredocs
    return len(heredocs) == 1 and text.startswith("<<") and len(text.split()) == 1


def _shown(step: "Step", arguments: list[str]) -> list[str]:
    """Return the words as people are told them: the Dockerfile's text for a document."""
    if not step.instruction.heredocs:
        return arguments
    return [*step.state.shell, step.instruction.original.split(None, 1)[1]]


def _add_script(step: "Step", job: "Job") -> None:
    if _is_whole_document(step) and step.instruction.heredocs[0].content.startswith("#!"):
        job.add_script(step.instruction.heredocs[0])


def _expanded(step: "Step", fields: "Fields") -> "Fields":
    """Return a mount with its variables in place."""
    return {name: step.expand(value) for name, value in fields.items()}


def _digest(builder: "Builder", step: "Step", fields: "Fields") -> str:
    """Return what the cache must know of the files of a mount: all of a bind, nothing of a cache or a secret."""
    if fields["type"] != "bind":
        return ""
    source, _ = builder.source(fields["from"], step)
    return source.digest(source.find(fields["source"])[0].path)


def _add_bind(builder: "Builder", step: "Step", job: "Job", fields: "Fields") -> None:
    """Mount files of the context, a stage or an image; what is written there is lost."""
    source, _ = builder.source(fields["from"], step)
    found = source.find(fields["source"])[0]
    path = f"{source.path}/{found.path}".rstrip("/")
    if source.ignore or (is_writable(fields) and not found.is_directory):
        path = f"{job.directory}/bind-{len(job.points)}"
        os.mkdir(path)
        top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            Target(top).copy(source, found, "" if found.is_directory else f"/{found.name}")
        finally:
            os.close(top)
        path = path if found.is_directory else f"{path}/{found.name}"
    elif is_writable(fields):
        path = _covered(job, path)
    job.bind(path, fields["target"], writable=is_writable(fields))


def _covered(job: "Job", path: str) -> str:
    """Return a directory over which everything can be written."""
    above = f"{job.directory}/cover-{len(job.points)}"
    for name in ("", "/upper", "/work", "/merged"):
        os.mkdir(above + name)
    mount_overlay([path], f"{above}/merged", f"{above}/upper", f"{above}/work")
    job.covers.append(f"{above}/merged")
    return f"{above}/merged"


def _add_cache(builder: "Builder", step: "Step", job: "Job", fields: "Fields") -> None:
    """Mount a directory that builds share, and keep others from it as far as `sharing` says."""
    identity = fields["id"] or fields["target"]
    name = hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()
    places = builder.store.places
    top = places.directory("build", "cache")
    lock, name = _lock(top, name, fields["sharing"])
    job.locks.append(lock)
    path = f"{top}/{name}"
    if not os.path.isdir(path):
        os.mkdir(path)
        if fields["from"]:
            source, _ = builder.source(fields["from"], step)
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            Target(fd).copy(source, source.find(fields["source"])[0], "")
            os.close(fd)
        os.chown(path, int(fields["uid"]), int(fields["gid"]))
        os.chmod(path, int(fields["mode"], 8))
    job.bind(path, fields["target"], writable=is_writable(fields))


def _lock(top: str, name: str, sharing: str) -> tuple[int, str]:
    """Return the lock of a cache directory and its name; `private` takes the next one that nobody has."""
    number = 0
    while True:
        chosen = f"{name}.{number}" if number else name
        fd = os.open(top + "/" + chosen + LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.utime(fd)  # its last use, for `builder prune`
        if sharing != "private":
            fcntl.flock(fd, fcntl.LOCK_SH if sharing == "shared" else fcntl.LOCK_EX)
            return fd, chosen
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            number += 1
            continue
        return fd, chosen


def _add_tmpfs(_: "Builder", _step: "Step", job: "Job", fields: "Fields") -> None:
    from pyoci.engine.containers import mounts

    options = f"size={fields['size']}" if fields["size"] else ""
    job.points.append(mounts.point("tmpfs", "", job.absolute(fields["target"]), mode=options))


def _add_secret(builder: "Builder", _: "Step", job: "Job", fields: "Fields") -> None:
    """Give the program a secret, as a file or a variable: it is in no layer, no history and no key."""
    secrets = builder.options.secrets
    if fields["id"] not in secrets:
        if fields["required"] in ("true", "1"):
            raise EngineError(
                f"secret {fields['id']}: not found: give it by --secret id={fields['id']},src=FILE"
            )
        return
    content = secrets[fields["id"]]
    if fields["env"]:
        job.environment[fields["env"]] = content.decode("utf-8", "surrogateescape")
    if fields["target"]:
        path = f"{job.directory}/secret-{len(job.points)}"
        write(path, content, stat.S_IMODE(int(fields["mode"], 8)))
        os.chown(path, int(fields["uid"]), int(fields["gid"]))
        job.bind(path, fields["target"], writable=False)


_ADD: "dict[str, Callable[[Builder, Step, Job, Fields], None]]" = {
    "bind": _add_bind,
    "cache": _add_cache,
    "tmpfs": _add_tmpfs,
    "secret": _add_secret,
}
