"""HTTP client of the Functions API: one method per operation, typed in and out."""

from fnkit.client.api import FunctionsApi
from fnkit.client.endpoint import Endpoint
from fnkit.client.resolving import Overrides, resolve_endpoint

__all__ = ["Endpoint", "FunctionsApi", "Overrides", "resolve_endpoint"]
