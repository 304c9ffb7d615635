"""nginx in front of the very bridge that functions run on: the floor for a gateway.

The bridge processes answer requests exactly as instances of the platform do: the same code, the same ``event`` and
``context`` as JSON in each request. They only take connections from a socket that listens, one each, where the
platform hands them a connected one.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measuring import Skipped
from benchmarks.servers import free_port

__all__ = ["Front", "nginx_before_bridges"]

BRIDGE = """
import socket, sys
from fnkit.platform.engine.bridges import serving as bridge
listener = socket.socket(fileno=int(sys.argv[1]))
handler = bridge.load(sys.argv[2], sys.argv[3])
while True:
    connection, _ = listener.accept()
    reader = bridge.Requests(connection)
    try:
        while (request := reader.next()) is not None:
            bridge.respond(connection, handler, request, reader.mark)
    except OSError:
        pass
"""

CONFIGURATION = """
{user} daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log error;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  keepalive_requests 100000000;
  upstream bridges {{
    server unix:{folder}/bridge.sock; keepalive {bridges}; keepalive_requests 100000000;
  }}
  server {{
    listen unix:{folder}/nginx.sock;
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://bridges; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""


class Front:
    """nginx, running. ``worker`` is the pid of its only worker; ``port`` and ``socket`` lead to the same place."""

    def __init__(self, port: int, socket_path: Path, worker: int) -> None:
        self.port = port
        self.socket = socket_path
        self.worker = worker


@contextmanager
def nginx_before_bridges(folder: Path, project: Path, handler: str, bridges: int) -> Iterator[Front]:
    """Start so many bridges with this handler, and nginx in front of them."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        raise Skipped("nginx is not installed (apt-get install nginx-light)")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "bridge.sock"))
    listener.listen(bridges)
    command = [sys.executable, "-c", BRIDGE, str(listener.fileno()), handler, str(project)]
    processes = [subprocess.Popen(command, pass_fds=[listener.fileno()]) for _ in range(bridges)]
    try:
        port = free_port()
        # As root, nginx would hand its worker to a user who may not enter this folder.
        user = "user root;" if os.geteuid() == 0 else ""
        configuration = folder / "nginx.conf"
        configuration.write_text(
            CONFIGURATION.format(folder=folder, user=user, bridges=bridges, port=port), encoding="utf-8"
        )
        front = subprocess.Popen([nginx, "-c", str(configuration), "-p", str(folder)])
        processes.append(front)
        yield Front(port, folder / "nginx.sock", _worker_of(front.pid, folder / "nginx.sock"))
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
        listener.close()


def _worker_of(master: int, socket_path: Path) -> int:
    deadline = time.monotonic() + 10
    children = Path(f"/proc/{master}/task/{master}/children")
    while not (socket_path.exists() and (found := children.read_text().split())):
        if time.monotonic() > deadline:
            raise RuntimeError("nginx started no worker")
        time.sleep(0.01)
    return int(found[0])
