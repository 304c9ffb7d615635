"""Text output of deliveries, cron runs and schedule previews."""

from __future__ import annotations

import io

from rich.console import Console

from fnkit.cli.output import View
from fnkit.cli.schedule_preview import SchedulePreview
from fnkit.cli.views.events import CronRunView, DeliveriesView, SchedulePreviewView
from fnkit.contract.deliveries import DeliveryView, SkippedReplay


def shown(view: View) -> str:
    text = io.StringIO()
    view.render(Console(file=text, width=200, color_system=None))
    return text.getvalue()


def delivery(**fields: object) -> DeliveryView:
    known: dict[str, object] = {
        "id": "d-1",
        "kind": "nats",
        "name": "orders",
        "function": "on-order",
        "at": "2026-11-23T10:04:12.000000Z",
        "attempts": 4,
        "status": "dead",
        "http_status": 500,
        "duration_ms": 3.14,
        "error": "HTTP 500: no [stock] for 17",
        "cause": "message",
        "message_id": "7",
        "body": "{}",
        "is_base64": False,
        "is_truncated": False,
        "body_size": 2,
        "replay_of": None,
        "replayed_by": None,
        "lag_ms": None,
        "tries": (),
    }
    return DeliveryView(**{**known, **fields})  # type: ignore[arg-type]  # the test's own fields


def test_failed_delivery_is_a_line_followed_by_its_error() -> None:
    assert shown(DeliveriesView((delivery(replayed_by="d-2"),), 3)) == (
        "2026-11-23T10:04:12Z  dead       500  4 attempts        3.1 ms  d-1   (replayed since)\n"
        "  HTTP 500: no [stock] for 17\n"
        "Showing 1 of 3; use --limit for more.\n"
    )


def test_delivery_without_recorded_outcome_shows_dashes() -> None:
    fields = {"http_status": None, "duration_ms": None, "attempts": 1, "error": "acknowledged; not written down"}
    lines = (delivery(status="succeeded", **fields), delivery(status="unknown", **{**fields, "attempts": 0}))
    assert shown(DeliveriesView(lines, 2)) == (
        "2026-11-23T10:04:12Z  succeeded    -  1 attempt                 d-1\n"
        "  acknowledged; not written down\n"
        "2026-11-23T10:04:12Z  unknown      -  0 attempts                d-1\n"
        "  acknowledged; not written down\n"
    )


def test_replay_lists_skipped_deliveries_with_reason() -> None:
    succeeded = delivery(status="succeeded", http_status=200, attempts=1, error="", cause="replay")
    view = DeliveriesView(
        (succeeded,), 9, skipped=(SkippedReplay(id="x", reason="it is still pending"),), is_replay=True
    )
    assert shown(view) == (
        "2026-11-23T10:04:12Z  succeeded  200  1 attempt         3.1 ms  d-1   (replay)\n"
        "x: not replayed: it is still pending\n"
    )


def test_empty_view_shows_a_message() -> None:
    assert shown(DeliveriesView((), 0)) == "There are no deliveries.\n"
    assert shown(DeliveriesView((), 5, is_replay=True)) == "There are no deliveries to replay.\n"
    assert shown(SchedulePreviewView(())) == "The project has no crons.\n"


def test_cron_run_without_response_shows_the_error() -> None:
    view = CronRunView(delivery(http_status=None, duration_ms=None, error="the connection broke"), ())
    assert shown(view) == "on-order did not respond.\nthe connection broke\n"


def test_schedule_preview_names_the_cron_and_shows_its_runs() -> None:
    text = shown(
        SchedulePreviewView(
            (SchedulePreview("report", "yearly", "0 0 31 2 *", ()), SchedulePreview("", "", "* * * * *", (0.0,)))
        )
    )
    assert text.splitlines()[:3] == ["report/yearly  0 0 31 2 *", "  It never runs.", "* * * * *"]
    assert text.splitlines()[3].startswith("  1970-01-01T00:00:00Z   ")
