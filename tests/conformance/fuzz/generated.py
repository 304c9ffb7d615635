"""Requests: what schemathesis makes of the document, as it is, or grounded in what exists on the platform."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict
from schemathesis import APIOperation, Case, GenerationMode

from tests.conformance.fuzz.ground import Ground

__all__ = ["Credential", "Generated", "Operation", "generated", "name_of"]

Operation: TypeAlias = APIOperation[Any, Any, Any, Any]
"""One operation of the document, as schemathesis reads it."""


class Credential(Enum):
    """What stands in ``X-Auth-Token``."""

    RIGHT = "right"
    WRONG = "wrong"
    EMPTY = "empty"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Generated:
    """One request to send. A ``grounded`` one names what exists."""

    case: Case[Any]
    credential: Credential
    grounded: bool


def name_of(operation: Operation) -> str:
    """Return the operation's id in the document."""
    return str(operation.definition.raw["operationId"])


def generated(operation: Operation, ground: Ground) -> st.SearchStrategy[Generated]:
    """Valid and invalid requests by the document; half of them with real ids and enough good fields to go far."""
    cases = st.one_of([operation.as_strategy(mode) for mode in GenerationMode])
    credentials = st.sampled_from([Credential.RIGHT] * 9 + list(Credential))

    @st.composite
    def one(draw: st.DrawFn) -> Generated:
        case, grounded = draw(cases), draw(st.booleans())
        if grounded:
            _ground(draw, case, name_of(operation), ground)
        credential = draw(credentials)
        headers = CaseInsensitiveDict(case.headers)
        headers.pop("X-Auth-Token", None)
        headers.update(_header(credential, ground.platform.secret_key, draw))
        case.headers = headers
        return Generated(case, credential, grounded)

    return one()


def _ground(draw: st.DrawFn, case: Case[Any], operation: str, ground: Ground) -> None:
    path = {name: ground.ids.get(name, value) for name, value in case.path_parameters.items()}
    case.path_parameters = path | {"region": "fr-par"}
    if isinstance(case.query, dict):
        case.query = {
            name: ground.ids[name] if name in ground.ids and draw(st.booleans()) else value
            for name, value in case.query.items()
        }
    if isinstance(case.body, dict):
        kept = draw(st.sets(st.sampled_from(sorted(case.body)), max_size=2)) if case.body else set()
        good: dict[str, Any] = ground.good_body(operation)
        case.body = good | {name: case.body[name] for name in kept}


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
