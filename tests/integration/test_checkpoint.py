# SPDX-License-Identifier: Apache-2.0
"""checkpoint and restore: what a container was doing goes on, through a criu that works on this kernel."""

import json
import os
import select
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from blackbox.bundle import Bundle, MakeBundle, bind, tmpfs
from blackbox.console import Receiver, read_until
from blackbox.processes import Running, patience, text, until
from blackbox.runtime import Container, Ran, Runtime

# Slow under emulation: criu reads all of a process through ptrace.
SECONDS = 120
NOWHERE = ["sh", "-c", '"$@" </dev/null >/dev/null 2>&1', "sh"]
COUNTING = "i=0; while :; do i=$((i+1)); echo $i >/count.new; mv /count.new /count; sleep 0.1; done"


pytestmark = pytest.mark.usefixtures("criu")


@pytest.fixture
def images(scratch: Path) -> Path:
    """Where the images go; their files need not be there yet."""
    return scratch / "images"


def count(made: Bundle) -> int:
    """Return how far the container has counted."""
    path = made.rootfs / "count"
    return int(text(path)) if path.exists() else 0


def counting(runtime: Runtime, made: Bundle) -> Container:
    """Start a container that counts, without anything of ours open."""
    container = runtime.start(made.edit(sh=COUNTING).write(), wrap=NOWHERE)
    until(lambda: count(made) > 0, "it counts", SECONDS)
    return container


def dump(container: Container, images: Path, *options: str) -> Ran:
    """Checkpoint a container."""
    where = ["--image-path", str(images), "--work-path", str(images)]
    return container.runtime("checkpoint", *where, *options, container.id, seconds=SECONDS)


def restore(container: Container, images: Path, *options: str) -> Container:
    """Restore it under a new id, from the same bundle."""
    runtime = container.runtime
    where = ["--image-path", str(images), "--work-path", str(images), "--detach"]
    command = runtime.making("restore", container.bundle, *where, *options)
    ran = runtime(*command, seconds=SECONDS, wrap=NOWHERE)
    assert ran.code == 0, text(images / "restore.log")[-2000:]
    return Container(runtime, command[-1], container.bundle)


def free_port() -> int:
    """Return a TCP port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def is_heard(port: int) -> bool:
    """Tell whether somebody listens on a port, without calling: proc_pid_net(5), state 0A."""
    return f":{port:04X} 00000000:0000 0A" in text("/proc/net/tcp")


def goes_on(made: Bundle) -> int:
    """Wait until it counts further, and return from where."""
    before = count(made)
    until(lambda: count(made) > before, f"it counts on from {before}", SECONDS)
    return before


def test_a_container_goes_on_where_it_was(
    runtime: Runtime, bundle: MakeBundle, images: Path
) -> None:
    """cli.md 2: the container is gone after checkpoint, and runs after restore."""
    made = bundle()
    container = counting(runtime, made)
    ran = dump(container, images)
    assert ran.code == 0, ran
    assert runtime("state", container.id).code != 0
    stood = count(made)
    again = restore(container, images)
    assert goes_on(made) >= stood
    assert again.status == "running"
    assert again.exec("cat", "/count").code == 0
    again.stop()
    again.delete()


def test_it_may_go_on_while_it_is_saved(runtime: Runtime, bundle: MakeBundle, images: Path) -> None:
    """--leave-running."""
    made = bundle()
    container = counting(runtime, made)
    assert dump(container, images, "--leave-running").code == 0
    goes_on(made)
    assert container.status == "running"


def test_memory_may_be_saved_before(runtime: Runtime, bundle: MakeBundle, scratch: Path) -> None:
    """--pre-dump and --parent-path: the last images hold only what has changed."""
    made = bundle()
    container = counting(runtime, made)
    assert dump(container, scratch / "first", "--pre-dump").code == 0
    goes_on(made)
    ran = dump(container, scratch / "last", "--parent-path", "../first")
    assert ran.code == 0, ran
    assert (scratch / "last/parent").is_symlink()
    restore(container, scratch / "last")
    goes_on(made)


@pytest.mark.parametrize(
    ("parent", "words"),
    [("/first", "--parent-path must be relative"), ("../nosuch", "invalid --parent-path")],
)
def test_a_parent_that_cannot_be_is_refused(
    runtime: Runtime, bundle: MakeBundle, images: Path, parent: str, words: str
) -> None:
    """cli.md 2."""
    container = counting(runtime, bundle())
    ran = dump(container, images, "--parent-path", parent)
    assert ran.code != 0
    assert words in ran.stderr
    assert container.status == "running"


def test_a_terminal_is_taken_over(
    runtime: Runtime, bundle: MakeBundle, images: Path, scratch: Path
) -> None:
    """--console-socket of restore gets the master of the terminal that was restored."""
    made = bundle(sh="while read -r line; do echo got $line; done", terminal=True)
    first, second = Receiver(scratch / "first"), Receiver(scratch / "second")
    container = runtime.start(made, "--console-socket", str(first.path))
    _, master = first.receive()
    os.write(master, b"one\n")
    read_until(master, "got one")
    ran = dump(container, images)
    assert ran.code == 0, ran
    restore(container, images, "--console-socket", str(second.path))
    _, master = second.receive()
    os.write(master, b"two\n")
    read_until(master, "got two", SECONDS)
    first.close()
    second.close()


def test_output_goes_into_another_pipe(
    runtime: Runtime, bundle: MakeBundle, images: Path, scratch: Path
) -> None:
    """Standard descriptors that were pipes become those of restore."""
    made = bundle(sh="i=0; while :; do i=$((i+1)); echo line $i; sleep 0.1; done")
    piped = ["sh", "-c", 'exec 2>/dev/null </dev/null; "$@" | cat', "sh"]
    command = runtime.making("run", made)
    running = runtime.spawn(*command, wrap=piped)
    container = Container(runtime, command[-1], made)
    until(lambda: "line 3\n" in text(running.out), "it writes", SECONDS)
    ran = dump(container, images)
    assert ran.code == 0, ran
    running.wait(SECONDS)
    where = ["--image-path", str(images), "--work-path", str(images)]
    command = runtime.making("restore", made, *where)
    again = runtime.spawn(*command, wrap=piped)
    until(lambda: "line" in text(again.out), "it writes again", SECONDS)
    first = text(running.out).split()[-1]
    assert int(text(again.out).split()[1]) >= int(first)
    Container(runtime, command[-1], made).kill()
    again.wait(SECONDS)


def test_mounts_are_where_they_were(
    runtime: Runtime, bundle: MakeBundle, images: Path, scratch: Path
) -> None:
    """Binds come from the host, a tmpfs with what was in it, masks and read-only paths as before."""
    (scratch / "shared").mkdir()
    (scratch / "shared/file").write_text("host\n")
    mounts = [bind(scratch / "shared", "/bound", "rbind"), tmpfs("/scratch", "size=1m")]
    made = bundle(
        mounts=mounts, maskedPaths=["/proc/kcore", "/sys/firmware"], readonlyPaths=["/proc/sys"]
    )
    (made.rootfs / "bound").mkdir()
    container = counting(runtime, made)
    assert container.exec("sh", "-c", "echo kept >/scratch/file").code == 0
    ran = dump(container, images)
    assert ran.code == 0, ran
    again = restore(container, images)
    script = (
        "cat /bound/file /scratch/file; wc -c </proc/kcore; echo x >/proc/sys/kernel/domainname"
    )
    shown = again.exec("sh", "-c", script)
    assert shown.stdout.split()[:3] == ["host", "kept", "0"]
    assert "Read-only file system" in shown.stderr


def test_a_bind_mount_through_a_link_is_found_again(
    runtime: Runtime, bundle: MakeBundle, images: Path, scratch: Path
) -> None:
    """The image's link leads a mount elsewhere: mountinfo has the place, config.json the destination."""
    (scratch / "shared").mkdir()
    (scratch / "shared/file").write_text("host\n")
    made = bundle(mounts=[bind(scratch / "shared", "/var/run/shared", "rbind")])
    (made.rootfs / "run/shared").mkdir(parents=True)
    (made.rootfs / "var").mkdir(exist_ok=True)
    (made.rootfs / "var/run").symlink_to("/run")
    container = counting(runtime, made)
    ran = dump(container, images)
    assert ran.code == 0, ran
    again = restore(container, images)
    assert again.exec("cat", "/run/shared/file").stdout == "host\n"


def test_what_is_mounted_below_a_source_is_found_again(
    runtime: Runtime,
    bundle: MakeBundle,
    images: Path,
    scratch: Path,
    on_mount: Callable[..., None],
) -> None:
    """rbind: each mount below the source is one of the container, too."""
    (scratch / "shared/below").mkdir(parents=True)
    on_mount("none", scratch / "shared/below", "tmpfs")
    (scratch / "shared/below/file").write_text("below\n")
    container = counting(runtime, bundle(mounts=[bind(scratch / "shared", "/bound", "rbind")]))
    ran = dump(container, images)
    assert ran.code == 0, ran
    again = restore(container, images)
    assert again.exec("cat", "/bound/below/file").stdout == "below\n"


def test_places_that_the_root_lacks_are_made(
    runtime: Runtime, bundle: MakeBundle, images: Path, scratch: Path
) -> None:
    """An exported checkpoint has only what the container has changed: no file to mount another on."""
    (scratch / "file").write_text("host\n")
    made = bundle(mounts=[bind(scratch / "file", "/etc/one/file"), tmpfs("/scratch")])
    container = counting(runtime, made)
    ran = dump(container, images)
    assert ran.code == 0, ran
    (made.rootfs / "etc/one/file").unlink()
    (made.rootfs / "etc/one").rmdir()
    (made.rootfs / "scratch").rmdir()
    again = restore(container, images)
    assert again.exec("cat", "/etc/one/file").stdout == "host\n"


def test_memory_is_fetched_when_it_is_used(
    runtime: Runtime, bundle: MakeBundle, images: Path, scratch: Path, criu: str
) -> None:
    """--lazy-pages, --status-fd, --page-server: runc's way of a lazy migration."""
    made = bundle()
    container = counting(runtime, made)
    os.mkfifo(scratch / "status")
    ready = os.open(scratch / "status", os.O_RDONLY | os.O_NONBLOCK)
    port = free_port()
    where = ["--image-path", str(images), "--work-path", str(scratch / "work")]
    lazy = ["--lazy-pages", "--page-server", f"127.0.0.1:{port}", "--status-fd", "9"]
    told = ["sh", "-c", 'exec 9>"$0"; exec "$@"', str(scratch / "status")]
    saving = runtime.spawn("checkpoint", *where, *lazy, container.id, wrap=told)
    assert select.select([ready], [], [], patience(SECONDS))[0]
    assert os.read(ready, 1) == b"\0", text(saving.err)
    os.close(ready)
    server = ["lazy-pages", "--page-server", "--address", "127.0.0.1", "--port", str(port)]
    serving = Running([criu, *server, "--images-dir", str(images)], scratch)
    until((images / "lazy-pages.socket").exists, "pages are served", SECONDS)
    restore(container, images, "--lazy-pages")
    goes_on(made)
    assert serving.wait(SECONDS).code == 0
    assert saving.wait(SECONDS).code == 0


def test_memory_goes_to_a_page_server(
    runtime: Runtime, bundle: MakeBundle, images: Path, scratch: Path, criu: str
) -> None:
    """--page-server alone: its images are elsewhere, and come to the others before restore."""
    made = bundle()
    container = counting(runtime, made)
    (scratch / "pages").mkdir()
    port = free_port()
    where = ["--address", "127.0.0.1", "--port", str(port), "--images-dir", str(scratch / "pages")]
    serving = Running([criu, "page-server", *where], scratch)
    until(lambda: is_heard(port), "the page server listens", SECONDS)
    ran = dump(container, images, "--page-server", f"127.0.0.1:{port}")
    assert ran.code == 0, ran
    assert serving.wait(SECONDS).code == 0
    for image in (scratch / "pages").glob("page*.img"):
        image.rename(images / image.name)
    restore(container, images)
    goes_on(made)


@pytest.mark.parametrize("number", ["77", "0"])
def test_a_status_descriptor_must_be_writable(
    runtime: Runtime, bundle: MakeBundle, images: Path, number: str
) -> None:
    """runc's words: "invalid --status-fd argument N"."""
    container = counting(runtime, bundle())
    ran = dump(container, images, "--lazy-pages", "--status-fd", number)
    assert ran.code != 0
    assert f"invalid --status-fd argument {number}" in ran.stderr
    assert container.status == "running"


def test_a_joined_network_is_joined_again(
    runtime: Runtime, bundle: MakeBundle, images: Path
) -> None:
    """A network namespace by path is external: restore joins the one of its config.json."""
    other = runtime.start(bundle("sleep", "100000"))
    made = bundle()
    made.set_namespace(network=f"/proc/{other.pid}/ns/net")
    container = counting(runtime, made)
    ran = dump(container, images)
    assert ran.code == 0, ran
    again = restore(container, images)
    assert os.readlink(f"/proc/{again.pid}/ns/net") == os.readlink(f"/proc/{other.pid}/ns/net")


def test_the_limits_are_those_of_the_config(
    runtime: Runtime, bundle: MakeBundle, images: Path
) -> None:
    """It is in the cgroups of its new id, with the limits of its config.json."""
    made = bundle(resources={"pids": {"limit": 77}, "devices": [{"allow": False, "access": "rwm"}]})
    container = counting(runtime, made)
    ran = dump(container, images)
    assert ran.code == 0, ran
    again = restore(container, images)
    (line,) = {
        row for row in text(f"/proc/{again.pid}/cgroup").splitlines() if again.id in row[-60:]
    }
    controller, path = line.split(":", 2)[1:]
    directory = f"/sys/fs/cgroup/{controller}{path}" if controller else f"/sys/fs/cgroup{path}"
    assert text(f"{directory}/pids.max").strip() == "77"


@pytest.mark.parametrize("status", ["created", "stopped"])
def test_only_what_runs_can_be_saved(
    runtime: Runtime, bundle: MakeBundle, images: Path, status: str
) -> None:
    """cli.md 2: the words of runc."""
    container = runtime.create(bundle("true"))
    if status == "stopped":
        container.start()
        container.wait()
    ran = dump(container, images)
    assert ran.code != 0
    assert f"Container cannot be checkpointed in {status} state" in ran.stderr
    assert container.status == status


def test_what_cannot_be_saved_goes_on_and_the_reason_is_told(
    runtime: Runtime, bundle: MakeBundle, images: Path
) -> None:
    """The log's own words are in the error: a file of the host is open as standard output."""
    made = bundle(sh=COUNTING)
    container = runtime.start(made)
    until(lambda: count(made) > 0, "it counts", SECONDS)
    ran = dump(container, images)
    assert ran.code != 0
    assert "criu failed: type DUMP errno" in ran.stderr
    if runtime.name != "runc":
        assert "Can't lookup mount" in ran.stderr
        assert f"{images}/dump.log" in ran.stderr
    goes_on(made)
    assert container.status == "running"


def test_images_that_are_none_leave_nothing(
    runtime: Runtime, bundle: MakeBundle, images: Path
) -> None:
    """A restore that fails is as if it had never been."""
    images.mkdir()
    made = bundle(sh=COUNTING)
    where = ["--image-path", str(images), "--work-path", str(images), "--detach"]
    command = runtime.making("restore", made, *where)
    ran = runtime(*command, seconds=SECONDS)
    assert ran.code != 0
    assert "criu failed: type RESTORE" in ran.stderr
    assert runtime("state", command[-1]).code != 0


def test_the_descriptors_are_written_down(
    runtime: Runtime, bundle: MakeBundle, images: Path
) -> None:
    """descriptors.json beside the images, as runc has it."""
    container = counting(runtime, bundle())
    assert dump(container, images).code == 0
    names = json.loads((images / "descriptors.json").read_text())
    assert len(names) == 3
    assert all(name.endswith("/dev/null") for name in names)


@pytest.fixture(autouse=True)
def nothing_stays(runtime: Runtime) -> Iterator[None]:
    """criu's directory of mounts is gone, whatever happened."""
    yield
    assert "criu-root" not in text("/proc/self/mountinfo")
