"""What crons and triggers fired, and firing again: our platform's own operations, which Scaleway's API has not."""

from __future__ import annotations

from collections.abc import Sequence

from fnkit.client.transport import Transport
from fnkit.contract.deliveries import DeliveryPage, DeliveryView, ReplayAnswer, ReplayRequest
from fnkit.errors import ApiError

__all__ = ["Deliveries"]


class Deliveries:
    """``/fnkit/v1/regions/{region}/{crons|triggers}/{id}/…``; ``kind`` is ``crons`` or ``triggers``.

    Every method raises ``ApiError``; its code is ``no-delivery-log`` at Scaleway.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @property
    def kept(self) -> bool:
        """Whether anybody keeps a delivery log there."""
        return not self._transport.endpoint.is_scaleway

    def page(
        self, kind: str, source_id: str, *, statuses: Sequence[str] = (), limit: int = 20, before: str | None = None
    ) -> DeliveryPage:
        """Return the newest deliveries first; ``before`` is the last page's ``next``."""
        query = {"status": ",".join(statuses) or None, "limit": limit, "before": before}
        return self._transport.get_absolute(self._path(kind, source_id, "deliveries"), DeliveryPage, query)

    def get(self, kind: str, source_id: str, delivery_id: str) -> DeliveryView:
        """Return one delivery with as much of its body as is kept."""
        path = self._path(kind, source_id, f"deliveries/{delivery_id}")
        return self._transport.get_absolute(path, DeliveryView)

    def replay(self, kind: str, source_id: str, request: ReplayRequest) -> ReplayAnswer:
        """Deliver again; what comes of it is seen when the new deliveries end."""
        return self._transport.post_absolute(self._path(kind, source_id, "replay"), ReplayAnswer, request)

    def fire(self, cron_id: str) -> DeliveryView:
        """Fire a cron now; it does not count as a tick."""
        return self._transport.post_absolute(self._path("crons", cron_id, "fire"), DeliveryView)

    def _path(self, kind: str, source_id: str, rest: str) -> str:
        if not self.kept:
            raise ApiError(
                "Scaleway keeps no log of what crons and triggers delivered.",
                code="no-delivery-log",
                hint="The platform on this machine does: add --local. Scaleway's Cockpit has the functions' logs.",
            )
        return f"/fnkit/v1/regions/{self._transport.endpoint.region}/{kind}/{source_id}/{rest}"
