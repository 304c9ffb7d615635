"""The table of error codes, from which ``fnkit explain`` and ``docs/errors.md`` are made.

``error_codes.json`` beside this module is generated from the source (``python -m tests.support.error_page``).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Final

from fnkit.errors import UsageError

_TABLE: Final = Path(__file__).with_name("error_codes.json")
_LABEL: Final = re.compile(r"(?:error|problem)?\[?([a-z0-9-]+)\]?:?")
"""A code, alone or as copied from an error: ``error[bad-schedule]:``."""


@dataclass(frozen=True, slots=True)
class ErrorExplanation:
    """What an error code means and what to do about it. ``…`` stands for what a message fills in."""

    code: str
    meanings: tuple[str, ...]
    remedies: tuple[str, ...]


@cache
def error_explanations() -> dict[str, ErrorExplanation]:
    """Return the explanation of every code, sorted by code."""
    table: dict[str, dict[str, list[str]]] = json.loads(_TABLE.read_text(encoding="utf-8"))
    return {
        code: ErrorExplanation(code, tuple(row["meanings"]), tuple(row["remedies"])) for code, row in table.items()
    }


def explain_error(text: str) -> ErrorExplanation:
    """Return the explanation of a code.

    Args:
        text: The code, alone or as an error shows it.

    Raises:
        UsageError: ``unknown-code``. The hint names the closest one.
    """
    found = _LABEL.fullmatch(text.strip().lower())
    code = found[1] if found else text
    explanations = error_explanations()
    if code in explanations:
        return explanations[code]
    close = get_close_matches(code, explanations, n=3)
    raise UsageError(
        f"There is no error code {code}.",
        code="unknown-code",
        hint=f"Did you mean {' or '.join(close)}?" if close else "`fnkit explain` without a code lists all codes.",
    )
