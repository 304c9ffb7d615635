"""The child process of a local ``fnkit invoke``: one worker that serves one connection.

It reads its settings as JSON on standard input, since arguments are visible to other users and the settings hold
secrets. It connects to its parent, authenticates with the token from the settings, and runs the platform's Python
worker: the same import rules, serving loop and response encoding.
"""

from __future__ import annotations

import json
import os
import socket
import sys

from fnkit.worker.python.serve import serve

__all__ = ["main"]


def main() -> int:
    """Serve until the parent closes the connection. Return the exit code set by the handler, or 0."""
    settings = json.loads(sys.stdin.buffer.read())
    connection = socket.create_connection(("127.0.0.1", settings["port"]))
    connection.sendall(settings["token"].encode())
    os.environ.clear()
    os.environ.update(settings["environment"])
    os.chdir(settings["home"])
    sys.argv = [settings["handler"]]
    return serve(connection, settings)


if __name__ == "__main__":
    sys.exit(main())
