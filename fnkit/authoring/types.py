"""The shapes a handler meets: the event, the context, and what it may return (``docs/handlers.md``)."""

from __future__ import annotations

from typing import TypedDict

__all__ = ["Context", "Event", "Response"]


class Event(TypedDict, total=False):
    """One HTTP request as a handler sees it (core runtime ``framework/core/http.go``)."""

    path: str
    httpMethod: str
    headers: dict[str, str]
    queryStringParameters: dict[str, str]
    body: str
    isBase64Encoded: bool


class Context(TypedDict):
    """What a handler may know of itself."""

    memoryLimitInMb: int
    functionName: str
    functionVersion: str


class Response(TypedDict, total=False):
    """A structured answer; a plain string, or anything JSON can say, is one too."""

    statusCode: int
    headers: dict[str, str | list[str]]
    body: object
    isBase64Encoded: bool
