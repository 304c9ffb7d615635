"""docs/errors.md from the source: ``python -m tests.support.error_page`` writes it, a test compares it."""

from __future__ import annotations

import sys
from itertools import groupby

from tests.support.error_codes import ErrorCode, distinct, error_codes
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

UNTOLD = {
    "operating-system": "The operating system refused something, in its own words; the message names the file.",
}
"""What the source itself cannot show, because the whole message is somebody else's."""

SHOWN = 3
"""Messages of one code that are listed; the rest differ in detail."""


def page() -> str:
    """The page as it should be."""
    found = {code: list(places) for code, places in groupby(error_codes(), key=lambda one: one.code)}
    return INTRODUCTION + "".join(_row(code, found.get(code, [])) for code in sorted({*found, *PROBLEMS}))


def _row(code: str, places: list[ErrorCode]) -> str:
    explained = PROBLEMS.get(code)
    if explained is not None:
        return f"| `{code}` | {_cell([explained.meaning])} | {_cell([explained.remedy])} |\n"
    messages = [UNTOLD[code]] if code in UNTOLD else distinct([one.message for one in places])
    hints = distinct([one.hint for one in places])
    return f"| `{code}` | {_cell(messages)} | {_cell(hints)} |\n"


def _cell(texts: list[str]) -> str:
    lines = [" ".join(text.split()).replace("|", "\\|").replace("<", "&lt;") for text in texts[:SHOWN]]
    return "<br>".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.relative_to(REPOSITORY)}: {len({one.code for one in error_codes()})} codes\n")
