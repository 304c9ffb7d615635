"""A registry of npm packages on loopback, as npm, pnpm and Yarn ask for them."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar
from urllib.parse import unquote


def _tarball(files: Mapping[str, str]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(content.encode())
            info.mode = 0o644
            tar.addfile(info, io.BytesIO(content.encode()))
    return gzip.compress(archive.getvalue(), mtime=0)


@dataclass
class NodeRegistry:
    """The packages of a registry, each in one version.

    Attributes:
        url: The registry, with ``/`` at the end.
        requests: Paths that were requested.
    """

    url: str
    documents: dict[str, dict[str, object]] = field(default_factory=dict)
    tarballs: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def add(self, name: str, version: str = "1.0.0", **more: object) -> None:
        """Publish a package whose main file exports its name; ``more`` are fields of its ``package.json``."""
        manifest: dict[str, object] = {"name": name, "version": version, "main": "index.js", **more}
        main = f"module.exports = {json.dumps(name)};\n"
        data = _tarball({"package.json": json.dumps(manifest), "index.js": main})
        path = f"{name}/-/{name.rpartition('/')[2]}-{version}.tgz"
        self.tarballs[path] = data
        integrity = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
        shasum = hashlib.sha1(data, usedforsecurity=False).hexdigest()
        dist = {"tarball": self.url + path, "integrity": integrity, "shasum": shasum}
        document = self.documents.setdefault(name, {"name": name, "dist-tags": {}, "versions": {}, "time": {}})
        versions, tags, times = document["versions"], document["dist-tags"], document["time"]
        assert isinstance(versions, dict)
        assert isinstance(tags, dict)
        assert isinstance(times, dict)
        versions[version] = {**manifest, "dist": dist}
        tags["latest"] = version
        times[version] = "2020-01-01T00:00:00.000Z"  # Yarn distrusts new packages


class _Handler(BaseHTTPRequestHandler):
    registry: ClassVar[NodeRegistry]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = unquote(self.path.lstrip("/").partition("?")[0])
        self.registry.requests.append(path)
        found = self.registry.tarballs.get(path)
        if found is None and path in self.registry.documents:
            found = json.dumps(self.registry.documents[path]).encode()
        body = b"{}" if found is None else found
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_arguments: object) -> None:
        """Print nothing."""


@contextmanager
def node_registry() -> Iterator[NodeRegistry]:
    """Serve an empty registry."""

    class BoundHandler(_Handler):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), BoundHandler)
    registry = BoundHandler.registry = NodeRegistry(f"http://127.0.0.1:{server.server_address[1]}/")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
