"""What a list is asked with: page, order and filters, from a query's text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fnkit.contract.enums import is_unset
from fnkit.platform.control.refusals import invalid
from fnkit.platform.store.collection import Order, Page

__all__ = ["BY_AGE", "BY_AGE_OR_HOSTNAME", "BY_AGE_OR_NAME", "Listing", "read_listing", "whole_number"]

DEFAULT_PAGE_SIZE: Final = 20  # the Python SDK's drive: pages of 20 where none is asked for
MAX_PAGE_SIZE: Final = 100
MAX_PAGE: Final = 2**31 - 1  # int32 in the API document

BY_AGE: Final = {"created_at_asc": Order(), "created_at_desc": Order(descending=True)}
BY_AGE_OR_NAME: Final = BY_AGE | {"name_asc": Order("name"), "name_desc": Order("name", descending=True)}
BY_AGE_OR_HOSTNAME: Final = BY_AGE | {
    "hostname_asc": Order("hostname"),
    "hostname_desc": Order("hostname", descending=True),
}


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a list. ``filters`` holds only what was given (column → value, equality)."""

    page: Page
    order: Order
    filters: Mapping[str, str]


def read_listing(query: Mapping[str, str], orders: Mapping[str, Order], filters: tuple[str, ...]) -> Listing:
    """Read a list's query; unknown parameters are ignored, empty filters too.

    Raises:
        Refusal: a number or an order that is none.
    """
    order = query.get("order_by", "")
    if not is_unset(order) and order not in orders:
        raise invalid("order_by", f"must be one of {', '.join(orders)}")
    size = whole_number(query, "page_size", DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
    return Listing(
        page=Page(number=whole_number(query, "page", 1, MAX_PAGE), size=size),
        order=Order() if is_unset(order) else orders[order],
        filters={name: query[name] for name in filters if query.get(name)},
    )


def whole_number(query: Mapping[str, str], name: str, default: int, maximum: int) -> int:
    """Read a number of 1 to ``maximum``; 0, empty and absent mean "not given".

    Raises:
        Refusal: it is none, or out of range.
    """
    text = query.get(name, "")
    if not text:
        return default
    digits = text.lstrip("+")
    if not (digits.isascii() and digits.isdigit()):
        raise invalid(name, "must be a whole number")
    number = int(digits) if len(digits) <= len(str(2**64)) else maximum + 1
    if number > maximum:
        raise invalid(name, f"must be at most {maximum}")
    return number or default
