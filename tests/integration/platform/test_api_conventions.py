"""Conventions of all API endpoints: headers, authentication, errors, request bodies and connections."""

from __future__ import annotations

import http.client
import json
import re

import pytest

from fnkit.contract.runtimes import RUNTIMES
from tests.support.control_process import API, PROJECT, SECRET_KEY, ControlProcess


def test_response_has_the_recorded_headers(control: ControlProcess) -> None:
    response = control.request("GET", f"{API}/runtimes")

    assert response.headers["content-type"] == "application/json"
    assert response.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert response.headers["strict-transport-security"] == "max-age=63072000"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-frame-options"] == "DENY"
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", response.headers["x-request-id"])
    assert int(response.headers["content-length"]) == len(response.body)


@pytest.mark.parametrize("key", ["", "wrong", SECRET_KEY.upper() + "x", "é"])
@pytest.mark.parametrize("path", [f"{API}/namespaces", f"{API}/tokens", "/fnkit/v1/platform"])
def test_wrong_key_gives_the_recorded_401(control: ControlProcess, key: str, path: str) -> None:
    response = control.request("GET", path, headers={"X-Auth-Token": key})

    assert response.status == 401
    assert response.document == {
        "message": "authentication is denied",
        "method": "api_key",
        "reason": "not_found",
        "type": "denied_authentication",
    }


def test_missing_key_gives_401(control: ControlProcess) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", control.settings.api_port, timeout=60)
    connection.request("DELETE", f"{API}/namespaces/x")
    response = connection.getresponse()
    response.read()
    connection.close()

    assert response.status == 401


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/", 404, "/functions/v1beta1/regions/"),
        ("GET", "/account/v3/projects", 404, "/functions/v1beta1/regions/"),
        ("GET", f"{API}/nothing", 404, "/functions/v1beta1/regions/"),
        ("GET", "/functions/v1beta1/regions/us-east/namespaces", 404, "unknown region 'us-east'"),
        ("PUT", f"{API}/namespaces", 405, "not allowed"),
    ],
)
def test_unknown_path_region_or_method_gives_json_error(
    control: ControlProcess, method: str, path: str, status: int, text: str
) -> None:
    response = control.request(method, path, {} if method != "GET" else None)

    assert response.status == status
    assert response.headers["content-type"] == "application/json"
    assert set(response.document) == {"message"}
    assert text in response.message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"name": "x",\n "project_id" 3}', "proto: syntax error (line 2:15): "),
        (b'{"name": "x"', "proto: syntax error (line 1:13): Input data was truncated"),
        (b"name=x", "proto: syntax error (line 1:"),
        (b"\n\n  {]", "proto: syntax error (line 3:4): "),
        (b'{"name": "\xff"}', "proto: syntax error"),
        (b"[]", "invalid value for the body"),
        (b"null", "invalid value for the body"),
        (b'{"name": {"a": 1}}', "invalid value for name: "),
        (b'{"tags": ["a", 3]}', "invalid value for tags[1]: "),
    ],
)
def test_invalid_body_error_names_position_or_field(control: ControlProcess, body: bytes, message: str) -> None:
    response = control.request("POST", f"{API}/namespaces", body)

    assert response.status == 400
    assert response.message.startswith(message)


def test_body_is_parsed_regardless_of_content_type(control: ControlProcess) -> None:
    body = json.dumps({"name": "as-curl-sends-it", "project_id": PROJECT}).encode()
    response = control.request(
        "POST", f"{API}/namespaces", body, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )

    assert response.ok()["name"] == "as-curl-sends-it"


def test_unread_request_body_keeps_the_connection_usable(control: ControlProcess) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", control.settings.api_port, timeout=60)
    for method, status in (("GET", 200), ("DELETE", 404), ("GET", 200)):
        path = f"{API}/namespaces" + ("/none" if method == "DELETE" else "")
        connection.request(method, path, b"{}", {"X-Auth-Token": SECRET_KEY})
        response = connection.getresponse()
        response.read()
        assert response.status == status
    connection.close()


def test_runtime_list_matches_the_recorded_table(control: ControlProcess) -> None:
    listed = control.request("GET", f"{API}/runtimes").ok()
    runtimes = listed["runtimes"]

    assert isinstance(runtimes, list)
    assert [one["name"] for one in runtimes] == [one.name for one in RUNTIMES]
    assert listed["total_count"] == 41
    assert {one["implementation"] for one in runtimes} == {""}


def test_platform_info_includes_runtime_targets(control: ControlProcess) -> None:
    info = control.request("GET", "/fnkit/v1/platform").ok()
    targets = info["targets"]

    assert info["gateway_url"] == f"http://127.0.0.1:{control.settings.gateway_port}"
    assert isinstance(targets, dict)
    assert re.fullmatch(r"cpython-3\.\d+-.+", targets["python311"])


@pytest.mark.parametrize("advance", [-1, "soon", None, 1e300, True])
def test_invalid_clock_advance_is_rejected(control: ControlProcess, advance: object) -> None:
    response = control.request("POST", "/fnkit/v1/clock", {"advance": advance})

    assert response.status == 400
    assert "advance" in response.message


def test_metadata_returns_platform_partition_and_domain(control: ControlProcess) -> None:
    response = control.request("GET", "/metadata", headers={"X-Auth-Token": ""})

    assert (response.status, response.headers["content-type"]) == (200, "application/json")
    assert response.document == {"platform": "external", "partition": "scw", "domain": "scw.eu"}


@pytest.mark.long
@pytest.mark.slow
def test_idle_connection_is_kept_open_between_polls(control: ControlProcess) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", control.settings.api_port, timeout=60)
    try:
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        connection.sock.settimeout(6)
        with pytest.raises(TimeoutError):
            connection.sock.recv(1)
    finally:
        connection.close()
