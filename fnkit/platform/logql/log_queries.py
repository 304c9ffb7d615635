"""Parses log queries: a selector followed by stages."""

from __future__ import annotations

from fnkit.platform.logql.conditions import read_matcher
from fnkit.platform.logql.patterns import full_match_predicate
from fnkit.platform.logql.reading import TokenReader
from fnkit.platform.logql.stages import begins_stage, read_stage
from fnkit.platform.logql.syntax import LogQuery, Matcher

__all__ = ["read_log_query", "read_selector"]


def read_log_query(reader: TokenReader) -> LogQuery:
    """Parse a log query, which may be in parentheses."""
    if reader.accept("("):
        reader.enter_nesting()
        query = read_log_query(reader)
        reader.expect(")")
        reader.leave_nesting()
        return query
    selector = read_selector(reader)
    stages = []
    while begins_stage(reader):
        stages.append(read_stage(reader))
    return LogQuery(selector, tuple(stages))


def read_selector(reader: TokenReader) -> tuple[Matcher, ...]:
    """Parse ``{a="b", c=~"d"}``.

    Raises:
        QueryError: The syntax is wrong, or every matcher matches an empty value. Loki requires one that does not,
            because the selector would otherwise match all streams.
    """
    start = reader.expect("{")
    matchers: list[Matcher] = []
    while not reader.is_symbol("}"):
        matchers.append(read_matcher(reader))
        if not reader.accept(","):
            break
    reader.expect("}")
    if all(_matches_empty(matcher) for matcher in matchers):
        raise reader.error(
            "queries require at least one regexp or equality matcher that does not have an empty-compatible value. "
            'For instance, app=~".*" does not meet this requirement, but app=~".+" will',
            start,
        )
    return tuple(matchers)


def _matches_empty(matcher: Matcher) -> bool:
    """Return whether a matcher matches a stream without the label."""
    match matcher.operator:
        case "=":
            return not matcher.value
        case "!=":
            return bool(matcher.value)
        case "=~":
            return full_match_predicate(matcher.value)("")
        case _:
            return not full_match_predicate(matcher.value)("")
