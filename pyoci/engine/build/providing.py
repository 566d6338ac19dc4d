# SPDX-License-Identifier: Apache-2.0
"""What a RUN is given when it runs: proxies, the script of a document, its mounts."""

import fcntl
import hashlib
import os
import stat

from pyoci.engine.build.cache import LOCK
from pyoci.engine.build.copying import Target, write
from pyoci.engine.build.mounts import is_writable
from pyoci.engine.build.runs import PROXIES, is_whole_document
from pyoci.engine.errors import EngineError
from pyoci.engine.overlay import mount_overlay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyoci.engine.build.builder import Builder
    from pyoci.engine.build.metadata import Step
    from pyoci.engine.build.mounts import Fields
    from pyoci.engine.build.running import Job

_AGENTS = "/run/buildkit/ssh_agent"


def prepare(builder: "Builder", step: "Step", job: "Job", mounts: "list[Fields]") -> None:
    """Give a program its proxies, its script and its mounts."""
    for name, value in builder.options.build_args.items():
        if name.upper() in PROXIES:
            job.environment.setdefault(name, value)
    _add_script(step, job)
    for fields in mounts:
        _ADD[fields["type"]](builder, step, job, fields)


def _add_script(step: "Step", job: "Job") -> None:
    if is_whole_document(step) and step.instruction.heredocs[0].content.startswith("#!"):
        job.add_script(step.instruction.heredocs[0])


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
    if name in job.locks and fields["sharing"] != "private":
        fcntl.flock(
            job.locks[name], _sharing(fields["sharing"])
        )  # a second lock would wait for ours
    else:
        lock, name = _lock(top, name, fields["sharing"])
        job.locks[name] = lock
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
            fcntl.flock(fd, _sharing(sharing))
            return fd, chosen
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            number += 1
            continue
        return fd, chosen


def _sharing(text: str) -> int:
    return fcntl.LOCK_SH if text == "shared" else fcntl.LOCK_EX


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


def _add_ssh(builder: "Builder", _: "Step", job: "Job", fields: "Fields") -> None:
    """Give the program a socket of an agent; where nobody forwards one, the step fails only if it says that it must have it."""
    agent = builder.agent(fields["id"])
    if not agent:
        if fields["required"] in ("true", "1"):
            name = fields["id"]
            raise EngineError(f"unset ssh forward key {name}: give it by --ssh {name}")
        return
    from pyoci.engine.build.agent import Forwarder

    path = f"{job.directory}/ssh-{len(job.points)}"
    owner = int(fields["uid"]), int(fields["gid"])
    job.agents.append(Forwarder(path, agent, stat.S_IMODE(int(fields["mode"], 8)), owner))
    target = fields["target"] or f"{_AGENTS}.{len(job.agents) - 1}"
    job.bind(path, target, writable=False)
    job.environment.setdefault("SSH_AUTH_SOCK", job.absolute(target))


_ADD: "dict[str, Callable[[Builder, Step, Job, Fields], None]]" = {
    "bind": _add_bind,
    "cache": _add_cache,
    "tmpfs": _add_tmpfs,
    "secret": _add_secret,
    "ssh": _add_ssh,
}
