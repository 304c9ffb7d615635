"""The API client against a server that returns errors or malformed responses, or drops connections."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from fnkit.client import Endpoint, FunctionsApi
from fnkit.contract.requests import CreateFunction, Secret, UpdateFunction
from fnkit.errors import ApiError, ApiUnreachable, AuthenticationError, ConflictError, NotFoundError
from tests.support.ports import free_port
from tests.support.scripted_server import ReceivedRequest, ScriptedResponse, scripted_server

KEY = "8b1c7f0e-1111-4222-8333-444455556666"
EMPTY_PAGE = b'{"namespaces":[],"total_count":0}'


def api_at(url: str) -> FunctionsApi:
    return FunctionsApi(
        Endpoint(api_url=url, secret_key=KEY, project_id="p", region="fr-par", key_origin="SCW_SECRET_KEY")
    )


def test_request_carries_key_header_and_region_path() -> None:
    with (
        scripted_server(lambda _request, _number: ScriptedResponse(body=EMPTY_PAGE)) as server,
        api_at(server.url) as api,
    ):
        assert api.namespaces.list(name="shop") == []
    (request,) = server.requests
    assert request.path.startswith("/functions/v1beta1/regions/fr-par/namespaces?name=shop")
    assert request.headers["X-Auth-Token"] == KEY


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, ApiError, "api"),
        (401, AuthenticationError, "authentication"),
        (403, AuthenticationError, "authentication"),
        (404, NotFoundError, "not-found"),
        (409, ConflictError, "conflict"),
        (501, ApiError, "not-implemented"),
    ],
)
def test_error_status_is_mapped_to_error_class(status: int, kind: type[ApiError], code: str) -> None:
    body = b'{"message":"no such luck"}'
    with scripted_server(lambda _r, _n: ScriptedResponse(status, body)) as server, api_at(server.url) as api:
        with pytest.raises(kind) as caught:
            api.functions.get("f")
    assert type(caught.value) is kind
    assert caught.value.code == code
    assert "no such luck" in caught.value.message
    assert KEY not in repr(caught.value) + str(caught.value.hint)


def test_invalid_argument_error_names_the_argument() -> None:
    body = json.dumps(
        {
            "type": "invalid_arguments",
            "message": "invalid argument(s)",
            "details": [
                {"argument_name": "memory_limit", "help_message": "must be a tier", "reason": "constraint"}
            ],
        }
    ).encode()
    with scripted_server(lambda _r, _n: ScriptedResponse(400, body)) as server, api_at(server.url) as api:
        with pytest.raises(ApiError, match="memory_limit: must be a tier"):
            api.functions.update("f", UpdateFunction(memory_limit=3))


@pytest.mark.parametrize("body", [b"<html>502 Bad Gateway</html>", b"", b"\xff\xfe", b"[]", b'"text"'])
def test_malformed_response_raises_not_the_api_error(body: bytes) -> None:
    with scripted_server(lambda _r, _n: ScriptedResponse(200, body)) as server, api_at(server.url) as api:
        with pytest.raises(ApiUnreachable) as caught:
            api.functions.get("f")
    assert caught.value.code == "not-the-api"


def test_unreachable_api_error_hints_at_platform_start() -> None:
    with api_at(f"http://127.0.0.1:{free_port()}") as api, pytest.raises(ApiUnreachable) as caught:
        api.functions.create(CreateFunction(name="f"))
    assert caught.value.code == "api-unreachable"
    assert "fnkit platform start" in str(caught.value.hint)


def test_read_is_retried_after_dropped_connection() -> None:
    def answer(_request: ReceivedRequest, number: int) -> ScriptedResponse:
        return ScriptedResponse(drop=True) if number == 0 else ScriptedResponse(body=EMPTY_PAGE)

    with scripted_server(answer) as server, api_at(server.url) as api:
        assert api.namespaces.list() == []
    assert len(server.requests) == 2


def test_write_is_not_retried_after_dropped_connection() -> None:
    with scripted_server(lambda _r, _n: ScriptedResponse(drop=True)) as server, api_at(server.url) as api:
        with pytest.raises(ApiUnreachable):
            api.functions.create(CreateFunction(name="f"))
    assert len(server.requests) == 1


def test_list_fetches_every_page_once() -> None:
    def answer(request: ReceivedRequest, _number: int) -> ScriptedResponse:
        page = int(request.path.split("page=")[1].split("&")[0])
        crons = [
            {"id": f"{page}-{at}", "function_id": "f", "schedule": "* * * * *", "args": {}, "status": "ready"}
            for at in range(100 if page < 3 else 7)
        ]
        return ScriptedResponse(body=json.dumps({"crons": crons, "total_count": 207}).encode())

    with scripted_server(answer) as server, api_at(server.url) as api:
        found = api.crons.list("f")
    assert len({cron.id for cron in found}) == len(found) == 207
    assert len(server.requests) == 3


def test_unknown_fields_and_enum_values_are_accepted() -> None:
    body = b'{"id":"c","function_id":"f","schedule":"* * * * *","args":{},"status":"brand_new","more":1}'
    with scripted_server(lambda _r, _n: ScriptedResponse(body=body)) as server, api_at(server.url) as api:
        assert api.crons.get("c").status == "brand_new"


def test_unset_fields_are_omitted_from_request() -> None:
    with (
        scripted_server(lambda _r, _n: ScriptedResponse(404, b'{"message":"x"}')) as server,
        api_at(server.url) as api,
    ):
        with pytest.raises(NotFoundError):
            api.functions.update(
                "f", UpdateFunction(private_network_id="", secret_environment_variables=[Secret(key="GONE")])
            )
    assert json.loads(server.requests[0].body) == {
        "private_network_id": "",
        "secret_environment_variables": [{"key": "GONE"}],
    }


def test_loopback_requests_ignore_proxy_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with scripted_server(lambda _r, _n: ScriptedResponse(body=EMPTY_PAGE)) as server, api_at(server.url) as api:
        assert api.namespaces.list() == []
        api.transport.upload(f"{server.url}/up?x=1", {}, io.BytesIO(b"zip"), 3)


def test_upload_sends_content_length_and_no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with scripted_server(lambda _r, _n: ScriptedResponse(body=b"")) as server, api_at(server.url) as api:
        api.transport.upload(f"{server.url}/up?x=1", {"x-extra": "1"}, io.BytesIO(b"zip"), 3)
    (request,) = server.requests
    assert (request.method, request.body, request.headers["Content-Length"]) == ("PUT", b"zip", "3")
    assert "X-Auth-Token" not in request.headers
    assert "Authorization" not in request.headers


def test_platform_info_is_none_for_scaleway_host() -> None:
    endpoint = Endpoint(
        api_url="https://api.scaleway.com", secret_key=KEY, project_id="p", region="fr-par", key_origin="x"
    )
    with FunctionsApi(endpoint) as api:
        assert api.platform_info() is None


def test_platform_info_is_none_when_endpoint_returns_404() -> None:
    with scripted_server(lambda _r, _n: ScriptedResponse(404, b"nope")) as server, api_at(server.url) as api:
        assert api.platform_info() is None


_CONCURRENT_DECODING = """
import sys, threading
import msgspec
from fnkit.client import Endpoint
from fnkit.client.transport import RawResponse, Transport

sys.setswitchinterval(1e-6)
endpoint = Endpoint(api_url="http://x", secret_key="k", project_id="p", region="fr-par", key_origin="o")
transport = Transport(endpoint)
response = RawResponse(200, "application/json", b'{"items": [{"a": 1}], "total_count": 1}')

def decode(kind, barrier):
    barrier.wait()
    transport._decode(response, kind, "GET items")

for _ in range(100):
    item = msgspec.defstruct("Item", [("a", int), ("b", "dict[str, object] | None", None)])
    page = msgspec.defstruct("Page", [("items", list[item]), ("total_count", int)])
    barrier = threading.Barrier(6)
    threads = [threading.Thread(target=decode, args=(page, barrier)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def test_a_type_may_be_decoded_for_the_first_time_in_several_threads() -> None:
    done = subprocess.run([sys.executable, "-c", _CONCURRENT_DECODING], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
