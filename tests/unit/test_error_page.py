"""docs/errors.md and `fnkit explain` explain every error code."""

import inspect

from fnkit import errors
from tests.support.error_codes import CODE, error_codes
from tests.support.error_page import PAGE, TABLE, error_table, render_page, render_table


def test_error_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == render_page(), "run: python -m tests.support.error_page"


def test_table_of_the_package_is_up_to_date() -> None:
    assert TABLE.read_text(encoding="utf-8") == render_table(), "run: python -m tests.support.error_page"


def test_code_of_every_error_class_is_on_the_page() -> None:
    classes = [
        kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.FnkitError)
    ]
    assert {kind.default_code for kind in classes} <= {one.code for one in error_codes()}


def test_every_code_has_a_meaning_and_a_remedy() -> None:
    assert [code for code, row in error_table().items() if not row["meanings"] or not row["remedies"]] == []


def test_every_code_is_lower_case_words_joined_with_dashes() -> None:
    assert [f"{one.code} ({one.location})" for one in error_codes() if not CODE.fullmatch(one.code)] == []
