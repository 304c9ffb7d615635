"""A shop with typed handlers: each gets what it needs from the request, and answers 422 to what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fnkit import Header, HttpError, Path, Query, cron, function


@dataclass
class Book:
    number: int
    title: str
    cents: int


@dataclass
class Line:
    number: int
    amount: int = 1

    def __post_init__(self) -> None:
        if self.amount < 1:
            raise ValueError("an amount is at least 1")


@dataclass
class Order:
    customer: str
    lines: list[Line]
    delivery: Literal["post", "pick-up"] = "post"


@dataclass
class Receipt:
    customer: str
    cents: int


BOOKS = {one.number: one for one in (Book(1, "Emma", 990), Book(2, "Persuasion", 850), Book(3, "Evelina", 1200))}
POSTAGE = 300


@function
def books(
    search: str = "",
    limit: Annotated[int, Query(ge=1, le=100, description="How many books at most")] = 10,
) -> list[Book]:
    """List the books whose title has a text."""
    return [one for one in BOOKS.values() if search.lower() in one.title.lower()][:limit]


@function
async def book(number: Annotated[int, Path("/books/{number}")]) -> Book:
    """Return one book."""
    if number not in BOOKS:
        raise HttpError(404, f"there is no book {number}")
    return BOOKS[number]


@function
def order(order: Order, x_voucher: Annotated[str, Header()] = "") -> Receipt:
    """Take an order."""
    unknown = sorted({line.number for line in order.lines} - BOOKS.keys())
    if unknown:
        raise HttpError(409, {"unknown": unknown})
    cents = sum(BOOKS[line.number].cents * line.amount for line in order.lines)
    if order.delivery == "post" and x_voucher != "FREE":
        cents += POSTAGE
    return Receipt(order.customer, cents)


@cron("0 4 * * *", args={"days": 90})
def forget_orders(days: int = 30) -> str:
    """The arguments of a cron are parameters too."""
    return f"forgot orders older than {days} days"
