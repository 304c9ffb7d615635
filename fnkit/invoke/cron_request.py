"""The request that a cron sends to its function."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from fnkit.contract.event_requests import CRON_CONTENT_TYPE, USER_AGENT
from fnkit.invoke.model import InvocationRequest


def _as_dict(value: object) -> object:
    """Return the dictionary in a read-only mapping, as the project's values are."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def cron_request(args: Mapping[str, object]) -> InvocationRequest:
    """Return ``POST /`` with the arguments as JSON, as crons of Scaleway and of the local platform send it."""
    body = msgspec.json.encode(args, enc_hook=_as_dict)
    headers = (
        ("User-Agent", USER_AGENT),
        ("Content-Type", CRON_CONTENT_TYPE),
        ("Content-Length", str(len(body))),
    )
    return InvocationRequest(method="POST", target="/", headers=headers, body=body)
