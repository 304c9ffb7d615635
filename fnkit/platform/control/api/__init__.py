"""HTTP interface of the control plane.

It serves the Functions API, Loki's log API, ``GET /metrics``, ``GET /openapi.json`` (the API document with an
overlay of deviations) and fnkit's own routes. A handler decodes the request, makes one call to the control plane
and encodes the result; exceptions become responses in one place.
"""
