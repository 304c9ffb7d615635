"""One request as the operations see it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from starlette.requests import Request

from fnkit.platform.api.codec import MAX_BODY_BYTES, decode
from fnkit.platform.control.refusals import Refusal

__all__ = ["Call"]

T = TypeVar("T")
_HOST: Final = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9a-fA-F:.]{2,45}\])(:\d{1,5})?")


@dataclass(frozen=True, slots=True)
class Call:
    """``id`` is the path's, or empty. ``operation`` is the API document's name for what was asked."""

    request: Request
    operation: str

    @property
    def region(self) -> str:
        """The region of the path; it was checked."""
        return str(self.request.path_params["region"])

    @property
    def id(self) -> str:
        """The resource of the path; ids are lower-case."""
        return str(self.request.path_params.get("id", "")).lower()

    @property
    def query(self) -> Mapping[str, str]:
        """The query; the last of repeated parameters counts."""
        return self.request.query_params

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
            Refusal: too large, not JSON, or a wrong type.
        """
        received = bytearray()
        async for chunk in self.request.stream():
            received += chunk
            if len(received) > MAX_BODY_BYTES:
                raise Refusal(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
        return decode(bytes(received), kind)
