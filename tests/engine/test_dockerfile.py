# SPDX-License-Identifier: Apache-2.0
"""What a Dockerfile says: lines, directives, heredocs, flags, words, and the patterns of .dockerignore."""

import pytest

from pyoci.engine.build import words
from pyoci.engine.build.dockerfile import Dockerfile
from pyoci.engine.build.mounts import parse_mount
from pyoci.engine.build.patterns import Ignore, translated
from pyoci.engine.build.stages import Plan
from pyoci.engine.errors import EngineError


def read(text: str) -> Dockerfile:
    return Dockerfile(text.encode(), "Dockerfile")


def keywords(text: str) -> list[tuple[int, str, str]]:
    return [(one.line, one.keyword, one.text) for one in read(text).instructions]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("FROM a", [(1, "FROM", "a")]),
        ("\ufefffrom a\r\nRun b\r\n", [(1, "FROM", "a"), (2, "RUN", "b")]),
        ("# x\n\n  FROM a\n", [(3, "FROM", "a")]),
        ("RUN a \\\n  b \\\n  c", [(1, "RUN", "a   b   c")]),
        ("RUN a \\\n# no\n\n   # no\n b\nRUN c", [(1, "RUN", "a  b"), (6, "RUN", "c")]),
        ("RUN a\\\nb", [(1, "RUN", "ab")]),
        ("RUN a \\  \nb", [(1, "RUN", "a b")]),
        ("RUN a\\\\\nRUN b", [(1, "RUN", "a\\\\"), (2, "RUN", "b")]),
        ("# escape=`\nRUN a `\nb\nRUN c\\\n", [(2, "RUN", "a b"), (4, "RUN", "c\\")]),
        ("# syntax=x\n# escape=`\nRUN a`\nb", [(3, "RUN", "ab")]),
        ("FROM a\n# escape=`\nRUN b\\\nc", [(1, "FROM", "a"), (3, "RUN", "bc")]),
        ('CMD ["a", "b"]', [(1, "CMD", '["a", "b"]')]),
        ("ONBUILD run a", [(1, "ONBUILD", "run a")]),
    ],
)
def test_lines_become_instructions(text: str, wanted: list[tuple[int, str, str]]) -> None:
    assert keywords(text) == wanted


def test_flags_stand_before_the_rest() -> None:
    found = read('COPY --from=x --chown="a b" --link a --b /').instructions[0]
    assert found.flags == [("from", "x"), ("chown", "a b"), ("link", "")]
    assert found.text == "a --b /"
    assert found.is_on("link")
    assert not read("COPY --link=false a b").instructions[0].is_on("link")


def test_heredocs_follow_their_line() -> None:
    text = "COPY <<a <<-'b' /x\n one\na\n\ttwo\n\tb\nRUN 3<<EOF cat\n$x\nEOF\nRUN c"
    copy, run, last = read(text).instructions
    assert [(doc.name, doc.content, doc.expands) for doc in copy.heredocs] == [
        ("a", " one\n", True),
        ("b", "two\n", False),
    ]
    assert copy.original == "COPY <<a <<-'b' /x\n one\na\n\ttwo\n\tb"
    assert [doc.content for doc in run.heredocs] == ["$x\n"]
    assert (last.line, last.text) == (9, "c")


@pytest.mark.parametrize(
    "line", ["RUN echo '<<EOF'", "RUN cat <<<x", "RUN a<<b", 'RUN ["a", "<<b"]']
)
def test_what_is_no_heredoc_needs_no_end(line: str) -> None:
    assert read(line).instructions[0].heredocs == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("FROM a\nFOO b", "on line 2: unknown instruction: FOO"),
        ("FROM a\n\nRUN", "on line 3: RUN requires at least one argument"),
        ("FROM a\nCOPY --x=1 a b", "on line 2: unknown flag: --x"),
        ("FROM a\nRUN <<E\nx", "on line 2: unterminated heredoc"),
        ("# escape=x\nFROM a", "on line 1: invalid ESCAPE token 'x' does not match ` or \\"),
        (
            "# escape=`\n# escape=`\nFROM a",
            "on line 2: only one escape parser directive can be used",
        ),
        ("ONBUILD ONBUILD RUN a", "isn't allowed"),
        ("ONBUILD FROM a", "FROM isn't allowed as an ONBUILD trigger"),
        ("# nothing", "cannot be empty"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(text: str, problem: str) -> None:
    with pytest.raises(EngineError, match=r"^(dockerfile parse error|the Dockerfile)") as caught:
        read(text)
    assert problem in str(caught.value)


VARIABLES = {"v": "value", "e": "", "path": "/a/b/b.c", "two": "x y"}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("$v ${v}x $vx.", "value valuex ."),
        ("'$v' \"$v\" \\$v", "$v value $v"),
        ("${e:-d} ${e-d} ${u-d} ${u:-$v}", "d  d value"),
        ("${e:+d} ${e+d} ${u+d} ${v:+d}", " d  d"),
        ("${v:?no} ${e?no}", "value "),
        ("${path#*/} ${path##*/} ${path%/*} ${path%%/*}", "a/b/b.c b.c /a/b "),
        ("${path/b/X} ${path//b/X} ${path//b}", "/a/X/b.c /a/X/X.c /a//.c"),
        ("a$ b$. $", "a$ b$. $"),
        ('\\\\ "a\\"b\\n" \'a\\\'', '\\ a"b\\n a\\'),
        ("${two}", "x y"),
    ],
)
def test_words_are_expanded(text: str, wanted: str) -> None:
    assert words.expand(text, VARIABLES) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a  'b c' d\\ e", ["a", "b c", "d e"]),
        ("$two", ["x", "y"]),
        ("a$two-b", ["ax", "y-b"]),
        ('"$two" $e ""', ["x y", ""]),
        ("${u}", []),
    ],
)
def test_words_are_split(text: str, wanted: list[str]) -> None:
    assert words.expand_words(text, VARIABLES) == wanted


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("'a", "single-quote"),
        ('"a', "double-quote"),
        ("${v", "missing '}'"),
        ("${v:", "unsupported modifier"),
        ("${v^}", "unsupported modifier (^)"),
        ("${}", "bad substitution"),
        ("${u:?must be}", "u: must be"),
    ],
)
def test_words_that_cannot_be_expanded_are_refused(text: str, problem: str) -> None:
    with pytest.raises(EngineError) as caught:
        words.expand(text, VARIABLES)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "left_out", "kept"),
    [
        ("a", "a a/b", "b ab b/a"),
        ("/a/", "a a/b", "b/a"),
        ("*.o", "x.o", "a/x.o x.oo"),
        ("**/*.o", "x.o a/x.o a/b/x.o", "x.c"),
        ("a/**", "a/b a/b/c", "b"),
        ("a/**/z", "a/z a/b/z a/b/c/z", "a/zz z"),
        ("*\n!keep\n!d/in", "x d d/x", "keep d/in"),
        ("!a\na", "a", "b"),
        ("a?c\n[x-z]1\n[^a]2", "abc y1 b2", "ac w1 a2 a/c"),
        ("# a\n\n  b  ", "b", "a #"),
        ("./a/../b", "b", "a"),
        ("a\\*", "a*", "ab"),
        (".", "", "a"),
    ],
)
def test_what_is_ignored(lines: str, left_out: str, kept: str) -> None:
    """moby/patternmatcher: the last rule that fits decides, and what is in an ignored directory is ignored."""
    ignore = Ignore(lines.split("\n"))
    assert [path for path in left_out.split() if not ignore.excludes(path)] == []
    assert [path for path in kept.split() if ignore.excludes(path)] == []


def test_a_wildcard_stops_at_a_slash() -> None:
    assert translated("a*", below=False).fullmatch("ab")
    assert not translated("a*", below=False).fullmatch("ab/c")
    with pytest.raises(EngineError, match="syntax error in pattern"):
        translated("a[", below=False)


def test_many_stars_are_not_tried_in_every_way() -> None:
    """A .dockerignore may be a stranger's; before, the first of these took longer than anybody would wait."""
    assert not translated("*a" * 30 + "b", below=True).fullmatch("a" * 255)
    assert translated("*a" * 30 + "b", below=True).fullmatch("a" * 254 + "b")
    assert not translated("**/a/" * 30 + "b", below=True).fullmatch("a/" * 2000 + "c")
    assert translated("**/a/" * 30 + "b", below=True).fullmatch("a/" * 2000 + "b/c")


def test_only_the_stages_that_the_target_needs_are_built() -> None:
    text = "\n".join(
        (
            "ARG base=one",
            "FROM x AS one",
            "FROM $base AS two",
            "FROM y AS unused",
            "FROM z AS three",
            "FROM scratch",
            "COPY --from=two /a /",
            "RUN --mount=from=3,target=/m true",
        )
    )
    plan = Plan(read(text), {}, {})
    needed = [stage.shown for stage in plan.needed(plan.target(""))]
    assert needed == ["one", "two", "three", "stage-4"]
    assert [stage.shown for stage in plan.needed(plan.target("TWO"))] == ["one", "two"]
    assert Plan(read(text), {"base": "q"}, {}).stages[1].base == "q"
    with pytest.raises(EngineError, match='target stage "nope" could not be found'):
        plan.target("nope")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("type=foo", 'unsupported mount type "foo"'),
        ("type=ssh,sharing=x", "unexpected key 'sharing' for mount type 'ssh'"),
        ("type=bind", "a bind mount needs a target"),
        ("type=tmpfs,target=/x,id=1", "unexpected key 'id'"),
        ("type=secret", "a secret mount needs an id"),
        ("type=cache,target=/x,sharing=all", 'unsupported sharing value "all"'),
        ("type=cache,target=/x,mode=9", "invalid value '9' for key 'mode'"),
    ],
)
def test_a_mount_that_means_nothing_is_refused(text: str, problem: str) -> None:
    with pytest.raises(EngineError) as caught:
        parse_mount(read("RUN x").instructions[0], text)
    assert problem in str(caught.value)
