"""Events and contexts as a platform makes them, for tests that call handlers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast
from urllib.parse import urlencode

from fnkit.authoring.types import Context, Event
from fnkit.contract.invocation.event import build_context, build_event

_MEMORY = 256


def make_event(
    path: str = "/",
    *,
    method: str = "",
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    body: str | bytes = "",
    json_body: object = None,
) -> Event:
    """Return the event of an HTTP request, with all its fields.

    Args:
        path: Decoded path of the request; a query after ``?`` is taken as it is.
        method: HTTP method; by default ``GET``, or ``POST`` with a body.
        query: Query parameters.
        headers: Headers of the request; names may have any capitalization.
        body: Body of the request.
        json_body: A value that becomes the body as JSON, with its content type. A cron's ``args`` and the message
            of a trigger are such bodies of a ``POST`` to ``/``.

    >>> make_event("/books?page=2")["queryStringParameters"]
    {'page': '2'}
    >>> make_event(json_body={"title": "Emma"})["httpMethod"]
    'POST'
    """
    pairs = list((headers or {}).items())
    content = body.encode() if isinstance(body, str) else body
    if json_body is not None:
        content = json.dumps(json_body).encode()
        if not any(name.lower() == "content-type" for name, _ in pairs):
            pairs.append(("Content-Type", "application/json"))
    location, _, raw_query = path.partition("?")
    event = build_event(
        method=(method or ("POST" if content else "GET")).upper(),
        path=location,
        query="&".join(filter(None, (raw_query, urlencode(query or {})))),
        headers=pairs,
        body=content,
    )
    return cast("Event", event)


def make_context(function_name: str = "function", *, memory: int = _MEMORY) -> Context:
    """Return a context.

    Args:
        function_name: The name of the function.
        memory: Its memory in MB.
    """
    return cast("Context", build_context(memory_limit=memory, function_name=function_name))
