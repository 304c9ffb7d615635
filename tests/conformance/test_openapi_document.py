"""The document at ``/openapi.json``: Scaleway's original with the overlay of observed behaviour."""

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
from tests.conformance.fuzz.cases import Operation, operation_id
from tests.conformance.fuzz.resources import FuzzResources
from tests.conformance.fuzz.runner import operations
from tests.support.conformance_data import conformance_directory
from tests.support.control_process import api_client
from tests.support.platform import PlatformUnderTest
from tests.support.source_tree import REPOSITORY

ORIGINAL = original_document()
ENTRIES = overlay_entries()
MASK = "xxxxxxxx-xxxx-xxxx-xxxxxxxxxxxxxxxx"
"""What the recorder of 2026 wrote in place of every token, including hidden ones."""


@pytest.fixture(scope="module")
def resources(platform: PlatformUnderTest) -> Iterator[FuzzResources]:
    with FuzzResources(platform) as created:
        yield created


def operation_ids(document: dict[str, object]) -> list[str]:
    return [str(name) for name in resolve_pointer(document, "/paths/*/*/operationId")]


def test_document_is_served_without_authentication(platform: PlatformUnderTest) -> None:
    with urllib.request.urlopen(f"{platform.api_url}/openapi.json", timeout=60) as answer:
        assert answer.headers["Content-Type"] == "application/json"
        assert json.load(answer) == openapi_document()


def test_document_has_exactly_the_original_operations() -> None:
    assert sorted(operation_ids(openapi_document())) == sorted(operation_ids(ORIGINAL))
    assert len(operation_ids(openapi_document())) == 32


def test_operations_have_the_methods_and_paths_of_the_document() -> None:
    prefix = "/functions/v1beta1/regions/{region}"
    implemented = {(one.name, one.method, one.path) for one in OPERATIONS}
    original = {
        (operation_id(one), one.method.upper(), one.path.removeprefix(prefix).replace(parameter(one.path), "{id}"))
        for one in operations()
    }
    assert implemented == original


def parameter(path: str) -> str:
    """Return the id parameter of a path, such as ``{cron_id}``."""
    return next((part for part in path.split("/") if part.endswith("_id}")), "{id}")


def test_every_operation_has_a_curl_sample() -> None:
    assert sorted(curl_samples()) == sorted(operation_ids(openapi_document()))


@pytest.mark.parametrize("number", range(len(ENTRIES)), ids=lambda number: ENTRIES[number].what[:40])
def test_overlay_entry_changes_the_document_and_has_evidence(number: int) -> None:
    before = apply_overlay(ORIGINAL, ENTRIES[:number])
    entry = ENTRIES[number]

    assert apply_overlay(before, [entry]) != before
    assert len(entry.evidence.text) > 10


def test_overlay_entry_for_missing_path_is_rejected() -> None:
    entry = msgspec.structs.replace(ENTRIES[0], at=["/paths/~1nothing/get"])

    with pytest.raises(KeyError, match="nothing at /paths/~1nothing/get"):
        apply_overlay(ORIGINAL, [entry])


@pytest.mark.parametrize("key", ["", "wrong", None])
@pytest.mark.conformance
def test_every_operation_requires_a_valid_key(
    resources: FuzzResources, platform: PlatformUnderTest, key: str | None
) -> None:
    headers = {} if key is None else {"X-Auth-Token": key}
    for operation in operations():
        url = platform.api_url + operation.path.format_map({**resources.ids, "region": "fr-par"})
        body = resources.valid_body(operation_id(operation))
        answer = resources.session.request(operation.method, url, headers=headers, json=body, timeout=60)
        assert answer.status_code == 401, (operation_id(operation), answer.text)
        assert answer.json()["type"] == "denied_authentication"


@pytest.mark.parametrize("body", [b"[]", b"null", b"3", b'"x"', b"{", b"nonsense"])
@pytest.mark.conformance
def test_body_that_is_not_a_json_object_is_rejected(
    resources: FuzzResources, platform: PlatformUnderTest, body: bytes
) -> None:
    api = api_client(platform)
    for operation in operations():
        if "requestBody" in operation.definition.raw:
            path = operation.path.format_map({**resources.ids, "region": "fr-par"})
            answer = api.request(operation.method.upper(), path, body)
            assert answer.status == 400, (operation_id(operation), answer.body)
            assert answer.message.startswith(("proto: syntax error (line 1:", "invalid value for the body: "))


def overlay_table() -> str:
    """Return the table of overlay entries for docs/api-behaviour.md."""
    letters = {"recorded": "R", "sibling": "S", "document": "D", "published": "P", "ours": "O"}
    rows = [f"| {one.what} | {letters[one.evidence.source]}: {one.evidence.text} |" for one in ENTRIES]
    return "\n".join(["| in the served document | evidence |", "|---|---|", *rows])


def test_api_behaviour_page_contains_the_overlay_table() -> None:
    page = (REPOSITORY / "docs" / "api-behaviour.md").read_text(encoding="utf-8")

    assert overlay_table() in page, f"docs/api-behaviour.md should have this table:\n\n{overlay_table()}"


def recorded_responses() -> Iterator[tuple[str, str, int, object]]:
    """``(place, operation, status, body)`` of every recorded response of the API."""
    for file in sorted((conformance_directory() / "cassettes").glob("*.jsonl")):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            one: dict[str, Any] = json.loads(line)
            if not one["op"].startswith("@"):
                yield f"{file.name}:{number}", one["op"], one["status"], one["response_body"]


def is_documented(document: dict[str, Operation], name: str, status: int, body: object) -> bool:
    """Return whether a document allows a response of an operation."""
    sent = requests.Request("GET", "http://recorded").prepare()
    headers = {"content-type": ["application/json"]}
    answer = Response(status, headers, json.dumps(body).encode(), sent, elapsed=0, verify=False)
    if str(status) not in document[name].definition.raw["responses"]:
        return False
    return document[name].is_valid_response(answer)


@pytest.mark.conformance
def test_document_allows_every_recorded_response() -> None:
    served = {operation_id(one): one for one in operations()}
    original = {operation_id(one): one for one in operations(ORIGINAL)}
    answers = [(place, name, status, unmasked(name, body)) for place, name, status, body in recorded_responses()]

    assert [answer for answer in answers if not is_documented(served, *answer[1:])] == []
    assert len(answers) > 500
    # Without the overlay, many responses are undocumented, so the check above can fail.
    assert sum(not is_documented(original, *answer[1:]) for answer in answers) > 200


def unmasked(name: str, body: object) -> object:
    masked = isinstance(body, dict) and body.get("token") == MASK and name != "CreateToken"
    return {**body, "token": "<hidden>"} if masked and isinstance(body, dict) else body
