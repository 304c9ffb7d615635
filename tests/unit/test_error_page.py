"""docs/errors.md explains every error code."""

import inspect

from fnkit import errors
from tests.support.error_codes import CODE, error_codes
from tests.support.error_page import PAGE, render_page


def test_error_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == render_page(), "run: python -m tests.support.error_page"


def test_code_of_every_error_class_is_on_the_page() -> None:
    classes = [
        kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.FnkitError)
    ]
    assert {kind.default_code for kind in classes} <= {one.code for one in error_codes()}


def test_every_row_has_a_meaning() -> None:
    rows = [line.split(" | ") for line in render_page().splitlines() if line.startswith("| `")]
    assert [row[0] for row in rows if not row[1].strip()] == []


def test_every_code_is_lower_case_words_joined_with_dashes() -> None:
    assert [f"{one.code} ({one.location})" for one in error_codes() if not CODE.fullmatch(one.code)] == []
