"""Faults of a request: all of them are collected, and become the response with status 422."""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

Location: TypeAlias = tuple[str | int, ...]
"""The path of a value: ``("body", "items", 0, "price")``."""


class Fault(NamedTuple):
    """What is wrong with a value.

    Attributes:
        location: Where it is.
        message: What is expected, without the value, which may be a secret.
        kind: ``missing``, ``type``, ``value``, ``constraint``, ``json``, or what a user's library names it.
    """

    location: Location
    message: str
    kind: str

    def document(self) -> dict[str, object]:
        """Return the fault as it is in a response, with the names that FastAPI uses."""
        return {"loc": list(self.location), "msg": self.message, "type": self.kind}


Faults: TypeAlias = list[Fault]


class Invalid:
    """The result of decoding a value that has faults."""

    def __repr__(self) -> str:
        return "INVALID"


INVALID: Final = Invalid()


class UnsupportedType(TypeError):
    """A type hint that cannot be decoded from a request."""
