"""What a blank does while nobody waits for it: once, for nothing, what its start and its first answer will do.

After a fork every page that is written to for the first time is copied. Whoever has loaded a module, read a request
and answered it before has most of those pages already. Standard library of Python 3.8 and later.
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
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fnkit.platform.engine.bridges import serving
else:
    import serving

_HANDLER = marshal.dumps(
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
        "rehearsal",
        "exec",
    )
)
"""A module of the kind that handlers are and import."""
_DOCUMENT = b'{"event":{"path":"/","headers":{"Host":""},"body":"","isBase64Encoded":true},"context":{"n":128}}'
_REQUEST = b"POST / HTTP/1.1\r\ncontent-type: application/json\r\nfnkit-request: 0\r\ncontent-length: %d\r\n\r\n%b"


def rehearse(folder: str) -> None:
    """Load one of the bridge's own modules, write to nowhere, and answer a request of nobody's."""
    known = set(sys.path_importer_cache)
    spec = importlib.util.spec_from_file_location("rehearsal", os.path.join(folder, "leftovers.py"))
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    for place in set(sys.path_importer_cache) - known:
        del sys.path_importer_cache[place]
    exec(marshal.loads(_HANDLER), {"__name__": "builtins"})  # noqa: S102, S302  our own code, from above
    with io.TextIOWrapper(io.FileIO(os.devnull, "wb"), "utf-8", "backslashreplace", write_through=True) as nowhere:
        nowhere.write("\n")
    json.loads(json.dumps({"environment": {"A": "b", "C": "d"}, "memory": 128, "filter": True, "home": None}))
    resource.getrlimit(resource.RLIMIT_CORE)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(_REQUEST % (len(_DOCUMENT), _DOCUMENT))
        reader = serving.Requests(theirs)
        request = reader.next()
        serving.respond(theirs, lambda event, _context: {"body": event}, request or b"", reader.mark)
        ours.recv(4096)
