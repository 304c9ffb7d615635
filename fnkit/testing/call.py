"""Calls a handler in this process, and maps what it returns to the response that a client would get.

Typed and asynchronous handlers and applications are called as in a deployed function, by ``fnkit.adapters``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from fnkit.adapters import adapt
from fnkit.authoring.types import Context, Event
from fnkit.contract.invocation.response import MappedResponse, map_failure, map_response
from fnkit.testing.events import make_context, make_event
from fnkit.testing.http import HttpResponse
from fnkit.worker.python.serve import encode_result, error_message


def call(
    handler: Callable[..., object],
    event: Event | None = None,
    context: Context | None = None,
    *,
    catch: bool = False,
) -> HttpResponse:
    """Call a handler as a platform would, in this process.

    The event goes through JSON, and what the handler returns becomes a response by the platform's rules.

    Args:
        handler: The function, or an ASGI or WSGI application, whose lifespan lasts as long as the tests.
        event: The event; by default a ``GET`` of ``/``.
        context: The context.
        catch: Return the platform's response with status 500 for an exception, instead of raising it.

    Raises:
        Exception: Whatever the handler raises, unless ``catch`` is set.
        UnsupportedType: A typed handler has a parameter that cannot come from a request.
    """
    adapted = _adapted(handler)
    passed = json.loads(json.dumps(event if event is not None else make_event()))
    try:
        returned = adapted(passed, context if context is not None else make_context())
        status, content_type, body = encode_result(returned)
    except Exception as error:
        if not catch:
            raise
        return _response(map_failure(error_message(error)))
    return _response(map_response(status, (("Content-Type", content_type),), body))


@lru_cache(maxsize=64)
def _adapted(handler: Callable[..., object]) -> Callable[[Any, Any], object]:
    """Return the handler as the platform calls it; an application starts once."""
    return adapt(handler)


def _response(mapped: MappedResponse) -> HttpResponse:
    return HttpResponse(mapped.status, tuple(mapped.headers), mapped.body)
