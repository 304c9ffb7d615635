"""How the API answers, whatever was asked: headers, errors, other paths, awkward clients."""

from __future__ import annotations

import http.client
import json
import re

import pytest

from fnkit.contract.runtimes import RUNTIMES
from tests.support.control_process import API, PROJECT, SECRET_KEY, ControlProcess


def test_an_answer_carries_the_recorded_headers(control: ControlProcess) -> None:
    answer = control.request("GET", f"{API}/runtimes")

    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer.headers["strict-transport-security"] == "max-age=63072000"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", answer.headers["x-request-id"])
    assert int(answer.headers["content-length"]) == len(answer.body)


@pytest.mark.parametrize("key", ["", "wrong", SECRET_KEY.upper() + "x", "é"])
@pytest.mark.parametrize("path", [f"{API}/namespaces", f"{API}/tokens", "/fnkit/v1/platform"])
def test_a_wrong_key_is_answered_in_the_recorded_words(control: ControlProcess, key: str, path: str) -> None:
    answer = control.request("GET", path, headers={"X-Auth-Token": key})

    assert answer.status == 401
    assert answer.document == {
        "message": "authentication is denied",
        "method": "api_key",
        "reason": "not_found",
        "type": "denied_authentication",
    }


def test_a_missing_key_is_no_better(control: ControlProcess) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", control.settings.api_port, timeout=60)
    connection.request("DELETE", f"{API}/namespaces/x")
    answer = connection.getresponse()
    answer.read()
    connection.close()

    assert answer.status == 401


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/", 404, "/functions/v1beta1/regions/"),
        ("GET", "/account/v3/projects", 404, "/functions/v1beta1/regions/"),
        ("GET", f"{API}/nothing", 404, "/functions/v1beta1/regions/"),
        ("GET", "/functions/v1beta1/regions/us-east/namespaces", 404, "unknown region 'us-east'"),
        ("PUT", f"{API}/namespaces", 405, "not allowed"),
    ],
)
def test_what_is_not_served_says_so(
    control: ControlProcess, method: str, path: str, status: int, words: str
) -> None:
    answer = control.request(method, path, {} if method != "GET" else None)

    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.document) == {"message"}
    assert words in answer.message


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
def test_a_body_that_cannot_be_read_names_the_place(control: ControlProcess, body: bytes, message: str) -> None:
    answer = control.request("POST", f"{API}/namespaces", body)

    assert answer.status == 400
    assert answer.message.startswith(message)


def test_a_body_is_read_whatever_its_content_type(control: ControlProcess) -> None:
    body = json.dumps({"name": "as-curl-sends-it", "project_id": PROJECT}).encode()
    answer = control.request(
        "POST", f"{API}/namespaces", body, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )

    assert answer.ok()["name"] == "as-curl-sends-it"


def test_a_body_that_nobody_reads_does_not_break_the_connection(control: ControlProcess) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", control.settings.api_port, timeout=60)
    for method, status in (("GET", 200), ("DELETE", 404), ("GET", 200)):
        path = f"{API}/namespaces" + ("/none" if method == "DELETE" else "")
        connection.request(method, path, b"{}", {"X-Auth-Token": SECRET_KEY})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == status
    connection.close()


def test_the_runtime_table_is_the_recorded_one(control: ControlProcess) -> None:
    listed = control.request("GET", f"{API}/runtimes").ok()
    runtimes = listed["runtimes"]

    assert isinstance(runtimes, list)
    assert [one["name"] for one in runtimes] == [one.name for one in RUNTIMES]
    assert listed["total_count"] == 41
    assert {one["implementation"] for one in runtimes} == {""}


def test_the_platform_says_what_runs_its_runtimes(control: ControlProcess) -> None:
    info = control.request("GET", "/fnkit/v1/platform").ok()
    targets = info["targets"]

    assert info["gateway_url"] == f"http://127.0.0.1:{control.settings.gateway_port}"
    assert isinstance(targets, dict)
    assert re.fullmatch(r"cpython-3\.\d+-.+", targets["python311"])


@pytest.mark.parametrize("advance", [-1, "soon", None, 1e300, True])
def test_a_clock_is_moved_forward_by_a_number_only(control: ControlProcess, advance: object) -> None:
    answer = control.request("POST", "/fnkit/v1/clock", {"advance": advance})

    assert answer.status == 400
    assert "advance" in answer.message


def test_the_go_sdk_is_told_which_cloud_it_names_resources_in(control: ControlProcess) -> None:
    answer = control.request("GET", "/metadata", headers={"X-Auth-Token": ""})

    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.document == {"platform": "external", "partition": "scw", "domain": "scw.eu"}


@pytest.mark.slow
def test_an_idle_connection_outlives_the_pause_between_two_polls(control: ControlProcess) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", control.settings.api_port, timeout=60)
    try:
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        connection.sock.settimeout(6)
        with pytest.raises(TimeoutError):
            connection.sock.recv(1)
    finally:
        connection.close()
