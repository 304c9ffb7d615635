"""Generates the table of error codes from the source, and docs/errors.md from the table.

``python -m tests.support.error_page`` writes both. ``fnkit explain`` reads the table, so it and the page agree. A
test checks that neither is out of date.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from itertools import groupby

from tests.support.error_codes import ErrorCode, distinct_sentences, error_codes
from tests.support.failure_explanations import FAILURES
from tests.support.problem_explanations import PROBLEMS
from tests.support.source_tree import PACKAGE, REPOSITORY

PAGE = REPOSITORY / "docs" / "errors.md"
TABLE = PACKAGE / "cli" / "error_codes.json"

INTRODUCTION = """\
# Errors

Every error says what happened and where, what to do about it, and a code: `error[bad-schedule]: …`. Messages may
become better; codes stay, so that scripts can rely on them. With `--json` they stand in `error.code` and
`problems[].code`. `fnkit explain CODE` prints a row of this page.

Exit codes: 0 done; 1 failed; 2 wrong use, or a project with problems; 130 interrupted. With `plan --exit-code`,
2 means changes and nothing else, and every error is 1.

This page is made from the source (`python -m tests.support.error_page`); `…` stands for what a message fills in.

| code | means | what to do |
|---|---|---|
"""

TEXTS_MAX = 3
"""The largest number of messages that are listed for one code."""

Row = dict[str, list[str]]


@cache
def error_table() -> dict[str, Row]:
    """Return the ``meanings`` and ``remedies`` of each code."""
    found = {code: list(places) for code, places in groupby(error_codes(), key=lambda one: one.code)}
    return {code: _row(code, found.get(code, [])) for code in sorted({*found, *PROBLEMS, *FAILURES})}


def render_table() -> str:
    """Return the content of the table in the package."""
    return json.dumps(error_table(), indent=1, ensure_ascii=False) + "\n"


def render_page() -> str:
    """Return the content of the page."""
    rows = (
        f"| `{code}` | {_cell(row['meanings'])} | {_cell(row['remedies'])} |\n"
        for code, row in error_table().items()
    )
    return INTRODUCTION + "".join(rows)


def _row(code: str, places: list[ErrorCode]) -> Row:
    explained = PROBLEMS.get(code) or FAILURES.get(code)
    if explained is not None:
        return {"meanings": [explained.meaning], "remedies": [explained.remedy]}
    return {
        "meanings": _texts([one.message for one in places]),
        "remedies": _texts([one.hint for one in places]),
    }


def _texts(texts: list[str]) -> list[str]:
    return [" ".join(text.split()) for text in distinct_sentences(texts)[:TEXTS_MAX]]


def _cell(texts: list[str]) -> str:
    return "<br>".join(text.replace("|", "\\|").replace("<", "&lt;") for text in texts)


if __name__ == "__main__":
    TABLE.write_text(render_table(), encoding="utf-8")
    PAGE.write_text(render_page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.relative_to(REPOSITORY)}: {len(error_table())} codes\n")
