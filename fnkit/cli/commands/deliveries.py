"""Shows and replays deliveries and runs crons, for the ``cron`` and ``trigger`` commands."""

from __future__ import annotations

import time
from typing import Final
from uuid import uuid4

import msgspec

from fnkit.cli.deployed_call import log_time, read_logged_lines
from fnkit.cli.options import DeliveryQuery
from fnkit.cli.output import Output
from fnkit.cli.times import platform_time
from fnkit.cli.views.deliveries import DeliveriesView
from fnkit.client import FunctionsApi
from fnkit.contract.deliveries import DeliveryView, ReplayRequest
from fnkit.contract.resources import Cron
from fnkit.deploy.identifiers import FULL_ID, SHORTEST_ID, find_id
from fnkit.deploy.status import EventSource
from fnkit.errors import ApiError, NotFoundError, UsageError
from fnkit.invoke.cron import invoke_as_cron

_POLL_SECONDS: Final = 0.1
_PAGE_SIZE: Final = 1000
_STATUS_NOT_FOUND: Final = 404
_PRUNED: Final = "the response was pruned from the log by newer deliveries"


def show_deliveries(
    output: Output, api: FunctionsApi, kind: str, source_id: str, query: DeliveryQuery
) -> int | None:
    """Show the deliveries of a cron or trigger, or replay some of them and show the results.

    Args:
        output: Where the result goes.
        api: The API of the platform.
        kind: ``crons`` or ``triggers``.
        source_id: ID of the cron or trigger.
        query: The deliveries to show or to replay.

    Returns:
        The exit code: 1 if a replayed delivery failed or was skipped.
    """
    if query.further and not query.replay:
        raise UsageError(f"Unexpected argument: {query.further[0]}.", hint="Put delivery IDs after --replay.")
    if query.replay and query.replay_failed:
        raise UsageError("--replay and --replay-failed exclude each other.")
    if query.replay or query.replay_failed:
        return _replay(output, api, kind, source_id, query)
    statuses = ("failed", "dead") if query.failed else ()
    page = api.deliveries.list_page(kind, source_id, statuses=statuses, limit=query.limit)
    others = None
    if query.failed and not page.deliveries:
        others = api.deliveries.list_page(kind, source_id, limit=1).total
    now = platform_time(api.platform_info())
    output.result(DeliveriesView(tuple(page.deliveries), page.total, now, others=others))
    return None


def run_cron(api: FunctionsApi, event_source: EventSource[Cron]) -> tuple[DeliveryView, tuple[str, ...]]:
    """Run a cron, wait until its delivery is finished, and return it with what the function printed.

    If the platform cannot run crons, send the cron's request to the function.
    """
    started_at = log_time(api.platform_info())
    if api.deliveries.is_available:
        begun = api.deliveries.run_cron(event_source.resource.id)
        delivery = _wait_until_finished(api, "crons", event_source.resource.id, [begun])[0]
        request_id = delivery.id  # the platform sends a delivery with its own ID as that of the request
    else:
        request_id = str(uuid4())
        delivery = invoke_as_cron(api, event_source.resource, event_source.function, request_id)
    return delivery, read_logged_lines(api, event_source.function, request_id, started_at)


def _replay(output: Output, api: FunctionsApi, kind: str, source_id: str, query: DeliveryQuery) -> int | None:
    ids = _complete_ids(api, kind, source_id, [*query.replay, *query.further])
    request = ReplayRequest(ids=ids) if ids else ReplayRequest(status="any")
    result = api.deliveries.replay(kind, source_id, request)
    begun = [one.delivery for one in result.replayed]
    with output.progress("Replaying"):
        finished = _wait_until_finished(api, kind, source_id, begun)
    total = api.deliveries.list_page(kind, source_id, limit=1).total
    now = platform_time(api.platform_info())
    output.result(DeliveriesView(tuple(finished), total, now, skipped=tuple(result.skipped), is_replay=True))
    succeeded = all(one.status == "succeeded" for one in finished) and not result.skipped
    return None if succeeded else 1


def _complete_ids(api: FunctionsApi, kind: str, source_id: str, given: list[str]) -> list[str]:
    """Return the IDs of deliveries that were given by the beginning of their IDs.

    Complete IDs are not looked up: the platform says itself which ones it no longer has.

    Raises:
        NotFoundError: ``no-such-delivery``.
        UsageError: ``ambiguous-name``.
    """
    if all(len(one) >= FULL_ID for one in given):
        return given
    known = _all_ids(api, kind, source_id)
    found = [one if len(one) >= FULL_ID else find_id(one, known, "deliveries") for one in given]
    for one, identifier in zip(given, found, strict=True):
        if identifier is None:
            raise NotFoundError(
                f"There is no delivery {one}.",
                code="no-such-delivery",
                hint=f"Without --replay, the IDs are listed. The first {SHORTEST_ID} characters of one are enough.",
            )
    return [one for one in found if one is not None]


def _all_ids(api: FunctionsApi, kind: str, source_id: str) -> list[str]:
    ids, before = list[str](), None
    while True:
        page = api.deliveries.list_page(kind, source_id, limit=_PAGE_SIZE, before=before)
        ids += [one.id for one in page.deliveries]
        if (before := page.next) is None:
            return ids


def _wait_until_finished(
    api: FunctionsApi, kind: str, source_id: str, pending: list[DeliveryView]
) -> list[DeliveryView]:
    """Wait until none of the deliveries is pending, and return their final records.

    There is no deadline here: the platform limits the attempts of a delivery, so each one finishes.
    """
    pending_ids = {one.id for one in pending}
    while pending_ids:
        page = api.deliveries.list_page(kind, source_id, statuses=("pending",), limit=_PAGE_SIZE)
        pending_ids &= {one.id for one in page.deliveries}
        if pending_ids:
            time.sleep(_POLL_SECONDS)
    return [_finished_delivery(api, kind, source_id, one) for one in pending]


def _finished_delivery(api: FunctionsApi, kind: str, source_id: str, pending: DeliveryView) -> DeliveryView:
    """Return the record of a finished delivery.

    The log prunes old successes first. A record that is missing is therefore reported as a success.
    """
    try:
        return api.deliveries.get(kind, source_id, pending.id)
    except ApiError as error:
        if error.status != _STATUS_NOT_FOUND:
            raise
    return msgspec.structs.replace(pending, status="succeeded", attempts=1, error=_PRUNED)
