"""Runs one operation: generate, send, judge, clean up, count."""

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
from tests.conformance.fuzz.generated import Credential, Generated, Operation, generated, name_of
from tests.conformance.fuzz.ground import Ground
from tests.conformance.fuzz.judging import judge

__all__ = ["fuzz", "operations"]

_UNSENDABLE = (requests.exceptions.InvalidHeader, requests.exceptions.InvalidURL, UnicodeError)
"""What no HTTP client puts on the wire."""


def operations(document: dict[str, object] | None = None) -> list[Operation]:
    """Return every operation of a document, by default the served one."""
    schema = schemathesis.openapi.from_dict(deepcopy(document or openapi_document()))
    return [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]


def fuzz(operation: Operation, ground: Ground, cases: int, *, derandomize: bool = False) -> Counter[int]:
    """Send so many cases; returns how often each status was answered.

    Raises:
        AssertionError: an answer that must not be, with the smallest request that brings it.
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
    @given(generated(operation, ground))
    def one(sent: Generated) -> None:
        with _something_to_delete(name_of(operation), ground, sent):
            try:
                answer = sent.case.call(base_url=ground.platform.api_url, session=ground.session, timeout=60)
            except _UNSENDABLE:
                reject()
        statuses[answer.status_code] += 1
        _clean_up(operation, ground, sent, answer)
        judge(sent, answer)

    one()
    return statuses


@contextmanager
def _something_to_delete(name: str, ground: Ground, sent: Generated) -> Iterator[None]:
    """Have a grounded deletion find something of its own; it is gone afterwards, whatever was answered."""
    if not (name.startswith("Delete") and sent.grounded):
        yield
        return
    kind = name.removeprefix("Delete").lower()
    doomed = sent.case.path_parameters[f"{kind}_id"] = ground.create(kind)
    try:
        yield
    finally:
        ground.delete(kind, doomed)


def _clean_up(operation: Operation, ground: Ground, sent: Generated, answer: Response) -> None:
    """Delete what was created, so that no quota ends the run."""
    name = name_of(operation)
    if name.startswith("Create") and answer.status_code == 200 and sent.credential is Credential.RIGHT:
        ground.delete(name.removeprefix("Create").lower(), str(answer.json()["id"]))
