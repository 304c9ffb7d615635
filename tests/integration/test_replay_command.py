"""Output of a replay whose log record is pruned before the command reads its result."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from fnkit.cli.commands.deliveries import show_deliveries
from fnkit.cli.options import DeliveryQuery
from fnkit.cli.output import JsonDocument, Output
from fnkit.client import FunctionsApi
from fnkit.client.endpoint import Endpoint
from fnkit.contract.deliveries import DeliveryView
from tests.support.scripted_server import ReceivedRequest, ScriptedResponse, scripted_server

_REPLAY = DeliveryView(
    id="new",
    kind="nats",
    name="orders",
    function="on-order",
    at="2026-11-23T10:04:12Z",
    attempts=0,
    status="pending",
    http_status=None,
    duration_ms=None,
    error="",
    cause="replay",
    message_id=None,
    body="{}",
    is_base64=False,
    is_truncated=False,
    body_size=2,
    replay_of="old",
    replayed_by=None,
    lag_ms=None,
    tries=(),
)


def run_replay(capsys: pytest.CaptureFixture[str], status: int) -> tuple[int | None, dict[str, Any]]:
    """Replay one delivery on a platform that responds with ``status`` to requests for the new one."""

    def answer(request: ReceivedRequest, _number: int) -> ScriptedResponse:
        if request.method == "POST":
            body = {"replayed": [{"id": "old", "delivery": msgspec.to_builtins(_REPLAY)}], "skipped": []}
            return ScriptedResponse(body=json.dumps(body).encode())
        if request.path.endswith("/new"):
            return ScriptedResponse(status, json.dumps({"message": "Delivery was not found"}).encode())
        return ScriptedResponse(body=b'{"deliveries": [], "total": 7, "next": null}')

    with scripted_server(answer) as server:
        endpoint = Endpoint(api_url=server.url, secret_key="k", project_id="p", region="fr-par", key_origin="o")
        output = Output(JsonDocument(), as_json=True, verbosity=0, colour=False)
        with FunctionsApi(endpoint) as api:
            query = DeliveryQuery(failed=False, limit=20, replay=("old",), replay_failed=False)
            code = show_deliveries(output, api, "triggers", "t", query)
    return code, json.loads(capsys.readouterr().out)


def test_pruned_replay_is_shown_as_succeeded(capsys: pytest.CaptureFixture[str]) -> None:
    code, document = run_replay(capsys, 404)

    assert code is None
    (one,) = document["deliveries"]
    assert (one["id"], one["status"], one["http_status"], one["attempts"]) == ("new", "succeeded", None, 1)
    assert one["error"] == "the response was pruned from the log by newer deliveries"
    assert (document["total"], document["skipped"]) == (7, [])
