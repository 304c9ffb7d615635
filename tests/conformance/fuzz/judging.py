"""What is demanded of every answer."""

from __future__ import annotations

import json

from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.conformance.fuzz.generated import Credential, Generated, Operation, name_of
from tests.support.not_served import NOT_SERVED

__all__ = ["judge"]

_CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]


def judge(operation: Operation, sent: Generated, answer: Response) -> None:
    """Fail for a server error, a wrong Content-Type, an ignored key, or an answer that is not in the document."""
    served = name_of(operation) not in NOT_SERVED
    what = f"{sent.case.as_curl_command()}\n→ {answer.status_code} {answer.content[:2000]!r}"
    assert answer.status_code < 500 or (answer.status_code == 501 and not served), f"server error\n{what}"
    assert answer.headers.get("content-type") == ["application/json"], f"wrong Content-Type\n{what}"
    if sent.credential is not Credential.RIGHT:
        assert answer.status_code == 401 or _elsewhere(answer), f"the key was ignored\n{what}"
    else:
        assert answer.status_code != 401, f"the right key was refused\n{what}"
    if served:
        sent.case.validate_response(answer, checks=_CHECKS)


def _elsewhere(answer: Response) -> bool:
    """Whether the path, with an odd id in it, is none of the API's: nothing is there to be guarded."""
    return answer.status_code == 404 and json.loads(answer.content)["message"].startswith("not found: ")
