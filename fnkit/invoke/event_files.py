"""What ``fnkit invoke --event`` reads: an event, a part of one, or a recorded delivery of a cron or trigger."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from fnkit.contract.event_requests import CRON_CONTENT_TYPE, MESSAGE_CONTENT_TYPE, USER_AGENT
from fnkit.errors import UsageError

_OF_ONE_REQUEST: Final = frozenset(
    {
        *("content-length", "transfer-encoding", "connection", "host", "x-request-id"),
        *("x-forwarded-for", "x-forwarded-proto", "x-envoy-external-address"),
    }
)
"""Headers of a recorded event that the new request gets anew."""


def normalize_event(document: dict[str, object], source: str) -> dict[str, object]:
    """Return the event in a document, without headers that belong to the request it was recorded from.

    Args:
        document: An event with any of its fields; or a delivery, or the output of ``trigger deliveries --json`` and
            ``cron history --json`` with a single one.
        source: Name of the file, for messages.

    Returns:
        The event. Bytes of its body that are not UTF-8 are surrogate escapes.

    Raises:
        UsageError: ``bad-event``: a delivery has no complete body, or there are several.
    """
    delivery = _find_delivery(document, source)
    event = _delivery_event(delivery, source) if delivery is not None else dict(document)
    headers = event.get("headers")
    if isinstance(headers, dict):
        event["headers"] = {name: value for name, value in headers.items() if name.lower() not in _OF_ONE_REQUEST}
    return event


def _find_delivery(document: dict[str, object], source: str) -> dict[str, object] | None:
    deliveries = document.get("deliveries")
    if isinstance(deliveries, list) and "total" in document:
        if len(deliveries) != 1 or not isinstance(deliveries[0], dict):
            raise UsageError(
                f"{source} has {len(deliveries)} deliveries.", code="bad-event", hint="Select one with --limit 1."
            )
        return deliveries[0]
    inner = document.get("delivery")
    if isinstance(inner, dict):
        return inner
    return document if {"kind", "body", "is_base64"} <= document.keys() else None


def _delivery_event(delivery: dict[str, object], source: str) -> dict[str, object]:
    if delivery.get("is_truncated"):
        raise UsageError(f"The body of the delivery in {source} is truncated.", code="bad-event")
    body = str(delivery.get("body", ""))
    if delivery.get("is_base64"):
        try:
            body = base64.b64decode(body, validate=True).decode("utf-8", "surrogateescape")
        except (binascii.Error, ValueError):
            raise UsageError(f"The body of the delivery in {source} is not base64.", code="bad-event") from None
    content_type = CRON_CONTENT_TYPE if delivery.get("kind") == "cron" else MESSAGE_CONTENT_TYPE
    headers: dict[str, object] = {"User-Agent": USER_AGENT, "Content-Type": content_type}
    return {"httpMethod": "POST", "path": "/", "headers": headers, "body": body}
