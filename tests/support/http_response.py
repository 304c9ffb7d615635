"""The response to an HTTP request, with the accessors that tests need."""

from __future__ import annotations

import json
from dataclasses import dataclass
from email.message import Message

__all__ = ["HttpResponse"]


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A status, headers whose names are case-insensitive, and the whole body."""

    status: int
    headers: Message
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> object:
        return json.loads(self.body)

    @property
    def document(self) -> dict[str, object]:
        """The body, which must be a JSON object."""
        document = self.json()
        assert isinstance(document, dict), document
        return document

    @property
    def message(self) -> str:
        """The text of an API error."""
        return str(self.document["message"])

    def ok(self) -> dict[str, object]:
        """Return the JSON object of a 200; fail on any other status."""
        assert self.status == 200, (self.status, self.body)
        return self.document
