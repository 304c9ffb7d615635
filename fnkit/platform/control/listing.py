"""Lists: parsing of paging, order and filters, and a cache of rendered records.

Each record is rendered to JSON once and cached until it changes, so that a page of a hundred records costs a
hundred look-ups and one copy (figures in docs/api-behaviour.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fnkit.contract.enums import is_unset
from fnkit.platform.control.refusals import invalid
from fnkit.platform.store.collection import Order, Page

__all__ = [
    "ORDER_BY_CREATED",
    "ORDER_BY_CREATED_OR_HOSTNAME",
    "ORDER_BY_CREATED_OR_NAME",
    "ListQuery",
    "parse_list_query",
    "parse_positive_integer",
]

DEFAULT_PAGE_SIZE: Final = 20  # Scaleway's Python SDK relies on it when it fetches all pages
MAX_PAGE_SIZE: Final = 100
MAX_PAGE: Final = 2**31 - 1  # int32 in the API document

ORDER_BY_CREATED: Final = {"created_at_asc": Order(), "created_at_desc": Order(descending=True)}
ORDER_BY_CREATED_OR_NAME: Final = ORDER_BY_CREATED | {
    "name_asc": Order("name"),
    "name_desc": Order("name", descending=True),
}
ORDER_BY_CREATED_OR_HOSTNAME: Final = ORDER_BY_CREATED | {
    "hostname_asc": Order("hostname"),
    "hostname_desc": Order("hostname", descending=True),
}


@dataclass(frozen=True, slots=True)
class ListQuery:
    """A request for one page of a list.

    Attributes:
        page: The page.
        order: The sort order.
        filters: Column → value that records must have. Filters that were not given are absent.
    """

    page: Page
    order: Order
    filters: Mapping[str, str]


def parse_list_query(query: Mapping[str, str], orders: Mapping[str, Order], filters: tuple[str, ...]) -> ListQuery:
    """Parse the query of a list. Unknown parameters and empty filters are ignored.

    Args:
        query: The query's parameters.
        orders: The values that ``order_by`` accepts.
        filters: The names of the filters, which are also columns.

    Raises:
        ControlError: 400, a number or the order is invalid.
    """
    order = query.get("order_by", "")
    if not is_unset(order) and order not in orders:
        raise invalid("order_by", f"must be one of {', '.join(orders)}")
    size = parse_positive_integer(query, "page_size", DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
    return ListQuery(
        page=Page(number=parse_positive_integer(query, "page", 1, MAX_PAGE), size=size),
        order=Order() if is_unset(order) else orders[order],
        filters={name: query[name] for name in filters if query.get(name)},
    )


def parse_positive_integer(query: Mapping[str, str], name: str, default: int, maximum: int) -> int:
    """Parse a whole number from 1 to ``maximum``. 0, empty and absent mean ``default``.

    Raises:
        ControlError: 400, the text is not a number or the number is too large.
    """
    text = query.get(name, "")
    if not text:
        return default
    digits = text.lstrip("+")
    if not (digits.isascii() and digits.isdigit()):
        raise invalid(name, "must be a whole number")
    # int() of a very long text takes quadratic time; any text this long is out of range.
    number = int(digits) if len(digits) <= len(str(2**64)) else maximum + 1
    if number > maximum:
        raise invalid(name, f"must be at most {maximum}")
    return number or default
