"""HTTP primitives of the API: request objects, the JSON codec, response headers and error responses.

Request bodies are decoded as JSON whatever their ``Content-Type``. Errors name the line and column, or the field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from starlette.requests import Request

from fnkit.platform.api.codec import MAX_BODY_BYTES, decode
from fnkit.platform.control.callers import Principal
from fnkit.platform.control.refusals import ControlError
from fnkit.platform.control.visibility import AccessScope

__all__ = ["ApiRequest", "request_principal", "read_body"]

T = TypeVar("T")
_HIDDEN_REGION: Final = "nowhere"
_HOST_HEADER: Final = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9a-fA-F:.]{2,45}\])(:\d{1,5})?")


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request to an operation, limited to the resources that the caller's API key can access.

    Attributes:
        http_request: The HTTP request.
        kind: The resource kind as the path spells it, such as ``namespaces`` or ``tokens``.
        scope: The resources that the caller's API key can access.
    """

    http_request: Request
    kind: str
    scope: AccessScope

    @property
    def region(self) -> str:
        """The region of the path, or one that matches nothing if the caller cannot access the resource.

        With an impossible region every lookup fails with the error for a missing resource, so a caller cannot tell
        a resource of another project from one that does not exist.
        """
        return str(self.http_request.path_params["region"]) if self._is_visible else _HIDDEN_REGION

    @property
    def id(self) -> str:
        """The resource id of the path in lower case, or an empty string."""
        return str(self.http_request.path_params.get("id", "")).lower()

    @property
    def _is_visible(self) -> bool:
        return not self.id or self.scope.can_see(self.kind, self.id)

    @property
    def query(self) -> Mapping[str, str]:
        """The query parameters; the last of repeated parameters wins."""
        return self.scope.narrow_query(self.kind, self.http_request.query_params)

    @property
    def base_url(self) -> str:
        """The base URL of this API, from the ``Host`` header, or from the socket if the header is invalid.

        The value ends up in URLs returned to the client, so it must not contain anything but a host and a port.
        """
        host = self.http_request.headers.get("host", "")
        if not _HOST_HEADER.fullmatch(host):
            name, port = self.http_request.scope["server"]
            host = f"{name}:{port}"
        return f"{self.http_request.scope['scheme']}://{host}"

    async def body(self, body_type: type[T]) -> T:
        """Decode the body as JSON, whatever its Content-Type.

        Raises:
            ControlError: The body is too large, malformed or of the wrong type, or names an inaccessible resource.
        """
        return self.scope.narrow_body(await read_body(self.http_request, body_type))


async def read_body(request: Request, body_type: type[T]) -> T:
    """Decode a body as JSON, whatever its Content-Type.

    Raises:
        ControlError: 413 for a body larger than ``MAX_BODY_BYTES``, 400 for one that cannot be decoded.
    """
    # The limit applies to what arrives, not to Content-Length, which a chunked request does not have.
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > MAX_BODY_BYTES:
            raise ControlError(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
    return decode(bytes(received), body_type)


def request_principal(request: Request) -> Principal:
    """Return the principal that the authentication of the route stored in the request."""
    caller = request.state.caller
    if not isinstance(caller, Principal):
        raise TypeError("the request was not authenticated")
    return caller
