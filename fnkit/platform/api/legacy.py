"""Operations that are no longer in the API's document, and that older clients still use.

The Serverless Framework's plugin lists functions and reads logs with them; without the first it cannot deploy.
"""

from __future__ import annotations

from typing import Final

from fnkit.contract.requests import CreateToken
from fnkit.platform.api.call import Call
from fnkit.platform.api.operations import Operation
from fnkit.platform.control.platform import ControlPlane

__all__ = ["LEGACY"]


async def _list_functions_of_namespace(plane: ControlPlane, call: Call) -> object:
    return plane.namespaces.functions(call.region, call.id, call.query)


async def _list_logs(plane: ControlPlane, call: Call) -> object:
    return await plane.functions.logs(call.region, call.id)


async def _issue_jwt(plane: ControlPlane, call: Call) -> object:
    """Make a token like any other: it is listed, and can be deleted. ``expires_at`` is the older parameter."""
    query = call.query
    ends = query.get("expiration_date") or query.get("expires_at")
    request = CreateToken(
        function_id=query.get("function_id"),
        namespace_id=query.get("namespace_id"),
        # A ``+`` that was not escaped arrives as a space.
        expires_at=ends.replace(" ", "+") if ends else None,
    )
    made = await plane.tokens.create(call.region, call.sight.body(request))
    return {"token": made.token}


LEGACY: Final = (
    Operation("ListFunctionsOfNamespace", "GET", "/namespaces/{id}/functions", _list_functions_of_namespace),
    Operation("ListFunctionLogs", "GET", "/functions/{id}/logs", _list_logs),
    Operation("IssueJWT", "GET", "/issue-jwt", _issue_jwt, changes=True),
)
