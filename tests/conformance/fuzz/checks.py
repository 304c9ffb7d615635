"""Checks that every response must pass."""

from __future__ import annotations

import json

from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.conformance.fuzz.cases import Credential, GeneratedRequest

__all__ = ["check_response"]

_CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]


def check_response(sent: GeneratedRequest, response: Response) -> None:
    """Fail for a server error, a wrong Content-Type, an ignored key, or an undocumented response."""
    exchange = f"{sent.case.as_curl_command()}\n→ {response.status_code} {response.content[:2000]!r}"
    assert response.status_code < 500, f"server error\n{exchange}"
    assert response.headers.get("content-type") == ["application/json"], f"wrong Content-Type\n{exchange}"
    if sent.credential is not Credential.RIGHT:
        assert response.status_code == 401 or _is_unknown_path(response), f"the key was ignored\n{exchange}"
    else:
        assert response.status_code != 401, f"the right key was refused\n{exchange}"
    sent.case.validate_response(response, checks=_CHECKS)


def _is_unknown_path(response: Response) -> bool:
    """Return whether an unusual id made the path one that the API does not have, so that no key is required."""
    return response.status_code == 404 and json.loads(response.content)["message"].startswith("not found: ")
