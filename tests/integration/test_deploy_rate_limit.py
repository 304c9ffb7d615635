"""The rate limit of a deploy against an API that returns 429 and transient errors."""

from __future__ import annotations

import json
import threading

import pytest

from fnkit.client import Endpoint, FunctionsApi
from fnkit.contract.requests import CreateFunction, UpdateFunction
from fnkit.deploy.retries import AdaptiveLimiter, DeployInterrupted
from fnkit.errors import ConflictError
from tests.support.scripted_server import ReceivedRequest, ScriptedResponse, scripted_server

CRON = b'{"id":"c","function_id":"f","schedule":"* * * * *","args":{},"status":"ready"}'


def api_at(url: str) -> FunctionsApi:
    return FunctionsApi(Endpoint(api_url=url, secret_key="k", project_id="p", region="fr-par", key_origin="o"))


def test_429_halves_the_limit_and_is_retried() -> None:
    def answer(_request: ReceivedRequest, number: int) -> ScriptedResponse:
        return (
            ScriptedResponse(429, b'{"message":"too many requests"}')
            if number == 0
            else ScriptedResponse(body=CRON)
        )

    limiter = AdaptiveLimiter(8)
    with scripted_server(answer) as server, api_at(server.url) as api:
        assert limiter.call(lambda: api.crons.delete("c")).id == "c"
    assert limiter.limit == 4


def test_transient_state_conflict_is_retried() -> None:
    body = json.dumps({"type": "transient_state", "message": "resource is in a transient state"}).encode()

    def answer(_request: ReceivedRequest, number: int) -> ScriptedResponse:
        return ScriptedResponse(409, body) if number == 0 else ScriptedResponse(body=CRON)

    with scripted_server(answer) as server, api_at(server.url) as api:
        assert AdaptiveLimiter().call(lambda: api.crons.get("c")).id == "c"
    assert len(server.requests) == 2


def test_name_conflict_is_not_retried() -> None:
    with (
        scripted_server(lambda _r, _n: ScriptedResponse(409, b'{"message":"already exist"}')) as server,
        api_at(server.url) as api,
    ):
        with pytest.raises(ConflictError):
            AdaptiveLimiter().call(lambda: api.functions.create(CreateFunction(name="f")))
    assert len(server.requests) == 1


def test_interrupt_ends_the_wait_before_a_retry() -> None:
    with (
        scripted_server(lambda _r, _n: ScriptedResponse(429, b'{"message":"never"}')) as server,
        api_at(server.url) as api,
    ):
        limiter = AdaptiveLimiter()
        outcome: list[BaseException] = []

        def send() -> None:
            try:
                limiter.call(lambda: api.functions.update("f", UpdateFunction()))
            except DeployInterrupted as stopped:
                outcome.append(stopped)

        thread = threading.Thread(target=send)
        thread.start()
        limiter.interrupt()
        thread.join(60)
    assert [type(one) for one in outcome] == [DeployInterrupted]


def test_interrupt_ends_the_wait_for_a_free_slot() -> None:
    limiter = AdaptiveLimiter(1)
    started, release = threading.Event(), threading.Event()
    outcome: list[BaseException] = []

    def occupy() -> None:
        started.set()
        release.wait(60)

    def send() -> None:
        try:
            limiter.call(lambda: None)
        except DeployInterrupted as stopped:
            outcome.append(stopped)

    occupying_thread = threading.Thread(target=lambda: limiter.call(occupy))
    occupying_thread.start()
    assert started.wait(60)
    waiting = threading.Thread(target=send)
    waiting.start()
    limiter.interrupt()
    waiting.join(60)
    assert [type(one) for one in outcome] == [DeployInterrupted]
    release.set()
    occupying_thread.join(60)


def test_concurrent_requests_stay_within_the_limit() -> None:
    limiter = AdaptiveLimiter(3)
    inside, maximum, guard = 0, 0, threading.Lock()
    together = threading.Barrier(3, timeout=60)

    def request() -> None:
        nonlocal inside, maximum
        with guard:
            inside += 1
            maximum = max(maximum, inside)
        together.wait()
        with guard:
            inside -= 1

    threads = [threading.Thread(target=lambda: limiter.call(request)) for _ in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert maximum == 3
