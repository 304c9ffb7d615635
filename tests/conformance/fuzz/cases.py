"""Generates requests from the OpenAPI document, as schemathesis makes them or with ids that exist."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict
from schemathesis import APIOperation, Case, GenerationMode

from tests.conformance.fuzz.resources import FuzzResources

__all__ = ["Credential", "GeneratedRequest", "Operation", "generate_requests", "operation_id"]

Operation: TypeAlias = APIOperation[Any, Any, Any, Any]
"""One operation of the document, as parsed by schemathesis."""


class Credential(Enum):
    """The value of ``X-Auth-Token``."""

    RIGHT = "right"
    WRONG = "wrong"
    EMPTY = "empty"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class GeneratedRequest:
    """A request to send. ``with_real_ids``: it has ids of resources that exist."""

    case: Case[Any]
    credential: Credential
    with_real_ids: bool


def operation_id(operation: Operation) -> str:
    """Return the operation's id in the document."""
    return str(operation.definition.raw["operationId"])


def generate_requests(operation: Operation, resources: FuzzResources) -> st.SearchStrategy[GeneratedRequest]:
    """Return valid and invalid requests; half of them have real ids and enough valid fields to pass validation."""
    cases = st.one_of([operation.as_strategy(mode) for mode in GenerationMode])
    credentials = st.sampled_from([Credential.RIGHT] * 9 + list(Credential))

    @st.composite
    def one(draw: st.DrawFn) -> GeneratedRequest:
        case, with_real_ids = draw(cases), draw(st.booleans())
        if with_real_ids:
            _insert_real_ids(draw, case, operation_id(operation), resources)
        credential = draw(credentials)
        headers = CaseInsensitiveDict(case.headers)
        headers.pop("X-Auth-Token", None)
        headers.update(_header(credential, resources.platform.secret_key, draw))
        case.headers = headers
        return GeneratedRequest(case, credential, with_real_ids)

    return one()


def _insert_real_ids(draw: st.DrawFn, case: Case[Any], operation: str, resources: FuzzResources) -> None:
    path = {name: resources.ids.get(name, value) for name, value in case.path_parameters.items()}
    case.path_parameters = path | {"region": "fr-par"}
    if isinstance(case.query, dict):
        case.query = {
            name: resources.ids[name] if name in resources.ids and draw(st.booleans()) else value
            for name, value in case.query.items()
        }
    if isinstance(case.body, dict):
        kept = draw(st.sets(st.sampled_from(sorted(case.body)), max_size=2)) if case.body else set()
        valid: dict[str, Any] = resources.valid_body(operation)
        case.body = valid | {name: case.body[name] for name in kept}


def _header(credential: Credential, secret_key: str, draw: st.DrawFn) -> dict[str, str]:
    match credential:
        case Credential.RIGHT:
            return {"X-Auth-Token": secret_key}
        case Credential.WRONG:
            return {
                "X-Auth-Token": draw(st.sampled_from((secret_key[:-1], secret_key.upper(), "x", f"{secret_key} x")))
            }
        case Credential.EMPTY:
            return {"X-Auth-Token": ""}
        case Credential.MISSING:
            return {}
