"""The API document that this platform serves: the given one, and an overlay of what is really so.

``functions-api.openapi.yaml`` is the given document, untouched. ``overlay.yaml`` says in which places the API
behaves otherwise, each with its evidence; ``docs/api-behaviour.md`` shows the same list to people.
"""
