"""Replays: of deliveries named by the beginning of their IDs, and of one whose record is pruned too early."""

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
from fnkit.errors import NotFoundError, UsageError
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


_OLD = "11111111-2222-4333-8444-555555555555"
_SAME_BEGINNING = "11111111-2222-4333-9444-555555555555"
_OTHER = "22222222-2222-4333-8444-555555555555"


def run_replay(
    capsys: pytest.CaptureFixture[str], *given: str
) -> tuple[int | None, dict[str, Any], list[list[str]]]:
    """Replay deliveries on a platform that no longer has the record of the new one.

    Return the exit code, the JSON document, and the IDs of each request for a replay. The log has two pages.
    """
    replayed: list[list[str]] = []

    def answer(request: ReceivedRequest, _number: int) -> ScriptedResponse:
        if request.method == "POST":
            replayed.append(json.loads(request.body)["ids"])
            body = {"replayed": [{"id": _OLD, "delivery": msgspec.to_builtins(_REPLAY)}], "skipped": []}
            return ScriptedResponse(body=json.dumps(body).encode())
        if request.path.endswith("/new"):
            return ScriptedResponse(404, json.dumps({"message": "Delivery was not found"}).encode())
        if request.path.endswith("/platform"):
            return ScriptedResponse(404, json.dumps({"message": "not found", "type": "not_found"}).encode())
        if "status=pending" in request.path or "limit=1&" in f"{request.path}&":
            return ScriptedResponse(body=b'{"deliveries": [], "total": 7, "next": null}')
        first = "before" not in request.path
        known = (_OLD, _OTHER) if first else (_SAME_BEGINNING,)
        page = {
            "deliveries": [msgspec.to_builtins(msgspec.structs.replace(_REPLAY, id=one)) for one in known],
            "total": 3,
            "next": _OTHER if first else None,
        }
        return ScriptedResponse(body=json.dumps(page).encode())

    with scripted_server(answer) as server:
        endpoint = Endpoint(api_url=server.url, secret_key="k", project_id="p", region="fr-par", key_origin="o")
        output = Output(JsonDocument(), as_json=True, verbosity=0, colour=False)
        with FunctionsApi(endpoint) as api:
            query = DeliveryQuery(failed=False, limit=20, replay=given[:1], replay_failed=False, further=given[1:])
            code = show_deliveries(output, api, "triggers", "t", query)
    return code, json.loads(capsys.readouterr().out), replayed


def test_pruned_replay_is_shown_as_succeeded(capsys: pytest.CaptureFixture[str]) -> None:
    code, document, replayed = run_replay(capsys, _OLD)

    assert code is None
    assert replayed == [[_OLD]]
    (one,) = document["deliveries"]
    assert (one["id"], one["status"], one["http_status"], one["attempts"]) == ("new", "succeeded", None, 1)
    assert one["error"] == "the response was pruned from the log by newer deliveries"
    assert (document["total"], document["skipped"]) == (7, [])


def test_the_beginning_of_an_id_is_enough(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, replayed = run_replay(capsys, _SAME_BEGINNING[:20], _OTHER[:8].upper(), _OLD)

    assert code is None
    assert replayed == [[_SAME_BEGINNING, _OTHER, _OLD]]


def test_a_beginning_that_several_ids_have_is_rejected_with_both(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="11111111 could be any of 2 deliveries") as error:
        run_replay(capsys, _OLD[:8])
    assert error.value.code == "ambiguous-name"
    assert (error.value.hint or "").count("-4333-") == 2


@pytest.mark.parametrize("given", ["33333333", "2222222", ""])
def test_an_unknown_beginning_is_an_error(capsys: pytest.CaptureFixture[str], given: str) -> None:
    with pytest.raises(NotFoundError, match=f"There is no delivery {given}") as error:
        run_replay(capsys, given, _OTHER)
    assert error.value.code == "no-such-delivery"
