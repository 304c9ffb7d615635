"""Parsers of lines that are not JSON: logfmt, regexp and pattern."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from fnkit.platform.logql.entries import Entry, label_name
from fnkit.platform.logql.pattern_parser import pattern_fields
from fnkit.platform.logql.patterns import groups
from fnkit.platform.logql.syntax import LogfmtParser, PatternParser, RegexpParser

__all__ = ["logfmt_pairs", "logfmt_parser", "pattern_parser", "regexp_parser"]

_ERROR: Final = "LogfmtParserErr"
_PAIR: Final = re.compile(
    r"""[\x00-\x20]*
    (?P<key>[^\x00-\x20="]*)
    (?P<equal>=?)
    (?P<value>"(?:[^"\\]|\\.)*"|[^\x00-\x20="]*)
    (?P<rest>[^\x00-\x20]*)""",
    re.VERBOSE | re.DOTALL,
)


def logfmt_parser(stage: LogfmtParser) -> Callable[[Entry], bool]:
    """Return the step of ``| logfmt``; with ``--strict`` a line with malformed pairs gets ``__error__``."""
    labels = {extraction.expression: extraction.label for extraction in stage.extractions}

    def step(entry: Entry) -> bool:
        seen = set()
        for key, value in logfmt_pairs(entry.line):
            if value is None:
                if stage.strict:
                    entry.fail(_ERROR, f"logfmt syntax error: {key[:64]}")
                    break
                continue
            if labels:
                if (label := labels.get(key)) and label not in seen:
                    seen.add(label)
                    entry.extract(label, value)
            elif (name := label_name(key)) and (value or stage.keep_empty):
                entry.extract(name, value.replace("\ufffd", " "))
        for label in labels.values():
            if entry.get(label) is None:
                entry.set(label, "")
        return True

    return step


def logfmt_pairs(line: str) -> Iterator[tuple[str, str | None]]:
    """Yield the keys and values of a line; a value of ``None`` marks malformed text up to the next space.

    >>> list(logfmt_pairs('a=1 b c="x y" =2'))
    [('a', '1'), ('b', ''), ('c', 'x y'), ('=2', None)]
    """
    position, end = 0, len(line)
    while position < end:
        found = _PAIR.match(line, position)
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
            yield key, _unquoted(value)
            position = found.start("rest")  # text directly after a closing quote starts the next pair
        else:
            yield key, value


def _unquoted(text: str) -> str | None:
    if "\\" not in text:
        return text[1:-1]
    try:
        return msgspec.json.decode(text, type=str)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def regexp_parser(stage: RegexpParser) -> Callable[[Entry], bool]:
    """Return the step of ``| regexp``, which makes each named group a label."""
    extract_groups = groups(stage.pattern)

    def step(entry: Entry) -> bool:
        for name, value in extract_groups(entry.line).items():
            entry.extract(label_name(name), value)
        return True

    return step


def pattern_parser(stage: PatternParser) -> Callable[[Entry], bool]:
    """Return the step of ``| pattern``, which makes each capture a label."""
    fields = pattern_fields(stage.pattern)

    def step(entry: Entry) -> bool:
        for name, value in fields(entry.line):
            entry.extract(name, value)
        return True

    return step
