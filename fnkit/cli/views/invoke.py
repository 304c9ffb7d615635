"""View of ``fnkit invoke``: the response body on stdout, or the whole response as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from fnkit.contract.deliveries import encode_body

if TYPE_CHECKING:
    from rich.console import Console

    from fnkit.invoke.model import InvocationResult


@dataclass(frozen=True, slots=True)
class InvokeView:
    """The result of one invocation."""

    result: InvocationResult

    def to_json(self) -> dict[str, object]:
        """Return ``status, headers, body, is_base64, duration_ms, memory_bytes, logs``.

        A header that occurs more than once is a list. A body that is not UTF-8 is base64, with ``is_base64`` true.
        """
        response = self.result.response
        body, is_base64 = encode_body(response.body)
        return {
            "status": response.status,
            "headers": self._headers_to_json(),
            "body": body,
            "is_base64": is_base64,
            "duration_ms": self.result.duration_ms,
            "memory_bytes": self.result.memory_bytes,
            "logs": list(self.result.logs),
        }

    def render(self, console: Console) -> None:
        """Print the body on a terminal, as text with control characters escaped."""
        body = self.result.response.body
        if body:
            console.print(body.decode(errors="backslashreplace").removesuffix("\n"))

    def write_bytes(self, stream: BinaryIO) -> None:
        """Write the bytes of the body."""
        stream.write(self.result.response.body)

    def _headers_to_json(self) -> dict[str, str | list[str]]:
        headers: dict[str, str | list[str]] = {}
        for name, value in self.result.response.headers:
            match headers.get(name):
                case None:
                    headers[name] = value
                case str(first):
                    headers[name] = [first, value]
                case several:
                    several.append(value)
        return headers
