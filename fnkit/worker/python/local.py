"""One worker that serves one connection: the child process of a local ``fnkit invoke``.

It reads its settings as JSON from an inherited pipe: arguments are visible to other users, the settings hold
secrets, and standard input may be the terminal, for a debugger. It connects to its parent, authenticates with the
token from the settings, and serves like an instance of the platform: the same import rules, serving loop and
response encoding. Standard library only, Python 3.8 and later.
"""

from __future__ import annotations

import json
import os
import socket
import sys

from . import program, relay, serve


def main(arguments: list[str]) -> None:
    """Serve until the parent closes the connection. Exits with the code set by the handler, or 0.

    The argument is the descriptor of the pipe.

    Settings with a ``command`` make this process execute the interpreter of another language, or a compiled
    program; if that serves HTTP, this process relays requests to it.
    """
    with open(int(arguments[0]), "rb") as pipe:
        settings = json.loads(pipe.read())
    connection = socket.create_connection(("127.0.0.1", settings["port"]))
    connection.sendall(settings["token"].encode())
    if settings["command"]:
        os.chdir(settings["home"])
        if settings["is_server"]:
            sys.exit(relay.run(settings["command"], connection, settings["environment"]))
        with open(settings["source"] or os.devnull, "rb") as source:
            program.execute(source.fileno(), connection, settings, settings["environment"], [1, 2])
    os.environ.clear()
    os.environ.update(settings["environment"])
    os.chdir(settings["home"])
    sys.argv[:] = [settings["handler"]]
    if settings.get("entries"):  # the entry module of the handler, which an archive has beside the handler
        sys.path.append(settings["entries"])
    sys.exit(serve.serve(connection, settings))
