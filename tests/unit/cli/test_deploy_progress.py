"""The progress of a deploy, without a terminal. ``tests/e2e`` shows it in one."""

from __future__ import annotations

import pytest

from fnkit.cli.deploy_progress import deploy_progress
from fnkit.cli.output import JsonDocument, Output
from fnkit.deploy.events import ApplyStarted, DeployEvent, ResourceFinished, ResourceStep, WaitingForLock

EVENTS: tuple[DeployEvent, ...] = (
    WaitingForLock("another deploy"),
    ResourceStep("bundle", "python311", "archive a.zip"),
    ApplyStarted((("namespace", "shop"), ("function", "orders"), ("function", "x"))),
    ResourceStep("namespace", "shop", "creating"),
    ResourceFinished("namespace", "shop", "create", 0.04),
    ResourceStep("function", "orders", "deploying"),
    ResourceStep("function", "x", "deploying"),
    ResourceFinished("function", "x", "update", 12.34),
    ResourceFinished("function", "orders", "replace", 1.0, "x\x1b[31m was not deployed"),
)


def shown(capsys: pytest.CaptureFixture[str], output: Output, *, lines_stay: bool = True) -> str:
    """Return what stderr gets of a deploy."""
    with deploy_progress(output, "Deploying", lines_stay=lines_stay) as progress:
        for event in EVENTS:
            progress.report(event)
        with progress.paused():
            pass
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def output(*, as_json: bool = False, verbosity: int = 0) -> Output:
    """Return the output of a command."""
    return Output(JsonDocument(), as_json=as_json, verbosity=verbosity, colour=True)


def test_each_changed_resource_gets_a_line_with_the_count(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert shown(capsys, output()) == (
        "Waiting for another deploy …\n"
        "  ✓ namespace shop  created     0.0 s  1 of 3\n"
        "  ✓ x               updated    12.3 s  2 of 3\n"
        "  ✗ orders          failed      1.0 s  3 of 3\n"
    )


def test_steps_are_details(capsys: pytest.CaptureFixture[str]) -> None:
    assert "function orders: deploying\n" in shown(capsys, output(verbosity=1))


def test_display_without_lines_that_stay_prints_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, output(), lines_stay=False) == "Waiting for another deploy …\n"


@pytest.mark.parametrize("quiet", [{"as_json": True}, {"verbosity": -1}])
def test_programs_and_quiet_runs_see_nothing(capsys: pytest.CaptureFixture[str], quiet: dict[str, int]) -> None:
    assert shown(capsys, output(as_json=bool(quiet.get("as_json")), verbosity=quiet.get("verbosity", 0))) == ""
