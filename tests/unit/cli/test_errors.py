"""Every exception is rendered once, as text or JSON, with its exit code (``docs/cli.md``)."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import click
import pytest

from fnkit.cli.errors import CommandFailure, failure_from, render_failure
from fnkit.cli.output import JsonDocument
from fnkit.errors import FnkitError, PlatformError, Problem, ProjectInvalid, UsageError


@pytest.mark.parametrize(
    ("error", "code", "exit_code"),
    [
        (FnkitError("m"), "error", 1),
        (PlatformError("m", code="port-in-use"), "port-in-use", 1),
        (UsageError("m"), "usage", 2),
        (ProjectInvalid((Problem("bad-name", "m"),)), "project-invalid", 2),
        (click.UsageError("m"), "usage", 2),
        (click.BadParameter("m"), "usage", 2),
        (click.ClickException("m"), "usage", 1),
        (click.Abort(), "interrupted", 130),
        (KeyboardInterrupt(), "interrupted", 130),
        (OSError(errno.ENOSPC, "No space left on device", "/data/x"), "operating-system", 1),
        (ZeroDivisionError(), "internal-error", 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_exception_maps_to_error_code_and_exit_code(error: BaseException, code: str, exit_code: int) -> None:
    failure = failure_from(error)
    assert (failure.error.code, failure.exit_code) == (code, exit_code)


def test_full_disk_error_names_the_file_and_a_remedy() -> None:
    problem = failure_from(OSError(errno.ENOSPC, "No space left on device", "/data/x")).error
    assert problem.message == "No space left on device: /data/x"
    assert problem.hint is not None
    assert "Free some space" in problem.hint


def test_text_error_shows_location_message_and_hint(capsys: pytest.CaptureFixture[str]) -> None:
    error = FnkitError("The schedule is invalid.", hint="Five fields.", file="shop/orders.py", line=7)
    render_failure(failure_from(error), JsonDocument(), as_json=False, colour=False)
    captured = capsys.readouterr()
    assert captured.err == "error[error]: The schedule is invalid.\n  --> shop/orders.py:7\n  hint: Five fields.\n"
    assert captured.out == ""


def test_text_error_lists_every_problem_and_their_number(capsys: pytest.CaptureFixture[str]) -> None:
    problems = (Problem("a", "One.", file="a.py", line=1), Problem("b", "Two.", hint="Do."))
    render_failure(failure_from(ProjectInvalid(problems)), JsonDocument(), as_json=False, colour=False)
    assert capsys.readouterr().err == (
        "error[a]: One.\n  --> a.py:1\n\nerror[b]: Two.\n  hint: Do.\n\n"
        "error[project-invalid]: The project has 2 problems.\n"
    )


def test_json_error_is_one_document_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    render_failure(
        failure_from(FnkitError("m", hint="h", file="f", line=3, column=5, end_column=9)),
        JsonDocument(),
        as_json=True,
        colour=True,
    )
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {
        "error": {
            "code": "error",
            "message": "m",
            "hint": "h",
            "file": "f",
            "line": 3,
            "column": 5,
            "end_column": 9,
        }
    }
    assert captured.err == ""


def test_json_error_lists_problems(capsys: pytest.CaptureFixture[str]) -> None:
    render_failure(failure_from(ProjectInvalid((Problem("a", "One."),))), JsonDocument(), as_json=True, colour=True)
    nothing = dict.fromkeys(("hint", "file", "line", "column", "end_column"))
    assert json.loads(capsys.readouterr().out) == {"problems": [{"code": "a", "message": "One.", **nothing}]}


def test_one_problem_is_not_counted(capsys: pytest.CaptureFixture[str]) -> None:
    render_failure(
        failure_from(ProjectInvalid((Problem("a", "One."),))), JsonDocument(), as_json=False, colour=False
    )
    assert capsys.readouterr().err == "error[a]: One.\n"


def test_failure_after_the_json_result_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    document = JsonDocument()
    document.write({"answer": 42})
    render_failure(failure_from(FnkitError("too late")), document, as_json=True, colour=False)
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"answer": 42}
    assert captured.err == "error[error]: too late\n"


def test_internal_error_writes_a_private_report_and_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    failure = _failure_from_crash()
    render_failure(failure, JsonDocument(), as_json=False, colour=False)
    shown = capsys.readouterr().err
    (report,) = tmp_path.glob("fnkit-crash-*.txt")
    assert str(report) in shown
    assert "Traceback" not in shown
    assert "Traceback" in report.read_text()
    assert report.stat().st_mode & 0o077 == 0


def test_traceback_is_shown_when_fnkit_traceback_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("FNKIT_TRACEBACK", "1")
    _failure_from_crash()
    assert "ZeroDivisionError" in capsys.readouterr().err


def _failure_from_crash() -> CommandFailure:
    try:
        _ = 1 / 0
    except ZeroDivisionError as error:
        return failure_from(error)
    raise AssertionError
