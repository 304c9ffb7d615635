"""Law: any JSON, any type in any field, any id, any query is answered with 4xx or done; never with 5xx."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.control_process import API, PROJECT, ControlProcess, running_control

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
)
WORDS = st.sampled_from(
    ("python311", "go126", "a", "public", "v2", "300s", "0 0 * * *", PROJECT, "", "\0", "\ud800", "é")
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
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def ids(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ControlProcess, dict[str, str]]]:
    with running_control(tmp_path_factory.mktemp("any")) as control:
        namespace = str(control.namespace()["id"])
        function = str(control.function(namespace)["id"])
        cron = control.request("POST", f"{API}/crons", {"function_id": function, "schedule": "0 0 * * *"}).ok()
        yield control, {"namespaces": namespace, "functions": function, "crons": str(cron["id"])}
        assert "Traceback" not in control.log


def sane(status: int, body: bytes) -> None:
    assert status < 500, body
    if status >= 400:
        assert set(json.loads(body)) >= {"message"}


@QUICK
@given(kind=st.sampled_from(("namespaces", "functions", "crons")), body=BODIES, patch=st.booleans())
def test_any_json_in_a_body(
    ids: tuple[ControlProcess, dict[str, str]],
    kind: str,
    body: object,
    patch: bool,  # noqa: FBT001 - hypothesis gives it
) -> None:
    control, known = ids
    if isinstance(body, dict) and not patch:
        body.setdefault("namespace_id", known["namespaces"])
        body.setdefault("function_id", known["functions"])
    path = f"{API}/{kind}/{known[kind]}" if patch else f"{API}/{kind}"
    answer = control.request("PATCH" if patch else "POST", path, body)
    sane(answer.status, answer.body)


@QUICK
@given(body=st.binary(max_size=60), kind=st.sampled_from(("namespaces", "functions", "crons")))
def test_any_bytes_in_a_body(ids: tuple[ControlProcess, dict[str, str]], body: bytes, kind: str) -> None:
    control, _ = ids
    answer = control.request("POST", f"{API}/{kind}", body)
    sane(answer.status, answer.body)
    assert answer.status >= 400


@QUICK
@given(
    record_id=st.text(min_size=1, max_size=40),
    kind=st.sampled_from(("namespaces", "functions", "crons", "domains", "runtimes", "nothing")),
    method=st.sampled_from(("GET", "PATCH", "DELETE", "POST", "PUT")),
)
def test_any_id(ids: tuple[ControlProcess, dict[str, str]], record_id: str, kind: str, method: str) -> None:
    control, _ = ids
    answer = control.request(method, f"{API}/{kind}/{quote(record_id, safe='', errors='surrogatepass')}", {})
    assert answer.status in (400, 404, 405, 501)
    assert answer.message


@QUICK
@given(
    query=st.dictionaries(
        st.sampled_from(("page", "page_size", "order_by", "name", "project_id", "organization_id", "function_id")),
        st.text(max_size=20) | st.integers().map(str) | st.just("created_at_asc"),
        max_size=4,
    ),
    kind=st.sampled_from(("namespaces", "functions", "crons")),
)
def test_any_query(ids: tuple[ControlProcess, dict[str, str]], query: dict[str, str], kind: str) -> None:
    control, _ = ids
    text = "&".join(f"{name}={quote(value, safe='', errors='surrogatepass')}" for name, value in query.items())
    answer = control.request("GET", f"{API}/{kind}?{text}")
    sane(answer.status, answer.body)


def test_a_body_that_is_nested_very_deeply(ids: tuple[ControlProcess, dict[str, str]]) -> None:
    control, known = ids
    deep = b'{"args":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001
    answer = control.request("PATCH", f"{API}/crons/{known['crons']}", deep)
    assert answer.status == 400
