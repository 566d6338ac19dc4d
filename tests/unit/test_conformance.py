# SPDX-License-Identifier: Apache-2.0
"""The conformance command: what it reads, and what it makes of it."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent.parent))

from conformance import blackbox, differences, report, tap, validation, verdicts
from conformance.result import FAIL, PASS, SKIP, Result, Results

TAP = """TAP version 13
ok 1 - has expected hostname
  ---
  {
    "error": "",
    "stdout": "not ok 7 - inner"
  }
  ...
ok 2 # SKIP linux.sysctl not set
not ok 3 - has expected soft RLIMIT_NOFILE
  ---
  {
    "error": "of a check that failed already"
  }
  ...
1..3
"""
ORPHAN = """TAP version 13
  ---
  {
    "error": "Hooks MUST be called in the listed order"
  }
  ...
1..0
"""
JUNIT = """<testsuites><testsuite>
<testcase classname="tests.integration.test_a" name="test_good"/>
<testcase classname="tests.integration.test_a" name="test_bad"><failure message="assert 1 == 2
  + where">long</failure></testcase>
<testcase classname="tests.integration.test_a" name="test_known"><skipped type="pytest.xfail" message="runc 1.1 cannot"/></testcase>
<testcase classname="tests.integration.test_a" name="test_left_out"><skipped type="pytest.skip" message="no controller"/></testcase>
<testcase classname="tests.integration.test_a" name="test_left"/>
<testcase classname="tests.integration.test_a" name="test_left"><error message="left behind: a cgroup"/></testcase>
</testsuite></testsuites>"""


def test_checks_are_counted_and_failures_named() -> None:
    checks = tap.read(TAP)
    assert (checks.passed, checks.skipped) == (1, ["linux.sysctl not set"])
    assert checks.failures == ["has expected soft RLIMIT_NOFILE"]


def test_an_error_that_belongs_to_no_check_is_a_failure() -> None:
    """The programs for hooks print the plan 1..0 and end with status 0."""
    checks = tap.read(ORPHAN)
    assert checks.passed == 0
    assert checks.failures == ["Hooks MUST be called in the listed order"]


def test_pytests_report_is_read() -> None:
    assert dict(blackbox.read(JUNIT)) == {
        "test_a::test_good": Result(PASS),
        "test_a::test_bad": Result(FAIL, "assert 1 == 2 + where"),
        "test_a::test_known": Result(FAIL, cause="runc 1.1 cannot"),
        "test_a::test_left_out": Result(SKIP, "no controller"),
        "test_a::test_left": Result(FAIL, "left behind: a cgroup"),
    }


def test_a_verdict_explains_all_failures_or_none() -> None:
    known = "has expected soft RLIMIT_NOFILE"
    assert "Go program" in verdicts.explain("process_rlimits", [known])
    assert verdicts.explain("process_rlimits", [known, "has expected hard RLIMIT_CPU"]) == ""
    assert verdicts.explain("default", [known]) == ""


@pytest.mark.parametrize("program", verdicts.ROWS)
def test_a_verdict_names_its_evidence(program: str) -> None:
    pattern, evidence = verdicts.ROWS[program]
    assert pattern
    text = evidence if isinstance(evidence, str) else evidence()
    assert text == "" or len(text) > 40


NO_EVENTS = Result(FAIL, "AssertionError: Ran(1, stdout='', stderr='unknown command events')")
CRUN = "crun version 1.8.1"


def test_a_difference_that_is_known_is_the_cause() -> None:
    judged = differences.judge(CRUN, "test_listing::test_x", NO_EVENTS)
    assert judged == Result(FAIL, NO_EVENTS.reason, "It has no command `events`")
    assert report.mark(judged) == "fail"


@pytest.mark.parametrize("version", ["crun version 1.20", "runc version 1.1.5", "pyoci version 1"])
def test_no_other_version_is_excused(version: str) -> None:
    assert differences.judge(version, "test_listing::test_x", NO_EVENTS) == NO_EVENTS


@pytest.mark.parametrize(
    "result", [Result(PASS), Result(SKIP, "no controller"), Result(FAIL, cause="runc 1.1 cannot")]
)
def test_what_is_known_or_no_failure_stays(result: Result) -> None:
    assert differences.judge(CRUN, "test_listing::test_x", result) == result


def test_a_difference_is_of_tests_or_of_words() -> None:
    """A row that matches everything would excuse everything."""
    for rows in differences.ROWS.values():
        for tests, words, why in rows:
            assert tests.pattern or words.pattern
            assert len(why) > 20


RESULTS: Results = {
    "validation": {
        "default": {"pyoci": Result(PASS, "3 checks"), "runc": Result(PASS, "3 checks")},
        "hooks": {
            "pyoci": Result(FAIL, "order", "The test is wrong"),
            "runc": Result(FAIL, "order", "The test is wrong"),
        },
        "pidfile": {"pyoci": Result(FAIL, "<no> pid file"), "runc": Result(SKIP, "no /proc")},
        "kill": {"runc": Result(PASS, "1 check")},
    }
}


def test_the_report_names_every_test_and_each_reason_once() -> None:
    text = report.text(RESULTS, ["pyoci", "runc"])
    assert "default  pass   pass" in text
    assert "pidfile  FAIL   skip" in text
    assert "kill     skip   pass" in text
    assert text.count("The test is wrong") == 1 + 2
    assert "pyoci, by cause:\n    1  The test is wrong\n" in text
    assert "hooks, pyoci, runc: fail: order. The test is wrong" in text
    assert "kill, pyoci: skip: not run" in text
    assert "pyoci: 1 pass, 2 fail (1 of them explained), 1 skip" in text


def test_the_page_loads_nothing_and_escapes_what_runtimes_say() -> None:
    page = report.html(RESULTS, ["pyoci", "runc"], {"pyoci": "a", "runc": "<b>"}, "made here")
    assert "&lt;no&gt; pid file" in page
    assert "<b>" not in page
    assert not [word for word in ("http:", "https:", "src=", "<script", "@import") if word in page]
    assert page.count("<tr>") == 1 + 1 + len(RESULTS["validation"])


def test_only_a_failure_without_a_reason_counts() -> None:
    assert report.unexplained(RESULTS, "pyoci") == ["pidfile"]
    assert report.unexplained(RESULTS, "runc") == []


def test_a_race_gets_another_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """What others fail once is failed; the report says at which attempt a race was won."""
    results = [Result(FAIL, "lost"), Result(FAIL, "lost"), Result(PASS, "3 checks")] * 2
    monkeypatch.setattr(validation, "judge_once", lambda *_: results.pop(0))
    suite = validation.Suite(Path("programs"), Path("module"))
    won = validation.judge(suite, Path("runtime"), "killsig")
    assert won.status == PASS
    assert won.reason.startswith("3 checks, at attempt 3: ")
    assert validation.judge(suite, Path("runtime"), "create") == Result(FAIL, "lost")
