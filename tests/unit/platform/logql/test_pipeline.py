"""What each stage makes of a line. Loki itself is asked the same in tests/conformance/clients/test_loki.py."""

from __future__ import annotations

import contextlib
import json

import pytest
import regex

from fnkit.platform.logql.entry import LogEntry
from fnkit.platform.logql.lexer import QueryError
from fnkit.platform.logql.parser import parse_log_query
from fnkit.platform.logql.pipeline import compile_pipeline
from fnkit.platform.logql.regex import full_match_predicate, search_predicate

STREAM = {"resource_name": "orders", "stream": "stdout"}
JSON = (
    '{"level":"error","status":503,"took":"1.5s","user":{"id":7,"n-o":null},"list":[1],"stream":"mine","ok":true}'
)
LOGFMT = 'level=info msg="hello \\"you\\"" took=5ms empty= flag n=3 bad="x'


def after(stages: str, line: str) -> tuple[str, dict[str, str]] | None:
    """The line and the labels that it got or lost; ``None`` where it does not stay."""
    entry = LogEntry(1, line, STREAM, {"request_id": "r1"})
    step = compile_pipeline(parse_log_query('{a="b"} ' + stages).stages)
    if not step(entry):
        return None
    known = STREAM | {"request_id": "r1"}
    labels = entry.labels() | {name: "" for name in known if name not in entry.labels()}
    return entry.line, {name: value for name, value in labels.items() if known.get(name) != value}


@pytest.mark.parametrize(
    ("stages", "line", "stays"),
    [
        ('|= "b"', "abc", True),
        ('|= "B"', "abc", False),
        ('|= "x" or "b"', "abc", True),
        ('!= "x" or "b"', "abc", False),
        ('|~ "^a.c$"', "abc", True),
        ('!~ "b+"', "abc", False),
        ("|= ``", "abc", True),
        ('| stream="stdout"', "", True),
        ('| stream=~"std"', "", False),
        ('| request_id="r1"', "", True),
        ('| nothing=""', "", True),
        ("| nothing > 1", "", False),
        ("| json | status >= 500", JSON, True),
        ('| json | status < 500 or level="error"', JSON, True),
        ("| json | took > 1s and took <= 1500ms", JSON, True),
        ('| json | ok="true", user_id == 7', JSON, True),
        ('| json | __error__=""', "no json", False),
        ("| logfmt | took < 10ms", LOGFMT, True),
    ],
)  # fmt: skip
def test_a_line_stays_or_goes(stages: str, line: str, *, stays: bool) -> None:
    assert (after(stages, line) is not None) is stays


def test_json_gives_every_field_but_arrays_and_nulls() -> None:
    assert after("| json", JSON) == (
        JSON,
        {
            "level": "error",
            "status": "503",
            "took": "1.5s",
            "user_id": "7",
            "stream_extracted": "mine",
            "ok": "true",
        },
    )


def test_json_with_expressions_gives_those_fields_alone() -> None:
    assert after('| json id="user.id", first="list[0]", all="user", none="x.y"', JSON) == (
        JSON,
        {"id": "7", "first": "1", "all": '{"id":7,"n-o":null}', "none": ""},
    )


@pytest.mark.parametrize("line", ["no json", "[1]", "", "{broken", '{"a":' * 70 + "1" + "}" * 70])
def test_a_line_that_is_no_json_object_stays_in_error(line: str) -> None:
    found = after("| json", line)
    assert found is not None
    assert found[1]["__error__"] == "JSONParserErr"


def test_what_stands_behind_the_json_of_a_line_is_passed_over() -> None:
    for rest in ("!", " and more", "}", " {}"):
        assert after("| json", '{"a":{"b":1.50}}' + rest) == ('{"a":{"b":1.50}}' + rest, {"a_b": "1.50"})


def test_a_label_that_is_no_number_leaves_the_line_in_error() -> None:
    found = after("| json | level > 5", JSON)
    assert found is not None
    assert found[1]["__error__"] == "LabelFilterErr"


def test_logfmt_passes_over_what_is_no_pair_unless_it_is_strict() -> None:
    assert after("| logfmt", LOGFMT) == (
        LOGFMT,
        {"level": "info", "msg": 'hello "you"', "took": "5ms", "n": "3"},
    )
    strict = after("| logfmt --strict --keep-empty", LOGFMT)
    assert strict is not None
    assert strict[1]["__error__"] == "LogfmtParserErr"
    assert strict[1]["flag"] == ""


def test_regexp_and_pattern_take_what_their_names_stand_for() -> None:
    line = "10.0.0.1 GET /a 200"
    wanted = (line, {"ip": "10.0.0.1", "method": "GET"})
    assert after(r'| regexp "(?P<ip>\\S+) (?P<method>[A-Z]+)"', line) == wanted
    assert after('| pattern "<ip> <method> <_>"', line) == wanted
    assert after('| pattern "<a>:<b>"', line) == (line, {"a": line})


def test_formats_make_lines_and_labels() -> None:
    assert after('| json | line_format "{{.level}}: {{ .status }}{{.none}}" | keep level', JSON) == (
        "error: 503",
        {"level": "error", "resource_name": "", "stream": "", "request_id": ""},
    )
    assert after('| json | label_format lv=level, both="{{.status}}-{{.lv}}" | drop took, ok="false"', JSON) == (
        JSON,
        {
            "lv": "error",
            "both": "503-error",
            "status": "503",
            "user_id": "7",
            "stream_extracted": "mine",
            "ok": "true",
        },
    )
    assert after("| decolorize", "\x1b[31mred\x1b[0m") == ("red", {})


@pytest.mark.parametrize("pattern", ["(a+)+$", "(.*)*(.*)*(.*)*x", "(a|aa)+$", "(a|a?)+$"])
def test_a_hostile_pattern_is_stopped_or_harmless(pattern: str) -> None:
    line = json.dumps({"a": "a" * 60_000})
    with contextlib.suppress(QueryError):  # it takes too long
        assert after(f'|~ "{pattern}"', line) is None


@pytest.mark.parametrize(
    "pattern", [r"\\(?=", "[*+]a", r"[\\]*+]", "[[:alpha:]*+]", r"a\\z", "(?i)A", "(?P<n>a)", r"\\\\+"]
)
def test_what_only_looks_as_if_re2_did_not_know_it_is_a_pattern(pattern: str) -> None:
    after(f'|~ "{pattern}"', "aab")


@pytest.mark.parametrize("pattern", ["a(?=b)", "(?<!a)b", r"(a)\\1", "(?>a)", "a++", "(?#x)a", "(?P=x)", "("])
def test_what_re2_does_not_know_is_no_pattern(pattern: str) -> None:
    with pytest.raises(QueryError, match="error parsing regexp"):
        after(f'|~ "{pattern}"', "aab")


@pytest.mark.parametrize(
    ("pattern", "whole_matches", "found_in"),
    [
        ("a|b", {"a", "b"}, {"xax", "b"}),
        ("", {""}, {"", "x"}),
        ("a||b", {"a", "", "b"}, {"x"}),
        (".*", {"", "x\ny"}, {""}),
        (".+", {"x"}, {"x"}),
        ("a.c", {"abc", "a\nc"}, {"xabcx"}),
    ],
)
def test_patterns_of_words_mean_what_the_engine_makes_of_them(
    pattern: str, whole_matches: set[str], found_in: set[str]
) -> None:
    texts = {"", "a", "b", "x", "ab", "abc", "xax", "xabcx", "a|b", "x\ny", "a\nc"}
    engine = regex.compile(f"(?s:{pattern})")

    assert (
        {text for text in texts if full_match_predicate(pattern)(text)}
        == {t for t in texts if engine.fullmatch(t)}
        >= whole_matches
    )
    anywhere = regex.compile(pattern)
    assert (
        {t for t in texts if search_predicate(pattern)(t)} == {t for t in texts if anywhere.search(t)} >= found_in
    )
