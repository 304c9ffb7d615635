"""Decorators and types for handlers: pure, standard library only, shipped inside every Python bundle."""

from fnkit.authoring.decorators import cron, function, trigger
from fnkit.authoring.types import Context, Event, Response

__all__ = ["Context", "Event", "Response", "cron", "function", "trigger"]
