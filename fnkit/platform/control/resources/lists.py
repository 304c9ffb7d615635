"""Lists: parsing of paging, order and filters, and a cache of rendered records.

Each record is rendered to JSON once and cached until it changes, so that a page of a hundred records costs a
hundred look-ups and one copy (figures in docs/api-behaviour.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar

import msgspec

from fnkit.contract.enums import is_unset
from fnkit.platform.control.errors import invalid
from fnkit.platform.control.held_reads import TRANSIENT_STATUSES
from fnkit.platform.control.resources.kinds import ResourceKind
from fnkit.platform.control.store.collection import Collection, Order, Page
from fnkit.platform.model.records import ResourceRecord

Record = TypeVar("Record", bound=ResourceRecord)
ListResponse: TypeAlias = dict[str, list[msgspec.Raw] | int]
"""``{"functions": […], "total_count": n}``; ``total_count`` counts all pages."""

DEFAULT_PAGE_SIZE: Final = 20  # Scaleway's Python SDK relies on it when it fetches all pages
MAX_PAGE_SIZE: Final = 100
MAX_PAGE: Final = 2**31 - 1  # int32 in the API document
_MAX_CACHED_RECORDS: Final = 20_000
"""Number of records in one cache, about a kilobyte each."""


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


def parse_list_query(query: Mapping[str, str], kind: ResourceKind[Record]) -> ListQuery:
    """Parse the query of a list. Unknown parameters and empty filters are ignored.

    Raises:
        ControlError: 400, a number or the order is invalid.
    """
    order = query.get("order_by", "")
    if not is_unset(order) and order not in kind.orders:
        raise invalid("order_by", f"must be one of {', '.join(kind.orders)}")
    size = parse_positive_integer(query, "page_size", DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
    return ListQuery(
        page=Page(number=parse_positive_integer(query, "page", 1, MAX_PAGE), size=size),
        order=Order() if is_unset(order) else kind.orders[order],
        filters={name: query[name] for name in kind.filters if query.get(name)},
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


class _Rendered(NamedTuple):
    """A record as the API returns it, with what decides who is answered with it, and when."""

    region: str
    is_transient: bool
    json: msgspec.Raw


class RenderedCache(Generic[Record]):
    """The JSON of a collection's records, as the API returns them on a read.

    Args:
        collection: The records.
        view: Returns the API's object for a record.
    """

    def __init__(self, collection: Collection[Record], view: Callable[[Record], msgspec.Struct]) -> None:
        self._collection = collection
        self._view = view
        self._encoder = msgspec.json.Encoder()
        self._rendered: dict[str, _Rendered] = {}
        collection.subscribe(self._invalidate)

    def get(self, region: str, record_id: str) -> msgspec.Raw | None:
        """Return the JSON of a record, or ``None`` if the region has no such record."""
        rendered = self._find(region, record_id)
        return None if rendered is None else rendered.json

    def is_transient(self, region: str, record_id: str) -> bool:
        """Return whether the region has such a record, in a status that soon changes."""
        rendered = self._find(region, record_id)
        return rendered is not None and rendered.is_transient

    def get_page(self, name: str, region: str, list_query: ListQuery) -> ListResponse:
        """Return one page.

        Args:
            name: Name of the response's field with the items, such as ``functions``.
            region: Only records of this region.
            list_query: Page, order and filters.
        """
        filters = {"region": region, **list_query.filters}
        found = (
            self._rendered.get(record_id) or self._render(record_id)
            for record_id in self._collection.ids(filters, list_query.order, list_query.page)
        )
        return {
            name: [one.json for one in found if one is not None],
            "total_count": self._collection.count(filters),
        }

    def _find(self, region: str, record_id: str) -> _Rendered | None:
        rendered = self._rendered.get(record_id) or self._render(record_id)
        return rendered if rendered is not None and rendered.region == region else None

    def _render(self, record_id: str) -> _Rendered | None:
        record = self._collection.get(record_id)
        if record is None:
            return None
        json = msgspec.Raw(self._encoder.encode(self._view(record)))
        rendered = _Rendered(record.region, record.status in TRANSIENT_STATUSES, json)
        # A record read inside a transaction may be rolled back, and nothing would then invalidate its JSON.
        if not self._collection.in_transaction:
            if len(self._rendered) >= _MAX_CACHED_RECORDS:
                self._rendered.clear()
            self._rendered[record_id] = rendered
        return rendered

    def _invalidate(self, record_id: str) -> None:
        self._rendered.pop(record_id, None)
