"""Operations that left the API document and that older clients still call.

The plugin of the Serverless Framework lists functions and reads logs with them, and cannot deploy without the
former.
"""

from __future__ import annotations

from typing import Final

from fnkit.contract.requests import CreateToken
from fnkit.platform.api.call import Call
from fnkit.platform.api.operations import Operation
from fnkit.platform.control.platform import ControlPlane

__all__ = ["LEGACY"]


async def _list_functions_of_namespace(plane: ControlPlane, request: Call) -> object:
    return plane.namespaces.functions(request.region, request.id, request.query)


async def _list_logs(plane: ControlPlane, request: Call) -> object:
    return await plane.functions.logs(request.region, request.id)


async def _issue_jwt(plane: ControlPlane, request: Call) -> object:
    """Create a token like CreateToken does: it is listed and can be deleted.

    ``expires_at`` is an older name of the parameter ``expiration_date``.
    """
    query = request.query
    expires_at = query.get("expiration_date") or query.get("expires_at")
    body = CreateToken(
        function_id=query.get("function_id"),
        namespace_id=query.get("namespace_id"),
        # Clients send the "+" of a UTC offset unescaped, and query decoding turns it into a space.
        expires_at=expires_at.replace(" ", "+") if expires_at else None,
    )
    token = await plane.tokens.create(request.region, request.sight.body(body))
    return {"token": token.token}


LEGACY: Final = (
    Operation("ListFunctionsOfNamespace", "GET", "/namespaces/{id}/functions", _list_functions_of_namespace),
    Operation("ListFunctionLogs", "GET", "/functions/{id}/logs", _list_logs),
    Operation("IssueJWT", "GET", "/issue-jwt", _issue_jwt, changes=True),
)
