# SPDX-License-Identifier: Apache-2.0
"""Our JSON Schemas accept and refuse what the official ones do, but where the text asks for more than they can say."""

import functools
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import mutants
import official
import pytest
from jsonschema import Draft202012Validator

from pyoci.spec import explain

TOP = Path(__file__).resolve().parent.parent.parent
PYOCI = TOP / ".venv/bin/pyoci"

# Where we refuse what the official schema accepts: the place, as a regular expression, and the sentence that asks for it.
STRICTER = {
    r"ociVersion|ociVersionM(in|ax)": "config.md#specification-version: MUST be in SemVer v2.0.0 format",
    r"id|bundle": "runtime.md#state: REQUIRED, and an empty one names nothing",
    r"root/path": "config.md#root: the path to the root filesystem; an empty one is none",
    r"mounts/\*/destination": "config.md#mounts: a path; an empty one is none",
    r"process/cwd": "config.md#process: this value MUST be an absolute path",
    r"process/env(/\*)?": "config.md#process: the same semantics as environ: name=value",
    r"process/user/umask": "config.md#posix-platform-user: a mode, and so at most 0777",
    r"process/oomScoreAdj": "proc(5): oom_score_adj is from -1000 to 1000",
    r"hooks/\w+/\*/path": "config.md#posix-platform-hooks: this value MUST be an absolute path",
    r"linux/devices/\*/path": "config-linux.md#devices: full path to device inside container",
    r"linux/devices/\*/(major|minor)": "config-linux.md#devices: REQUIRED unless type is p",
    r"linux/namespaces/\*/path": "config-linux.md#namespaces: this value MUST be an absolute path",
    r"linux/(maskedPaths|readonlyPaths)(/\*)?": "config-linux.md#masked-paths: the values MUST be absolute paths",
    r"(linux|mounts/\*)/[ug]idMappings/\*/size": "user_namespaces(7): a mapping of length 0 is refused by the kernel",
    r"linux/netDevices/\w+/name": "config-linux.md#network-devices: the name of an interface, which has no slash",
    r"linux/resources/devices/\*/type": "config-linux.md#allowed-device-list: a, c or b",
    r"linux/resources/devices/\*/access": "config-linux.md#allowed-device-list: composed of r, w and m",
    r"linux/personality(/domain)?": "config-linux.md#personality: domain is REQUIRED",
    r"linux/timeOffsets/\w+/nanosecs": "time_namespaces(7): the kernel refuses 1000000000 and more",
}
# Where we accept what it refuses, because what engines write must not be an error.
LOOSER = {
    r"linux/devices/\*/fileMode": "Go's os.FileMode holds bits above the mode, which are not used",
    r"linux/resources/pids": "since 1.3 Go's type omits a limit that is not set",
    r"linux/rootfsPropagation": "Go's type has the empty string for a value that is not set",
}


@functools.cache
def ours(name: str) -> Draft202012Validator:
    """Return a validator by our schema."""
    return Draft202012Validator(explain.schema(name))


@functools.cache
def differences(name: str) -> dict[tuple[str, bool], str]:
    """Return the places where verdicts differ, whether the official one is good, and one change that shows it."""
    found: dict[tuple[str, bool], str] = {}
    theirs, seen = official.validator(name), set()
    for document in mutants.slices(name):
        assert theirs.is_valid(document), document
        assert ours(name).is_valid(document), document
        for place, what, changed in mutants.mutants(document):
            key = json.dumps(changed, sort_keys=True)
            if key not in seen and theirs.is_valid(changed) != ours(name).is_valid(changed):
                where = "/".join("*" if isinstance(part, int) else part for part in place)
                found.setdefault((where, theirs.is_valid(changed)), what)
            seen.add(key)
    return found


@pytest.mark.parametrize("name", official.SCHEMAS)
def test_the_verdict_is_the_official_one(name: str) -> None:
    """Issue 4: they accept and reject what the official ones do."""
    for (place, good), what in differences(name).items():
        table = STRICTER if good else LOOSER
        known = [row for row in table if re.fullmatch(row, place)]
        assert known, f"{place} {what}: the official schema {'accepts' if good else 'refuses'} it"


def test_each_known_difference_is_there() -> None:
    """A row that says nothing any more must go."""
    found = {key for name in official.SCHEMAS for key in differences(name)}
    for table, good in ((STRICTER, True), (LOOSER, False)):
        for row in table:
            assert [
                place for place, is_good in found if is_good == good and re.fullmatch(row, place)
            ], row


def check(tmp_path: Path, text: str) -> tuple[int, str]:
    """Run `pyoci check` on a config.json, without a look at this host."""
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    ran = subprocess.run(
        [PYOCI, "check", "--no-host", tmp_path], capture_output=True, text=True, check=False
    )
    return ran.returncode, ran.stdout


# A good form is not enough: without a network namespace of its own a container has nowhere to move a device, says runc too.
MEANT = {
    "linux-netdevice": "linux.netDevices: unable to move network devices without a NET namespace"
}


def test_the_good_examples_pass_check(tmp_path: Path) -> None:
    """Some have the version 0.5.0-dev, of which config.md#specification-version says that we must refuse it."""
    for name, text in official.examples("config", "good").items():
        status, said = check(tmp_path, text.replace('"0.5.0-dev"', '"1.3.0"'))
        assert said == ("" if name not in MEANT else f"config.json: {MEANT[name]}\n"), name
        assert status == (1 if said else 0)


# The example, and the place that `check` must name.
BAD = {
    "freebsd-vnet-disable": "freebsd.jail.vnet: ",
    "invalid-json": "",
    "linux-hugepage": "linux.resources.hugepageLimits[0].pageSize: ",
    "linux-netdevice": "linux.netDevices.eth0.name: ",
    "linux-rdma": "linux.resources.rdma.mlx5_1.hcaHandles: ",
}


def test_the_bad_examples_fail_where_they_are_bad(tmp_path: Path) -> None:
    examples = official.examples("config", "bad")
    assert examples.keys() == BAD.keys()
    for name, text in examples.items():
        status, said = check(tmp_path, text)
        assert status == 1, name
        assert (
            said.startswith("config.json: " + BAD[name]) or f"config.json: {BAD[name]}" in said
        ), said


@pytest.mark.parametrize("name", ["state", "features"])
def test_the_examples_of_other_documents(name: str) -> None:
    for text in official.examples(name, "good").values():
        assert ours(name).is_valid(json.loads(text))
    for text in official.examples(name, "bad").values():
        try:
            document: Any = json.loads(text)
        except ValueError:
            continue
        assert not ours(name).is_valid(document)
