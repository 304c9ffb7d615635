"""Parsers of lines that are not JSON: logfmt, regexp and pattern."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from fnkit.platform.logql.entries import LogEntry, to_label_name
from fnkit.platform.logql.pattern_parser import compile_extraction_pattern
from fnkit.platform.logql.patterns import group_extractor
from fnkit.platform.logql.syntax import LogfmtParser, PatternParser, RegexpParser

__all__ = ["logfmt_pairs", "logfmt_step", "pattern_step", "regexp_step"]

_LOGFMT_ERROR: Final = "LogfmtParserErr"
_LOGFMT_PAIR: Final = re.compile(
    r"""[\x00-\x20]*
    (?P<key>[^\x00-\x20="]*)
    (?P<equal>=?)
    (?P<value>"(?:[^"\\]|\\.)*"|[^\x00-\x20="]*)
    (?P<rest>[^\x00-\x20]*)""",
    re.VERBOSE | re.DOTALL,
)


def logfmt_step(stage: LogfmtParser) -> Callable[[LogEntry], bool]:
    """Return the step of ``| logfmt``; with ``--strict`` a line with malformed pairs gets ``__error__``."""
    labels = {extraction.expression: extraction.label for extraction in stage.extractions}

    def step(entry: LogEntry) -> bool:
        seen = set()
        for key, value in logfmt_pairs(entry.line):
            if value is None:
                if stage.strict:
                    entry.set_error(_LOGFMT_ERROR, f"logfmt syntax error: {key[:64]}")
                    break
                continue
            if labels:
                if (label := labels.get(key)) and label not in seen:
                    seen.add(label)
                    entry.add_extracted(label, value)
            elif (name := to_label_name(key)) and (value or stage.keep_empty):
                entry.add_extracted(name, value.replace("\ufffd", " "))
        for label in labels.values():
            if entry.get(label) is None:
                entry.set_label(label, "")
        return True

    return step


def logfmt_pairs(line: str) -> Iterator[tuple[str, str | None]]:
    """Yield the keys and values of a line; a value of ``None`` marks malformed text up to the next space.

    >>> list(logfmt_pairs('a=1 b c="x y" =2'))
    [('a', '1'), ('b', ''), ('c', 'x y'), ('=2', None)]
    """
    position, end = 0, len(line)
    while position < end:
        found = _LOGFMT_PAIR.match(line, position)
        if found is None or found.end() == position:
            return
        position = found.end()
        key, value = found["key"], found["value"]
        if not (key or found["equal"] or value or found["rest"]):
            continue  # trailing spaces
        is_quoted = value.startswith('"')
        broken = found["rest"] and not (is_quoted and not found["rest"].startswith(("=", '"')))
        if not key or broken or (value and not found["equal"]):
            yield found[0].strip(), None
        elif is_quoted:
            yield key, _unquote_value(value)
            position = found.start("rest")  # text directly after a closing quote starts the next pair
        else:
            yield key, value


def _unquote_value(text: str) -> str | None:
    if "\\" not in text:
        return text[1:-1]
    try:
        return msgspec.json.decode(text, type=str)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def regexp_step(stage: RegexpParser) -> Callable[[LogEntry], bool]:
    """Return the step of ``| regexp``, which makes each named group a label."""
    extract_groups = group_extractor(stage.pattern)

    def step(entry: LogEntry) -> bool:
        for name, value in extract_groups(entry.line).items():
            entry.add_extracted(to_label_name(name), value)
        return True

    return step


def pattern_step(stage: PatternParser) -> Callable[[LogEntry], bool]:
    """Return the step of ``| pattern``, which makes each capture a label."""
    fields = compile_extraction_pattern(stage.pattern)

    def step(entry: LogEntry) -> bool:
        for name, value in fields(entry.line):
            entry.add_extracted(name, value)
        return True

    return step
