# SPDX-License-Identifier: Apache-2.0
"""A filter is compiled once; what the cache holds is ours, whole and of this host, or unused."""

import copy
import marshal
import os
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from seccomp_support import PACKAGE, engine_sized, ensure_binding, profile, rule

import pyoci.seccomp
import pyoci.store
from pyoci.errors import SpecError
from pyoci.seccomp import Filter, cache, compile_filter

if TYPE_CHECKING:
    from pyoci.spec.types import Seccomp

# Compile a profile in an interpreter as the launcher starts it; tell what that imported.
STARTED = """
import sys, posix, marshal
root, directory, binding = sys.argv[1:]
sys.path.insert(0, root)
profile = marshal.loads(posix.read(0, 1 << 20))
before = set(sys.modules)
import pyoci.seccomp
pyoci.seccomp.__path__.append(binding)
made = pyoci.seccomp.compile_filter(profile, directory)
imported = sorted(set(sys.modules) - before)
posix.write(1, marshal.dumps((made.program, made.flags, imported, sys.path)))
"""


@pytest.fixture(scope="session", autouse=True)
def binding() -> str:
    return ensure_binding()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return where the cache shall be; nobody has made it yet."""
    return tmp_path / "seccomp"


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return a list that grows with every compilation."""
    made: list[object] = []
    real = pyoci.seccomp._compiled

    def counted(seccomp: "Seccomp", notes: list[str]) -> Filter:
        made.append(seccomp)
        return real(seccomp, notes)

    monkeypatch.setattr(pyoci.seccomp, "_compiled", counted)
    return made


def small(**properties: object) -> "Seccomp":
    return profile(rule(["read", "write"], "ALLOW"), **properties)


def get(seccomp: "Seccomp", directory: Path) -> Filter:
    made = compile_filter(seccomp, str(directory))
    assert made is not None
    return made


def started(
    seccomp: "Seccomp", directory: Path, binding: str
) -> tuple[bytes, int, list[str], list[str]]:
    command = [sys.executable, "-I", "-S", "-c", STARTED]
    command += [str(PACKAGE.parent.parent), str(directory), binding]
    done = subprocess.run(
        command,
        input=marshal.dumps(cast("dict[str, str]", seccomp)),
        stdout=-1,
        check=True,
        timeout=60,
    )
    answer: tuple[bytes, int, list[str], list[str]] = marshal.loads(done.stdout)
    return answer


def test_the_second_time_imports_nothing_and_takes_under_a_millisecond(
    store: Path, binding: str
) -> None:
    program, flags, imported, path = started(engine_sized(), store, binding)
    assert "_cffi_backend" in imported
    assert not any("dist-packages" in place for place in path)  # put back
    again = started(engine_sized(), store, binding)
    assert again[:2] == (program, flags)
    built_in = {"_blake2"}
    assert set(again[2]) - built_in == {
        "pyoci",
        "pyoci.seccomp",
        "pyoci.seccomp.cache",
        "pyoci.store",
    }
    seccomp = engine_sized()
    times = []
    for _ in range(20):
        begin = time.perf_counter()
        get(seccomp, store)
        times.append(time.perf_counter() - begin)
    assert min(times) < 0.001


def test_what_comes_out_is_what_went_in(store: Path, compilations: list[object]) -> None:
    asks = profile(rule(["mkdir"], "NOTIFY"), default="ALLOW", listenerPath="/a")
    for seccomp in (small(), asks):
        first, second = get(seccomp, store), get(copy.deepcopy(seccomp), store)
        assert (first.program, first.flags) == (second.program, second.flags)
        assert first.listener == second.listener == (seccomp is asks)
    assert len(compilations) == 2
    assert store.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in store.iterdir()} == {0o600}


def test_the_key_follows_the_content_and_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = profile(rule(["read"], "ALLOW", errno_ret=None))
    keys = {
        cache.key(other)
        for other in (
            rules,
            small(),
            small(defaultErrnoRet=1),
            small(flags=[]),
            small(architectures=["SCMP_ARCH_X86"]),
            small(listenerPath="/a"),
            small(listenerPath="/a", listenerMetadata="b"),
        )
    }
    assert len(keys) == 7
    reordered = cast("Seccomp", dict(reversed(small().items())))
    assert cache.key(reordered) == cache.key(small())
    assert cache.key(small(listenerPath="/b")) == cache.key(small(listenerPath="/a"))
    others = ((cache, "FORMAT", 0), (pyoci.store, "__version__", "0"))
    for module, name, value in (*others, (pyoci.store, "_library", lambda: None)):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, value)
            assert cache.key(small()) not in keys


def test_a_cached_filter_does_not_hide_an_error(store: Path) -> None:
    asks = profile(rule(["mkdir"], "NOTIFY"), default="ALLOW", listenerPath="/a")
    get(asks, store)
    with pytest.raises(SpecError, match="listenerPath"):
        get({**asks, "listenerPath": None}, store)


def test_nothing_is_kept_of_a_profile_that_is_refused(store: Path) -> None:
    with pytest.raises(SpecError):
        get(small(flags=["BOGUS"]), store)
    assert list(store.iterdir()) == []


def only_file(store: Path) -> Path:
    (path,) = store.iterdir()
    return path


def flipped(data: bytes, position: int) -> bytes:
    changed = bytearray(data)
    changed[position] ^= 1
    return bytes(changed)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:0],
        lambda data: data[:20],
        lambda data: data[:48],
        lambda data: data[:-8],
        lambda data: data[:-3],
        lambda data: data + b"\0" * 8,
        lambda data: data + b"\0" * 8 * 4096,
        lambda data: flipped(data, 0),
        lambda data: flipped(data, 8),
        lambda data: flipped(data, 20),
        lambda data: flipped(data, -1),
    ],
)
def test_a_damaged_file_is_made_anew(
    store: Path, compilations: list[object], damage: Callable[[bytes], bytes]
) -> None:
    whole = get(small(), store)
    path = only_file(store)
    right = path.read_bytes()
    path.write_bytes(damage(right))
    assert get(small(), store).program == whole.program
    assert only_file(store).read_bytes() == right
    assert len(compilations) == 2


def test_a_file_of_another_profile_is_not_taken(store: Path, compilations: list[object]) -> None:
    get(small(), store)
    (store / cache.key(engine_sized())).write_bytes(only_file(store).read_bytes())
    (store / cache.key(engine_sized())).chmod(0o600)
    assert len(get(engine_sized(), store).program) > 1000
    assert len(compilations) == 2


def as_symlink(path: Path) -> None:
    path.rename(path.with_suffix(".away"))
    path.symlink_to(path.with_suffix(".away"))


def as_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


@pytest.mark.parametrize(
    "spoil",
    [
        as_symlink,
        as_fifo,
        lambda path: path.chmod(0o644),
        lambda path: path.chmod(0o660),
        pytest.param(
            lambda path: os.chown(path, 1, 1),
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
        ),
    ],
)
def test_a_file_that_is_not_ours_alone_is_made_anew(
    store: Path, compilations: list[object], spoil: Callable[[Path], object]
) -> None:
    get(small(), store)
    path = only_file(store)
    spoil(path)
    get(small(), store)
    assert len(compilations) == 2
    assert not path.is_symlink()
    assert path.stat().st_mode & 0o170777 == 0o100600
    get(small(), store)
    assert len(compilations) == 2


def open_directory(store: Path) -> None:
    store.mkdir(0o755)


def link_to_directory(store: Path) -> None:
    store.with_name("real").mkdir(0o700)
    store.symlink_to("real")


def file_instead(store: Path) -> None:
    store.write_text("")


def foreign_directory(store: Path) -> None:
    store.mkdir(0o700)
    os.chown(store, 1, 1)


@pytest.mark.parametrize(
    "spoil",
    [
        open_directory,
        link_to_directory,
        file_instead,
        pytest.param(
            foreign_directory,
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
        ),
    ],
)
def test_a_directory_that_is_not_ours_alone_is_passed_over(
    store: Path, spoil: Callable[[Path], object]
) -> None:
    spoil(store)
    made = get(small(), store)
    assert made.program
    assert made.notes[0].startswith(f"seccomp cache '{store}' is not used: ")
    kept = store.with_name("real") if store.is_symlink() else store
    assert kept.is_file() or not list(kept.iterdir())


def test_without_a_parent_directory_the_filter_is_compiled(tmp_path: Path) -> None:
    made = get(small(), tmp_path / "missing/seccomp")
    assert "no such file" in made.notes[0].lower()


def test_a_disk_that_is_full_stops_nothing(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        """posix, on a full disk."""

        def __getattr__(self, name: str) -> object:
            return getattr(os, name)

        def write(self, fd: int, data: bytes) -> int:
            return os.write(fd, data[:10])

    monkeypatch.setattr(pyoci.store, "posix", Full())
    assert get(small(), store).program
    assert list(store.iterdir()) == []


def test_the_oldest_files_go(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyoci.store, "FILES", 3)
    profiles = [profile(rule(["read"], "ERRNO", errno_ret=number + 2)) for number in range(5)]
    for age, seccomp in enumerate(profiles):
        get(seccomp, store)
        os.utime(store / cache.key(seccomp), (1000 + age, 1000 + age))
    (store / ".left-by-a-crash").write_bytes(b"")
    os.utime(store / ".left-by-a-crash", (1, 1))
    get(small(), store)
    kept = {cache.key(seccomp) for seccomp in (*profiles[-2:], small())}
    assert {path.name for path in store.iterdir()} == kept


def race(directory: str, number: int) -> bool:
    rules = rule(["read"], "ALLOW"), rule(["write"], "ERRNO", errno_ret=2 + number % 3)
    seccomp = profile(*rules)
    plain, kept = compile_filter(seccomp), compile_filter(seccomp, directory)
    return plain is not None and kept is not None and plain.program == kept.program


def test_many_at_once_agree(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Inherited by fork: eviction takes part in the race.
    monkeypatch.setattr(pyoci.store, "FILES", 2)
    with get_context("fork").Pool(4) as pool:
        assert all(pool.starmap(race, [(str(store), number) for number in range(120)]))
    names = [path.name for path in store.iterdir()]
    assert len(names) <= 2 + 4
    assert not any(name.startswith(".") for name in names)
