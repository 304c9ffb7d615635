"""The API accepts a request or answers with a 4xx status, whatever the JSON, field types, ids and queries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.control_process import API, PROJECT, ControlProcess, running_control
from tests.support.examples import examples

FIELDS = (
    *(
        "name",
        "project_id",
        "namespace_id",
        "function_id",
        "environment_variables",
        "description",
        "tags",
        "schedule",
    ),
    *(
        "secret_environment_variables",
        "activate_vpc_integration",
        "min_scale",
        "max_scale",
        "runtime",
        "memory_limit",
    ),
    *("timeout", "handler", "privacy", "http_option", "sandbox", "private_network_id", "redeploy", "args", "key"),
    *("hostname", "scw_sqs_config", "scw_nats_config", "sqs_config", "queue", "subject", "mnq_nats_account_id"),
    *("mnq_project_id", "mnq_region", "endpoint", "queue_url", "access_key", "secret_key", "expires_at"),
)
KINDS = ("namespaces", "functions", "crons", "domains", "triggers", "tokens")
WORDS = st.sampled_from(
    (
        *("python311", "go126", "a", "public", "v2", "300s", "0 0 * * *", PROJECT, "", "\0", "\ud800", "é"),
        *(
            "shop.example.com",
            "orders.>",
            "A" * 56,
            "https://a/b",
            "https://[",
            "jobs.fifo",
            "fr-par",
            "2030-01-01T00:00:00Z",
        ),
    )
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | WORDS
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS) | st.text(), inner, max_size=4)
    ),
    max_leaves=8,
)
BODIES = st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=8) | ANYTHING
QUEUE = {"scw_sqs_config": {"queue": "jobs"}}
QUICK = settings(
    max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def ids(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ControlProcess, dict[str, str]]]:
    with running_control(tmp_path_factory.mktemp("any")) as control:
        namespace = str(control.create_namespace()["id"])
        function = str(control.create_function(namespace)["id"])
        cron = control.request("POST", f"{API}/crons", {"function_id": function, "schedule": "0 0 * * *"}).ok()
        domain = control.request("POST", f"{API}/domains", {"function_id": function, "hostname": "a.b"}).ok()
        trigger = control.request(
            "POST", f"{API}/triggers", {"function_id": function, "name": "jobs", **QUEUE}
        ).ok()
        token = control.request("POST", f"{API}/tokens", {"function_id": function}).ok()
        ids = (namespace, function, *(str(one["id"]) for one in (cron, domain, trigger, token)))
        yield control, dict(zip(KINDS, ids, strict=True))
        assert "Traceback" not in control.log


def check_answer(status: int, body: bytes) -> None:
    assert status < 500, body
    if status >= 400:
        assert set(json.loads(body)) >= {"message"}


@QUICK
@given(kind=st.sampled_from(KINDS), body=BODIES, patch=st.booleans())
def test_any_json_body_gets_no_server_error(
    ids: tuple[ControlProcess, dict[str, str]],
    kind: str,
    body: object,
    patch: bool,  # noqa: FBT001 - hypothesis passes it
) -> None:
    control, known = ids
    if isinstance(body, dict) and not patch:
        body.setdefault("namespace_id", known["namespaces"])
        body.setdefault("function_id", known["functions"])
    path = f"{API}/{kind}/{known[kind]}" if patch else f"{API}/{kind}"
    answer = control.request("PATCH" if patch else "POST", path, body)
    check_answer(answer.status, answer.body)


@QUICK
@given(body=st.binary(max_size=60), kind=st.sampled_from(KINDS))
def test_body_of_random_bytes_is_rejected(
    ids: tuple[ControlProcess, dict[str, str]], body: bytes, kind: str
) -> None:
    control, _ = ids
    answer = control.request("POST", f"{API}/{kind}", body)
    check_answer(answer.status, answer.body)
    assert answer.status >= 400


@QUICK
@given(
    record_id=st.text(min_size=1, max_size=40),
    kind=st.sampled_from((*KINDS, "runtimes", "nothing")),
    method=st.sampled_from(("GET", "PATCH", "DELETE", "POST", "PUT")),
)
def test_any_id_gets_a_client_error_with_message(
    ids: tuple[ControlProcess, dict[str, str]], record_id: str, kind: str, method: str
) -> None:
    control, _ = ids
    answer = control.request(method, f"{API}/{kind}/{quote(record_id, safe='', errors='surrogatepass')}", {})
    assert answer.status in (400, 404, 405, 501)
    assert answer.message


@QUICK
@given(
    query=st.dictionaries(
        st.sampled_from(("page", "page_size", "order_by", "name", "project_id", "namespace_id", "function_id")),
        st.text(max_size=20) | st.integers().map(str) | st.just("created_at_asc"),
        max_size=4,
    ),
    kind=st.sampled_from(KINDS),
)
def test_any_query_gets_no_server_error(
    ids: tuple[ControlProcess, dict[str, str]], query: dict[str, str], kind: str
) -> None:
    control, _ = ids
    text = "&".join(f"{name}={quote(value, safe='', errors='surrogatepass')}" for name, value in query.items())
    answer = control.request("GET", f"{API}/{kind}?{text}")
    check_answer(answer.status, answer.body)


def test_deeply_nested_body_is_rejected(ids: tuple[ControlProcess, dict[str, str]]) -> None:
    control, known = ids
    deep = b'{"args":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001
    answer = control.request("PATCH", f"{API}/crons/{known['crons']}", deep)
    assert answer.status == 400


VALID_BODIES: dict[str, dict[str, object]] = {
    "domains": {"hostname": "b.example.com"},
    "queue triggers": {"name": "jobs", "description": "", "scw_sqs_config": {"queue": "q", "mnq_region": "fr-par"}},
    "subject triggers": {
        "name": "jobs",
        "scw_nats_config": {"subject": "a.b", "mnq_nats_account_id": "A" * 56, "mnq_project_id": PROJECT},
    },
    "external SQS triggers": {
        "name": "jobs",
        "sqs_config": {"endpoint": "http://a", "queue_url": "http://a/b", "access_key": "k", "secret_key": "s"},
    },
}


@QUICK
@given(data=st.data(), resource=st.sampled_from(sorted(VALID_BODIES)), value=ANYTHING)
def test_error_names_the_invalid_field_and_nothing_is_created(
    ids: tuple[ControlProcess, dict[str, str]], data: st.DataObject, resource: str, value: object
) -> None:
    control, known = ids
    kind = "domains" if resource == "domains" else "triggers"
    body: dict[str, object] = {**VALID_BODIES[resource], "function_id": known["functions"]}
    field = inner = data.draw(st.sampled_from(sorted(body)))
    config = body[field]
    if isinstance(config, dict) and data.draw(st.booleans()):
        inner = data.draw(st.sampled_from(sorted(config)))
        body[field] = {**config, inner: value}
    else:
        body[field] = value
    count = _count(control, kind, known)
    answer = control.request("POST", f"{API}/{kind}", body)

    if answer.status == 200:
        control.request("DELETE", f"{API}/{kind}/{answer.document['id']}").ok()
        control.wait_until_deleted(kind, answer.document["id"])
    elif answer.status == 400 and answer.message.startswith(("proto: ", "exactly one of ")):
        text = json.dumps(value)
        not_json = any(word in text for word in ("\\ud", "NaN", "Infinity"))
        assert not_json if answer.message.startswith("proto: ") else field.endswith("_config")
    elif answer.status == 400:
        assert inner in answer.message or (inner == "hostname" and "could not validate domain" in answer.message)
    else:
        assert (answer.status, inner) == (404, "function_id")
    assert _count(control, kind, known) == count


def _count(control: ControlProcess, kind: str, known: dict[str, str]) -> object:
    listed = control.request("GET", f"{API}/{kind}", query={"function_id": known["functions"]}).ok()
    return listed["total_count"]
