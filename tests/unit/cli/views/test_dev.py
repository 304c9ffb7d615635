"""Text output of ``fnkit dev``, on terminals of two widths."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from fnkit.cli.output import View
from fnkit.cli.views.dev import (
    DebuggingView,
    NoteView,
    RejectedView,
    ReloadView,
    ResponseView,
    ServingView,
    TracebackView,
)
from fnkit.client.loki import LogLine
from fnkit.contract.platform import ResponseLine
from fnkit.dev.debugging.launch_file import launch_configuration
from fnkit.dev.model import Rejected, Reloaded, ServedChange, ServedFunction
from fnkit.dev.tracebacks import read_traceback
from fnkit.errors import DeployError, Problem
from tests.support.golden import Golden

LINES = [
    "Traceback (most recent call last):",
    '  File "/usr/lib/fnkit/serve.py", line 90, in answer',
    "    handler(event, context)",
    '  File "/home/app/function/orders.py", line 9, in orders',
    '    return {"total": total(event)}',
    '  File "/home/app/function/package/shop/prices.py", line 3, in total',
    '    return prices["sku"]',
    "KeyError: 'sku'",
]
FUNCTIONS = (
    ServedFunction(
        id="1",
        name="orders",
        url="http://shop-orders.functions.fnc.fr-par.localhost:8481/",
        path_url="http://127.0.0.1:8481/fr-par/shop/orders/",
        is_private=True,
        triggers=(("new", "3", "orders.new"),),
    ),
    ServedFunction(
        id="2",
        name="report",
        url="http://127.0.0.1:8481/fr-par/shop/report/",
        path_url="http://127.0.0.1:8481/fr-par/shop/report/",
        is_private=False,
        crons=(("nightly", "4"),),
    ),
)


def log_line(function: str) -> LogLine:
    return LogLine(
        time=0,
        function_id="1",
        function=function,
        stream="responses",
        instance="",
        request_id="",
        generation=0,
        message="",
    )


def views() -> list[View]:
    traceback = read_traceback(LINES)
    assert traceback is not None
    long = ResponseLine(method="GET", path="/catalogue/books/by-author/17", status=404, duration_ms=3.2)
    cold = ResponseLine(method="POST", path="/17", status=200, duration_ms=12.4, start_ms=8.41)
    event = ResponseLine(method="", path="/", status=500, duration_ms=1234.5)
    failed = DeployError("report was not reloaded: no memory.", code="deploy-failed", hint="Free some.")
    return [
        ServingView(project="shop", gateway_url="http://127.0.0.1:8481", functions=FUNCTIONS, seconds=0.91),
        ServingView(project="empty", gateway_url="http://127.0.0.1:8481", functions=(), seconds=0.91),
        ResponseView(line=log_line("orders"), response=cold, name_width=6),
        ResponseView(line=log_line("report"), response=event, name_width=6),
        ResponseView(line=log_line("report"), response=long, name_width=6),
        TracebackView(function="orders", traceback=traceback, lines=LINES),
        ReloadView(
            outcome=Reloaded(
                changes=(
                    ServedChange(name="orders", action="reloaded"),
                    ServedChange(name="report", action="updated", failure=failed),
                ),
                functions=FUNCTIONS,
                seconds=0.0214,
            )
        ),
        RejectedView(outcome=Rejected(problems=(Problem("syntax-error", "expected ':'", None, "orders.py", 7),))),
        debugging_view(is_saved=True),
        debugging_view(is_saved=False),
        NoteView(text="Restarting."),
    ]


def debugging_view(*, is_saved: bool) -> DebuggingView:
    configuration = launch_configuration("orders", "Python", folder=".", port=5678)
    return DebuggingView(function="orders", port=5678, configuration=configuration, is_saved=is_saved)


@pytest.mark.parametrize("width", [100, 60, 40])
def test_text(width: int, golden: Golden) -> None:
    text = io.StringIO()
    console = Console(file=text, width=width, color_system=None, markup=False, highlight=False, soft_wrap=True)
    for view in views():
        view.render(console)
    # Times are local, and those of reloads are now.
    golden.check(
        f"cli/dev-{width}.txt", re.sub(r"^\d\d:\d\d:\d\d", "hh:mm:ss", text.getvalue(), flags=re.MULTILINE)
    )


def test_every_view_has_a_kind() -> None:
    kinds = {str(view.to_json()["kind"]) for view in views()}
    assert kinds == {"serving", "response", "traceback", "reloaded", "rejected", "debugging", "note"}
