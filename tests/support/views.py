"""Renders views as text, and makes values for them."""

from __future__ import annotations

import io
from typing import Literal

from rich.console import Console

from fnkit.cli.output import PIPE_WIDTH, View
from fnkit.contract.deliveries import DeliveryView
from fnkit.contract.resources import Function
from tests.support.screens import VARIANTS
from tests.support.terminal_screen import shown_text, with_marks

_ColorSystem = Literal["standard"]


def piped(view: View) -> str:
    """Return a view's text without a terminal."""
    return _rendered(view, PIPE_WIDTH, is_terminal=False)


def in_terminal(view: View, columns: int) -> str:
    """Return a view's text in a terminal of so many columns, without colours."""
    return _rendered(view, columns, is_terminal=True)


def in_variants(view: View) -> dict[str, str]:
    """Return a view's text in each variant of screens by name."""
    return {
        variant.name: piped(view)
        if variant.columns is None
        else "".join(
            f"{with_marks(line) if variant.has_marks else line.plain}\n"
            for line in shown_text(_rendered(view, variant.columns, is_terminal=True, color_system="standard"))
        )
        for variant in VARIANTS
    }


def _rendered(view: View, columns: int, *, is_terminal: bool, color_system: _ColorSystem | None = None) -> str:
    text = io.StringIO()
    view.render(
        Console(
            file=text,
            width=columns,
            force_terminal=is_terminal,
            color_system=color_system,
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    )
    return text.getvalue()


def delivery(**fields: object) -> DeliveryView:
    """Return a delivery, dead after four attempts unless fields say otherwise."""
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


def deployed_function(name: str) -> Function:
    """Return a function as the API shows it."""
    return Function(
        id=f"id-of-{name}",
        name=name,
        namespace_id="id-of-shop",
        status="ready",
        environment_variables={},
        min_scale=0,
        max_scale=5,
        runtime="python313",
        memory_limit=256,
        cpu_limit=140,
        timeout="300s",
        handler="main.handler",
        privacy="public",
        domain_name=f"shop-{name}.functions.fnc.fr-par.scw.cloud",
        secret_environment_variables=[],
        http_option="enabled",
        sandbox="v2",
        tags=[],
        region="fr-par",
    )
