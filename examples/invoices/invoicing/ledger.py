"""The invoices that were sent, as a table in the repository: `data/ledger.csv`."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

LEDGER = Path(__file__).parent.parent / "data" / "ledger.csv"


@dataclass(frozen=True, slots=True)
class Entry:
    number: str
    customer: str
    amount: Decimal
    due: date
    paid: bool


def read_ledger(path: Path = LEDGER) -> tuple[Entry, ...]:
    with path.open(newline="", encoding="utf-8") as file:
        return tuple(
            Entry(
                number=row["number"],
                customer=row["customer"],
                amount=Decimal(row["amount"]),
                due=date.fromisoformat(row["due"]),
                paid=row["paid"] == "yes",
            )
            for row in csv.DictReader(file)
        )


def overdue(entries: Iterable[Entry], today: date, grace_days: int) -> tuple[Entry, ...]:
    """What nobody has paid `grace_days` after it was due, the oldest first."""
    limit = today - timedelta(days=grace_days)
    return tuple(sorted((e for e in entries if not e.paid and e.due < limit), key=lambda entry: entry.due))
