"""Every code that can be met is explained in docs/errors.md."""

import inspect

from fnkit import errors
from tests.support.error_codes import CODE, error_codes
from tests.support.error_page import PAGE, render_page


def test_the_page_shows_what_the_source_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == render_page(), "run: python -m tests.support.error_page"


def test_every_error_class_has_a_code_on_the_page() -> None:
    classes = [
        kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.FnkitError)
    ]
    assert {kind.default_code for kind in classes} <= {one.code for one in error_codes()}


def test_every_row_says_what_its_code_means() -> None:
    rows = [line.split(" | ") for line in render_page().splitlines() if line.startswith("| `")]
    assert [row[0] for row in rows if not row[1].strip()] == []


def test_every_code_is_lower_case_words_joined_with_dashes() -> None:
    assert [f"{one.code} ({one.location})" for one in error_codes() if not CODE.fullmatch(one.code)] == []
