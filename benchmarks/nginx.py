"""nginx in front of the worker that functions run in, as a lower bound for a gateway.

The worker processes run the same code as instances of the platform and receive the same ``event`` and ``context``
as JSON. They differ only in that they accept a connection from a listening socket, where the platform passes them a
connected one.
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

from benchmarks.measurement import BenchmarkSkipped
from benchmarks.servers import free_port

__all__ = ["NginxServer", "nginx_before_workers"]

WORKER = """
import socket, sys
from fnkit.worker.python import serve as worker
listener = socket.socket(fileno=int(sys.argv[1]))
handler = worker.load_handler(sys.argv[2], sys.argv[3])
while True:
    connection, _ = listener.accept()
    reader = worker.RequestReader(connection)
    try:
        while (request := reader.next_request()) is not None:
            worker.respond(connection, handler, request, reader.nonce_line)
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
  upstream workers {{
    server unix:{folder}/worker.sock; keepalive {workers}; keepalive_requests 100000000;
  }}
  server {{
    listen unix:{folder}/nginx.sock;
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://workers; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""


class NginxServer:
    """A running nginx. ``worker`` is the pid of its only worker; ``port`` and ``socket`` serve the same."""

    def __init__(self, port: int, socket_path: Path, worker: int) -> None:
        self.port = port
        self.socket = socket_path
        self.worker = worker


@contextmanager
def nginx_before_workers(folder: Path, project: Path, handler: str, workers: int) -> Iterator[NginxServer]:
    """Run worker processes with a handler, and nginx in front of them.

    Args:
        folder: A directory for sockets and configuration.
        project: The directory of the handler's module.
        handler: The handler as ``module.function``.
        workers: The number of worker processes.

    Raises:
        BenchmarkSkipped: nginx is not installed.
    """
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        raise BenchmarkSkipped("nginx is not installed (apt-get install nginx-light)")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "worker.sock"))
    listener.listen(workers)
    command = [sys.executable, "-c", WORKER, str(listener.fileno()), handler, str(project)]
    processes = [subprocess.Popen(command, pass_fds=[listener.fileno()]) for _ in range(workers)]
    try:
        port = free_port()
        # As root, nginx runs its worker as another user by default, who cannot access this directory.
        user = "user root;" if os.geteuid() == 0 else ""
        configuration = folder / "nginx.conf"
        configuration.write_text(
            CONFIGURATION.format(folder=folder, user=user, workers=workers, port=port), encoding="utf-8"
        )
        server = subprocess.Popen([nginx, "-c", str(configuration), "-p", str(folder)])
        processes.append(server)
        yield NginxServer(port, folder / "nginx.sock", _wait_for_worker(server.pid, folder / "nginx.sock"))
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
        listener.close()


def _wait_for_worker(master: int, socket_path: Path) -> int:
    deadline = time.monotonic() + 10
    children = Path(f"/proc/{master}/task/{master}/children")
    while not (socket_path.exists() and (found := children.read_text().split())):
        if time.monotonic() > deadline:
            raise RuntimeError("nginx did not start its worker")
        time.sleep(0.01)
    return int(found[0])
