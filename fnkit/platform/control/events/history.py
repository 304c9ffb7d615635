"""Operations on deliveries: list, get, replay, and running a cron manually."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Final

import msgspec

from fnkit.contract.deliveries import (
    DELIVERY_STATUSES,
    LISTED_BODY_MAX_BYTES,
    REPLAYS_MAX,
    DeliveryPage,
    DeliveryView,
    Replay,
    ReplayRequest,
    ReplayResponse,
    SkippedReplay,
    encode_body,
)
from fnkit.contract.enums import Status
from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.errors import ControlError, invalid, not_found, transient_state
from fnkit.platform.control.events.delivery_log import DeliveryLog
from fnkit.platform.control.events.dispatcher import Dispatcher
from fnkit.platform.control.events.firing import CronState, DispatchRequest, build_dispatch_request
from fnkit.platform.control.resources.kinds import KINDS, build_view
from fnkit.platform.control.resources.lists import parse_positive_integer
from fnkit.platform.control.timestamps import format_microseconds
from fnkit.platform.model.delivery import FAILED_STATUSES, Delivery, DeliveryStatus
from fnkit.platform.model.records import CronRecord, TriggerRecord

_DEFAULT_LIMIT: Final = 20
_MAX_LIMIT: Final = 1000
_MAX_CHARACTER_BYTES: Final = 4  # in UTF-8
_COMPLETE_BODY: Final = 2**31 - 1
_NOTHING_DEPLOYED: Final = "the function has no deployment that serves requests"


class DeliveryHistory:
    """The operations on deliveries.

    Args:
        context: Shared dependencies.
        log: The delivery log.
        cron_state: Records runs of crons.
        dispatcher: Sends requests to functions.
    """

    def __init__(
        self, context: ControlContext, log: DeliveryLog, cron_state: CronState, dispatcher: Dispatcher
    ) -> None:
        self._context = context
        self._log = log
        self._cron_state = cron_state
        self._dispatcher = dispatcher

    def page(self, region: str, kind: str, source_id: str, query: Mapping[str, str]) -> DeliveryPage:
        """Return a page of the deliveries of a source, newest first.

        Args:
            region: The source's region.
            kind: ``crons`` or ``triggers``.
            source_id: The cron or trigger.
            query: ``status`` (several separated by commas), ``failed``, ``limit`` and ``before``.

        Raises:
            ControlError: The source does not exist or a parameter is invalid.
        """
        source = self._get_source(region, kind, source_id)
        statuses = _parse_statuses(query)
        limit = parse_positive_integer(query, "limit", _DEFAULT_LIMIT, _MAX_LIMIT)
        before = query.get("before") or None
        if before is not None and self._log.table().get(source.id, before) is None:
            raise invalid("before", "is no longer in the delivery log; start again without it")
        found = self._log.table().page(
            source.id,
            limit=limit + 1,
            statuses=statuses,
            before=before,
            body_bytes=LISTED_BODY_MAX_BYTES,
        )
        page = found[:limit]
        return DeliveryPage(
            deliveries=[delivery_view(delivery, body) for delivery, body in page],
            total=self._log.table().count(source.id, statuses),
            next=page[-1][0].id if len(found) > limit else None,
        )

    def get(self, region: str, kind: str, source_id: str, delivery_id: str) -> DeliveryView:
        """Return a delivery with its stored body.

        Raises:
            ControlError: 404.
        """
        found = self._log.table().get(self._get_source(region, kind, source_id).id, delivery_id)
        if found is None:
            raise not_found("Delivery")
        return delivery_view(*found)

    def fire(self, region: str, cron_id: str) -> DeliveryView:
        """Run a cron now, independently of its schedule.

        Raises:
            ControlError: 404, or 409 if the function has no deployment that serves requests.
        """
        cron = self._get_source(region, "crons", cron_id)
        if not isinstance(cron, CronRecord) or (dispatch_request := self._cron_state.fire_manually(cron)) is None:
            raise ControlError(409, f"cannot run the cron: {_NOTHING_DEPLOYED}")
        self._dispatcher.dispatch(dispatch_request)
        return delivery_view(dispatch_request.delivery, dispatch_request.body)

    def replay(self, region: str, kind: str, source_id: str, request: ReplayRequest) -> ReplayResponse:
        """Deliver again what was delivered before, each as a new delivery.

        Args:
            region: The source's region.
            kind: ``crons`` or ``triggers``.
            source_id: The cron or trigger.
            request: Either ids, or a status to replay all deliveries of that status that were not replayed yet.

        Raises:
            ControlError: The source does not exist or is being deleted, or the request is invalid.
        """
        source = self._get_source(region, kind, source_id)
        if source.status is Status.DELETING:
            raise transient_state(kind.removesuffix("s"), source.id, source.status)
        originals, skipped = self._select(source.id, request)
        prepared: list[tuple[Delivery, DispatchRequest]] = []
        for original, body in originals:
            replay = self._build_replay(source, original, body)
            if isinstance(replay, str):
                skipped.append(SkippedReplay(id=original.id, reason=replay))
            else:
                prepared.append((original, replay))
        with self._context.store.transaction():
            for original, dispatch_request in prepared:
                self._log.add_replay(source.id, original, dispatch_request.delivery, dispatch_request.body)
        replayed = []
        for original, dispatch_request in prepared:
            self._dispatcher.dispatch(dispatch_request)
            view = delivery_view(dispatch_request.delivery, dispatch_request.body[:LISTED_BODY_MAX_BYTES])
            replayed.append(Replay(id=original.id, delivery=view))
        return ReplayResponse(replayed=replayed, skipped=skipped)

    def _select(
        self, source_id: str, request: ReplayRequest
    ) -> tuple[list[tuple[Delivery, bytes]], list[SkippedReplay]]:
        """Return the deliveries to replay, oldest first, and the requested ids that are not in the log."""
        if (request.ids is None) == (request.status is None):
            raise ControlError(400, "exactly one of ids and status is required")
        if request.ids is None:
            statuses = FAILED_STATUSES if request.status == "any" else (request.status or "",)
            if not set(statuses) <= set(FAILED_STATUSES):
                raise invalid("status", "must be one of failed, dead, any")
            found = self._log.table().page(
                source_id, limit=REPLAYS_MAX, statuses=statuses, replayed=False, body_bytes=_COMPLETE_BODY
            )
            return found[::-1], []
        if len(request.ids) > REPLAYS_MAX:
            raise invalid("ids", f"must be at most {REPLAYS_MAX}")
        selected, missing = [], []
        for delivery_id in dict.fromkeys(request.ids):
            one = self._log.table().get(source_id, delivery_id)
            if one is None:
                missing.append(SkippedReplay(id=delivery_id, reason="it is no longer in the delivery log"))
            else:
                selected.append(one)
        return selected, missing

    def _build_replay(
        self, source: CronRecord | TriggerRecord, original: Delivery, body: bytes
    ) -> DispatchRequest | str:
        """Return the replay's request, or the reason why the delivery cannot be replayed."""
        if original.status == DeliveryStatus.PENDING:
            return "it is still pending"
        if len(body) < original.body_size:
            return "its stored body is truncated"
        function = self._context.store.functions.get(source.function_id)
        delivery = Delivery(
            id=str(uuid.uuid4()),
            kind=original.kind,
            name=source.name,
            function=original.function if function is None else function.name,
            at=format_microseconds(self._context.clock.now_ns()),
            cause="replay",
            body_size=original.body_size,
            replay_of=original.id,
        )
        return build_dispatch_request(self._context, source.id, function, delivery, body) or _NOTHING_DEPLOYED

    def _get_source(self, region: str, kind: str, source_id: str) -> CronRecord | TriggerRecord:
        source: CronRecord | TriggerRecord | None = KINDS[kind].find(self._context.store, region, source_id)
        if source is None:
            raise not_found("Cron") if kind == "crons" else ControlError(404, "trigger does not exist")
        return source


def _parse_statuses(query: Mapping[str, str]) -> tuple[str, ...]:
    if query.get("failed", "").lower() in ("1", "true"):
        return FAILED_STATUSES
    statuses = tuple(one for one in query.get("status", "").split(",") if one)
    if not set(statuses) <= set(DELIVERY_STATUSES):
        raise invalid("status", f"must be of {', '.join(DELIVERY_STATUSES)}")
    return statuses


def delivery_view(delivery: Delivery, body: bytes) -> DeliveryView:
    """Return a delivery with its body.

    Args:
        delivery: The delivery.
        body: Its body, or the beginning of it; then ``is_truncated`` is set.
    """
    is_truncated = len(body) < delivery.body_size
    text, is_base64 = encode_body(_without_partial_character(body) if is_truncated else body)
    return build_view(
        DeliveryView,
        delivery,
        body=text,
        is_base64=is_base64,
        is_truncated=is_truncated,
        tries=[msgspec.structs.asdict(attempt) for attempt in delivery.recent_attempts],
    )


def _without_partial_character(body: bytes) -> bytes:
    """Remove an incomplete UTF-8 character from the end of a truncated body. Leave other bytes unchanged."""
    for spare in range(_MAX_CHARACTER_BYTES):
        beginning = body[: len(body) - spare]
        try:
            beginning.decode()
        except UnicodeDecodeError:
            continue
        return beginning
    return body
