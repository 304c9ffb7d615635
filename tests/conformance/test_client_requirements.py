"""Behaviour of the API that Scaleway's SDKs, scw-serverless and the Serverless Framework's plugin need.

Each requirement was found by running the real client against a stub that behaved differently: the client stopped,
or continued with wrong data.
"""

from __future__ import annotations

import http.client
import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from argon2 import PasswordHasher

from tests.support.control_process import API, ControlProcess, api_client, zip_archive
from tests.support.platform import PlatformUnderTest, call_function
from tests.support.waiting import wait_until

pytestmark = pytest.mark.conformance

PRINTS = "def handle(event, context):\n    print('called for', event['path'])\n    return 'printed'\n"


@pytest.fixture(scope="module")
def api(platform: PlatformUnderTest) -> ControlProcess:
    return api_client(platform)


@pytest.fixture
def namespace(api: ControlProcess) -> Iterator[dict[str, object]]:
    created = api.create_namespace(f"needs-{uuid.uuid4().hex[:8]}")
    yield created
    api.request("DELETE", f"{API}/namespaces/{created['id']}").ok()
    api.wait_until_deleted("namespaces", created["id"])


def items(document: dict[str, object], name: str) -> list[dict[str, object]]:
    found = document[name]
    assert isinstance(found, list)
    return found


@contextmanager
def kept_alive(api: ControlProcess) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", api.settings.api_port, timeout=60)
    try:
        yield connection
    finally:
        connection.close()


def test_every_response_is_json_without_charset(api: ControlProcess, namespace: dict[str, object]) -> None:
    answers = [
        api.request("GET", f"{API}/namespaces/{namespace['id']}"),
        api.request("GET", f"{API}/runtimes"),
        api.request("GET", f"{API}/namespaces/{uuid.uuid4()}"),
        api.request("POST", f"{API}/functions", {}),
        api.request("GET", f"{API}/namespaces", headers={"X-Auth-Token": "wrong"}),
        api.request("GET", "/nothing/here"),
    ]

    assert [answer.headers["content-type"] for answer in answers] == ["application/json"] * 6
    assert [answer.status for answer in answers] == [200, 200, 404, 400, 401, 404]
    assert all(answer.document["message"] for answer in answers[2:])


def test_functions_of_a_namespace_are_listed_on_one_page(api: ControlProcess, namespace: dict[str, object]) -> None:
    names = [f"f{number:03}" for number in range(101)]
    for name in names:
        api.create_function(namespace["id"], name, memory_limit=128, max_scale=1)
    path = f"{API}/namespaces/{namespace['id']}/functions"
    listed = api.request("GET", path).ok()

    assert [one["name"] for one in items(listed, "functions")] == names
    assert listed["total_count"] == 101
    assert len(items(api.request("GET", path, query={"page_size": 7, "page": 15}).ok(), "functions")) == 3
    missing = api.request("GET", f"{API}/namespaces/{uuid.uuid4()}/functions")
    assert (missing.status, missing.document) == (404, {"message": "Namespace was not found"})


def test_secret_hash_verifies_with_argon2(api: ControlProcess, namespace: dict[str, object]) -> None:
    secrets = [{"key": "TOKEN", "value": "pässword"}]
    function = api.create_function(namespace["id"], secret_environment_variables=secrets)
    (shown,) = items(function, "secret_environment_variables")

    assert shown["key"] == "TOKEN"
    assert PasswordHasher().verify(str(shown["hashed_value"]), "pässword")


def test_page_past_the_end_is_empty_with_total_count(api: ControlProcess, namespace: dict[str, object]) -> None:
    api.create_function(namespace["id"])
    query = {"namespace_id": namespace["id"], "order_by": "created_at_asc"}
    first = api.request("GET", f"{API}/functions", query={**query, "page": 1}).ok()
    past = api.request("GET", f"{API}/functions", query={**query, "page": 2}).ok()

    assert (first["total_count"], len(items(first, "functions"))) == (1, 1)
    assert past == {"functions": [], "total_count": 1}


def test_body_of_get_or_delete_is_read_and_connection_is_kept(
    api: ControlProcess, namespace: dict[str, object]
) -> None:
    function = api.create_function(namespace["id"])
    headers = {"X-Auth-Token": api.settings.secret_key, "Content-Length": "2"}
    with kept_alive(api) as connection:
        for method, path in (
            ("GET", f"{API}/functions/{function['id']}"),
            ("GET", f"{API}/runtimes"),
            ("DELETE", f"{API}/functions/{function['id']}"),
            ("GET", f"{API}/namespaces/{namespace['id']}"),
        ):
            connection.request(method, path, b"{}", headers)
            answer = connection.getresponse()
            assert answer.status == 200
            assert json.loads(answer.read())["id" if path != f"{API}/runtimes" else "runtimes"]


def test_unknown_values_and_nulls_in_update_change_nothing(
    api: ControlProcess, namespace: dict[str, object]
) -> None:
    fields = {"privacy": "private", "http_option": "redirected", "memory_limit": 512, "timeout": "30s"}
    function = api.create_function(namespace["id"], **fields)
    body = {
        "runtime": "unknown_runtime",
        "privacy": "unknown_privacy",
        "http_option": "unknown_http_option",
        "sandbox": "unknown_sandbox",
        **dict.fromkeys(("memory_limit", "timeout", "environment_variables", "tags", "handler", "max_scale")),
        "redeploy": False,
    }
    updated = api.request("PATCH", f"{API}/functions/{function['id']}", body).ok()

    assert {key: updated[key] for key in updated if key not in ("updated_at", "created_at")} == {
        key: function[key] for key in function if key not in ("updated_at", "created_at")
    }


@pytest.mark.parametrize(
    ("given", "shown"), [("30.000000000s", "30s"), ("30s", "30s"), ("10.5s", "10.500s"), ("600s", "600s")]
)
def test_duration_is_accepted_in_every_format(
    api: ControlProcess, namespace: dict[str, object], given: str, shown: str
) -> None:
    assert api.create_function(namespace["id"], timeout=given)["timeout"] == shown


def test_deploy_response_has_status_pending(api: ControlProcess, namespace: dict[str, object]) -> None:
    function = api.create_function(namespace["id"])
    api.upload(function["id"], zip_archive())
    path = f"{API}/functions/{function['id']}"
    first = api.request("POST", f"{path}/deploy", {}).ok()
    assert (first["status"], api.wait_until_settled("functions", function["id"])["status"]) == ("pending", "ready")

    again = api.request("POST", f"{path}/deploy", {}).ok()
    assert (again["status"], api.wait_until_settled("functions", function["id"])["status"]) == ("pending", "ready")
    patched = api.request("PATCH", path, {"redeploy": True}).ok()
    assert (patched["status"], api.wait_until_settled("functions", function["id"])["status"]) == (
        "pending",
        "ready",
    )


def test_deleted_resource_returns_404_with_message(api: ControlProcess) -> None:
    namespace = api.create_namespace(f"needs-{uuid.uuid4().hex[:8]}")
    function = api.create_function(namespace["id"])
    assert api.request("DELETE", f"{API}/namespaces/{namespace['id']}").ok()["status"] == "deleting"
    api.wait_until_deleted("namespaces", namespace["id"])

    assert api.request("GET", f"{API}/namespaces/{namespace['id']}").document == {
        "message": "Namespace was not found"
    }
    assert api.request("GET", f"{API}/functions/{function['id']}").document == {"message": "Function was not found"}


@pytest.mark.slow
def test_eight_concurrent_18_mb_uploads_with_plugin_headers_succeed(
    api: ControlProcess, namespace: dict[str, object]
) -> None:
    content = zip_archive({"handler.py": PRINTS, "padding.bin": b"\0" * 18_000_000})
    functions = [api.create_function(namespace["id"], f"f{number}") for number in range(8)]

    def upload(function: dict[str, object]) -> int:
        query = {"content_length": len(content)}
        path = f"{API}/functions/{function['id']}/upload-url"
        url = urlsplit(str(api.request("GET", path, query=query).ok()["url"]))
        with kept_alive(api) as connection:
            headers = {"content_length": str(len(content)), "Content-Type": "application/octet-stream"}
            connection.request("PUT", f"{url.path}?{url.query}", content, headers)
            answer = connection.getresponse()
            assert answer.read() == b""
            return answer.status

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(upload, functions)) == [200] * 8
    api.request("POST", f"{API}/functions/{functions[7]['id']}/deploy", {}).ok()
    assert api.wait_until_settled("functions", functions[7]["id"])["status"] == "ready"


def test_runtimes_have_name_language_and_status(api: ControlProcess) -> None:
    runtimes = items(api.request("GET", f"{API}/runtimes").ok(), "runtimes")

    assert all(one["name"] and one["language"] and one["status"] for one in runtimes)
    assert {"available", "end_of_support", "end_of_life"} <= {one["status"] for one in runtimes}


def test_unnamed_cron_can_be_replaced_before_the_old_one_is_deleted(
    api: ControlProcess, namespace: dict[str, object]
) -> None:
    function = api.create_function(namespace["id"])
    body = {"function_id": function["id"], "schedule": "0 0 * * *", "args": {}, "name": None}
    old = api.request("POST", f"{API}/crons", body).ok()
    new = api.request("POST", f"{API}/crons", body).ok()
    api.request("DELETE", f"{API}/crons/{old['id']}").ok()
    newest = api.request("POST", f"{API}/crons", body).ok()  # the plugin does not wait for the delete
    api.request("DELETE", f"{API}/crons/{new['id']}").ok()
    api.wait_until_deleted("crons", new["id"])

    listed = items(api.request("GET", f"{API}/crons", query={"function_id": function["id"]}).ok(), "crons")
    assert [one["id"] for one in listed] == [newest["id"]]


def test_trigger_can_be_recreated_while_it_is_being_deleted(
    api: ControlProcess, namespace: dict[str, object]
) -> None:
    function = api.create_function(namespace["id"])
    body = {"function_id": function["id"], "name": "jobs", "scw_sqs_config": {"queue": "jobs"}}
    old = api.request("POST", f"{API}/triggers", body).ok()
    api.request("DELETE", f"{API}/triggers/{old['id']}").ok()
    new = api.request("POST", f"{API}/triggers", body).ok()

    assert api.wait_until_settled("triggers", new["id"])["status"] == "ready"


@pytest.mark.parametrize(
    ("handler", "files"),
    [
        ("app.hello_world", {"app.py": "def hello_world(event, context):\n    return 'hello'\n"}),
        ("py/handler.hello", {"py/handler.py": "def hello(event, context):\n    return 'hello'\n"}),
        (
            "app.hello_world",
            {
                "app.py": "from greetings import word\ndef hello_world(event, context):\n    return word\n",
                "package/greetings.py": "word = 'hello'\n",
            },
        ),
    ],
    ids=["name with underscore", "file in a folder", "dependencies in package/"],
)
def test_handler_and_dependencies_are_found_in_bundled_layout(
    api: ControlProcess,
    platform: PlatformUnderTest,
    namespace: dict[str, object],
    handler: str,
    files: dict[str, str | bytes],
) -> None:
    function = api.create_function(namespace["id"], "hello-world", handler=handler)
    api.deploy(function["id"], zip_archive(files))

    assert call_function(platform, str(function["domain_name"])).text == "hello"


def test_logs_are_listed_newest_first(
    api: ControlProcess, platform: PlatformUnderTest, namespace: dict[str, object]
) -> None:
    function = api.create_function(namespace["id"])
    path = f"{API}/functions/{function['id']}/logs"
    assert api.request("GET", path).ok() == {"logs": []}
    api.deploy(function["id"], zip_archive({"handler.py": PRINTS}))
    for place in ("/first", "/second"):
        assert call_function(platform, str(function["domain_name"]), place).text == "printed"

    def printed() -> list[str]:
        logs = items(api.request("GET", path).ok(), "logs")
        return [str(one["message"]) for one in logs if one["source"] == "user"]

    wait_until(lambda: len(printed()) == 2)
    assert printed() == ["called for /second", "called for /first"]
    missing = api.request("GET", f"{API}/functions/{uuid.uuid4()}/logs")
    assert (missing.status, missing.document) == (404, {"message": "Function was not found"})
