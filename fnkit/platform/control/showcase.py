"""A cache of records rendered to JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeAlias, TypeVar

import msgspec

from fnkit.platform.control.listing import ListQuery
from fnkit.platform.store.collection import Collection, StoredRecord

__all__ = ["ListResponse", "RenderedCache"]

R = TypeVar("R", bound=StoredRecord)
ListResponse: TypeAlias = dict[str, list[msgspec.Raw] | int]
"""``{"functions": […], "total_count": n}``; ``total_count`` counts all pages."""

_MAX_CACHED_RECORDS: Final = 20_000
"""Number of records in one cache, about a kilobyte each."""


class RenderedCache(Generic[R]):
    """The JSON of a collection's records, as the API returns them on a read.

    Args:
        collection: The records.
        view: Returns the API's object for a record.
    """

    def __init__(self, collection: Collection[R], view: Callable[[R], msgspec.Struct]) -> None:
        self._collection = collection
        self._view = view
        self._encoder = msgspec.json.Encoder()
        self._rendered: dict[str, tuple[str, msgspec.Raw]] = {}
        collection.subscribe(self._invalidate)

    def get(self, region: str, record_id: str) -> msgspec.Raw | None:
        """Return the JSON of a record, or ``None`` if the region has no such record."""
        rendered = self._rendered.get(record_id) or self._render(record_id)
        return rendered[1] if rendered is not None and rendered[0] == region else None

    def get_page(self, name: str, region: str, list_query: ListQuery) -> ListResponse:
        """Return one page.

        Args:
            name: Name of the response's field with the items, such as ``functions``.
            region: Only records of this region.
            listing: Page, order and filters.
        """
        filters = {"region": region, **list_query.filters}
        found = (
            self._rendered.get(record_id) or self._render(record_id)
            for record_id in self._collection.ids(filters, list_query.order, list_query.page)
        )
        return {name: [one[1] for one in found if one is not None], "total_count": self._collection.count(filters)}

    def _render(self, record_id: str) -> tuple[str, msgspec.Raw] | None:
        record = self._collection.get(record_id)
        if record is None:
            return None
        rendered = record.region, msgspec.Raw(self._encoder.encode(self._view(record)))
        # A record read inside a transaction may be rolled back, and nothing would then invalidate its JSON.
        if not self._collection.in_transaction:
            if len(self._rendered) >= _MAX_CACHED_RECORDS:
                self._rendered.clear()
            self._rendered[record_id] = rendered
        return rendered

    def _invalidate(self, record_id: str) -> None:
        self._rendered.pop(record_id, None)
