"""Decorators and types for handlers.

This package ships inside every Python bundle, so it imports only the standard library and performs no I/O.
"""

from fnkit.authoring.decorators import cron, function, trigger
from fnkit.authoring.types import Context, Event, Response

__all__ = ["Context", "Event", "Response", "cron", "function", "trigger"]
