"""Delivery records of crons and triggers, an API that only local platforms have."""

from __future__ import annotations

from collections.abc import Sequence

from fnkit.client.transport import Transport
from fnkit.contract.deliveries import DeliveryPage, DeliveryView, ReplayResponse, ReplayRequest
from fnkit.errors import ApiError

__all__ = ["DeliveryLogClient"]


class DeliveryLogClient:
    """``/fnkit/v1/regions/{region}/{crons|triggers}/{id}/…``.

    The argument ``kind`` is ``crons`` or ``triggers``. Every method raises ``ApiError``; at Scaleway its code is
    ``no-delivery-log``.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @property
    def is_available(self) -> bool:
        """Whether the endpoint has a delivery log."""
        return not self._transport.endpoint.is_scaleway

    def list_page(
        self, kind: str, source_id: str, *, statuses: Sequence[str] = (), limit: int = 20, before: str | None = None
    ) -> DeliveryPage:
        """Return one page of deliveries, newest first.

        Args:
            kind: ``crons`` or ``triggers``.
            source_id: Id of the cron or trigger.
            statuses: Statuses to include; empty for all.
            limit: Maximum number of deliveries.
            before: ``next`` of the preceding page.
        """
        query = {"status": ",".join(statuses) or None, "limit": limit, "before": before}
        return self._transport.get_absolute(self._path(kind, source_id, "deliveries"), DeliveryPage, query)

    def get(self, kind: str, source_id: str, delivery_id: str) -> DeliveryView:
        """Return one delivery, with its body as far as it was stored."""
        path = self._path(kind, source_id, f"deliveries/{delivery_id}")
        return self._transport.get_absolute(path, DeliveryView)

    def replay(self, kind: str, source_id: str, request: ReplayRequest) -> ReplayResponse:
        """Deliver messages again. The outcome is recorded in the new deliveries."""
        return self._transport.post_absolute(self._path(kind, source_id, "replay"), ReplayResponse, request)

    def run_cron(self, cron_id: str) -> DeliveryView:
        """Run a cron now. Does not affect its schedule."""
        return self._transport.post_absolute(self._path("crons", cron_id, "fire"), DeliveryView)

    def _path(self, kind: str, source_id: str, rest: str) -> str:
        if not self.is_available:
            raise ApiError(
                "Scaleway does not record the deliveries of crons and triggers.",
                code="no-delivery-log",
                hint="For the platform on this machine add --local. The functions' logs are in Scaleway's Cockpit.",
            )
        return f"/fnkit/v1/regions/{self._transport.endpoint.region}/{kind}/{source_id}/{rest}"
