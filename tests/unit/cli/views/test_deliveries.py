"""Text output of deliveries, cron runs and sent messages."""

from __future__ import annotations

from datetime import UTC, datetime

from fnkit.cli.views.deliveries import CronRunView, DeliveriesView, SentMessageView
from fnkit.contract.deliveries import SentMessage, SkippedReplay
from tests.support.views import delivery, in_terminal, piped

NOW = datetime(2026, 11, 23, 10, 6, tzinfo=UTC)
LONG_ID = "11111111-2222-4333-8444-555555555555"


def test_failed_delivery_is_a_row_followed_by_its_error() -> None:
    view = DeliveriesView((delivery(id=LONG_ID, replayed_by="d-2"),), 3, NOW)

    assert piped(view) == (
        "TIME                  STATUS  HTTP  ATTEMPTS  DURATION  ID                                    NOTE\n"
        f"2026-11-23T10:04:12Z  dead     500         4    3.1 ms  {LONG_ID}  replayed since\n"
        "  HTTP 500: no [stock] for 17\n"
        "Showing 1 of 3; use --limit for more.\n"
    )
    assert in_terminal(view, 60) == (
        "TIME       STATUS  HTTP  ATTEMPTS  DURATION  ID\n"
        "1 min ago  dead     500         4    3.1 ms  11111111\n"
        "  note replayed since\n"
        "  HTTP 500: no [stock] for 17\n"
        "Showing 1 of 3; use --limit for more.\n"
    )


def test_delivery_without_recorded_outcome_shows_a_dash() -> None:
    fields = {"http_status": None, "duration_ms": None, "attempts": 1, "error": "acknowledged; not written down"}
    rows = (delivery(status="succeeded", **fields), delivery(status="unknown", **{**fields, "attempts": 0}))
    assert piped(DeliveriesView(rows, 2, NOW)) == (
        "TIME                  STATUS     HTTP  ATTEMPTS  ID\n"
        "2026-11-23T10:04:12Z  succeeded     -         1  d-1\n"
        "  acknowledged; not written down\n"
        "2026-11-23T10:04:12Z  unknown       -         0  d-1\n"
        "  acknowledged; not written down\n"
    )


def test_replay_lists_skipped_deliveries_with_reason() -> None:
    succeeded = delivery(status="succeeded", http_status=200, attempts=1, error="", cause="replay")
    skipped = (SkippedReplay(id="x", reason="it is still pending"),)
    assert piped(DeliveriesView((succeeded,), 9, NOW, skipped=skipped, is_replay=True)) == (
        "TIME                  STATUS     HTTP  ATTEMPTS  DURATION  ID   NOTE\n"
        "2026-11-23T10:04:12Z  succeeded   200         1    3.1 ms  d-1  replay\n"
        "not replayed: x: it is still pending\n"
    )


def test_empty_view_shows_a_message() -> None:
    assert piped(DeliveriesView((), 0, NOW)) == "There are no deliveries.\n"
    assert piped(DeliveriesView((), 0, NOW, others=1)) == "No delivery failed; there is 1 in all.\n"
    assert piped(DeliveriesView((), 5, NOW, is_replay=True)) == "There are no deliveries to replay.\n"


def test_cron_run_without_response_shows_the_error() -> None:
    view = CronRunView(delivery(http_status=None, duration_ms=None, error="the connection broke"), ())
    assert piped(view) == "✗ on-order did not respond.\n  the connection broke\n"


def test_sent_message_names_its_destination() -> None:
    view = SentMessageView("on-order/orders", SentMessage(kind="nats", address="orders.new", stream="ORDERS"))
    assert piped(view) == "Sent to NATS subject orders.new, stored in stream ORDERS.\n"
