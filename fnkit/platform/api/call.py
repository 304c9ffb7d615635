"""One request as the operations see it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from starlette.requests import Request

from fnkit.platform.api.codec import MAX_BODY_BYTES, decode
from fnkit.platform.control.callers import Caller
from fnkit.platform.control.refusals import Refusal
from fnkit.platform.control.visibility import Visibility

__all__ = ["Call", "caller_of", "read_body"]

T = TypeVar("T")
_NOWHERE: Final = "nowhere"
_HOST: Final = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9a-fA-F:.]{2,45}\])(:\d{1,5})?")


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as far as its caller sees.

    kind: what the path is about, as it spells it: ``namespaces``, ``tokens``. sight: what the caller's key sees.
    """

    request: Request
    kind: str
    sight: Visibility

    @property
    def region(self) -> str:
        """The region of the path, which was checked; nowhere, where the caller does not see the resource."""
        return str(self.request.path_params["region"]) if self._seen else _NOWHERE

    @property
    def id(self) -> str:
        """The resource of the path, or empty; ids are lower-case."""
        return str(self.request.path_params.get("id", "")).lower()

    @property
    def _seen(self) -> bool:
        return not self.id or self.sight.sees(self.kind, self.id)

    @property
    def query(self) -> Mapping[str, str]:
        """The query; the last of repeated parameters counts."""
        return self.sight.query(self.kind, self.request.query_params)

    @property
    def base(self) -> str:
        """This API's address as the caller wrote it, or as this host knows itself."""
        host = self.request.headers.get("host", "")
        if not _HOST.fullmatch(host):
            name, port = self.request.scope["server"]
            host = f"{name}:{port}"
        return f"{self.request.scope['scheme']}://{host}"

    async def body(self, kind: type[T]) -> T:
        """Read the body as JSON, whatever its Content-Type.

        Raises:
            Refusal: too large, not JSON, a wrong type, or about what the caller may not touch.
        """
        return self.sight.body(await read_body(self.request, kind))


async def read_body(request: Request, kind: type[T]) -> T:
    """Read a body as JSON, whatever its Content-Type; ``Refusal`` where it is too large or cannot be read."""
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > MAX_BODY_BYTES:
            raise Refusal(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
    return decode(bytes(received), kind)


def caller_of(request: Request) -> Caller:
    """Return whose request this is; whoever serves guarded paths has put it there."""
    caller = request.state.caller
    if not isinstance(caller, Caller):
        raise TypeError("a request without its caller")
    return caller
