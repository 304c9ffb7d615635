"""Whatever the document allows, and what it does not, is answered as the document says."""

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
from tests.conformance.fuzz.generated import Operation, name_of
from tests.conformance.fuzz.ground import Ground
from tests.conformance.fuzz.run import fuzz, operations
from tests.support.examples import examples
from tests.support.platform import PlatformUnderTest

CASES = 30
"""Of each operation, fewer with a quick profile; ``make fuzz`` sends 2,000."""


@pytest.fixture(scope="module")
def ground(platform: PlatformUnderTest) -> Iterator[Ground]:
    with Ground(platform) as there:
        yield there


@pytest.mark.slow
@pytest.mark.conformance
@pytest.mark.parametrize("operation", operations(), ids=name_of)
def test_no_answer_is_outside_the_document(operation: Operation, ground: Ground) -> None:
    cases = examples(CASES)
    statuses = fuzz(operation, ground, cases, derandomize=True)

    assert statuses.total() >= cases / 2, "most of what was generated could not be sent"


def without_overlay() -> dict[str, object]:
    return original_document()


def with_a_wrong_type() -> dict[str, object]:
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
    ("document", "found"),
    [(without_overlay, "Undocumented status code"), (with_a_wrong_type, "Response violates schema")],
)
def test_a_document_that_is_not_so_is_found_out(
    ground: Ground, document: Callable[[], dict[str, object]], found: str
) -> None:
    (operation,) = (one for one in operations(document()) if name_of(one) == "GetCron")

    with pytest.raises(FailureGroup, match=found):
        fuzz(operation, ground, CASES, derandomize=True)


@pytest.mark.conformance
def test_a_refused_key_is_found_out(platform: PlatformUnderTest, ground: Ground) -> None:
    (operation,) = (one for one in operations() if name_of(one) == "GetCron")
    mistaken = Ground(dataclasses.replace(platform, secret_key="not the key"), ids=ground.ids)

    with pytest.raises(AssertionError, match="the right key was refused"):
        fuzz(operation, mistaken, CASES, derandomize=True)
