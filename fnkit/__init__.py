"""Decorators and types for writing serverless functions.

This module re-exports the public names of ``fnkit.authoring`` and nothing else. It ships inside every Python
bundle, so importing it must load only the standard library (checked by ``tests/unit/test_light_import.py``).
"""

from fnkit.authoring import (
    Body,
    Context,
    Cookie,
    Event,
    FunctionUrl,
    Header,
    HttpError,
    Path,
    Query,
    Response,
    cron,
    function,
    trigger,
    url_of,
)

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
    "__version__",
    "cron",
    "function",
    "trigger",
    "url_of",
]

__version__ = "0.1.0"
