"""Records as JSON that is ready to send: rendered once, kept until the record changes.

A list of a hundred is then a hundred look-ups and one copy (docs/api-behaviour.md has the figures).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeAlias, TypeVar

import msgspec

from fnkit.platform.control.listing import Listing
from fnkit.platform.store.collection import Collection, Stored

__all__ = ["Shelf", "Showcase"]

R = TypeVar("R", bound=Stored)
Shelf: TypeAlias = dict[str, list[msgspec.Raw] | int]
"""``{"functions": […], "total_count": n}``; ``total_count`` counts all pages."""

_KEPT: Final = 20_000
"""About a kilobyte each."""


class Showcase(Generic[R]):
    """One collection as the API shows it. ``view`` gives the API's object of a record, as a read answers it."""

    def __init__(self, collection: Collection[R], view: Callable[[R], msgspec.Struct]) -> None:
        self._collection = collection
        self._view = view
        self._encoder = msgspec.json.Encoder()
        self._rendered: dict[str, tuple[str, msgspec.Raw]] = {}
        collection.listen(self._forget)

    def show(self, region: str, record_id: str) -> msgspec.Raw | None:
        """Return the JSON of a record of that region, or ``None`` where it has none of that id."""
        found = self._rendered.get(record_id) or self._render(record_id)
        return found[1] if found is not None and found[0] == region else None

    def page(self, name: str, region: str, listing: Listing) -> Shelf:
        """Return one page under ``name``."""
        filters = {"region": region, **listing.filters}
        found = (
            self._rendered.get(record_id) or self._render(record_id)
            for record_id in self._collection.ids(filters, listing.order, listing.page)
        )
        return {name: [one[1] for one in found if one is not None], "total_count": self._collection.count(filters)}

    def _render(self, record_id: str) -> tuple[str, msgspec.Raw] | None:
        record = self._collection.get(record_id)
        if record is None:
            return None
        rendered = record.region, msgspec.Raw(self._encoder.encode(self._view(record)))
        if not self._collection.in_transaction:
            if len(self._rendered) >= _KEPT:
                self._rendered.clear()
            self._rendered[record_id] = rendered
        return rendered

    def _forget(self, record_id: str) -> None:
        self._rendered.pop(record_id, None)
