"""The OpenAPI document of the Functions API.

``functions-api.openapi.yaml`` is Scaleway's document, unchanged. ``overlay.yaml`` lists the places where the API
behaves otherwise, each with its evidence; ``docs/api-behaviour.md`` lists the same deviations.
"""
