"""Conversion of an HTTP request to a handler's event, and of the handler's result to an HTTP response.

The rules are those of Scaleway's core runtime (``docs/requests.md``). For each request, ``immediate_response``
decides whether a handler is needed, ``build_event`` and ``build_context`` create its arguments, a worker returns a
status, headers and bytes, and ``map_response`` converts them to the client's response. The gateway and local
invocation share this package, and workers of every language leave the conversion to it, so that all of them agree.
"""
