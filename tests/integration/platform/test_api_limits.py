"""Each limit of docs/limits.md at its boundary: the value is accepted, one more is refused."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from fnkit.contract import limits
from tests.support.control_process import API, PROJECT, ControlProcess, api_client, running_control, zip_archive
from tests.support.http_response import HttpResponse
from tests.support.limits_page import limit_table
from tests.support.platform import PlatformUnderTest, call_function
from tests.support.source_tree import REPOSITORY

Fields = dict[str, object]


def numbered(prefix: str, count: int) -> dict[str, str]:
    return {f"{prefix}{number}": "x" for number in range(count)}


FUNCTION_FIELDS: Final[dict[str, Callable[[int], Fields]]] = {
    "ENVIRONMENT_MAX_ENTRIES": lambda n: {"environment_variables": numbered("A", n)},
    "ENVIRONMENT_VALUE_MAX_CHARS": lambda n: {"environment_variables": {"A": "é" * n}},
    "VARIABLE_NAME_MAX_CHARS": lambda n: {"environment_variables": {"A" * n: "x"}},
    "SECRET_VALUE_MAX_BYTES": lambda n: {"secret_environment_variables": [{"key": "A", "value": "x" * n}]},
    "SCALE_MAX": lambda n: {"min_scale": n, "max_scale": n},
    "TIMEOUT_MIN_SECONDS": lambda n: {"timeout": f"{n}s"},
    "TIMEOUT_MAX_SECONDS": lambda n: {"timeout": f"{n}s"},
    "FUNCTION_NAME_MAX": lambda n: {"name": uuid.uuid4().hex + "x" * (n - 32)},
    "TEXT_MAX_CHARS": lambda n: {"description": "x" * n},
    "TAGS_MAX": lambda n: {"tags": [str(number) for number in range(n)]},
}
NAMESPACE_FIELDS: Final[dict[str, Callable[[int], Fields]]] = {
    "NAMESPACE_NAME_MAX": lambda n: {"name": uuid.uuid4().hex + "x" * (n - 32)},
    "ENVIRONMENT_MAX_ENTRIES": FUNCTION_FIELDS["ENVIRONMENT_MAX_ENTRIES"],
    "ENVIRONMENT_VALUE_MAX_CHARS": FUNCTION_FIELDS["ENVIRONMENT_VALUE_MAX_CHARS"],
    "SECRET_VALUE_MAX_BYTES": FUNCTION_FIELDS["SECRET_VALUE_MAX_BYTES"],
    "TEXT_MAX_CHARS": lambda n: {"tags": ["x" * n]},
}
TRIGGER_FIELDS: Final[dict[str, Callable[[int], Fields]]] = {
    "TRIGGER_NAME_MAX": lambda n: {"name": "x" * n, "scw_sqs_config": {"queue": "q"}},
    "TRIGGER_DESCRIPTION_MAX": lambda n: {"description": "x" * n, "scw_sqs_config": {"queue": "q"}},
    "QUEUE_NAME_MAX": lambda n: {"scw_sqs_config": {"queue": "q" * n}},
    "NATS_SUBJECT_MAX": lambda n: {"scw_nats_config": {"subject": "s" * n, "mnq_nats_account_id": "A" * 56}},
}

ELSEWHERE: Final = {
    "SECRETS_MAX_ENTRIES": "tests/unit/platform/control/resources/test_function_settings.py",
    "NAMESPACES_MAX": "tests/integration/platform/test_quotas.py",
    "FUNCTIONS_MAX": "tests/integration/platform/test_quotas.py",
    "MEMORY_MAX_MB": "tests/integration/platform/test_quotas.py",
    "DOMAINS_MAX": "tests/integration/platform/test_domains.py",
    "ARCHIVE_MAX_BYTES": "tests/integration/platform/test_uploads.py",
    "UNPACKED_MAX_BYTES": "tests/unit/platform/control/deployments/test_archive.py",
    "BUILD_MAX_SECONDS": "tests/unit/platform/control/deployments/test_build_time.py",
    "DISK_MAX_BYTES": "tests/integration/test_limits.py",
    "PAYLOAD_MAX_BYTES": "tests/integration/test_gateway_http.py",
    "HEAD_MAX_BYTES": "tests/unit/contract/invocation/test_response.py",
    "RESPONSE_HEADERS_MAX": "tests/unit/contract/invocation/test_response.py",
    "LOG_LINES_PER_MINUTE": "tests/integration/test_function_logs.py",
    "SCALE_TO_ONE_AFTER_SECONDS": "tests/integration/test_engine_conformance.py",
    "SCALE_TO_ZERO_AFTER_SECONDS": "tests/integration/test_engine_conformance.py",
}
"""Where the limits are tested that are not fields of requests, or need preparation."""


@pytest.fixture(scope="module")
def function(control: ControlProcess) -> Fields:
    return control.create_function(control.create_namespace(f"limits-{uuid.uuid4().hex[:6]}")["id"])


def one_beyond(name: str) -> int:
    """Return the first value that a limit refuses."""
    value: int = getattr(limits, name)
    return value - 1 if "_MIN_" in name else value + 1


def create_function(control: ControlProcess, function: Fields, fields: Fields) -> HttpResponse:
    body = {"name": f"f-{uuid.uuid4().hex[:8]}", "namespace_id": function["namespace_id"], "runtime": "python311"}
    return control.request("POST", f"{API}/functions", {**body, **fields})


def create_namespace(control: ControlProcess, _: Fields, fields: Fields) -> HttpResponse:
    body = {"name": f"n-{uuid.uuid4().hex[:8]}", "project_id": PROJECT}
    return control.request("POST", f"{API}/namespaces", {**body, **fields})


def create_trigger(control: ControlProcess, function: Fields, fields: Fields) -> HttpResponse:
    return control.request("POST", f"{API}/triggers", {"name": "t", "function_id": function["id"], **fields})


@pytest.mark.parametrize(
    ("create", "make_fields", "name"),
    [
        pytest.param(create, make_fields, name, id=f"{create.__name__}-{name}")
        for create, table in (
            (create_function, FUNCTION_FIELDS),
            (create_namespace, NAMESPACE_FIELDS),
            (create_trigger, TRIGGER_FIELDS),
        )
        for name, make_fields in table.items()
    ],
)
def test_limit_is_accepted_and_one_more_is_refused(
    control: ControlProcess,
    function: Fields,
    create: Callable[[ControlProcess, Fields, Fields], HttpResponse],
    make_fields: Callable[[int], Fields],
    name: str,
) -> None:
    create(control, function, make_fields(getattr(limits, name))).ok()
    assert create(control, function, make_fields(one_beyond(name))).status == 400


def test_every_limit_has_a_boundary_test() -> None:
    tested = {*FUNCTION_FIELDS, *NAMESPACE_FIELDS, *TRIGGER_FIELDS, *ELSEWHERE}
    by_own_tests = {"MNQ_REGION_MAX", "UPLOAD_URL_SECONDS"}
    assert {row.name for row in limit_table()} == tested | by_own_tests
    assert [path for path in ELSEWHERE.values() if not (REPOSITORY / path).is_file()] == []


@pytest.mark.parametrize(
    ("length", "message"),
    [(limits.MNQ_REGION_MAX, "must be one of"), (limits.MNQ_REGION_MAX + 1, "must be at most 20 characters long")],
)
def test_length_of_a_region_is_checked_before_its_name(
    control: ControlProcess, function: Fields, length: int, message: str
) -> None:
    response = create_trigger(control, function, {"scw_sqs_config": {"queue": "q", "mnq_region": "r" * length}})
    assert (response.status, response.message.partition(" ")[0]) == (400, "scw_sqs_config.mnq_region")
    assert message in response.message


def test_trigger_name_may_have_any_characters_but_control_characters(
    control: ControlProcess, function: Fields
) -> None:
    config = {"scw_sqs_config": {"queue": "q"}}
    assert create_trigger(control, function, {"name": "Jobs (a_b) é", **config}).ok()["name"] == "Jobs (a_b) é"
    assert create_trigger(control, function, {"name": "a\nb", **config}).status == 400


def test_variables_of_a_function_and_its_namespace_are_counted_together(control: ControlProcess) -> None:
    half = limits.ENVIRONMENT_MAX_ENTRIES // 2
    fields: Fields = {"environment_variables": numbered("N", half)}
    namespace = control.create_namespace(f"n-{uuid.uuid4().hex[:8]}", **fields)
    path = f"{API}/namespaces/{namespace['id']}"
    function = control.create_function(
        namespace["id"], environment_variables=numbered("F", half - 1) | numbered("N", 1)
    )
    own = f"{API}/functions/{function['id']}"

    assert control.request("PATCH", own, {"environment_variables": numbered("F", half)}).ok()
    beyond = control.request("PATCH", own, {"environment_variables": numbered("F", half + 1)})
    both = "those of the function hello and its namespace together"
    message = f"environment_variables must have at most 200 entries, {both}"
    assert (beyond.status, beyond.message) == (400, message)
    grown = control.request("PATCH", path, {"environment_variables": numbered("N", half + 1)})
    assert (grown.status, grown.message) == (400, message)
    assert control.get("namespaces", namespace["id"])["environment_variables"] == numbered("N", half)


@pytest.mark.slow
def test_upload_url_is_valid_for_an_hour_of_platform_time(tmp_path: Path) -> None:
    with running_control(tmp_path, speed=0.0) as control:
        function = control.create_function(control.create_namespace()["id"])
        content = zip_archive()
        query = {"content_length": len(content)}
        url = control.request("GET", f"{API}/functions/{function['id']}/upload-url", query=query).ok()["url"]
        split = urlsplit(str(url))

        def upload() -> int:
            return control.request("PUT", f"{split.path}?{split.query}", content).status

        control.request("POST", "/fnkit/v1/clock", {"advance": limits.UPLOAD_URL_SECONDS - 1}).ok()
        assert upload() == 200
        control.request("POST", "/fnkit/v1/clock", {"advance": 2}).ok()
        assert upload() == 403


# The second one is longer than what Linux passes to a new program, which is what an instance of sandbox v1 is.
@pytest.mark.slow
@pytest.mark.parametrize(("sandbox", "character"), [("v1", "x"), ("v2", "é")])
def test_longest_variable_reaches_the_handler(platform: PlatformUnderTest, sandbox: str, character: str) -> None:
    control = api_client(platform)
    value = character * limits.ENVIRONMENT_VALUE_MAX_CHARS
    source = (
        "import os\ndef handle(event, context):\n    return os.environ['LONG'][-1] + str(len(os.environ['LONG']))\n"
    )
    namespace = control.create_namespace(f"limits-{uuid.uuid4().hex[:6]}")
    function = control.create_function(namespace["id"], sandbox=sandbox, environment_variables={"LONG": value})
    assert control.deploy(function["id"], zip_archive({"handler.py": source}))["status"] == "ready"
    reply = call_function(platform, str(function["domain_name"]))
    assert (reply.status, reply.text) == (200, f"{character}{len(value)}")
