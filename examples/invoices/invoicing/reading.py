"""A request's body → an invoice, or everything that is wrong with it at once."""

import json
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import TypeVar

from invoicing.invoice import Invoice, Line

TEXT_MAX = 200
LINES_MAX = 50
AMOUNT_MAX = Decimal(1_000_000)

T = TypeVar("T")


class InvalidInvoice(Exception):
    """`problems` maps each faulty field to what is wrong with it."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{field}: {fault}" for field, fault in problems.items()))
        self.problems = dict(problems)


def read_invoice(body: str) -> Invoice:
    """Read the document that the README shows."""
    try:
        document = json.loads(body, parse_float=Decimal)
    except ValueError as error:
        raise InvalidInvoice({"body": f"not JSON: {error}"}) from error
    if not isinstance(document, dict):
        raise InvalidInvoice({"body": "not an object"})
    fields = _Fields(document)
    number, customer = fields.take("number", _text), fields.take("customer", _text)
    due, vat = fields.take("due", _day), fields.take("vat_percent", _amount, default=20)
    lines = fields.take_lines("lines")
    if fields.problems or number is None or customer is None or due is None or vat is None:
        raise InvalidInvoice(fields.problems)
    return Invoice(number, customer, due, vat, lines)


class _Fields:
    """Takes fields out of a document and remembers what was wrong with them."""

    def __init__(self, document: Mapping[str, object], prefix: str = "") -> None:
        self.document = document
        self.prefix = prefix
        self.problems: dict[str, str] = {}

    def take(self, name: str, convert: Callable[[object], T], default: object = None) -> T | None:
        try:
            return convert(self.document.get(name, default))
        except ValueError as error:
            self.problems[f"{self.prefix}{name}"] = str(error)
            return None

    def take_lines(self, name: str) -> tuple[Line, ...]:
        raw = self.document.get(name)
        if not isinstance(raw, list) or not 1 <= len(raw) <= LINES_MAX:
            self.problems[name] = f"give 1 to {LINES_MAX} lines"
            return ()
        lines = [self._line(entry, f"{name}[{index}]") for index, entry in enumerate(raw)]
        return tuple(line for line in lines if line is not None)

    def _line(self, raw: object, place: str) -> Line | None:
        if not isinstance(raw, dict):
            self.problems[place] = "not an object"
            return None
        fields = _Fields(raw, f"{place}.")
        text, price = fields.take("text", _text), fields.take("price", _amount)
        quantity = fields.take("quantity", _amount, default=1)
        self.problems.update(fields.problems)
        if text is None or price is None or quantity is None:
            return None
        return Line(text, quantity, price)


def _text(value: object) -> str:
    if not isinstance(value, str) or not 1 <= len(value.strip()) <= TEXT_MAX:
        raise ValueError(f"a text of 1 to {TEXT_MAX} characters")
    return value.strip()


def _day(value: object) -> date:
    try:
        return date.fromisoformat(value if isinstance(value, str) else "")
    except ValueError as error:
        raise ValueError("a day such as 2026-03-31") from error


def _amount(value: object) -> Decimal:
    fault = ValueError(f"a number from 0 to {AMOUNT_MAX}, with at most 4 decimals")
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise fault
    try:
        amount = Decimal(value)
    except InvalidOperation as error:
        raise fault from error
    # NaN fails every comparison, so it is refused here too, before its exponent is looked at.
    if amount.is_nan() or not 0 <= amount <= AMOUNT_MAX or amount != round(amount, 4):
        raise fault
    return amount
