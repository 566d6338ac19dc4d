# SPDX-License-Identifier: Apache-2.0
"""The runtime started by an ordinary user."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from blackbox import cgroups, host
from blackbox.bundle import Bundle, MakeBundle
from blackbox.processes import text
from blackbox.runtime import ENVIRONMENT, Runtime

pytestmark = pytest.mark.root("plays another user, with its own /etc/passwd")
UID = 4321
NAME = "pyocitest"
FIRST = 500000
MOUNTS: list[dict[str, Any]] = [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
    {
        "destination": "/dev/pts",
        "type": "devpts",
        "source": "devpts",
        "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
    },
    {
        "destination": "/sys",
        "type": "none",
        "source": "/sys",
        "options": ["rbind", "nosuid", "noexec", "nodev", "ro"],
    },
]
WRAP = ["setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups"]


@pytest.fixture
def user(runtime: Runtime, scratch: Path, on_mount: Callable[..., None]) -> Runtime:
    """Let the runtime's calls be made by a user with subordinate ids, in our mount namespace."""
    cgroups.need_cgroupfs(runtime, "this user has none of its own, as that of test_systemd.py")
    if shutil.which("newuidmap") is None:
        pytest.skip("needs newuidmap: apt-get install uidmap")
    lines = {
        "passwd": text("/etc/passwd") + f"{NAME}:x:{UID}:{UID}::/tmp:/bin/sh\n",
        "subuid": f"{NAME}:{FIRST}:65536\n",
        "subgid": f"{NAME}:{FIRST}:65536\n",
    }
    for name, content in lines.items():
        path = scratch / name
        path.write_text(content)
        path.chmod(0o644)
        if not os.path.exists(f"/etc/{name}"):
            pytest.skip(f"/etc/{name} is not there to be mounted on")
        on_mount(path, f"/etc/{name}", "", 4096)
    runtime.root = scratch / "user-root"
    runtime.root.mkdir(mode=0o700)
    os.chown(runtime.root, UID, UID)
    return runtime


def owned(made: Bundle) -> Bundle:
    """Give a bundle to the user, and the program to everybody."""
    for directory, names, files in os.walk(made.path):
        for name in (".", *names, *files):
            path = os.path.join(directory, name)
            if not path.endswith("/bin/busybox"):
                os.lchown(path, UID, UID)
    return made


def rootless(bundle: MakeBundle, *args: str, whole: bool = False, **edits: Any) -> Bundle:
    """Return a rootless bundle: one id, or with the subordinate ones."""
    made = bundle(*args, all_mounts=MOUNTS, resources=None, cgroupsPath=None, **edits)
    made.set_namespace(user="", network=None)
    mapping = [{"containerID": 0, "hostID": UID, "size": 1}]
    if whole:
        mapping.append({"containerID": 1, "hostID": FIRST, "size": 65536})
    made.edit(uidMappings=mapping, gidMappings=mapping)
    return owned(made.write())


def test_a_user_runs_a_container(user: Runtime, bundle: MakeBundle) -> None:
    """cli.md 1, --rootless: automatic for an ordinary user."""
    made = rootless(bundle, sh="id -u; cat /proc/self/uid_map; cat /proc/self/setgroups")
    out = user.output(made, wrap=WRAP)
    assert out.split() == ["0", "0", str(UID), "1", "deny"]


def test_subordinate_ids_are_mapped_by_newuidmap(user: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#user-namespace-mappings: more than one id needs the helpers."""
    made = rootless(
        bundle, sh="id -u; cat /proc/self/uid_map", whole=True, user={"uid": 5, "gid": 5}
    )
    out = user.output(made, wrap=WRAP)
    assert out.split() == ["5", "0", str(UID), "1", "1", str(FIRST), "65536"]


def test_the_helpers_are_found_without_a_path(user: Runtime, bundle: MakeBundle) -> None:
    """spec.md 6: PATH fall-back /usr/bin."""
    if user.name == "runc":
        pytest.skip("runc looks in PATH only")
    assert user.output(rootless(bundle, "echo", "ran", whole=True), wrap=WRAP, env={}) == "ran\n"


def test_the_whole_life_of_a_rootless_container(user: Runtime, bundle: MakeBundle) -> None:
    """create, state, exec, kill, delete, all by the user."""
    container = user.create(rootless(bundle, "sleep", "1000"), wrap=WRAP)
    assert user("start", container.id, wrap=WRAP).code == 0
    state = json.loads(user("state", container.id, wrap=WRAP).stdout)
    assert state["status"] == "running"
    assert os.stat(f"/proc/{state['pid']}").st_uid == UID
    assert user("exec", container.id, "id", "-u", wrap=WRAP).stdout == "0\n"
    assert user("delete", "--force", container.id, wrap=WRAP).code == 0


def test_files_belong_to_the_user(user: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#user-namespace-mappings: root inside is the user outside."""
    made = rootless(bundle, "touch", "/tmp/file")
    user.output(made, wrap=WRAP)
    assert (made.rootfs / "tmp/file").stat().st_uid == UID


def test_additional_groups_are_refused_with_one_id(user: Runtime, bundle: MakeBundle) -> None:
    """Case 46: setgroups is denied; runc's words in spec.md 3."""
    made = rootless(bundle, "id", user={"uid": 0, "gid": 0, "additionalGids": [5]})
    ran = user.run(made, wrap=WRAP)
    assert ran.code == 1
    words = "cannot set any additional groups in a rootless container"
    assert words in ran.message or "not mapped" in ran.message


def test_a_user_that_is_not_mapped_is_refused(user: Runtime, bundle: MakeBundle) -> None:
    """Case 47, rootless."""
    ran = user.run(rootless(bundle, "id", user={"uid": 5, "gid": 5}), wrap=WRAP)
    assert ran.code == 1
    assert ran.stderr.strip()


def test_a_rootless_container_cannot_write_to_the_hosts_cgroups(
    user: Runtime, bundle: MakeBundle
) -> None:
    """CVE-2023-25809 (R10): without a cgroup namespace, with /sys bound."""
    script = "for d in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir $d/spoilt && echo made $d; done"
    ran = user.run(rootless(bundle, sh=script), wrap=WRAP)
    assert "made" not in ran.stdout
    assert not list(Path("/sys/fs/cgroup").glob("*/spoilt"))


def test_limits_without_permission_are_an_error(user: Runtime, bundle: MakeBundle) -> None:
    """cli.md 5: a limit that cannot be set is refused, not ignored."""
    made = rootless(bundle, "true")
    made.edit(resources={"pids": {"limit": 5}})
    ran = user.run(made.write(), wrap=WRAP)
    assert ran.code == 1
    assert "limit" in ran.message or "cgroup" in ran.message


@pytest.fixture
def delegated(user: Runtime) -> Iterator[str]:
    """A cgroup of version 2 that the user manages, without any controller; we are not in it."""
    cgroups.need_version(2)
    path = f"/{user.session}-delegated/user"
    for directory in (path, f"{path}/caller"):
        os.makedirs(f"{cgroups.ROOT}{directory}", exist_ok=True)
        for name in (".", "cgroup.procs", "cgroup.subtree_control"):
            os.chown(f"{cgroups.ROOT}{directory}/{name}", UID, UID)
    yield path
    host.remove_cgroups(f"{user.session}-delegated")


@pytest.mark.expect_fail_on("runc", "an error, without the remedy")
def test_a_controller_that_was_not_delegated_is_a_warning(
    user: Runtime, bundle: MakeBundle, delegated: str
) -> None:
    """runc#1839, podman#22147: what was delegated is done, of the rest the remedy is said."""
    controller = "pids" if cgroups.has("pids") else "hugetlb"
    limits: dict[str, Any] = {"pids": {"limit": 50}}
    if controller == "hugetlb":
        limits = {"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]}
    made = rootless(bundle, "cat", "/proc/self/cgroup")
    made.edit(resources=limits | {"unified": {"cgroup.max.depth": "3"}})
    made.edit(cgroupsPath=f"{delegated}/box").write()
    enter = f'echo $$ > {cgroups.ROOT}{delegated}/caller/cgroup.procs; exec "$@"'
    ran = user.run(made, wrap=["sh", "-c", enter, "sh", *WRAP])
    assert ran.code == 0, ran
    assert f"{delegated}/box" in ran.stdout
    parent = f"{cgroups.ROOT}{delegated.rpartition('/')[0]}"
    warning = (
        f'controller \\"{controller}\\" is not enabled in {parent}/cgroup.subtree_control: '
        f'write \\"+{controller}\\" there as root, or set Delegate=yes in its unit'
    )
    assert "level=warning" in ran.stderr
    assert warning in ran.stderr


def test_the_default_root_is_the_users(user: Runtime, bundle: MakeBundle, scratch: Path) -> None:
    """cli.md 1, --root: $XDG_RUNTIME_DIR/NAME, 0700 and sticky."""
    directory = scratch / "xdg"
    directory.mkdir()
    os.chown(directory, UID, UID)
    env = ENVIRONMENT | {"XDG_RUNTIME_DIR": str(directory)}
    command = [user.program, *user.making("run", rootless(bundle, "echo", "ran"))]
    user.command = lambda *args, flags=(): command
    assert user(wrap=WRAP, env=env).stdout == "ran\n"
    made = next(iter(directory.iterdir()))
    assert made.stat().st_mode & 0o7777 == 0o1700
    shutil.rmtree(directory)
