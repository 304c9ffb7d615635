"""Control characters in printed text are escaped; JSON output uses its own escapes."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from rich.console import Console
from rich.table import Table

from fnkit.cli.errors import failure_from, render_failure
from fnkit.cli.output import JsonDocument, Output
from fnkit.cli.views.invoke import InvokeView
from fnkit.contract.invocation.response import MappedResponse
from fnkit.errors import PlatformError
from fnkit.invoke.model import InvocationResult

HOSTILE = "\x1b]0;owned\x07\x9b2J\r\u202e"
SHOWN = "\\x1b]0;owned\\x07\\x9b2J\\r\\u202e"


@dataclass(frozen=True)
class TextView:
    """Prints the text alone, with a style and in a table."""

    def to_json(self) -> dict[str, object]:
        return {"text": HOSTILE}

    def render(self, console: Console) -> None:
        table = Table(box=None)
        table.add_row(HOSTILE)
        console.print(HOSTILE)
        console.print(HOSTILE, style="red")
        console.print(table)


def fail(_output: Output) -> None:
    error = PlatformError(HOSTILE, hint=HOSTILE, file=HOSTILE)
    render_failure(failure_from(error), JsonDocument(), as_json=False, colour=False)


WAYS: dict[str, tuple[Callable[[Output], object], int]] = {
    "result": (lambda output: output.result(TextView()), 3),
    "item": (lambda output: output.item(HOSTILE, {}), 1),
    "message": (lambda output: output.message(HOSTILE), 1),
    "detail": (lambda output: output.detail(HOSTILE), 1),
    "warning": (lambda output: output.warning(HOSTILE), 1),
    "failure": (fail, 3),
}


@pytest.mark.parametrize(("write", "count"), WAYS.values(), ids=WAYS)
def test_text_is_escaped(capsys: pytest.CaptureFixture[str], write: Callable[[Output], object], count: int) -> None:
    write(Output(JsonDocument(), as_json=False, verbosity=1, colour=False))
    captured = capsys.readouterr()
    shown = captured.out + captured.err

    assert shown.count(SHOWN) == count
    assert not set(shown) & set(HOSTILE) - set("]0;owned2J")


def test_json_keeps_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    Output(JsonDocument(), as_json=True, verbosity=0, colour=False).result(TextView())
    shown = capsys.readouterr().out

    assert json.loads(shown) == {"text": HOSTILE}
    assert shown.isascii()


class Terminal(io.TextIOWrapper):
    """A terminal that keeps what is written to it."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("is_terminal", [True, False])
def test_body_of_a_response_is_escaped_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool
) -> None:
    content = io.BytesIO()
    stream = Terminal(content, encoding="utf-8") if is_terminal else io.TextIOWrapper(content, encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", stream)
    body = b"\x1b[2J\xff\nline\n"
    response = MappedResponse(status=200, headers=[], body=body)
    view = InvokeView(InvocationResult(response=response, duration_ms=1.0, logs=()))

    Output(JsonDocument(), as_json=False, verbosity=0, colour=False).result(view)
    stream.flush()

    assert content.getvalue() == (b"\\x1b[2J\\xff\nline\n" if is_terminal else body)
