"""Fuzzes one operation: generates requests, sends them, checks the responses, deletes what was created."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, reject, settings
from schemathesis.core.result import Ok
from schemathesis.core.transport import Response

from fnkit.platform.control.api.openapi import openapi_document
from tests.conformance.fuzz.cases import Credential, GeneratedRequest, Operation, generate_requests, operation_id
from tests.conformance.fuzz.checks import check_response
from tests.conformance.fuzz.resources import FuzzResources

__all__ = ["fuzz", "operations"]

_UNSENDABLE = (requests.exceptions.InvalidHeader, requests.exceptions.InvalidURL, UnicodeError)
"""Errors of requests that the HTTP client refuses to send."""


def operations(document: dict[str, object] | None = None) -> list[Operation]:
    """Return every operation of a document, by default of the served one."""
    schema = schemathesis.openapi.from_dict(deepcopy(document or openapi_document()))
    return [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]


def fuzz(operation: Operation, resources: FuzzResources, cases: int, *, derandomize: bool = False) -> Counter[int]:
    """Send a number of cases and return how often each status was received.

    Raises:
        AssertionError: a response failed a check. The message has the smallest request that causes it.
    """
    statuses: Counter[int] = Counter()

    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        derandomize=derandomize,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(generate_requests(operation, resources))
    def one(sent: GeneratedRequest) -> None:
        with _deletable_resource(operation_id(operation), resources, sent):
            try:
                response = sent.case.call(
                    base_url=resources.platform.api_url, session=resources.session, timeout=60
                )
            except _UNSENDABLE:
                reject()
        statuses[response.status_code] += 1
        _clean_up(operation, resources, sent, response)
        check_response(sent, response)

    one()
    return statuses


@contextmanager
def _deletable_resource(name: str, resources: FuzzResources, sent: GeneratedRequest) -> Iterator[None]:
    """Give a deletion with real ids a resource of its own, and delete that resource afterwards."""
    if not (name.startswith("Delete") and sent.with_real_ids):
        yield
        return
    kind = name.removeprefix("Delete").lower()
    created = sent.case.path_parameters[f"{kind}_id"] = resources.create(kind)
    try:
        yield
    finally:
        resources.delete(kind, created)


def _clean_up(operation: Operation, resources: FuzzResources, sent: GeneratedRequest, response: Response) -> None:
    """Delete what the request created, so that no quota is reached."""
    name = operation_id(operation)
    if name.startswith("Create") and response.status_code == 200 and sent.credential is Credential.RIGHT:
        resources.delete(name.removeprefix("Create").lower(), str(response.json()["id"]))
