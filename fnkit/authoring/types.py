"""Types of a handler's event, context and response (``docs/handlers.md``).

The fields follow Scaleway's core runtime (``framework/core/http.go`` and ``events/context.go``). Crons and
triggers use the same event: a POST to ``/`` whose body is the cron's ``args`` or the message.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict


class RequestContext(TypedDict):
    """The event's ``requestContext``. The core runtime fills in only ``httpMethod``."""

    accountId: str
    resourceId: str
    stage: str
    requestId: str
    resourcePath: str
    authorizer: None
    httpMethod: str
    apiId: str


class Event(TypedDict):
    """An HTTP request, as passed to a handler.

    Attributes:
        headers: Names in Go's canonical form (``Content-Type``). Repeated headers are joined with ``,``.
        queryStringParameters: The last value of a repeated parameter wins.
        body: The request body as text.
        isBase64Encoded: Present, and true, only if the body is valid base64, which ``""`` and ``"test"`` are too.
            The platform itself never encodes the body.
    """

    resource: str
    path: str
    httpMethod: str
    headers: dict[str, str]
    multiValueHeaders: None
    queryStringParameters: dict[str, str]
    multiValueQueryStringParameters: None
    pathParameters: None
    stageVariables: dict[str, str]
    requestContext: RequestContext
    body: str
    isBase64Encoded: NotRequired[bool]


class Context(TypedDict):
    """Metadata of the function. It contains neither the remaining time nor a request ID."""

    memoryLimitInMb: int
    functionName: str
    functionVersion: str


class Response(TypedDict, total=False):
    """A structured response. Handlers may also return a plain string or any JSON-serializable value.

    Attributes:
        body: A string is sent unchanged, ``None`` as an empty body, any other value as JSON. With
            ``isBase64Encoded``, a base64 string whose decoded bytes are sent.
    """

    statusCode: int
    headers: dict[str, str | list[str]]
    body: object
    isBase64Encoded: bool
