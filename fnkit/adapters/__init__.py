"""Makes ``handler(event, context)`` of handlers that the platform cannot call itself.

Those are typed handlers, asynchronous ones, and ASGI and WSGI applications. This package ships in the bundles of
projects that have such handlers, with an entry module for each; ``docs/typed-handlers.md`` describes it. It imports
the standard library only, and of that what a handler needs.
"""

from fnkit.adapters.adapt import adapt

__all__ = ["adapt"]
