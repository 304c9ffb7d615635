"""The child process of ``fnkit invoke``: one instance, answering over one connection.

It reads its settings as JSON on standard input (they hold secrets), connects back to its parent, proves with
the token that it is the one, and becomes what the platform's Python bridge makes of any instance: the same
import rules, the same loop, the same encoding of answers.
"""

from __future__ import annotations

import json
import os
import socket
import sys

from fnkit.platform.engine.bridges.serving import live

__all__ = ["main"]


def main() -> int:
    """Run until the parent closes the connection; return the exit code that the handler asked for, else 0."""
    settings = json.loads(sys.stdin.buffer.read())
    connection = socket.create_connection(("127.0.0.1", settings["port"]))
    connection.sendall(settings["token"].encode())
    os.environ.clear()
    os.environ.update(settings["environment"])
    os.chdir(settings["home"])
    sys.argv = [settings["handler"]]
    return live(connection, settings)


if __name__ == "__main__":
    sys.exit(main())
