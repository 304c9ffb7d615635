"""What an invoice is. Amounts are decimals in euros, rounded to the cent once, at the end of each sum."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Seller:
    name: str
    iban: str


@dataclass(frozen=True, slots=True)
class Line:
    text: str
    quantity: Decimal
    price: Decimal

    @property
    def amount(self) -> Decimal:
        return _to_cents(self.quantity * self.price)


@dataclass(frozen=True, slots=True)
class Invoice:
    number: str
    customer: str
    due: date
    vat_percent: Decimal
    lines: tuple[Line, ...]

    @property
    def net(self) -> Decimal:
        return sum((line.amount for line in self.lines), Decimal(0))

    @property
    def vat(self) -> Decimal:
        return _to_cents(self.net * self.vat_percent / 100)

    @property
    def total(self) -> Decimal:
        return self.net + self.vat

    def to_json(self) -> dict[str, object]:
        """Everything that is not computed, as JSON can say it."""
        return {
            "number": self.number,
            "customer": self.customer,
            "due": self.due.isoformat(),
            "vat_percent": str(self.vat_percent),
            "lines": [[line.text, str(line.quantity), str(line.price)] for line in self.lines],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Invoice":
        """Undo `to_json`."""
        return cls(
            number=document["number"],
            customer=document["customer"],
            due=date.fromisoformat(document["due"]),
            vat_percent=Decimal(document["vat_percent"]),
            lines=tuple(
                Line(text, Decimal(quantity), Decimal(price)) for text, quantity, price in document["lines"]
            ),
        )


def _to_cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, rounding=ROUND_HALF_UP)
