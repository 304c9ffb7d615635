"""Routes of additional API keys: ``/fnkit/v1/keys``. Only the platform's root key may use them."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

from fnkit.contract.platform import KEYS_PATH, ApiKey, ApiKeyList, CreateApiKey
from fnkit.platform.api.call import caller_of, read_body
from fnkit.platform.control.platform import ControlPlane

__all__ = ["KEY_PATH", "create", "delete", "every"]

KEY_PATH: Final = KEYS_PATH + "/{access_key}"
_RESOURCE: Final = "api_keys"


async def create(plane: ControlPlane, request: Request) -> ApiKey:
    """Create an API key; its secret is returned only by this call."""
    caller_of(request).require_owner("write", _RESOURCE)
    return await plane.keys.create(await read_body(request, CreateApiKey))


async def every(plane: ControlPlane, request: Request) -> ApiKeyList:
    """List the API keys, without their secrets."""
    caller_of(request).require_owner("read", _RESOURCE)
    return plane.keys.list()


async def delete(plane: ControlPlane, request: Request) -> ApiKey:
    """Delete an API key."""
    caller_of(request).require_owner("write", _RESOURCE)
    return await plane.keys.delete(str(request.path_params["access_key"]))
