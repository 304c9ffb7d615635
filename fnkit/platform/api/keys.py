"""Routes of additional API keys: ``/fnkit/v1/keys``. Only the platform's root key may use them."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

from fnkit.contract.platform import API_KEYS_PATH, ApiKey, ApiKeyList, CreateApiKey
from fnkit.platform.api.call import request_principal, read_body
from fnkit.platform.control.platform import ControlPlane

__all__ = ["API_KEY_PATH", "create_key", "delete_key", "list_keys"]

API_KEY_PATH: Final = API_KEYS_PATH + "/{access_key}"
_API_KEYS: Final = "api_keys"


async def create_key(plane: ControlPlane, request: Request) -> ApiKey:
    """Create an API key; its secret is returned only by this call."""
    request_principal(request).require_root("write", _API_KEYS)
    return await plane.api_keys.create(await read_body(request, CreateApiKey))


async def list_keys(plane: ControlPlane, request: Request) -> ApiKeyList:
    """List the API keys, without their secrets."""
    request_principal(request).require_root("read", _API_KEYS)
    return plane.api_keys.list()


async def delete_key(plane: ControlPlane, request: Request) -> ApiKey:
    """Delete an API key."""
    request_principal(request).require_root("write", _API_KEYS)
    return await plane.api_keys.delete(str(request.path_params["access_key"]))
