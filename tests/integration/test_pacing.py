"""The pace of a deploy against an API that says "too much" and "not now"."""

from __future__ import annotations

import json
import threading

import pytest

from fnkit.client import Endpoint, FunctionsApi
from fnkit.contract.requests import CreateFunction, UpdateFunction
from fnkit.deploy.retries import AdaptiveLimiter, DeployInterrupted
from fnkit.errors import ConflictError
from tests.support.scripted_server import Answer, Request, scripted_server

CRON = b'{"id":"c","function_id":"f","schedule":"* * * * *","args":{},"status":"ready"}'


def api_at(url: str) -> FunctionsApi:
    return FunctionsApi(Endpoint(api_url=url, secret_key="k", project_id="p", region="fr-par", key_origin="o"))


def test_too_many_requests_halves_the_pace_and_the_request_is_made_again() -> None:
    def answer(_request: Request, number: int) -> Answer:
        return Answer(429, b'{"message":"slow down"}') if number == 0 else Answer(body=CRON)

    pace = AdaptiveLimiter(8)
    with scripted_server(answer) as server, api_at(server.url) as api:
        assert pace.call(lambda: api.crons.delete("c")).id == "c"
    assert pace.limit == 4


def test_a_resource_in_a_transient_state_is_asked_again() -> None:
    body = json.dumps({"type": "transient_state", "message": "resource is in a transient state"}).encode()

    def answer(_request: Request, number: int) -> Answer:
        return Answer(409, body) if number == 0 else Answer(body=CRON)

    with scripted_server(answer) as server, api_at(server.url) as api:
        assert AdaptiveLimiter().call(lambda: api.crons.get("c")).id == "c"
    assert len(server.requests) == 2


def test_a_name_that_is_taken_is_not_asked_again() -> None:
    with (
        scripted_server(lambda _r, _n: Answer(409, b'{"message":"already exist"}')) as server,
        api_at(server.url) as api,
    ):
        with pytest.raises(ConflictError):
            AdaptiveLimiter().call(lambda: api.functions.create(CreateFunction(name="f")))
    assert len(server.requests) == 1


def test_an_interrupt_ends_every_wait_at_once() -> None:
    with scripted_server(lambda _r, _n: Answer(429, b'{"message":"never"}')) as server, api_at(server.url) as api:
        pace = AdaptiveLimiter()
        outcome: list[BaseException] = []

        def ask() -> None:
            try:
                pace.call(lambda: api.functions.update("f", UpdateFunction()))
            except DeployInterrupted as stopped:
                outcome.append(stopped)

        thread = threading.Thread(target=ask)
        thread.start()
        pace.interrupt()
        thread.join(60)
    assert [type(one) for one in outcome] == [DeployInterrupted]


def test_an_interrupt_ends_the_wait_for_another_request() -> None:
    pace = AdaptiveLimiter(1)
    started, release = threading.Event(), threading.Event()
    outcome: list[BaseException] = []

    def occupy() -> None:
        started.set()
        release.wait(60)

    def ask() -> None:
        try:
            pace.call(lambda: None)
        except DeployInterrupted as stopped:
            outcome.append(stopped)

    occupying = threading.Thread(target=lambda: pace.call(occupy))
    occupying.start()
    assert started.wait(60)
    waiting = threading.Thread(target=ask)
    waiting.start()
    pace.interrupt()
    waiting.join(60)
    assert [type(one) for one in outcome] == [DeployInterrupted]
    release.set()
    occupying.join(60)


def test_no_more_than_the_limit_is_under_way_at_once() -> None:
    pace = AdaptiveLimiter(3)
    inside, most, guard = 0, 0, threading.Lock()
    together = threading.Barrier(3, timeout=60)

    def request() -> None:
        nonlocal inside, most
        with guard:
            inside += 1
            most = max(most, inside)
        together.wait()
        with guard:
            inside -= 1

    threads = [threading.Thread(target=lambda: pace.call(request)) for _ in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == 3
