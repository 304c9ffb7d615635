from datetime import date
from decimal import Decimal

import pytest

from invoicing.ledger import Entry, overdue, read_ledger

DUE = date(2026, 3, 1)


@pytest.mark.parametrize(
    ("day", "paid", "late"),
    [(date(2026, 3, 15), False, False), (date(2026, 3, 16), False, True), (date(2026, 4, 1), True, False)],
)
def test_an_unpaid_invoice_is_overdue_once_its_grace_has_passed(day: date, paid: bool, late: bool) -> None:
    entry = Entry("1", "Atelier Curie", Decimal(10), DUE, paid)
    assert overdue([entry], day, grace_days=14) == ((entry,) if late else ())


def test_the_ledger_in_the_repository_can_be_read() -> None:
    assert {entry.number for entry in read_ledger()} >= {"2026-001", "2026-004"}
