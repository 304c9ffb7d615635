"""The document at ``/openapi.json``: given, overlaid with what was observed, and nothing else."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import requests
from schemathesis.core.transport import Response

from fnkit.platform.control.api.openapi import (
    apply_overlay,
    curl_samples,
    openapi_document,
    original_document,
    overlay_entries,
    resolve_pointer,
)
from fnkit.platform.control.api.operations import OPERATIONS
from tests.conformance.fuzz.generated import Operation, name_of
from tests.conformance.fuzz.ground import Ground
from tests.conformance.fuzz.run import operations
from tests.support.conformance_data import conformance_directory
from tests.support.control_process import api_client
from tests.support.platform import PlatformUnderTest
from tests.support.source_tree import REPOSITORY

GIVEN = original_document()
ENTRIES = overlay_entries()
MASK = "xxxxxxxx-xxxx-xxxx-xxxxxxxxxxxxxxxx"
"""What the recorder of 2026 wrote in place of every token, hidden ones too."""


@pytest.fixture(scope="module")
def ground(platform: PlatformUnderTest) -> Iterator[Ground]:
    with Ground(platform) as there:
        yield there


def operation_ids(document: dict[str, object]) -> list[str]:
    return [str(name) for name in resolve_pointer(document, "/paths/*/*/operationId")]


def test_it_is_served_to_whoever_asks(platform: PlatformUnderTest) -> None:
    with urllib.request.urlopen(f"{platform.api_url}/openapi.json", timeout=60) as answer:
        assert answer.headers["Content-Type"] == "application/json"
        assert json.load(answer) == openapi_document()


def test_it_has_the_given_operations_and_no_others() -> None:
    assert sorted(operation_ids(openapi_document())) == sorted(operation_ids(GIVEN))
    assert len(operation_ids(openapi_document())) == 32


def test_every_operation_stands_where_the_document_says() -> None:
    prefix = "/functions/v1beta1/regions/{region}"
    ours = {(one.name, one.method, one.path) for one in OPERATIONS}
    given = {
        (name_of(one), one.method.upper(), one.path.removeprefix(prefix).replace(parameter(one.path), "{id}"))
        for one in operations()
    }
    assert ours == given


def parameter(path: str) -> str:
    """``{cron_id}`` of a path that has one."""
    return next((part for part in path.split("/") if part.endswith("_id}")), "{id}")


def test_every_operation_has_its_sample() -> None:
    assert sorted(curl_samples()) == sorted(operation_ids(openapi_document()))


@pytest.mark.parametrize("number", range(len(ENTRIES)), ids=lambda number: ENTRIES[number].what[:40])
def test_an_entry_of_the_overlay_changes_something_and_says_why(number: int) -> None:
    before = apply_overlay(GIVEN, ENTRIES[:number])
    entry = ENTRIES[number]

    assert apply_overlay(before, [entry]) != before
    assert len(entry.evidence.text) > 10


def test_an_entry_that_leads_nowhere_is_refused() -> None:
    entry = msgspec.structs.replace(ENTRIES[0], at=["/paths/~1nothing/get"])

    with pytest.raises(KeyError, match="nothing at /paths/~1nothing/get"):
        apply_overlay(GIVEN, [entry])


@pytest.mark.parametrize("key", ["", "wrong", None])
@pytest.mark.conformance
def test_no_operation_works_without_the_key(ground: Ground, platform: PlatformUnderTest, key: str | None) -> None:
    headers = {} if key is None else {"X-Auth-Token": key}
    for operation in operations():
        url = platform.api_url + operation.path.format_map({**ground.ids, "region": "fr-par"})
        body = ground.good_body(name_of(operation))
        answer = ground.session.request(operation.method, url, headers=headers, json=body, timeout=60)
        assert answer.status_code == 401, (name_of(operation), answer.text)
        assert answer.json()["type"] == "denied_authentication"


@pytest.mark.parametrize("body", [b"[]", b"null", b"3", b'"x"', b"{", b"nonsense"])
@pytest.mark.conformance
def test_what_is_no_json_object_is_no_body(ground: Ground, platform: PlatformUnderTest, body: bytes) -> None:
    api = api_client(platform)
    for operation in operations():
        if "requestBody" in operation.definition.raw:
            path = operation.path.format_map({**ground.ids, "region": "fr-par"})
            answer = api.request(operation.method.upper(), path, body)
            assert answer.status == 400, (name_of(operation), answer.body)
            assert answer.message.startswith(("proto: syntax error (line 1:", "invalid value for the body: "))


def table() -> str:
    """What the page shows of the overlay."""
    letters = {"recorded": "R", "sibling": "S", "document": "D", "published": "P", "ours": "O"}
    rows = [f"| {one.what} | {letters[one.evidence.source]}: {one.evidence.text} |" for one in ENTRIES]
    return "\n".join(["| in the served document | evidence |", "|---|---|", *rows])


def test_the_page_shows_the_overlay() -> None:
    page = (REPOSITORY / "docs" / "api-behaviour.md").read_text(encoding="utf-8")

    assert table() in page, f"docs/api-behaviour.md should have this table:\n\n{table()}"


def recorded() -> Iterator[tuple[str, str, int, object]]:
    """``(place, operation, status, body)`` of every recorded answer of the API itself."""
    for file in sorted((conformance_directory() / "cassettes").glob("*.jsonl")):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            one: dict[str, Any] = json.loads(line)
            if not one["op"].startswith("@"):
                yield f"{file.name}:{number}", one["op"], one["status"], one["response_body"]


def is_in(document: dict[str, Operation], name: str, status: int, body: object) -> bool:
    """Whether an answer is one that the document has for the operation."""
    sent = requests.Request("GET", "http://recorded").prepare()
    headers = {"content-type": ["application/json"]}
    answer = Response(status, headers, json.dumps(body).encode(), sent, elapsed=0, verify=False)
    if str(status) not in document[name].definition.raw["responses"]:
        return False
    return document[name].is_valid_response(answer)


@pytest.mark.conformance
def test_every_recorded_answer_is_in_the_document() -> None:
    served = {name_of(one): one for one in operations()}
    given = {name_of(one): one for one in operations(GIVEN)}
    answers = [(place, name, status, unmasked(name, body)) for place, name, status, body in recorded()]

    assert [answer for answer in answers if not is_in(served, *answer[1:])] == []
    assert len(answers) > 500
    # Without the overlay, most are outside: what the check above says, it can also deny.
    assert sum(not is_in(given, *answer[1:]) for answer in answers) > 200


def unmasked(name: str, body: object) -> object:
    masked = isinstance(body, dict) and body.get("token") == MASK and name != "CreateToken"
    return {**body, "token": "<hidden>"} if masked and isinstance(body, dict) else body
