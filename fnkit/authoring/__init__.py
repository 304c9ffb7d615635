"""Decorators and types for handlers.

This package ships inside every Python bundle, so it imports only the standard library and performs no I/O.
"""

from fnkit.authoring.decorators import cron, function, trigger
from fnkit.authoring.function_url import FunctionUrl, url_of
from fnkit.authoring.parameters import Body, Cookie, Header, HttpError, Path, Query
from fnkit.authoring.types import Context, Event, Response

__all__ = [
    "Body",
    "Context",
    "Cookie",
    "Event",
    "FunctionUrl",
    "Header",
    "HttpError",
    "Path",
    "Query",
    "Response",
    "cron",
    "function",
    "trigger",
    "url_of",
]
