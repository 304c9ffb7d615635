"""CPU of the data plane per warm request, against nginx's in front of a bare upstream. Reported, not judged.

nginx passes bytes on; the gateway also makes the event, maps the answer, counts and logs. Both keep their
connections, one client asks one request after another, and only the front process's CPU is counted.
"""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.local_platform import local_platform
from benchmarks.measuring import Comparison, Skipped, in_turns

__all__ = ["run"]

REQUESTS = 2000

UPSTREAM = """
import asyncio, sys
ANSWER = b"HTTP/1.1 200 OK\\r\\nContent-Type: text/plain\\r\\nContent-Length: 5\\r\\n\\r\\nhello"
async def serve(reader, writer):
    try:
        while await reader.readuntil(b"\\r\\n\\r\\n"):
            writer.write(ANSWER)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def main():
    async with await asyncio.start_unix_server(serve, sys.argv[1]) as server:
        await server.serve_forever()
asyncio.run(main())
"""

CONFIGURATION = """
{user} daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr error;
events {{ worker_connections 64; }}
http {{
  access_log {folder}/access.log;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  keepalive_requests 1000000;
  upstream functions {{ server unix:{folder}/upstream.sock; keepalive 4; keepalive_requests 1000000; }}
  server {{
    listen unix:{folder}/nginx.sock;
    location / {{ proxy_pass http://functions; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""


def run(rounds: int, folder: Path) -> list[Comparison]:
    """CPU seconds per request of the front alone."""
    if not sys.platform.startswith("linux"):
        raise Skipped("CPU of another process is read from /proc")
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        raise Skipped("nginx is not installed (apt-get install nginx-light)")
    project = folder / "project"
    project.mkdir()
    (project / "fnkit.toml").write_text('name = "warm"\n', encoding="utf-8")
    (project / "main.py").write_text(
        'from fnkit import function\n\n\n@function(memory=128)\ndef hello(event, context):\n    return "hello"\n',
        encoding="utf-8",
    )
    with local_platform(folder / "platform") as platform, _nginx(nginx, folder) as (socket_path, worker):
        deployed = platform.fnkit("deploy", "--local", "--yes", folder=project)
        domain = deployed["functions"][0]["domain"]
        data_plane = platform.facts["processes"]["data_plane"]
        pid = data_plane["pid"] if isinstance(data_plane, dict) else data_plane
        gateway = http.client.HTTPConnection(urlsplit(platform.facts["gateway_url"]).netloc, timeout=30)
        front = _UnixConnection(socket_path)

        def ours() -> float:
            return _cpu_per_request(gateway, domain, pid)

        def reference() -> float:
            return _cpu_per_request(front, "localhost", worker)

        ours(), reference()
        figures = in_turns(rounds, ours, reference)
        gateway.close()
        front.close()
    return [Comparison("gateway CPU per warm request", "nginx in front of a bare upstream", *figures)]


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.path))


def _cpu_per_request(connection: http.client.HTTPConnection, host: str, pid: int) -> float:
    before = _cpu_seconds(pid)
    for _ in range(REQUESTS):
        connection.request("GET", "/", headers={"Host": host})
        answer = connection.getresponse()
        if (answer.status, answer.read()) != (200, b"hello"):
            raise RuntimeError(f"answered {answer.status}")
    return (_cpu_seconds(pid) - before) / REQUESTS


def _cpu_seconds(pid: int) -> float:
    """CPU of all threads of a process; nanoseconds where the kernel counts them."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


@contextmanager
def _nginx(nginx: str, folder: Path) -> Iterator[tuple[Path, int]]:
    """Start the upstream and nginx; yield nginx's socket and its worker's pid."""
    configuration = folder / "nginx.conf"
    # As root, nginx would hand its worker to a user who may not enter this folder.
    user = "user root;" if os.geteuid() == 0 else ""
    configuration.write_text(CONFIGURATION.format(folder=folder, user=user), encoding="utf-8")
    upstream = subprocess.Popen([sys.executable, "-c", UPSTREAM, str(folder / "upstream.sock")])
    front = subprocess.Popen([nginx, "-c", str(configuration), "-p", str(folder)])
    try:
        _wait_for(folder / "upstream.sock")
        _wait_for(folder / "nginx.sock")
        yield folder / "nginx.sock", _worker_of(front.pid)
    finally:
        for process in (front, upstream):
            process.terminate()
            process.wait()


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 10
    while not path.exists():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{path.name} did not appear")
        time.sleep(0.01)


def _worker_of(master: int) -> int:
    deadline = time.monotonic() + 10
    children = Path(f"/proc/{master}/task/{master}/children")
    while not (found := children.read_text().split()):
        if time.monotonic() > deadline:
            raise RuntimeError("nginx started no worker")
        time.sleep(0.01)
    return int(found[0])
