"""The request that a cron sends to its function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from fnkit.contract.event_requests import CRON_CONTENT_TYPE, USER_AGENT
from fnkit.invoke.model import InvocationRequest

Headers: TypeAlias = tuple[tuple[str, str], ...]


def _as_dict(value: object) -> object:
    """Return the dictionary in a read-only mapping, as the project's values are."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def cron_request(args: Mapping[str, object], extra_headers: Headers = ()) -> InvocationRequest:
    """Return ``POST /`` with the arguments as JSON, as crons of Scaleway and of the local platform send it.

    Args:
        args: The arguments.
        extra_headers: Further headers, which replace those of the cron with the same name.
    """
    body = msgspec.json.encode(args, enc_hook=_as_dict)
    headers = (
        ("User-Agent", USER_AGENT),
        ("Content-Type", CRON_CONTENT_TYPE),
        ("Content-Length", str(len(body))),
    )
    replaced = {name.lower() for name, _ in extra_headers}
    kept = tuple((name, value) for name, value in headers if name.lower() not in replaced)
    return InvocationRequest(method="POST", target="/", headers=(*kept, *extra_headers), body=body)
