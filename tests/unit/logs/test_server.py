"""Which log server belongs to an endpoint, and that no secret goes to another one."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from fnkit.client import Endpoint, FunctionsApi
from fnkit.client.loki import LogClient, LogServer
from fnkit.errors import ApiError, FnkitError, NotFoundError, UsageError
from fnkit.logs.server import find_log_server
from tests.support.loki_store import LokiStore, loki_store
from tests.support.scripted_server import ReceivedRequest, ScriptedResponse, scripted_server

SECRET = "11111111-2222-4333-8444-555555555555"
PROJECT = "99999999-2222-4333-8444-555555555555"


class ScalewayEndpoint(Endpoint):
    """An endpoint that counts as Scaleway's, whatever its address."""

    @property
    def is_scaleway(self) -> bool:
        return True


def api(url: str = "http://127.0.0.1:9", kind: type[Endpoint] = Endpoint) -> FunctionsApi:
    endpoint = kind(api_url=url, secret_key=SECRET, project_id=PROJECT, region="nl-ams", key_origin="test")
    return FunctionsApi(endpoint)


@pytest.fixture
def loki() -> Iterator[LokiStore]:
    with loki_store() as store:
        yield store


def test_local_platform_serves_its_own_logs_whatever_the_variables_say() -> None:
    found = find_log_server(api(), {"FNKIT_LOKI_URL": "http://elsewhere", "FNKIT_LOKI_TOKEN": "t"})
    assert (found.url, found.token, found.is_platform) == ("http://127.0.0.1:9", SECRET, True)


def test_another_server_never_gets_the_secret_key() -> None:
    found = find_log_server(api(), {}, url="https://loki.example/loki/api/v1/")
    assert (found.url, found.token, found.is_platform) == ("https://loki.example", "", False)


def test_scaleway_needs_a_token_and_the_hint_says_how_to_make_one() -> None:
    with pytest.raises(UsageError) as raised:
        find_log_server(api(kind=ScalewayEndpoint), {})
    assert raised.value.code == "no-log-token"
    assert "token-scopes.0=read_only_logs region=nl-ams" in (raised.value.hint or "")


def test_url_of_scaleway_is_looked_up_in_cockpit() -> None:
    asked: list[ReceivedRequest] = []

    def answer(request: ReceivedRequest, _number: int) -> ScriptedResponse:
        asked.append(request)
        sources = [
            {"id": "1", "name": "mine", "type": "logs", "origin": "custom", "url": "https://custom.example"},
            {"id": "2", "name": "m", "type": "metrics", "origin": "scaleway", "url": "https://metrics.example"},
            {"id": "3", "name": "s", "type": "logs", "origin": "scaleway", "url": "https://1.logs.cockpit.example"},
        ]
        return ScriptedResponse(body=json.dumps({"data_sources": sources, "total_count": 3}).encode())

    with scripted_server(answer) as server:
        found = find_log_server(api(server.url, ScalewayEndpoint), {"FNKIT_LOKI_TOKEN": "t"})
    assert (found.url, found.token, found.is_platform) == ("https://1.logs.cockpit.example", "t", False)
    assert asked[0].path.startswith("/cockpit/v1/regions/nl-ams/data-sources?")
    assert f"project_id={PROJECT}&origin=scaleway&types=logs" in asked[0].path


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (ScriptedResponse(status=403, body=b'{"message": "insufficient permissions"}'), ApiError),
        (ScriptedResponse(body=b'{"data_sources": []}'), NotFoundError),
    ],
)
def test_failed_lookup_names_the_variable_or_the_region(response: ScriptedResponse, kind: type[FnkitError]) -> None:
    with (
        scripted_server(lambda _request, _number: response) as server,
        pytest.raises(kind) as raised,
    ):
        find_log_server(api(server.url, ScalewayEndpoint), {"FNKIT_LOKI_TOKEN": "t"})
    assert raised.value.code == "no-log-source"
    assert "FNKIT_LOKI_URL" in (raised.value.hint or "") or "--region" in (raised.value.hint or "")


@pytest.mark.parametrize("url", ["loki.example", "https://user:pass@loki.example", "ftp://loki", "https://"])
def test_invalid_url_is_rejected_without_its_credentials(url: str) -> None:
    with pytest.raises(UsageError) as raised:
        find_log_server(api(), {}, url=url)
    assert raised.value.code == "bad-loki-url"
    assert "pass@" not in raised.value.message


def test_token_with_a_line_break_is_rejected_without_showing_it() -> None:
    with pytest.raises(UsageError) as raised:
        find_log_server(api(), {}, url="https://loki.example", token="se\ncret")
    assert raised.value.code == "bad-log-token"
    assert "cret" not in str(raised.value)
    assert "secret" not in repr(LogServer(url="u", token="secret", is_platform=False))


@pytest.mark.parametrize(
    ("response", "code"),
    [
        (ScriptedResponse(status=401, body=b"no"), "log-token-rejected"),
        (ScriptedResponse(status=503, body=b"busy"), "logs-unavailable"),
        (ScriptedResponse(drop=True), "logs-unavailable"),
        (ScriptedResponse(status=404, body=b"<html>"), "not-loki"),
        (ScriptedResponse(body=b"<html>"), "not-loki"),
        (ScriptedResponse(status=302, headers={"Location": "http://127.0.0.1:9/"}), "not-loki"),
        (ScriptedResponse(status=400, body=b"parse error : here"), "api"),
    ],
)
def test_error_responses_have_a_code_and_no_token(loki: LokiStore, response: ScriptedResponse, code: str) -> None:
    loki.responses.append(response)
    with (
        LogClient(LogServer(url=loki.url, token="t0ken", is_platform=False)) as client,
        pytest.raises(ApiError) as raised,
    ):
        client.query_range("{}", start=0, limit=1)
    assert raised.value.code == code
    assert "t0ken" not in f"{raised.value.message} {raised.value.hint}"


def test_long_query_is_sent_as_a_form(loki: LokiStore) -> None:
    with LogClient(LogServer(url=loki.url, token="t", is_platform=False)) as client:
        client.query_range("{" + "x" * 5000 + "}", start=0, limit=1)
        client.query_range("{}", start=0, limit=1)
    assert [one.method for one in loki.requests] == ["POST", "GET"]
    headers = [{name.lower(): value for name, value in one.headers.items()} for one in loki.requests]
    assert [one["x-token"] for one in headers] == ["t", "t"]
