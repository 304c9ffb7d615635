"""Generates docs/errors.md from the source: ``python -m tests.support.error_page`` writes it, a test checks it."""

from __future__ import annotations

import sys
from functools import cache
from itertools import groupby

from tests.support.error_codes import ErrorCode, distinct_sentences, error_codes
from tests.support.problem_explanations import PROBLEMS
from tests.support.source_tree import REPOSITORY

PAGE = REPOSITORY / "docs" / "errors.md"

INTRODUCTION = """\
# Errors

Every error says what happened and where, what to do about it, and a code. Messages may become better; codes
stay, so that scripts can rely on them. With `--json` they stand in `error.code` and `problems[].code`.

Exit codes: 0 done; 1 failed; 2 wrong use, or a project with problems; 130 interrupted. With `plan --exit-code`,
2 means changes and nothing else, and every error is 1.

This page is made from the source (`python -m tests.support.error_page`); `…` stands for what a message fills in.

| code | means | what to do |
|---|---|---|
"""

EXTERNAL_MESSAGES = {
    "operating-system": "The operating system refused something, in its own words; the message names the file.",
}
"""Codes whose whole message comes from outside fnkit."""

TEXTS_MAX = 3
"""The largest number of messages that are listed for one code."""


@cache
def render_page() -> str:
    """Return the content of the page."""
    found = {code: list(places) for code, places in groupby(error_codes(), key=lambda one: one.code)}
    return INTRODUCTION + "".join(_row(code, found.get(code, [])) for code in sorted({*found, *PROBLEMS}))


def _row(code: str, places: list[ErrorCode]) -> str:
    explained = PROBLEMS.get(code)
    if explained is not None:
        return f"| `{code}` | {_cell([explained.meaning])} | {_cell([explained.remedy])} |\n"
    messages = (
        [EXTERNAL_MESSAGES[code]]
        if code in EXTERNAL_MESSAGES
        else distinct_sentences([one.message for one in places])
    )
    hints = distinct_sentences([one.hint for one in places])
    return f"| `{code}` | {_cell(messages)} | {_cell(hints)} |\n"


def _cell(texts: list[str]) -> str:
    lines = [" ".join(text.split()).replace("|", "\\|").replace("<", "&lt;") for text in texts[:TEXTS_MAX]]
    return "<br>".join(lines)


if __name__ == "__main__":
    PAGE.write_text(render_page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.relative_to(REPOSITORY)}: {len({one.code for one in error_codes()})} codes\n")
