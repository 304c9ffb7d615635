"""Requests generated from the OpenAPI document, valid and invalid, get documented responses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import pytest
from schemathesis.core.failures import FailureGroup

from fnkit.platform.control.api.openapi import (
    Evidence,
    OverlayEntry,
    apply_overlay,
    openapi_document,
    original_document,
)
from tests.conformance.fuzz.cases import Operation, operation_id
from tests.conformance.fuzz.resources import FuzzResources
from tests.conformance.fuzz.runner import fuzz, operations
from tests.support.examples import examples
from tests.support.platform import PlatformUnderTest

CASES = 30
"""Cases per operation, fewer with the quick profile; ``make fuzz`` sends 2,000."""


@pytest.fixture(scope="module")
def resources(platform: PlatformUnderTest) -> Iterator[FuzzResources]:
    with FuzzResources(platform) as created:
        yield created


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.conformance
@pytest.mark.parametrize("operation", operations(), ids=operation_id)
def test_every_response_is_documented(operation: Operation, resources: FuzzResources) -> None:
    cases = examples(CASES)
    statuses = fuzz(operation, resources, cases, derandomize=True)

    assert statuses.total() >= cases / 2, "most of the generated requests could not be sent"


def without_overlay() -> dict[str, object]:
    return original_document()


def with_wrong_type() -> dict[str, object]:
    return apply_overlay(
        openapi_document(),
        [
            OverlayEntry(
                what="a status is a number",
                evidence=Evidence("ours", "a test"),
                at=["/components/schemas/scaleway.functions.v1beta1.Cron/properties/status"],
                merge={"type": "integer", "enum": None},
            )
        ],
    )


@pytest.mark.conformance
@pytest.mark.parametrize(
    ("document", "failure"),
    [(without_overlay, "Undocumented status code"), (with_wrong_type, "Response violates schema")],
)
def test_fuzzing_detects_a_wrong_document(
    resources: FuzzResources, document: Callable[[], dict[str, object]], failure: str
) -> None:
    (operation,) = (one for one in operations(document()) if operation_id(one) == "GetCron")

    with pytest.raises(FailureGroup, match=failure):
        fuzz(operation, resources, CASES, derandomize=True)


@pytest.mark.conformance
def test_fuzzing_detects_a_rejected_valid_key(platform: PlatformUnderTest, resources: FuzzResources) -> None:
    (operation,) = (one for one in operations() if operation_id(one) == "GetCron")
    with_wrong_key = FuzzResources(dataclasses.replace(platform, secret_key="not the key"), ids=resources.ids)

    with pytest.raises(AssertionError, match="the right key was refused"):
        fuzz(operation, with_wrong_key, CASES, derandomize=True)
