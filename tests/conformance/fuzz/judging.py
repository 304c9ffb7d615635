"""What is demanded of every answer."""

from __future__ import annotations

import json

from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.conformance.fuzz.generated import Credential, Generated

__all__ = ["judge"]

_CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]


def judge(sent: Generated, answer: Response) -> None:
    """Fail for a server error, a wrong Content-Type, an ignored key, or an answer that is not in the document."""
    what = f"{sent.case.as_curl_command()}\n→ {answer.status_code} {answer.content[:2000]!r}"
    assert answer.status_code < 500, f"server error\n{what}"
    assert answer.headers.get("content-type") == ["application/json"], f"wrong Content-Type\n{what}"
    if sent.credential is not Credential.RIGHT:
        assert answer.status_code == 401 or _elsewhere(answer), f"the key was ignored\n{what}"
    else:
        assert answer.status_code != 401, f"the right key was refused\n{what}"
    sent.case.validate_response(answer, checks=_CHECKS)


def _elsewhere(answer: Response) -> bool:
    """Whether the path, with an odd id in it, is none of the API's: nothing is there to be guarded."""
    return answer.status_code == 404 and json.loads(answer.content)["message"].startswith("not found: ")
