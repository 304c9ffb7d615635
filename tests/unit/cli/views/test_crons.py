"""Text output of deployed crons and of schedule previews."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from fnkit.cli.schedule_preview import SchedulePreview
from fnkit.cli.views.crons import CronsView, SchedulePreviewView
from fnkit.contract.resources import Cron, Function
from fnkit.deploy.status import EventSource
from tests.support.views import delivery, deployed_function, in_terminal, piped

NOW = datetime(2026, 11, 23, 10, 6, tzinfo=UTC)


@pytest.fixture
def timezone(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    yield monkeypatch
    monkeypatch.undo()
    time.tzset()


def use_timezone(timezone: pytest.MonkeyPatch, name: str) -> None:
    timezone.setenv("TZ", name)
    time.tzset()


def cron(function: Function, name: str, schedule: str) -> EventSource[Cron]:
    resource = Cron(id=name, function_id=function.id, name=name, schedule=schedule, args={}, status="ready")
    return EventSource(function, resource)


def crons_view() -> CronsView:
    function = deployed_function("books")
    last = delivery(status="dead", at="2026-11-23T03:00:00Z")
    crons = (cron(function, "nightly", "0 3 * * *"), cron(function, "leap", "0 0 31 2 *"))
    return CronsView(crons, {"nightly": last}, NOW)


def test_a_cron_is_a_row_with_its_next_and_last_run() -> None:
    assert in_terminal(crons_view(), 100) == (
        "CRON           SCHEDULE    STATUS  NEXT RUN  LAST RUN\n"
        "books/nightly  0 3 * * *   ready   in 16 h   dead 7 h ago\n"
        "  HTTP 500: no [stock] for 17\n"
        "books/leap     0 0 31 2 *  ready   never\n"
    )
    assert piped(crons_view()).splitlines()[1] == (
        "books/nightly  0 3 * * *   ready   2026-11-24T03:00:00Z  dead 2026-11-23T03:00:00Z"
    )


def test_no_line_of_crons_is_wider_than_a_small_terminal() -> None:
    assert max(map(len, in_terminal(crons_view(), 40).splitlines())) <= 40


def preview() -> SchedulePreviewView:
    runs = (NOW.timestamp() + 60, (NOW + timedelta(days=40)).timestamp())
    previews = (SchedulePreview("report", "yearly", "0 0 31 2 *", ()), SchedulePreview("", "", "* * * * *", runs))
    return SchedulePreviewView(previews, NOW)


def test_a_schedule_is_shown_with_its_runs(timezone: pytest.MonkeyPatch) -> None:
    use_timezone(timezone, "Europe/Paris")
    assert in_terminal(preview(), 100) == (
        "report/yearly  0 0 31 2 *\n"
        "  It never runs.\n"
        "\n"
        "* * * * *\n"
        "  UTC                   LOCAL TIME\n"
        "  Mon 2026-11-23 10:07  Mon 2026-11-23 11:07 CET  in 1 min\n"
        "  Sat 2027-01-02 10:06  Sat 2027-01-02 11:06 CET\n"
    )


def test_local_time_is_left_out_where_it_is_utc(timezone: pytest.MonkeyPatch) -> None:
    use_timezone(timezone, "UTC")
    assert in_terminal(preview(), 100).splitlines()[4:] == [
        "  UTC",
        "  Mon 2026-11-23 10:07  in 1 min",
        "  Sat 2027-01-02 10:06",
    ]
    assert piped(preview()).splitlines()[5] == "  2026-11-23T10:07:00Z"


def test_a_project_without_crons_says_so() -> None:
    assert piped(SchedulePreviewView((), NOW)) == "The project has no crons.\n"
