"""The effect of each stage on a line. tests/conformance/clients/test_loki.py compares the same with Loki."""

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


def apply_stages(stages: str, line: str) -> tuple[str, dict[str, str]] | None:
    """Return the line and its changed labels, or ``None`` if a stage dropped it."""
    entry = LogEntry(1, line, STREAM, {"request_id": "r1"})
    step = compile_pipeline(parse_log_query('{a="b"} ' + stages).stages)
    if not step(entry):
        return None
    known = STREAM | {"request_id": "r1"}
    labels = entry.labels() | {name: "" for name in known if name not in entry.labels()}
    return entry.line, {name: value for name, value in labels.items() if known.get(name) != value}


@pytest.mark.parametrize(
    ("stages", "line", "kept"),
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
def test_filters_keep_or_drop_a_line(stages: str, line: str, *, kept: bool) -> None:
    assert (apply_stages(stages, line) is not None) is kept


def test_json_extracts_every_field_except_arrays_and_nulls() -> None:
    assert apply_stages("| json", JSON) == (
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


def test_json_with_expressions_extracts_only_those_fields() -> None:
    assert apply_stages('| json id="user.id", first="list[0]", all="user", none="x.y"', JSON) == (
        JSON,
        {"id": "7", "first": "1", "all": '{"id":7,"n-o":null}', "none": ""},
    )


@pytest.mark.parametrize("line", ["no json", "[1]", "", "{broken", '{"a":' * 70 + "1" + "}" * 70])
def test_line_that_is_not_a_json_object_gets_an_error_label(line: str) -> None:
    found = apply_stages("| json", line)
    assert found is not None
    assert found[1]["__error__"] == "JSONParserErr"


def test_text_after_the_json_object_is_ignored() -> None:
    for rest in ("!", " and more", "}", " {}"):
        assert apply_stages("| json", '{"a":{"b":1.50}}' + rest) == ('{"a":{"b":1.50}}' + rest, {"a_b": "1.50"})


def test_comparison_with_a_non_number_adds_an_error_label() -> None:
    found = apply_stages("| json | level > 5", JSON)
    assert found is not None
    assert found[1]["__error__"] == "LabelFilterErr"


def test_logfmt_skips_malformed_pairs_unless_strict() -> None:
    assert apply_stages("| logfmt", LOGFMT) == (
        LOGFMT,
        {"level": "info", "msg": 'hello "you"', "took": "5ms", "n": "3"},
    )
    strict = apply_stages("| logfmt --strict --keep-empty", LOGFMT)
    assert strict is not None
    assert strict[1]["__error__"] == "LogfmtParserErr"
    assert strict[1]["flag"] == ""


def test_regexp_and_pattern_extract_their_named_parts() -> None:
    line = "10.0.0.1 GET /a 200"
    expected = (line, {"ip": "10.0.0.1", "method": "GET"})
    assert apply_stages(r'| regexp "(?P<ip>\\S+) (?P<method>[A-Z]+)"', line) == expected
    assert apply_stages('| pattern "<ip> <method> <_>"', line) == expected
    assert apply_stages('| pattern "<a>:<b>"', line) == (line, {"a": line})


def test_format_stages_rewrite_lines_and_labels() -> None:
    assert apply_stages('| json | line_format "{{.level}}: {{ .status }}{{.none}}" | keep level', JSON) == (
        "error: 503",
        {"level": "error", "resource_name": "", "stream": "", "request_id": ""},
    )
    assert apply_stages(
        '| json | label_format lv=level, both="{{.status}}-{{.lv}}" | drop took, ok="false"', JSON
    ) == (
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
    assert apply_stages("| decolorize", "\x1b[31mred\x1b[0m") == ("red", {})


@pytest.mark.parametrize("pattern", ["(a+)+$", "(.*)*(.*)*(.*)*x", "(a|aa)+$", "(a|a?)+$"])
def test_catastrophic_pattern_times_out_or_does_not_match(pattern: str) -> None:
    line = json.dumps({"a": "a" * 60_000})
    with contextlib.suppress(QueryError):  # the match timed out
        assert apply_stages(f'|~ "{pattern}"', line) is None


@pytest.mark.parametrize(
    "pattern", [r"\\(?=", "[*+]a", r"[\\]*+]", "[[:alpha:]*+]", r"a\\z", "(?i)A", "(?P<n>a)", r"\\\\+"]
)
def test_pattern_that_resembles_unsupported_syntax_is_accepted(pattern: str) -> None:
    apply_stages(f'|~ "{pattern}"', "aab")


@pytest.mark.parametrize("pattern", ["a(?=b)", "(?<!a)b", r"(a)\\1", "(?>a)", "a++", "(?#x)a", "(?P=x)", "("])
def test_pattern_that_re2_does_not_support_is_rejected(pattern: str) -> None:
    with pytest.raises(QueryError, match="error parsing regexp"):
        apply_stages(f'|~ "{pattern}"', "aab")


@pytest.mark.parametrize(
    ("pattern", "whole_matches", "search_matches"),
    [
        ("a|b", {"a", "b"}, {"xax", "b"}),
        ("", {""}, {"", "x"}),
        ("a||b", {"a", "", "b"}, {"x"}),
        (".*", {"", "x\ny"}, {""}),
        (".+", {"x"}, {"x"}),
        ("a.c", {"abc", "a\nc"}, {"xabcx"}),
    ],
)
def test_optimized_predicates_agree_with_the_regex_engine(
    pattern: str, whole_matches: set[str], search_matches: set[str]
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
        {t for t in texts if search_predicate(pattern)(t)}
        == {t for t in texts if anywhere.search(t)}
        >= search_matches
    )
