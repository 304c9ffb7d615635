"""Mark handlers, deploy them, run them anywhere.

This module holds the authoring names and nothing else. It ships inside every Python bundle, so importing it
loads the standard library only (``tests/unit/test_light_import.py``).
"""

from fnkit.authoring import Context, Event, Response, cron, function, trigger

__all__ = ["Context", "Event", "Response", "__version__", "cron", "function", "trigger"]

__version__ = "0.1.0"
