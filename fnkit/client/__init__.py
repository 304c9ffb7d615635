"""HTTP client of the Functions API: one method per operation, typed in and out."""

from fnkit.client.api import FunctionsApi
from fnkit.client.endpoint import Endpoint, EndpointOverrides, resolve_endpoint

__all__ = ["Endpoint", "EndpointOverrides", "FunctionsApi", "resolve_endpoint"]
