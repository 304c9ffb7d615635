"""Events as handlers get them from HTTP requests, crons and triggers, for tests and ``fnkit invoke --event``.

They hold what the caller decides. What a gateway adds to each request (its id, the addresses on the way) is left
out, so that the same arguments give the same event.
"""

from __future__ import annotations

from collections.abc import Mapping

from fnkit.contract.event_requests import MESSAGE_CONTENT_TYPE, USER_AGENT
from fnkit.contract.invocation.event import build_event, decode_path
from fnkit.errors import UsageError
from fnkit.invoke.cron_request import cron_request
from fnkit.invoke.model import InvocationRequest


def http_event(request: InvocationRequest) -> dict[str, object]:
    """Return the event of an HTTP request.

    Raises:
        UsageError: ``bad-path``: the path has an invalid escape.
    """
    path, _, query = request.target.partition("?")
    try:
        decoded = decode_path(path)
    except ValueError as error:
        raise UsageError(f"The request path is invalid: {error}.", code="bad-path") from None
    return build_event(method=request.method, path=decoded, query=query, headers=request.headers, body=request.body)


def cron_event(args: Mapping[str, object]) -> dict[str, object]:
    """Return the event of a cron's run."""
    return http_event(cron_request(args))


def message_event(body: bytes) -> dict[str, object]:
    """Return the event of a message of a NATS subject or an SQS queue, which look the same to a handler."""
    headers = (
        ("User-Agent", USER_AGENT),
        ("Content-Type", MESSAGE_CONTENT_TYPE),
        ("Content-Length", str(len(body))),
    )
    return http_event(InvocationRequest(method="POST", target="/", headers=headers, body=body))
