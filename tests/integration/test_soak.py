"""A short ``make soak`` run, and tests of its oracle."""

from __future__ import annotations

import dataclasses

import pytest

from tests.soak.oracle import ABSENT, PRESENT, FunctionHistory, Interval, ObservedResponse, Oracle
from tests.soak.run import soak


@pytest.mark.slow
@pytest.mark.long
def test_soak_run_reports_no_faults() -> None:
    report = soak(seconds=12, seed=7, clients=4)
    assert report.is_good, report.text()
    assert set(report.rolling_update_counts) == {"200"}


def known_function() -> FunctionHistory:
    """Version 1 until 10, then version 2; private from 20; removed from 30."""
    return FunctionHistory(
        "f",
        "id",
        "f.test",
        versions=[Interval(1, 0, 10), Interval(2, 9)],
        access=[Interval("public", 0, 20), Interval("private", 20)],
        presence=[Interval(PRESENT, 0, 30), Interval(ABSENT, 30)],
    )


def observed(began: float, ended: float, status: int, **changes: object) -> ObservedResponse:
    body: dict[str, object] = {"version": 1, "name": "f", "nonce": "n"}
    seen = ObservedResponse(known_function(), began, ended, status, "n", None, body)
    return dataclasses.replace(seen, **changes)  # type: ignore[arg-type]  # a test names fields of ObservedResponse


def body(**changes: object) -> dict[str, object]:
    return {"version": 1, "name": "f", "nonce": "n", **changes}


@pytest.mark.parametrize(
    "seen",
    [
        observed(1, 2, 200),
        observed(9, 9.5, 200, body=body(version=2)),
        observed(21, 22, 403),
        observed(21, 22, 200, body=body(version=2), token=Interval("t", 0)),
        observed(19, 21, 200, body=body(version=2)),
        observed(31, 32, 404),
        observed(29, 31, 404),
    ],
)
def test_oracle_accepts_correct_responses(seen: ObservedResponse) -> None:
    oracle = Oracle()
    oracle.check(seen)
    assert oracle.faults == []


@pytest.mark.parametrize(
    "seen",
    [
        observed(11, 12, 200),  # the version before
        observed(1, 2, 200, body=body(version=2)),  # the version after, too early
        observed(1, 2, 200, body=body(nonce="another")),
        observed(1, 2, 200, body=body(name="g")),
        observed(1, 2, 200, body=None),
        observed(21, 22, 200, body=body(version=2)),  # private, without a token
        observed(1, 2, 403),
        observed(21, 22, 403, token=Interval("t", 0)),
        observed(1, 2, 404),
        observed(31, 32, 200, body=body(version=2)),
        observed(1, 2, 500),
        observed(1, 2, 502),
        observed(1, 2, 504),
        observed(1, 2, 0),
    ],
)
def test_oracle_reports_wrong_responses(seen: ObservedResponse) -> None:
    oracle = Oracle()
    oracle.check(seen)
    assert len(oracle.faults) == 1


@pytest.mark.parametrize(
    ("kind", "status", "is_excused"),
    [
        ("instance", 502, True),
        ("instance", 503, False),
        ("zygote", 502, True),
        ("data plane", 0, True),
        ("control", 502, False),
        ("supervisor", 0, True),
        ("supervisor", 504, False),
        ("pre-warmed worker", 502, False),
        ("pause", 502, False),
    ],
)
def test_disturbance_excuses_only_the_failures_it_causes(kind: str, status: int, *, is_excused: bool) -> None:
    oracle = Oracle()
    disturbance = oracle.begin_disturbance(kind)
    disturbance.start, disturbance.end = 1, 2
    oracle.check(observed(1.5, 1.6, status))
    oracle.check(observed(2.5, 2.6, status))
    assert len(oracle.faults) == (1 if is_excused else 2)
