"""Authentication of Loki's clients, which can send an API key in more ways than those of the Functions API."""

from __future__ import annotations

import base64
import binascii

from starlette.datastructures import Headers

from fnkit.platform.control.callers import Principal
from fnkit.platform.control.platform import ControlPlane

__all__ = ["authenticate"]


def authenticate(plane: ControlPlane, headers: Headers) -> Principal | None:
    """Return the principal of the first valid API key in the headers, or ``None``.

    A key may be in ``X-Auth-Token``, in ``X-Token`` (Cockpit), a bearer token or the password of basic
    authentication.
    """
    for key in _candidate_keys(headers):
        if (caller := plane.api_keys.authenticate(key)) is not None:
            return caller
    return None


def _candidate_keys(headers: Headers) -> list[bytes]:
    values = [value for name in ("x-auth-token", "x-token") if (value := headers.get(name))]
    keys = [value.encode("latin-1", "replace") for value in values]
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        keys.append(value.strip().encode("latin-1", "replace"))
    elif scheme.lower() == "basic":
        try:
            keys.append(base64.b64decode(value.strip(), validate=True).partition(b":")[2])
        except (binascii.Error, ValueError):
            return keys
    return keys
