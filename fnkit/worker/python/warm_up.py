"""Warms up a worker before it is assigned: runs once, without effect, what a start and a first response run.

After a fork, each page is copied when it is first written to. A worker that has already loaded a module, parsed a
request and sent a response has copied most of those pages before a request waits for it: without this, cold starts
took 11 % longer (``docs/performance.md``). Standard library only, Python 3.8 and later.
"""

from __future__ import annotations

import importlib.util
import io
import json
import marshal
import os
import resource
import socket
import sys

from . import serve

_SAMPLE_HANDLER = marshal.dumps(
    compile(
        "from __future__ import annotations\n"
        "from collections.abc import Mapping\n"
        "from dataclasses import dataclass, fields, replace\n"
        "from typing import Callable, Optional, TypedDict, TypeVar, overload\n"
        "@dataclass(init=False, repr=False, eq=False)\n"
        "class Settings:\n"
        "    name: Optional[str] = None\n"
        "class Event(TypedDict):\n"
        "    path: str\n"
        "names = [field.name for field in fields(Settings)]\n"
        "@overload\n"
        "def handle(event: Event, context: object) -> str: ...\n"
        "def handle(event, context):\n"
        "    return event['path']\n",
        "warm_up",
        "exec",
    )
)
"""A module with the imports and definitions that are typical of handlers."""
_SAMPLE_DOCUMENT = (
    b'{"event":{"path":"/","headers":{"Host":""},"body":"","isBase64Encoded":true},"context":{"n":128}}'
)
_SAMPLE_REQUEST = (
    b"POST / HTTP/1.1\r\ncontent-type: application/json\r\nfnkit-request: 0\r\ncontent-length: %d\r\n\r\n%b"
)


def warm_up(directory: str) -> None:
    """Import a module, write to a stream and answer a request over a socket pair, without leaving a trace."""
    cached_paths = set(sys.path_importer_cache)
    spec = importlib.util.spec_from_file_location("warm_up", os.path.join(directory, "handler_imports.py"))
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    # A handler must find the interpreter as it would be without this.
    for path in set(sys.path_importer_cache) - cached_paths:
        del sys.path_importer_cache[path]
    # From marshalled code, because a start loads its modules from .pyc files.
    exec(marshal.loads(_SAMPLE_HANDLER), {"__name__": "builtins"})  # noqa: S102, S302  our own code, from above
    with io.TextIOWrapper(
        io.FileIO(os.devnull, "wb"), "utf-8", "backslashreplace", write_through=True
    ) as null_stream:
        null_stream.write("\n")
    json.loads(json.dumps({"environment": {"A": "b", "C": "d"}, "memory": 128, "filter": True, "home": None}))
    resource.getrlimit(resource.RLIMIT_CORE)
    client, server = socket.socketpair()
    with client, server:
        client.sendall(_SAMPLE_REQUEST % (len(_SAMPLE_DOCUMENT), _SAMPLE_DOCUMENT))
        reader = serve.RequestReader(server)
        request = reader.next_request()
        serve.respond(server, lambda event, _context: {"body": event}, request or b"", reader.nonce_line)
        client.recv(4096)
