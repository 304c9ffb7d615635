"""Operations that left the API document and that older clients still call.

The plugin of the Serverless Framework lists functions and reads logs with them, and cannot deploy without the
former.
"""

from __future__ import annotations

from typing import Final

from fnkit.contract.requests import CreateToken
from fnkit.platform.api.call import ApiRequest
from fnkit.platform.api.operations import Operation
from fnkit.platform.control.platform import ControlPlane

__all__ = ["LEGACY_OPERATIONS"]


async def _list_functions_of_namespace(plane: ControlPlane, request: ApiRequest) -> object:
    return plane.namespaces.list_functions(request.region, request.id, request.query)


async def _list_function_logs(plane: ControlPlane, request: ApiRequest) -> object:
    return await plane.functions.logs(request.region, request.id)


async def _issue_token(plane: ControlPlane, request: ApiRequest) -> object:
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
    token = await plane.tokens.create(request.region, request.scope.narrow_body(body))
    return {"token": token.token}


LEGACY_OPERATIONS: Final = (
    Operation("ListFunctionsOfNamespace", "GET", "/namespaces/{id}/functions", _list_functions_of_namespace),
    Operation("ListFunctionLogs", "GET", "/functions/{id}/logs", _list_function_logs),
    Operation("IssueJWT", "GET", "/issue-jwt", _issue_token, requires_write=True),
)
